"""``*_CHUNK`` events become start, content and end events, because only those are stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal
from uuid import uuid4

from jumpseat.errors import InvalidEvent
from jumpseat.protocol.events import (
    ActivityDelta,
    ActivitySnapshot,
    BaseEvent,
    Event,
    Raw,
    ReasoningEncryptedValue,
    ReasoningMessageChunk,
    ReasoningMessageContent,
    ReasoningMessageEnd,
    ReasoningMessageStart,
    TextMessageChunk,
    TextMessageContent,
    TextMessageEnd,
    TextMessageStart,
    ToolCallArgs,
    ToolCallChunk,
    ToolCallEnd,
    ToolCallStart,
)

__all__ = ["ChunkExpander"]

_BESIDE_A_SPAN: Final = frozenset({Raw, ActivitySnapshot, ActivityDelta, ReasoningEncryptedValue})


@dataclass(frozen=True, slots=True)
class _Span:
    """What the last chunks opened."""

    kind: Literal["text", "call", "reasoning"]
    id: str
    subagent_run_id: str | None

    def continued_by(self, kind: str, chunk_id: str | None, subagent: str | None) -> bool:
        return (
            kind == self.kind
            and (chunk_id is None or chunk_id == self.id)
            and (subagent is None or subagent == self.subagent_run_id)
        )

    def end(self) -> Event:
        if self.kind == "text":
            return TextMessageEnd(message_id=self.id, subagent_run_id=self.subagent_run_id)
        if self.kind == "call":
            return ToolCallEnd(tool_call_id=self.id, subagent_run_id=self.subagent_run_id)
        return ReasoningMessageEnd(message_id=self.id, subagent_run_id=self.subagent_run_id)


class ChunkExpander:
    """Expands the chunks of one stream; at most one span is open at a time.

    A chunk continues the open span of its kind, or closes it and opens its own. Any other event
    closes the span, except those that say nothing about the order of messages.
    """

    __slots__ = ("_span",)

    def __init__(self) -> None:
        self._span: _Span | None = None

    def expand(self, event: Event) -> Sequence[Event]:
        """Return what takes the event's place; an event that is no chunk passes unchanged.

        Raises:
            InvalidEvent: A TOOL_CALL_CHUNK opens a call and lacks its id or its name.
        """
        kind = type(event)
        expand = self._chunks.get(kind)
        if expand is not None:
            return expand(self, event)
        if self._span is None or kind in _BESIDE_A_SPAN:
            return (event,)
        return (*self.flush(), event)

    def flush(self) -> Sequence[Event]:
        """Return the end of the open span, if there is one: the stream is over."""
        span, self._span = self._span, None
        return () if span is None else (span.end(),)

    def _text(self, chunk: TextMessageChunk) -> Sequence[Event]:
        span, subagent = self._span, chunk.subagent_run_id
        if span is not None and span.continued_by("text", chunk.message_id, subagent):
            return _continuation(chunk, _text_content(chunk, span))
        opened = _Span("text", chunk.message_id if chunk.message_id is not None else str(uuid4()), subagent)
        start = TextMessageStart(
            message_id=opened.id,
            role=chunk.role or "assistant",
            name=chunk.name,
            subagent_run_id=subagent,
        )
        return (*self._switch(opened), *_opening(chunk, start, _text_content(chunk, opened)))

    def _call(self, chunk: ToolCallChunk) -> Sequence[Event]:
        span, subagent = self._span, chunk.subagent_run_id
        if span is not None and span.continued_by("call", chunk.tool_call_id, subagent):
            return _continuation(chunk, _call_args(chunk, span))
        if not chunk.tool_call_id or not chunk.tool_call_name:
            missing = "toolCallName" if chunk.tool_call_id else "toolCallId"
            raise InvalidEvent(f"TOOL_CALL_CHUNK.{missing}: required in the chunk that opens a tool call")
        opened = _Span("call", chunk.tool_call_id, subagent)
        start = ToolCallStart(
            tool_call_id=opened.id,
            tool_call_name=chunk.tool_call_name,
            parent_message_id=chunk.parent_message_id,
            subagent_run_id=subagent,
        )
        return (*self._switch(opened), *_opening(chunk, start, _call_args(chunk, opened)))

    def _reasoning(self, chunk: ReasoningMessageChunk) -> Sequence[Event]:
        span, subagent = self._span, chunk.subagent_run_id
        if span is not None and span.continued_by("reasoning", chunk.message_id, subagent):
            return _continuation(chunk, _reasoning_content(chunk, span))
        opened = _Span(
            "reasoning", chunk.message_id if chunk.message_id is not None else str(uuid4()), subagent
        )
        start = ReasoningMessageStart(message_id=opened.id, subagent_run_id=subagent)
        return (*self._switch(opened), *_opening(chunk, start, _reasoning_content(chunk, opened)))

    def _switch(self, opened: _Span) -> Sequence[Event]:
        closed = self.flush()
        self._span = opened
        return closed

    _chunks: ClassVar[dict[type, Callable[[ChunkExpander, Any], Sequence[Event]]]] = {
        TextMessageChunk: _text,
        ToolCallChunk: _call,
        ReasoningMessageChunk: _reasoning,
    }


def _text_content(chunk: TextMessageChunk, span: _Span) -> TextMessageContent:
    return TextMessageContent(
        message_id=span.id, delta=chunk.delta or "", subagent_run_id=span.subagent_run_id
    )


def _call_args(chunk: ToolCallChunk, span: _Span) -> ToolCallArgs:
    return ToolCallArgs(tool_call_id=span.id, delta=chunk.delta or "", subagent_run_id=span.subagent_run_id)


def _reasoning_content(chunk: ReasoningMessageChunk, span: _Span) -> ReasoningMessageContent:
    return ReasoningMessageContent(
        message_id=span.id, delta=chunk.delta or "", subagent_run_id=span.subagent_run_id
    )


def _continuation(chunk: Any, content: Event) -> Sequence[Event]:
    if not _carries(chunk):
        return () if chunk.delta is None else (content,)
    return _with_origin(chunk, (content,))


def _opening(chunk: Any, start: Event, content: Event) -> Sequence[Event]:
    parts = (start,) if chunk.delta is None else (start, content)
    return _with_origin(chunk, parts) if _carries(chunk) else parts


def _with_origin(chunk: BaseEvent, parts: Sequence[Event]) -> Sequence[Event]:
    """Give what the chunk carried besides its fields to the events that take its place."""
    for part in parts:
        part.timestamp = chunk.timestamp
        part.metadata = chunk.metadata
    # The last one stands for what the provider sent; on both it would count twice.
    parts[-1].raw_event = chunk.raw_event
    parts[-1].extra = chunk.extra
    return parts


def _carries(chunk: BaseEvent) -> bool:
    return not (
        chunk.timestamp is None and chunk.metadata is None and chunk.raw_event is None and chunk.extra is None
    )
