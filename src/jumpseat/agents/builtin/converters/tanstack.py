"""Streams of TanStack AI: chunks in the form of AG-UI events, which follow rules of their own."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import Any, ClassVar, Final, cast

from jumpseat.agents.builtin.converters.base import Converter, Item
from jumpseat.agents.builtin.converters.failures import error_text
from jumpseat.agents.builtin.converters.fields import field, has_field
from jumpseat.agents.builtin.converters.passing import EVENT_TYPES, passing_event
from jumpseat.agents.builtin.parts import (
    ApprovalRequest,
    ModelError,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    TextDelta,
    ToolCall,
    ToolInputDelta,
    ToolInputEnd,
    ToolInputStart,
    ToolResult,
    Usage,
    UsageReport,
)
from jumpseat.errors import InvalidEvent
from jumpseat.protocol import codec
from jumpseat.protocol.events import BaseEvent, Interrupt, RunFinished, RunOutcome
from jumpseat.protocol.inputs import RunAgentInput

__all__ = ["open_tanstack"]

_NO_MESSAGE: Final = "TanStack AI run error"
# Calls that the front end runs wait for nothing else: they simply have no result yet.
_CLIENT_TOOL: Final = "tanstack:client_tool_execution"
_OWN_TYPES: Final = frozenset(
    {
        "RUN_STARTED",
        "RUN_FINISHED",
        "RUN_ERROR",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "TOOL_CALL_START",
        "TOOL_CALL_ARGS",
        "TOOL_CALL_END",
        "TOOL_CALL_RESULT",
        "STEP_STARTED",
        "STEP_FINISHED",
        "MESSAGES_SNAPSHOT",
        "STATE_SNAPSHOT",
        "STATE_DELTA",
        "CUSTOM",
        "REASONING_START",
        "REASONING_MESSAGE_START",
        "REASONING_MESSAGE_CONTENT",
        "REASONING_MESSAGE_END",
        "REASONING_END",
    }
)


def open_tanstack(returned: Any, given: RunAgentInput) -> Converter:
    """Return the converter for the chunks of TanStack AI's ``chat``, as dicts or objects.

    Raises:
        TypeError: ``returned`` is no async iterable.
    """
    if not isinstance(returned, AsyncIterable):
        raise TypeError("an async iterable of TanStack AI chunks")
    return _TanStack(cast("AsyncIterable[Any]", returned))


class _TanStack:
    def __init__(self, stream: AsyncIterable[Any]) -> None:
        self._stream = stream
        # One message between two tool turns, whatever upstream calls its pieces.
        self._text_id: str | None = None
        self._names: dict[str, str] = {}

    @property
    def stream(self) -> AsyncIterable[Any]:
        return self._stream

    def feed(self, chunk: Any) -> Iterable[Item]:
        if isinstance(chunk, BaseEvent):
            return (cast("Item", chunk),)
        kind = field(chunk, "type")
        if not isinstance(kind, str):
            raise TypeError(f"a stream of type 'tanstack' yields chunks with a type, not {_named(chunk)}")
        handle = self._handlers.get(kind)
        if handle is not None:
            return handle(self, chunk)
        if kind in EVENT_TYPES and kind not in _OWN_TYPES and (event := passing_event(chunk)) is not None:
            return (event,)
        return ()

    def end(self) -> Iterable[Item]:
        return ()

    def _text(self, chunk: Any) -> Iterable[Item]:
        if self._text_id is None:
            self._text_id = _id(chunk, "message_id")
        return (TextDelta(delta=_text_of(chunk, "delta"), id=self._text_id),)

    def _reasoning_start(self, chunk: Any) -> Iterable[Item]:
        return (ReasoningStart(id=_id(chunk, "message_id")),)

    def _reasoning(self, chunk: Any) -> Iterable[Item]:
        return (ReasoningDelta(delta=_text_of(chunk, "delta"), id=_id(chunk, "message_id")),)

    def _reasoning_end(self, _: Any) -> Iterable[Item]:
        return (ReasoningEnd(),)

    def _call_start(self, chunk: Any) -> Iterable[Item]:
        self._text_id = None
        call_id = _text_of(chunk, "tool_call_id")
        self._names[call_id] = _text_of(chunk, "tool_call_name") or _text_of(chunk, "tool_name")
        return (ToolInputStart(id=call_id, name=self._names[call_id]),)

    def _call_args(self, chunk: Any) -> Iterable[Item]:
        return (ToolInputDelta(id=_text_of(chunk, "tool_call_id"), delta=_text_of(chunk, "delta")),)

    def _call_end(self, chunk: Any) -> Iterable[Item]:
        call_id = _text_of(chunk, "tool_call_id")
        whole = field(chunk, "input", field(field(field(chunk, "metadata"), "tanstack"), "input"))
        if whole is not None and call_id in self._names:
            yield ToolCall(id=call_id, name=self._names[call_id], input=whole)
        yield ToolInputEnd(id=call_id)
        if field(chunk, "result") is not None:
            yield from self._result(chunk)

    def _result(self, chunk: Any) -> Iterable[Item]:
        self._text_id = None
        payload = field(chunk, "content")
        if payload is None:
            payload = field(chunk, "result")
        return (
            ToolResult(id=_text_of(chunk, "tool_call_id"), output=payload, verbatim=isinstance(payload, str)),
        )

    def _custom(self, chunk: Any) -> Iterable[Item]:
        if field(chunk, "name") != "approval-requested":
            return ()
        value = field(chunk, "value")
        approval_id = field(field(value, "approval"), "id")
        if not isinstance(approval_id, str) or not approval_id:
            return ()
        name = _text_of(value, "tool_name")
        return (
            ApprovalRequest(
                id=approval_id,
                tool_call_id=_id(value, "tool_call_id"),
                message=f'Approve "{name}"?' if name else None,
                metadata={"toolName": name} if name else None,
            ),
        )

    def _finished(self, chunk: Any) -> Iterable[Item]:
        yield from _usage(chunk)
        interrupts = _interrupts(field(chunk, "outcome"))
        result = field(chunk, "result")
        if interrupts or result is not None:
            outcome = RunOutcome(type="interrupt", interrupts=interrupts) if interrupts else None
            yield RunFinished(result=result, outcome=outcome)

    def _failed(self, chunk: Any) -> Iterable[Item]:
        yield from _usage(chunk)
        message = _text_of(chunk, "message")
        if not message and has_field(chunk, "error"):
            message = error_text(field(chunk, "error"), _NO_MESSAGE)
        yield ModelError(error=message or _NO_MESSAGE)

    def _encrypted(self, chunk: Any) -> Iterable[Item]:
        event = passing_event(chunk)
        return () if event is None else (event,)

    _handlers: ClassVar[dict[str, Callable[[_TanStack, Any], Iterable[Item]]]] = {
        "TEXT_MESSAGE_CONTENT": _text,
        "REASONING_MESSAGE_START": _reasoning_start,
        "REASONING_MESSAGE_CONTENT": _reasoning,
        "REASONING_MESSAGE_END": _reasoning_end,
        "REASONING_END": _reasoning_end,
        "REASONING_ENCRYPTED_VALUE": _encrypted,
        "TOOL_CALL_START": _call_start,
        "TOOL_CALL_ARGS": _call_args,
        "TOOL_CALL_END": _call_end,
        "TOOL_CALL_RESULT": _result,
        "CUSTOM": _custom,
        "RUN_FINISHED": _finished,
        "RUN_ERROR": _failed,
    }


def _usage(chunk: Any) -> Iterable[Item]:
    """Yield the token counts of a terminal, which come as TanStack's own object or as AG-UI's list."""
    usage = field(chunk, "usage")
    if usage is None:
        return
    own_model = field(field(field(chunk, "metadata"), "tanstack"), "model", field(chunk, "model"))
    for entry in cast("list[Any]", usage) if isinstance(usage, list) else [usage]:
        details = field(entry, "prompt_tokens_details"), field(entry, "completion_tokens_details")
        yield UsageReport(
            usage=Usage(
                input_tokens=field(entry, "input_tokens", field(entry, "prompt_tokens")),
                output_tokens=field(entry, "output_tokens", field(entry, "completion_tokens")),
                total_tokens=field(entry, "total_tokens"),
                reasoning_tokens=field(entry, "reasoning_tokens", field(details[1], "reasoning_tokens")),
                cached_input_tokens=field(entry, "cached_input_tokens", field(details[0], "cached_tokens")),
                cache_write_input_tokens=field(
                    entry, "cache_write_input_tokens", field(details[0], "cache_write_tokens")
                ),
                provider=_id(entry, "provider"),
                model=_id(entry, "model") or (own_model if isinstance(own_model, str) else None),
            )
        )


def _interrupts(outcome: Any) -> list[Interrupt]:
    if field(outcome, "type") != "interrupt":
        return []
    entries = [
        entry for entry in field(outcome, "interrupts") or () if field(entry, "reason") != _CLIENT_TOOL
    ]
    return [_interrupt(entry) for entry in entries]


def _interrupt(entry: Any) -> Interrupt:
    if isinstance(entry, Interrupt):
        return entry
    dump = getattr(entry, "model_dump", None)
    members = dump(mode="json", by_alias=True, exclude_none=True) if callable(dump) else entry
    if not isinstance(members, Mapping):
        raise InvalidEvent(f"RUN_FINISHED.outcome.interrupts: {type(entry).__name__} is no object")
    return codec.from_wire(cast("Mapping[str, Any]", members), Interrupt)


def _text_of(chunk: Any, name: str) -> str:
    value = field(chunk, name)
    return value if isinstance(value, str) else ""


def _id(chunk: Any, name: str) -> str | None:
    return _text_of(chunk, name) or None


def _named(chunk: Any) -> str:
    kind = type(chunk).__name__
    return f"a {kind} without one" if isinstance(chunk, Mapping) else kind
