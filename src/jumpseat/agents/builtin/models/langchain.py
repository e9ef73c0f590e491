"""LangChain's chat models as language models; its packages are imported by nobody else for it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from importlib import import_module
from typing import Any, Final, cast

from jumpseat.agents.builtin.converters.base import Item
from jumpseat.agents.builtin.converters.fields import field
from jumpseat.agents.builtin.converters.langchain import open_langchain
from jumpseat.agents.builtin.language_model import AssistantTurn, ModelMessage, ModelRequest
from jumpseat.agents.builtin.models.langchain_settings import LangChainSettings
from jumpseat.agents.builtin.models.media_urls import with_loaded_media
from jumpseat.agents.builtin.outgoing.langchain import langchain_messages
from jumpseat.agents.builtin.parts import Finish, Part, StreamPart, ToolCall, ToolInputEnd, ToolInputStart
from jumpseat.errors import ConfigurationError, MissingDependencyError
from jumpseat.protocol.inputs import RunAgentInput

__all__ = ["LangChainModel"]

# What reading a message needs, and the library itself imports at its first use only.
_MODULES: Final = ("langchain_core.messages", "langchain_core.messages.block_translators")
_REASONS: Final = {
    "stop": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "completed": "stop",
    "length": "length",
    "max_tokens": "length",
    "incomplete": "length",
    "tool_calls": "tool_call",
    "tool_use": "tool_call",
    "function_call": "tool_call",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
    "blocklist": "content_filter",
    "prohibited_content": "content_filter",
    "malformed_function_call": "error",
}
_VENDORS: Final = {"google_genai": "google", "google_vertexai": "google"}


class LangChainModel:
    """Answers with a chat model of LangChain.

    Attributes:
        provider: Who answers, as the model's package is named: ``openai`` for ``langchain_openai``.
        model: What the model is called.

    Args:
        model: A chat model, or one with settings bound to it. It stays the developer's: its connections are
            never closed here, and how often it repeats a request is its own setting.

    Raises:
        ConfigurationError: It cannot stream.
    """

    def __init__(self, model: Any) -> None:
        if not callable(getattr(model, "astream", None)):
            raise ConfigurationError(
                f"{type(model).__name__} is no chat model of LangChain: it has no astream"
            )
        inner = model
        while (bound := getattr(inner, "bound", None)) is not None:
            inner = bound
        self.provider = _vendor(inner)
        self.model = _name(inner)
        self._settings = LangChainSettings(model, inner, self.provider)

    async def stream(self, request: ModelRequest) -> AsyncIterator[StreamPart]:
        """Yield the parts of one generation.

        A setting that the model does not have is left out, with one warning. Closing the iterator closes the
        request. Raises what the model raises, ``TimeoutError`` when ``settings.timeout`` has passed,
        ``AgentFailure`` when a file of the messages cannot be loaded, and ``MissingDependencyError`` without
        ``langchain-core``.
        """
        if not all(name in sys.modules for name in _MODULES):
            await asyncio.to_thread(_load)
        prepared, options = self._settings.apply(request)
        messages = await with_loaded_media(request.messages, self.provider)
        converter = open_langchain(prepared.astream(_messages(messages), **options), _NO_INPUT)
        clock, seconds = asyncio.get_running_loop(), request.settings.timeout
        deadline = None if seconds is None else clock.time() + seconds
        received: list[Any] = []
        calls: dict[str, str] = {}
        async with aclosing(cast("Any", converter.stream)) as chunks:
            while True:
                try:
                    async with asyncio.timeout_at(deadline):
                        chunk = await anext(chunks)
                except StopAsyncIteration:
                    break
                received.append(chunk)
                for part in _parts(converter.feed(chunk), calls):
                    yield part
        for part in _parts(converter.end(), calls):
            yield part
        if received:
            # A request that follows repeats this answer, and only calls make one follow.
            native = await asyncio.to_thread(_whole, received) if calls else None
            yield Finish(
                reason=_reason(received, made_calls=bool(calls)),
                response_id=field(received[0], "id"),
                response_model=_about(received, "model_name"),
                native=native,
            )


_NO_INPUT: Final = RunAgentInput(thread_id="", run_id="", messages=[])


def _load() -> None:
    try:
        for name in _MODULES:
            import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            'LangChain\'s models need the package langchain-core: pip install "jumpseat[langchain]"'
        ) from error


def _vendor(model: Any) -> str:
    package = type(model).__module__.partition(".")[0].removeprefix("langchain_")
    return _VENDORS.get(package, package)


def _name(model: Any) -> str:
    found = (getattr(model, name, None) for name in ("model_name", "model", "model_id", "deployment_name"))
    return next((value for value in found if isinstance(value, str) and value), type(model).__name__)


def _parts(items: Iterable[Item], calls: dict[str, str]) -> Iterator[StreamPart]:
    """Yield the parts of an answer; ``calls`` gets the names of the calls in it, by id."""
    for item in items:
        if isinstance(item, ToolInputStart | ToolCall):
            calls[item.id] = item.name
        if isinstance(item, ToolInputEnd):
            # That its arguments are complete is what makes it a call.
            yield ToolCall(id=item.id, name=calls[item.id])
        elif isinstance(item, Part):
            yield item


def _messages(turns: list[ModelMessage]) -> list[Any]:
    made = langchain_messages((turn, None) for turn in turns)
    return [_message(turn, message) for turn, message in zip(turns, made, strict=True)]


def _message(turn: ModelMessage, made: Any) -> Any:
    if not isinstance(turn, AssistantTurn) or field(turn.native, "type") != "ai":
        return made
    return _renamed(turn.native, turn.renamed_calls) if turn.renamed_calls else turn.native


def _renamed(message: Any, names: dict[str, str]) -> Any:
    """Return a copy of an answer whose calls have the ids that their results have."""
    calls = [{**call, "id": names.get(call["id"], call["id"])} for call in message.tool_calls]
    content = message.content
    if isinstance(content, list):
        content = [_renamed_block(block, names) for block in cast("list[Any]", content)]
    # Packages for Chat Completions keep the provider's own form of the calls as well.
    kept = {key: value for key, value in message.additional_kwargs.items() if key != "tool_calls"}
    return message.model_copy(update={"tool_calls": calls, "content": content, "additional_kwargs": kept})


def _renamed_block(block: Any, names: dict[str, str]) -> Any:
    if not isinstance(block, dict):
        return block
    members = cast("dict[str, Any]", block)
    changed = {key: names[members[key]] for key in ("id", "call_id") if members.get(key) in names}
    return {**members, **changed}


def _whole(received: list[Any]) -> Any:
    """Return an answer in one message."""
    first, *rest = received
    if not rest and field(first, "type") == "ai":
        return first
    return import_module("langchain_core.messages").message_chunk_to_message(first + rest)


def _about(received: list[Any], name: str) -> Any:
    found = (field(field(chunk, "response_metadata"), name) for chunk in reversed(received))
    return next((value for value in found if value), None)


def _reason(received: list[Any], *, made_calls: bool) -> str:
    given = _about(received, "finish_reason") or _about(received, "stop_reason") or _about(received, "status")
    if given is None:
        return "tool_call" if made_calls else "stop"
    cut = field(_about(received, "incomplete_details"), "reason")
    return _REASONS.get(str(cut or given).lower(), "other")
