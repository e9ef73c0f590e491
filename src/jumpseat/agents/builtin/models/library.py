"""The one place that imports pydantic-ai: what this package uses of it, and how its providers are made."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from jumpseat.agents.builtin.models.providers import Provider
from jumpseat.errors import MissingDependencyError
from jumpseat.http_clients import user_agent

if TYPE_CHECKING:
    import httpx2

    from jumpseat.agents.builtin.models.tap import AnswerTap

__all__ = ["Library", "Streamed", "Upstream", "load", "make_upstream", "streamed"]

_CONNECT_SECONDS: Final = 5.0
# What Google recommends for long answers.
_GOOGLE_SECONDS: Final = 20 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """Modules of pydantic-ai.

    They are not typed: their types would have to be imported by everyone who is to be type-checked.
    """

    direct: Any
    messages: Any
    models: Any
    tools: Any


@dataclass(frozen=True, slots=True)
class Upstream:
    """A provider object of pydantic-ai, and which classes its models get."""

    provider: Any
    definition: Provider
    own_client: httpx2.AsyncClient | None = None

    def model(self, name: str, api: str | None = None) -> Any:
        """Return pydantic-ai's model of this name, ready to be used. Reads files: call it in a thread.

        ``api``: another interface of the same provider.
        """
        made = _make_model(self, name, api or self.definition.api)
        # What is computed at first use is computed here, where it holds up nobody.
        _ = made.profile
        return made

    def as_factory(self, _: str) -> Any:
        """Return the provider object whatever provider is asked for."""
        return self.provider

    async def aclose(self) -> None:
        """Close the connections of the provider."""
        # Entering takes over what the provider made for itself, and leaving closes it.
        async with self.provider:
            if self.own_client is not None:
                await self.own_client.aclose()


@dataclass(slots=True)
class Streamed:
    """One streaming call.

    Attributes:
        response: The library's object for it.
        tap: Where appended text can be read ahead of the library, if its provider's interface is known here.
    """

    response: Any = None
    tap: AnswerTap | None = None
    _to_close: list[httpx2.Response] = field(default_factory=list["httpx2.Response"])

    def note(self, response: httpx2.Response) -> None:
        """Close ``response`` at the end of the call."""
        self._to_close.append(response)

    async def aclose(self) -> None:
        """Close what was noted."""
        for response in self._to_close:
            await response.aclose()


_streamed: ContextVar[Streamed | None] = ContextVar("streamed", default=None)


@asynccontextmanager
async def streamed(call: AbstractAsyncContextManager[Any]) -> AsyncGenerator[Streamed]:
    """Enter one of the library's streaming calls; leaving the block closes its connection at once.

    Google's library leaves that to the garbage collector when an answer was not read to its end.
    """
    opened = Streamed()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(opened.aclose)
        token = _streamed.set(opened)
        try:
            opened.response = await stack.enter_async_context(call)
        finally:
            # Reset before anything is yielded: the consumer's context is this one.
            _streamed.reset(token)
        yield opened


@cache
def load() -> Library:
    """Import pydantic-ai. It takes about a second: call it in a thread.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        from pydantic_ai import direct, messages, models, tools  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError(
            "Models need the package pydantic-ai-slim, which is not installed: "
            'pip install "jumpseat[openai]", "jumpseat[anthropic]" or "jumpseat[google]"'
        ) from error
    return Library(direct=direct, messages=messages, models=models, tools=tools)


def make_upstream(
    provider: Provider,
    api_key: str | None,
    base_url: str | None,
    *,
    http_client: httpx2.AsyncClient | None = None,
) -> Upstream:
    """Return a provider object with connections of its own. Imports its library: call it in a thread.

    ``http_client`` serves the interfaces of OpenAI, Anthropic and Google in place of connections of its own.

    Raises:
        MissingDependencyError: That library is not installed.
    """
    load()
    try:
        own = _own_client(provider.api) if http_client is None else None
        return Upstream(_make_provider(provider, api_key, base_url, http_client or own), provider, own)
    except ImportError as error:
        raise MissingDependencyError(
            f'Models of {provider.name} need more packages: pip install "{provider.install}"'
        ) from error


def _make_provider(
    provider: Provider, api_key: str | None, base_url: str | None, http_client: httpx2.AsyncClient | None
) -> Any:
    match provider.api:
        case "responses" | "chat":
            from pydantic_ai.providers.openai import OpenAIProvider  # noqa: PLC0415

            return OpenAIProvider(api_key=api_key, base_url=base_url, http_client=http_client)
        case "anthropic":
            from pydantic_ai.providers.anthropic import AnthropicProvider  # noqa: PLC0415

            return AnthropicProvider(api_key=api_key, base_url=base_url, http_client=http_client)
        case "google":
            from pydantic_ai.providers.google import GoogleProvider  # noqa: PLC0415

            return GoogleProvider(client=_google_api(api_key, base_url, http_client))
        case "vertex":
            from pydantic_ai.providers.google_cloud import GoogleCloudProvider  # noqa: PLC0415

            project, location = _vertex("PROJECT"), _vertex("LOCATION")
            return GoogleCloudProvider(project=project, location=location, http_client=http_client)
        case _:
            from pydantic_ai.providers import infer_provider, infer_provider_class  # noqa: PLC0415

            made: Any = infer_provider_class(provider.upstream) if api_key else None
            return made(api_key=api_key) if made else infer_provider(provider.upstream)


def _own_client(api: str) -> httpx2.AsyncClient | None:
    """A client that tells of its responses; ``None`` for interfaces that get the library's own."""
    if api in ("google", "vertex"):
        return _google_client()
    from jumpseat.agents.builtin.models.appending import APPENDING  # noqa: PLC0415
    from jumpseat.agents.builtin.models.tap import tap_of  # noqa: PLC0415 - it needs the HTTP client

    appending = APPENDING.get(api)
    if appending is None:
        return None

    async def put_tap(response: httpx2.Response) -> None:
        opened = _streamed.get()
        if opened is not None:
            opened.tap = tap_of(response, appending)

    client: httpx2.AsyncClient = load().models.create_async_httpx2_client()
    hooks = client.event_hooks
    client.event_hooks = {**hooks, "response": [*hooks["response"], put_tap]}
    return client


def _google_client() -> httpx2.AsyncClient:
    import httpx2  # noqa: PLC0415

    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(_GOOGLE_SECONDS, connect=_CONNECT_SECONDS),
        # A streamed answer holds its connection for as long as a run takes: a cap would queue runs.
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=100),
        event_hooks={"response": [_note_response]},
    )


def _google_api(api_key: str | None, base_url: str | None, http_client: httpx2.AsyncClient | None) -> Any:
    from google.genai import Client  # noqa: PLC0415
    from google.genai.types import HttpOptions  # noqa: PLC0415

    options = HttpOptions(
        base_url=base_url,
        # The version that addresses of Node programs end with; servers in between may know no other.
        api_version=os.environ.get("GOOGLE_GENAI_API_VERSION") or "v1beta",
        headers={"user-agent": user_agent()},
        httpx_async_client=http_client,
        timeout=_GOOGLE_SECONDS * 1_000,
    )
    return Client(vertexai=False, api_key=api_key, http_options=options)


async def _note_response(response: httpx2.Response) -> None:
    opened = _streamed.get()
    if opened is not None:
        opened.note(response)


def _vertex(what: str) -> str | None:
    return os.environ.get(f"GOOGLE_VERTEX_{what}") or os.environ.get(f"GOOGLE_CLOUD_{what}")


def _make_model(upstream: Upstream, name: str, api: str) -> Any:
    provider: Any = upstream.provider
    # The front end's schemas are to arrive as they are; these providers need no other form of them.
    as_it_is: Any = {"json_schema_transformer": None}
    match api:
        case "responses":
            from pydantic_ai.models.openai import OpenAIResponsesModel  # noqa: PLC0415

            return OpenAIResponsesModel(name, provider=provider, profile=as_it_is)
        case "chat":
            from pydantic_ai.models.openai import OpenAIChatModel  # noqa: PLC0415

            return OpenAIChatModel(name, provider=provider, profile=as_it_is)
        case "anthropic":
            from pydantic_ai.models.anthropic import AnthropicModel  # noqa: PLC0415

            return AnthropicModel(name, provider=provider, profile=as_it_is)
        case "google" | "vertex":
            from pydantic_ai.models.google import GoogleModel  # noqa: PLC0415

            return GoogleModel(name, provider=provider)
        case _:
            upstream_name = upstream.definition.upstream
            return load().models.infer_model(f"{upstream_name}:{name}", upstream.as_factory)
