"""Models of the Python ``ai`` package as language models."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from importlib import import_module
from typing import Any, Final

import msgspec

from jumpseat.agents.builtin.converters.ai_package import PackageEvents
from jumpseat.agents.builtin.language_model import (
    AssistantTurn,
    ModelMessage,
    ModelRequest,
    Text,
    ToolReturn,
    UserTurn,
)
from jumpseat.agents.builtin.models.ai_sdk_settings import SAMPLING, request_parameters
from jumpseat.agents.builtin.models.media_urls import with_loaded_media
from jumpseat.agents.builtin.models.reading import read
from jumpseat.agents.builtin.outgoing.ai_objects import message_objects, tool_objects
from jumpseat.agents.builtin.parts import Finish, Part, StreamPart
from jumpseat.errors import MissingDependencyError

__all__ = ["AiSdkModel"]

logger = logging.getLogger("jumpseat")

_GATEWAY: Final = "ai-gateway"
_UNSUPPORTED: Final = re.compile(r"(?:does not support |unexpected keyword argument ')(\w+)'?$")


class AiSdkModel:
    """Answers with a model of the ``ai`` package.

    Attributes:
        provider: Who answers; behind the AI Gateway the vendor that the model's id begins with.
        model: The model's id.

    Args:
        model: An ``ai.Model``. It stays the developer's: its connections are never closed here.

    Raises:
        MissingDependencyError: The package is not installed.
    """

    def __init__(self, model: Any) -> None:
        self._package = _imported()
        self._model = model
        self.model = str(model.id)
        name, vendor = str(model.provider.name), self.model.partition("/")
        self.provider = vendor[0] if name == _GATEWAY and vendor[1] else name
        self._unsupported: set[str] = set()

    async def stream(self, request: ModelRequest) -> AsyncIterator[StreamPart]:
        """Yield the parts of one generation.

        A setting that the provider does not support is left out, with one warning. Closing the iterator
        closes the request. Raises what the package raises, and ``TimeoutError`` when
        ``settings.timeout`` has passed.
        """
        await asyncio.to_thread(_load_client, self._model)
        if request.settings.stop_sequences:
            self._leave_out("stop_sequences")
        while True:
            said_something = False
            try:
                async with aclosing(self._answer(request)) as parts:
                    async for part in parts:
                        said_something = True
                        yield part
            except (TypeError, ValueError) as error:
                # The package, or the SDK behind it, says so before it sends anything.
                found = _UNSUPPORTED.search(str(error))
                name = "" if found is None else found[1]
                if said_something or name not in SAMPLING or name in self._unsupported:
                    raise
                self._leave_out(name)
            else:
                return

    async def _answer(self, request: ModelRequest) -> AsyncGenerator[StreamPart]:
        events, finish, native = PackageEvents(), None, None
        messages = await with_loaded_media(request.messages, self.provider)
        opened = self._package.stream(
            self._model,
            self._messages(messages),
            tools=tool_objects(request.tools) or None,
            params=request_parameters(
                self._package.models,
                request,
                self.provider,
                self._unsupported,
                gateway=self._model.provider.name == _GATEWAY,
            ),
        )
        async with aclosing(read(opened, request.settings.timeout)) as stream:
            async for event in stream:
                native = event.message
                for item in events.feed(event):
                    if isinstance(item, Finish):
                        finish = item
                    elif isinstance(item, Part):
                        yield item
        if finish is not None:
            yield msgspec.structs.replace(finish, native=native)

    def _messages(self, turns: list[ModelMessage]) -> list[Any]:
        made = message_objects(turns)
        return [self._message(turn, message) for turn, message in zip(turns, made, strict=True)]

    def _message(self, turn: ModelMessage, made: Any) -> Any:
        messages = self._package.messages
        if isinstance(turn, AssistantTurn) and isinstance(turn.native, messages.Message):
            return _renamed(turn.native, turn.renamed_calls)
        if isinstance(turn, ToolReturn) and _has_media(turn):
            return messages.Message(role="tool", parts=[self._multimodal(turn)])
        return made

    def _multimodal(self, turn: ToolReturn) -> Any:
        """Return a result whose pictures and files the model gets to see."""
        (shown,) = message_objects([UserTurn(content=turn.content)])
        messages = self._package.messages
        return messages.ToolResultPart(
            tool_call_id=turn.tool_call_id,
            tool_name=turn.name,
            result=messages.ContentOutput(value=shown.parts),
            result_kind="special",
        )

    def _leave_out(self, name: str) -> None:
        if name not in self._unsupported:
            self._unsupported.add(name)
            logger.warning("the option %s is left out: %s does not support it", name, self.model)


def _imported() -> Any:
    try:
        return import_module("ai")
    except ImportError as error:
        raise MissingDependencyError(
            'models of the ai package need that package and Python 3.12 or newer: pip install "jumpseat[ai]"'
        ) from error


def _load_client(model: Any) -> None:
    """Make the provider import its SDK, which the first request would otherwise do on the event loop."""
    # What is wrong with it is told by the request itself.
    with suppress(Exception):
        _ = model.provider.client


def _has_media(turn: ToolReturn) -> bool:
    return not isinstance(turn.content, str) and any(not isinstance(part, Text) for part in turn.content)


def _renamed(native: Any, renamed: dict[str, str]) -> Any:
    """Return a copy of a message with other call ids; the original belongs to the run's history."""
    if not renamed:
        return native
    return native.model_copy(update={"parts": [_renamed_part(part, renamed) for part in native.parts]})


def _renamed_part(part: Any, renamed: dict[str, str]) -> Any:
    call_id = renamed.get(getattr(part, "tool_call_id", ""))
    if call_id is None:
        return part
    # OpenAI's item is kept whole in there, and would be sent with the id that it came with.
    kept: dict[str, Any] = part.provider_metadata or {}
    metadata = {key: value for key, value in kept.items() if key != "openai"}
    return part.model_copy(update={"tool_call_id": call_id, "provider_metadata": metadata or None})
