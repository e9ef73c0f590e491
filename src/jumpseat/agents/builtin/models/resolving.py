"""From what ``model=`` was given to something that answers: strings, objects of libraries, own models."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final, cast
from urllib.parse import urlsplit

from jumpseat.agents.builtin.failures import AgentFailure, provider_failure
from jumpseat.agents.builtin.language_model import LanguageModel, ModelRequest
from jumpseat.agents.builtin.models.clients import Client, borrow_client, release_clients
from jumpseat.agents.builtin.models.library import load
from jumpseat.agents.builtin.models.providers import Provider, require_library
from jumpseat.agents.builtin.models.pydantic_ai import PydanticAIModel
from jumpseat.agents.builtin.models.specs import ModelSpec, parse_spec
from jumpseat.agents.builtin.parts import StreamPart
from jumpseat.errors import ConfigurationError

__all__ = ["ConfiguredModel", "configured_model", "resolve_model"]

_UNKNOWN: Final = ""
_KEY_VARIABLE: Final = re.compile(r"\b[A-Z][A-Z0-9_]*_(?:KEY|TOKEN)\b")


class ConfiguredModel:
    """What an agent keeps for its ``model`` option.

    Attributes:
        provider: Who answers: usage, options and signatures are filed under it.
        model: The provider's name of the model.
        needs_key: No run can start without a key.
    """

    provider: str
    model: str
    needs_key = False

    def secrets(self, api_key: str | None = None) -> tuple[str, ...]:
        """Return the keys that requests would carry; ``api_key`` is the key of the run, if it has one."""
        return (api_key,) if api_key else ()

    async def language_model(self, api_key: str | None = None) -> LanguageModel:
        """Return the model for a run. ``api_key`` is the key of the run, if it has one.

        Raises:
            AgentFailure: ``authentication_error``: there is no key; ``agent_error``: the provider's address
                cannot be one.
        """
        raise NotImplementedError

    async def warmup(self) -> None:
        """Import what a run needs, in a thread, and make the connections' pool if the key is known."""

    async def aclose(self) -> None:
        """Close the connections that this made on the running loop, once the requests in flight are done."""


class _Named(ConfiguredModel):
    """A model named by a string."""

    def __init__(self, spec: ModelSpec, api_key: str | None) -> None:
        self.provider = spec.provider.name
        self.model = spec.model
        self.needs_key = spec.provider.needs_key
        self._definition = spec.provider
        self._api_key = api_key

    def secrets(self, api_key: str | None = None) -> tuple[str, ...]:
        key = self._key(api_key)
        return (key,) if key else ()

    async def language_model(self, api_key: str | None = None) -> LanguageModel:
        definition, key = self._definition, self._key(api_key)
        if key is None and definition.needs_key:
            raise AgentFailure("authentication_error", _missing_key(definition))
        if key is not None and not (key.isascii() and key.isprintable()):
            raise AgentFailure("authentication_error", _garbled_key(definition))
        if not _is_address(definition.base_url()):
            raise AgentFailure("agent_error", f"{definition.url_variable} is no http or https URL.")

        async def connect() -> tuple[Client, Any]:
            try:
                client = await borrow_client(definition, key, self)
                return client, await client.model(self.model, definition.api)
            except Exception as error:
                raise _connection_failure(definition, error) from error

        client, model = await connect()
        return PydanticAIModel(
            model, provider=self.provider, model_name=self.model, client=client, reconnect=connect
        )

    async def warmup(self) -> None:
        await asyncio.to_thread(load)
        key = self._key(None)
        if key is not None or not self._definition.needs_key:
            client = await borrow_client(self._definition, key, self)
            await client.model(self.model, self._definition.api)

    async def aclose(self) -> None:
        await release_clients(self)

    def _key(self, of_run: str | None) -> str | None:
        # A key that was read from a file often ends with the end of its line.
        return (of_run or "").strip() or (self._api_key or "").strip() or self._definition.key()


class _Given(ConfiguredModel):
    """An object that answers, or that an adapter makes answer."""

    def __init__(self, model: object, adapt: Callable[[Any], LanguageModel] | None) -> None:
        self._model = model
        self._adapt = adapt
        self._adapted = None if adapt else cast("LanguageModel", model)
        self.provider, self.model = _names(model)

    async def language_model(self, api_key: str | None = None) -> LanguageModel:
        del api_key  # the object has its own
        await self.warmup()
        return cast("LanguageModel", self._adapted)

    async def warmup(self) -> None:
        if self._adapted is None and self._adapt is not None:
            # The adapter imports the library of the object.
            self._adapted = await asyncio.to_thread(self._adapt, self._model)
            self.provider, self.model = _names(self._adapted)


class _Resolved:
    """A model named by a string, which connects when it is first used."""

    def __init__(self, configured: ConfiguredModel) -> None:
        self.provider = configured.provider
        self.model = configured.model
        self._configured = configured

    async def stream(self, request: ModelRequest) -> AsyncIterator[StreamPart | Mapping[str, Any]]:
        model = await self._configured.language_model()
        async with aclosing(cast("Any", model.stream(request))) as parts:
            async for part in parts:
                yield part

    async def aclose(self) -> None:
        """Close the connections that were made on the running loop."""
        await self._configured.aclose()


def resolve_model(spec: str, api_key: str | None = None) -> LanguageModel:
    """Return the model that ``spec`` names, such as ``openai/gpt-5``, for use without an agent.

    It connects at first use, with ``api_key`` or else the key of the environment; its ``aclose()`` closes the
    connections.

    Raises:
        ModelSpecError: The string names no model.
        MissingDependencyError: The provider's library is not installed.
    """
    if not isinstance(cast("object", spec), str):
        raise ConfigurationError(f"resolve_model takes a model string, not {type(spec).__name__}")
    return _Resolved(configured_model(spec, api_key=api_key))


def configured_model(model: object, *, api_key: str | Callable[..., Any] | None = None) -> ConfiguredModel:
    """Return what an agent keeps for ``model``: a string, an object of a known library, or an own model.

    No provider's library is imported. A callable ``api_key`` is the caller's to evaluate for each run.

    Raises:
        ModelSpecError: The string names no model.
        MissingDependencyError: The library of its provider is not installed.
        ConfigurationError: The object cannot answer.
    """
    if isinstance(model, str):
        spec = parse_spec(model)
        require_library(spec.provider)
        return _Named(spec, api_key if isinstance(api_key, str) and api_key else None)
    if not isinstance(model, type):
        adapt = _adapter_for(model)
        if adapt is not None or callable(getattr(model, "stream", None)):
            return _Given(model, adapt)
    named = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
    raise ConfigurationError(
        'model must be a string such as "openai/gpt-5", a model of pydantic-ai, LangChain or the ai package, '
        f"or an object with a stream method, not {named}"
    )


def _adapter_for(model: object) -> Callable[[Any], LanguageModel] | None:
    # Nothing is imported for it: whoever has such an object has its library.
    modules = [kind.__module__ for kind in type(model).__mro__]
    if any(module.startswith("pydantic_ai.models") for module in modules):
        return PydanticAIModel
    packages = {module.partition(".")[0] for module in modules}
    if "langchain_core" in packages:
        return _adapt_langchain
    return _adapt_ai_sdk if "ai" in packages else None


def _adapt_langchain(model: Any) -> LanguageModel:
    from jumpseat.agents.builtin.models.langchain import LangChainModel  # noqa: PLC0415

    return LangChainModel(model)


def _adapt_ai_sdk(model: Any) -> LanguageModel:
    from jumpseat.agents.builtin.models.ai_sdk import AiSdkModel  # noqa: PLC0415

    return AiSdkModel(model)


def _names(model: object) -> tuple[str, str]:
    """Who answers and what it is called; pydantic-ai's words for it are ``system`` and ``model_name``."""
    return _first_text(model, "provider", "system"), _first_text(model, "model", "model_name")


def _first_text(model: object, *names: str) -> str:
    found = (getattr(model, name, None) for name in names)
    return next((value for value in found if isinstance(value, str)), _UNKNOWN)


def _connection_failure(definition: Provider, error: Exception) -> AgentFailure:
    failure = provider_failure(error)
    variable = _KEY_VARIABLE.search(failure.message)
    if failure.code == "authentication_error" and variable is not None:
        # The library goes on to advertise what cannot be done here.
        text = f"No API key for {definition.name}: set {variable[0]}, or pass api_key."
        return AgentFailure("authentication_error", text)
    return failure


def _is_address(url: str | None) -> bool:
    """Say whether requests can be sent there; ``None`` is the library's own address."""
    if url is None:
        return True
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _missing_key(definition: Provider) -> str:
    return f"No API key for {definition.name}: set {_variables(definition)}, or pass api_key."


def _garbled_key(definition: Provider) -> str:
    where = " and ".join(("api_key", *definition.key_variables))
    return f"The API key for {definition.name} holds characters that no key has: check {where}."


def _variables(definition: Provider) -> str:
    *others, last = definition.key_variables
    return f"{', '.join(others)} or {last}" if others else last
