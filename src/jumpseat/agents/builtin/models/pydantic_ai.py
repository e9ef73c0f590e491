"""The default adapter: any model of pydantic-ai, through its direct streaming call, as a language model."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from typing import Any, Final, TypeAlias

from jumpseat.agents.builtin.failures import AgentFailure, http_status, provider_failure
from jumpseat.agents.builtin.language_model import ModelRequest
from jumpseat.agents.builtin.models.clients import Client
from jumpseat.agents.builtin.models.direct_reading import read_events
from jumpseat.agents.builtin.models.library import Library, load, streamed
from jumpseat.agents.builtin.models.upstream_events import EventReader
from jumpseat.agents.builtin.models.upstream_messages import MessageWriter, restored_signatures
from jumpseat.agents.builtin.models.upstream_settings import upstream_settings
from jumpseat.agents.builtin.parts import StreamPart

__all__ = ["PydanticAIModel"]

_logger: Final = logging.getLogger("jumpseat")

_REFUSED: Final = frozenset({400, 422})
_MOST_REFUSALS: Final = 1_024
_OPENAI: Final = "https://api.openai.com"

Reconnect: TypeAlias = Callable[[], Awaitable[tuple[Client, Any]]]


class PydanticAIModel:
    """A model of pydantic-ai as a language model.

    It goes through ``pydantic_ai.direct``, which is public, puts a deadline around the whole request, and can
    be told for each request not to be traced: the spans of a run are the agent's own.

    Attributes:
        provider: Who answers.
        model: The provider's name of the model.
    """

    def __init__(
        self,
        model: Any,
        *,
        provider: str | None = None,
        model_name: str | None = None,
        client: Client | None = None,
        reconnect: Reconnect | None = None,
    ) -> None:
        """Adapt ``model``. Imports pydantic-ai: do it in a thread, or after ``warmup``.

        Args:
            model: A ``pydantic_ai.models.Model``.
            provider: What usage, options and signatures are filed under; by default the model's own word.
            model_name: The same for the model.
            client: The connections that the model uses; they are kept open during requests.
            reconnect: Returns a client and its model when ``client`` has made room for others.
        """
        self.provider = provider or str(model.system)
        self.model = model_name or str(model.model_name)
        self._upstream = model
        self._client = client
        self._reconnect = reconnect
        self._library: Library = load()
        kinds = {kind.__name__ for kind in type(model).__mro__}
        self._is_responses = "OpenAIResponsesModel" in kinds
        # Signatures that the provider did not take back; it would not take them the next time either.
        self._refused: OrderedDict[str, None] = OrderedDict()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamPart]:
        """Yield the parts of one generation.

        Closing or cancelling gives up the request and closes its connection. A request that brings back
        reasoning of earlier runs which the provider refuses is sent once more without it.

        Raises:
            AgentFailure: ``invalid_request``: a file of the messages cannot be loaded, or must not be.
            Exception: Those of the provider's library and transport, for ``provider_failure``.
        """
        if self._client is not None and not self._client.is_usable and self._reconnect is not None:
            self._client, self._upstream = await self._reconnect()
        restored = restored_signatures(request.messages)
        thinking = request.thinking and self._refused.keys().isdisjoint(restored)
        async with self._connected():
            begun = False
            try:
                async with aclosing(self._answer(request, thinking=thinking)) as parts:
                    async for part in parts:
                        begun = True
                        yield part
                return
            except Exception as error:
                new = [signature for signature in restored if signature not in self._refused]
                if begun or not new or not _is_refusal(error):
                    self._hint(error)
                    raise
                _logger.warning(
                    "%s refused reasoning of an earlier run; asking again without it: %s",
                    self.provider,
                    type(error).__name__,
                )
            self._remember(new)
            async with aclosing(self._answer(request, thinking=False)) as parts:
                async for part in parts:
                    yield part

    def _connected(self) -> AbstractAsyncContextManager[None]:
        return nullcontext() if self._client is None else self._client.in_use()

    async def _answer(self, request: ModelRequest, *, thinking: bool) -> AsyncGenerator[StreamPart]:
        library, timeout = self._library, request.settings.timeout
        deadline = None if timeout is None else asyncio.get_running_loop().time() + timeout
        writer = MessageWriter(library, self._upstream, without=self._refused)
        call = library.direct.model_request_stream(
            self._upstream,
            await writer.write(request.messages),
            model_settings=upstream_settings(request, self._upstream, thinking=thinking),
            model_request_parameters=library.models.ModelRequestParameters(
                function_tools=[
                    library.tools.ToolDefinition(
                        name=tool.name,
                        description=tool.description,
                        parameters_json_schema=tool.parameters,
                        strict=tool.strict,
                    )
                    for tool in request.tools
                ]
            ),
            instrument=False,
        )
        reader = EventReader(self.provider, keeps_ids=self._is_responses)
        async with streamed(call) as opened:
            async with aclosing(read_events(opened, reader, deadline)) as parts:
                async for part in parts:
                    yield part
            whole = opened.response.get()
            if whole.state == "incomplete" and whole.finish_reason is None:
                raise AgentFailure("provider_error", "The provider's answer broke off before its end.")
            for part in reader.finish(whole):
                yield part

    def _remember(self, signatures: Iterable[str]) -> None:
        self._refused.update(dict.fromkeys(signatures))
        while len(self._refused) > _MOST_REFUSALS:
            self._refused.popitem(last=False)

    def _hint(self, error: Exception) -> None:
        if not self._is_responses or http_status(error) != 404:
            return
        address = str(getattr(self._upstream, "base_url", ""))
        if not address.startswith(_OPENAI):
            _logger.warning(
                "The server at OPENAI_BASE_URL answered 404 to /responses. "
                "If it only knows Chat Completions, name the model openai-chat/%s",
                self.model,
            )


def _is_refusal(error: Exception) -> bool:
    return http_status(error) in _REFUSED and provider_failure(error).code == "invalid_request"
