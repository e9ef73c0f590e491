"""From the events of a pydantic-ai agent, or of one of its models, to stream parts."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, Final, cast

from jumpseat.agents.builtin.converters.base import Converter, Item
from jumpseat.agents.builtin.converters.fields import field, has_field
from jumpseat.agents.builtin.converters.upstream import async_stream, events_in, plain
from jumpseat.agents.builtin.parts import (
    ApprovalRequest,
    Finish,
    ReasoningDelta,
    ReasoningEnd,
    StepBreak,
    TextDelta,
    TextEnd,
    ToolCall,
    ToolFailure,
    ToolInputDelta,
    ToolInputStart,
    ToolResult,
    Usage,
    UsageReport,
)
from jumpseat.protocol.inputs import RunAgentInput

__all__ = ["open_pydantic_ai"]

_EXPECTED: Final = "agent.run_stream_events(...) or a model's stream"
# Other providers' ids are constants or counters; these name items that exist only once.
_ITEM_ID: Final = re.compile(r"(msg|rs)_\w+")
_CALL_KINDS: Final = frozenset({"tool-call", "builtin-tool-call"})
_FAILED: Final = frozenset({"failed", "retried"})


def open_pydantic_ai(returned: Any, given: RunAgentInput) -> Converter:
    """Return the converter for the events of a run or of one model response.

    Raises:
        TypeError: ``returned`` is no stream.
    """
    return _PydanticAI(async_stream(returned, _EXPECTED), returned)


class _PydanticAI:
    def __init__(self, stream: AsyncIterable[Any], source: object) -> None:
        self.stream = stream
        self._source = source
        self._said_something = False
        self._running: set[int] = set()
        self._calls: dict[int, str] = {}
        self._announced: set[str] = set()
        self._complete: set[str] = set()
        self._reasoned = False
        self._requests: Any = None
        self._answered: set[str] = set()
        self._has_result = False

    def feed(self, chunk: Any) -> Iterable[Item]:
        handle = self._handlers.get(field(chunk, "event_kind"))
        return events_in(chunk) if handle is None else handle(self, chunk)

    def end(self) -> Iterable[Item]:
        if not self._has_result:
            yield from self._approvals(self._requests)
            # A model's stream has its usage beside its events.
            if has_field(self._source, "model_name"):
                usage = _usage(field(self._source, "usage"), self._source)
                yield Finish(reason=field(self._source, "finish_reason") or "stop", usage=usage)

    # --- one response of a model

    def _part_start(self, chunk: Any) -> Iterator[Item]:
        index, part = field(chunk, "index", 0), field(chunk, "part")
        if index == 0 and self._said_something and not self._running:
            yield StepBreak()
        self._said_something = True
        self._running.add(index)
        kind = field(part, "part_kind")
        if kind == "text":
            yield TextDelta(delta=field(part, "content") or "", id=_item_id(part))
        elif kind == "thinking":
            self._reasoned = False
            yield from self._reasoning(field(part, "content"), part)
        elif kind in _CALL_KINDS:
            yield from self._call_start(index, part)
        elif kind == "builtin-tool-return":
            yield ToolResult(
                id=field(part, "tool_call_id"), name=field(part, "tool_name"), output=field(part, "content")
            )

    def _part_delta(self, chunk: Any) -> Iterable[Item]:
        delta = field(chunk, "delta")
        kind = field(delta, "part_delta_kind")
        if kind == "text":
            return (TextDelta(delta=field(delta, "content_delta") or ""),)
        if kind == "thinking":
            return self._reasoning(field(delta, "content_delta"), delta)
        if kind == "tool_call":
            call_id = self._calls.get(field(chunk, "index", 0))
            args = field(delta, "args_delta")
            # Arguments that are objects already are whole only when the part ends.
            if call_id is not None and isinstance(args, str):
                return (ToolInputDelta(id=call_id, delta=args),)
        return ()

    def _part_end(self, chunk: Any) -> Iterator[Item]:
        part = field(chunk, "part")
        kind = field(part, "part_kind")
        self._running.discard(field(chunk, "index", 0))
        if kind == "text":
            # Providers cut one text where a citation begins.
            if field(chunk, "next_part_kind") != "text":
                yield TextEnd()
        elif kind == "thinking":
            yield from self._reasoning_end(part)
        elif kind in _CALL_KINDS:
            yield from self._call_end(part)

    def _reasoning(self, content: str | None, part: object) -> Iterable[Item]:
        if not content:
            return ()
        self._reasoned = True
        return (ReasoningDelta(delta=content, id=_item_id(part)),)

    def _reasoning_end(self, part: object) -> Iterable[Item]:
        signature = field(part, "signature")
        if not (self._reasoned or signature):
            return ()
        details = field(part, "provider_details")
        return (
            ReasoningEnd(
                id=field(part, "id"),
                signature=signature or None,
                provider=field(part, "provider_name"),
                details=plain(details) if details else None,
            ),
        )

    def _call_start(self, index: int, part: object) -> Iterator[Item]:
        call_id, args = field(part, "tool_call_id"), field(part, "args")
        self._calls[index] = call_id
        # A part that starts again replaces itself, with more of its arguments.
        if call_id in self._announced:
            return
        self._announced.add(call_id)
        yield ToolInputStart(id=call_id, name=field(part, "tool_name"))
        if isinstance(args, str) and args:
            yield ToolInputDelta(id=call_id, delta=args)

    def _call_end(self, part: object) -> Iterable[Item]:
        call_id = field(part, "tool_call_id")
        if call_id in self._complete:
            return ()
        self._complete.add(call_id)
        details = field(part, "provider_details")
        signature = field(details, "thought_signature") if details else None
        return (
            ToolCall(
                id=call_id,
                name=field(part, "tool_name"),
                input=field(part, "args"),
                provider_executed=field(part, "part_kind") == "builtin-tool-call",
                signature=signature if isinstance(signature, str) else None,
                provider=field(part, "provider_name"),
            ),
        )

    # --- the agent's tools

    def _tool_call(self, chunk: Any) -> Iterable[Item]:
        return self._call_end(field(chunk, "part"))

    def _tool_result(self, chunk: Any) -> Iterable[Item]:
        part = field(chunk, "part") or field(chunk, "result")
        call_id = field(part, "tool_call_id")
        self._answered.add(call_id)
        content = field(part, "content")
        if field(part, "part_kind") == "retry-prompt" or field(part, "outcome") in _FAILED:
            return (ToolFailure(id=call_id, error=_complaint(content)),)
        return (ToolResult(id=call_id, name=field(part, "tool_name"), output=content),)

    def _deferred(self, chunk: Any) -> Iterable[Item]:
        self._requests = field(chunk, "requests")
        return ()

    def _run_result(self, chunk: Any) -> Iterator[Item]:
        self._has_result = True
        result = field(chunk, "result")
        yield from self._approvals(field(result, "output"))
        response = field(result, "response")
        if (usage := _usage(field(result, "usage"), response)) is not None:
            yield UsageReport(usage=usage)

    def _approvals(self, requests: object) -> Iterator[Item]:
        if requests is None or not has_field(requests, "approvals"):
            return
        for part in cast("Sequence[object]", field(requests, "approvals")):
            call_id, name = field(part, "tool_call_id"), field(part, "tool_name")
            if call_id not in self._answered:
                yield ApprovalRequest(
                    id=call_id,
                    tool_call_id=call_id,
                    message=f'Approve "{name}"?',
                    metadata={"toolName": name},
                )

    _handlers: ClassVar[dict[str, Callable[[_PydanticAI, Any], Iterable[Item]]]] = {
        "part_start": _part_start,
        "part_delta": _part_delta,
        "part_end": _part_end,
        "function_tool_call": _tool_call,
        "function_tool_result": _tool_result,
        # The model's structured answer is a call too, and the agent answers it.
        "output_tool_call": _tool_call,
        "output_tool_result": _tool_result,
        "deferred_tool_requests": _deferred,
        "agent_run_result": _run_result,
    }


def _item_id(part: object) -> str | None:
    own = field(part, "id")
    return own if isinstance(own, str) and _ITEM_ID.fullmatch(own) else None


def _complaint(content: object) -> str:
    if not isinstance(content, list | tuple):
        return str(content)
    problems = [
        f"{'.'.join(str(step) for step in field(problem, 'loc', ()))}: {field(problem, 'msg', problem)}"
        for problem in cast("Sequence[object]", content)
    ]
    return "; ".join(problems)


def _usage(usage: Any, model: object) -> Usage | None:
    if not has_field(usage, "input_tokens") and callable(usage):
        # It was a method once.
        usage = usage()
    given, made = field(usage, "input_tokens"), field(usage, "output_tokens")
    if not (given or made):
        return None
    thought = field(usage, "output_reasoning_tokens")
    # A zero is how this library says that a count is unknown.
    return Usage(
        input_tokens=given,
        output_tokens=made,
        reasoning_tokens=thought or field(field(usage, "details") or {}, "reasoning_tokens") or None,
        cached_input_tokens=field(usage, "cache_read_tokens") or None,
        cache_write_input_tokens=field(usage, "cache_write_tokens") or None,
        provider=field(model, "provider_name"),
        model=field(model, "model_name"),
    )
