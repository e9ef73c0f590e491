"""Streams of frameworks that already speak AG-UI: several runs become one, and nothing is said twice."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any, ClassVar, Final, cast

from jumpseat.agents.builtin import parts
from jumpseat.agents.builtin.converters.base import Converter, Item
from jumpseat.agents.builtin.converters.fields import field, with_readable_usage
from jumpseat.agents.sse_parser import SseParser
from jumpseat.errors import InvalidEvent, UnsendableEvent
from jumpseat.protocol import codec
from jumpseat.protocol.chunks import ChunkExpander
from jumpseat.protocol.endings import returned as ended_by_itself
from jumpseat.protocol.events import (
    Event,
    RunError,
    RunFinished,
    RunStarted,
    ToolCallArgs,
    ToolCallEnd,
    ToolCallResult,
    ToolCallStart,
)
from jumpseat.protocol.inputs import AssistantMessage, RunAgentInput, ToolMessage
from jumpseat.protocol.ledger import Ledger

__all__ = ["open_agui"]

logger = logging.getLogger("jumpseat")

# The names that reasoning had before AG-UI gave it ids.
_THINKING: Final[dict[str, Callable[[Any], Item | None]]] = {
    "THINKING_START": lambda _: None,
    "THINKING_TEXT_MESSAGE_START": lambda _: parts.ReasoningStart(),
    "THINKING_TEXT_MESSAGE_CONTENT": lambda chunk: parts.ReasoningDelta(delta=field(chunk, "delta") or ""),
    "THINKING_TEXT_MESSAGE_END": lambda _: parts.ReasoningEnd(),
    "THINKING_END": lambda _: parts.ReasoningEnd(),
}


def open_agui(returned: Any, given: RunAgentInput) -> Converter:
    """Return the converter for a stream of AG-UI events: structs, models, dicts, or SSE as text or bytes.

    Calls and results of the input, and those of an earlier upstream run, are dropped when they come again.

    Raises:
        TypeError: ``returned`` is no async iterable.
    """
    if not isinstance(returned, AsyncIterable):
        raise TypeError("an async iterable of AG-UI events or of SSE chunks")
    return _AgUi(cast("AsyncIterable[Any]", returned), given)


class _AgUi:
    def __init__(self, stream: AsyncIterable[Any], given: RunAgentInput) -> None:
        self._stream = stream
        self._given = given
        self._frames = SseParser()
        self._chunks = ChunkExpander()
        self._ledger = self._new_ledger()
        self._open_calls: set[str] = set()
        self._known_calls = {
            call.id
            for message in given.messages
            if isinstance(message, AssistantMessage)
            for call in message.tool_calls or ()
        }
        self._answered = {m.tool_call_id for m in given.messages if isinstance(m, ToolMessage)}

    @property
    def stream(self) -> AsyncIterable[Any]:
        return self._stream

    def feed(self, chunk: Any) -> Iterable[Item]:
        if isinstance(chunk, str):
            chunk = chunk.encode("utf-8", "replace")
        if isinstance(chunk, bytes | bytearray):
            frames = [frame for frame in self._frames.feed(bytes(chunk)) if frame]
            return [item for frame in frames for item in self._event(_decoded(frame))]
        return self._event(chunk)

    def end(self) -> Iterable[Item]:
        frame = self._frames.finish()
        if frame:
            yield from self._event(_decoded(frame))
        yield from self._close()

    def _event(self, chunk: Any) -> Iterable[Item]:
        thinking = _THINKING.get(field(chunk, "type", ""))
        if thinking is not None:
            item = thinking(chunk)
            return () if item is None else (item,)
        try:
            event = codec.accept(with_readable_usage(chunk))
        except UnsendableEvent as error:
            # One chunk of SSE may hold others that can be sent.
            logger.warning("run %s: dropped: %s", self._given.run_id, error)
            return ()
        return [item for part in self._chunks.expand(event) for item in self._passing(part)]

    def _passing(self, event: Event) -> Iterable[Item]:
        handle = self._handlers.get(type(event))
        if handle is not None:
            return handle(self, event)
        self._record(event)
        return (event,)

    def _started(self, _: RunStarted) -> Iterable[Item]:
        return self._close()

    def _ended(self, event: RunFinished | RunError) -> Iterable[Item]:
        return (*self._close(), event)

    def _close(self) -> Iterable[Item]:
        """Return the ends of what an upstream run left open: the next one may use its ids again."""
        flushed = [item for part in self._chunks.flush() for item in self._passing(part)]
        closing = self._ledger.close(ended_by_itself())[:-1]
        self._ledger = self._new_ledger()
        self._open_calls.clear()
        return [*flushed, *closing]

    def _call_start(self, event: ToolCallStart) -> Iterable[Item]:
        if event.tool_call_id in self._known_calls:
            return ()
        self._known_calls.add(event.tool_call_id)
        self._open_calls.add(event.tool_call_id)
        self._record(event)
        return (event,)

    def _call_args(self, event: ToolCallArgs) -> Iterable[Item]:
        return self._of_open_call(event)

    def _call_end(self, event: ToolCallEnd) -> Iterable[Item]:
        passing = self._of_open_call(event)
        self._open_calls.discard(event.tool_call_id)
        return passing

    def _of_open_call(self, event: ToolCallArgs | ToolCallEnd) -> Iterable[Item]:
        call_id = event.tool_call_id
        if call_id in self._known_calls and call_id not in self._open_calls:
            return ()
        self._record(event)
        return (event,)

    def _result(self, event: ToolCallResult) -> Iterable[Item]:
        if event.tool_call_id in self._answered:
            return ()
        self._answered.add(event.tool_call_id)
        return (event,)

    def _record(self, event: Event) -> None:
        self._ledger.replay(event)

    def _new_ledger(self) -> Ledger:
        return Ledger(self._given.thread_id, self._given.run_id, warn=_say_nothing)

    _handlers: ClassVar[dict[type[Any], Callable[[_AgUi, Any], Iterable[Item]]]] = {
        RunStarted: _started,
        RunFinished: _ended,
        RunError: _ended,
        ToolCallStart: _call_start,
        ToolCallArgs: _call_args,
        ToolCallEnd: _call_end,
        ToolCallResult: _result,
    }


def _decoded(frame: bytes) -> Any:
    try:
        return codec.decode_json(frame)
    except ValueError as error:
        raise InvalidEvent("the upstream sent a frame that is not JSON") from error


def _say_nothing(_: str) -> None:
    """The run's own ledger warns."""
