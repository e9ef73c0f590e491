"""Events of the Python ``ai`` package: what a model of it streams, and what its agents add."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, cast

from jumpseat.agents.builtin.converters.base import Item
from jumpseat.agents.builtin.converters.failures import error_text
from jumpseat.agents.builtin.converters.fields import field
from jumpseat.agents.builtin.converters.signatures import FoundSignature, signature_in
from jumpseat.agents.builtin.converters.upstream import plain
from jumpseat.agents.builtin.parts import (
    ApprovalRequest,
    Finish,
    ReasoningDelta,
    ReasoningEnd,
    StepBreak,
    TextDelta,
    TextEnd,
    TextStart,
    ToolCall,
    ToolFailure,
    ToolInputDelta,
    ToolInputStart,
    ToolResult,
    Usage,
)

__all__ = ["PackageEvents", "waits_for_ever"]


def waits_for_ever(event: Any) -> bool:
    """Say whether an agent of the package now waits, in this run, for what only a later run brings."""
    return field(event, "kind") == "run_blocked" and not isinstance(field(event, "type"), str)


class PackageEvents:
    """Translates the events of one stream, objects of the package or dicts of the same shape.

    The package's own ids of text blocks are left out: some of its providers use the same one for ever.
    """

    def __init__(self) -> None:
        self._generations = 0
        self._usage: Any = None
        self._signature: FoundSignature | None = None
        self._is_reasoning = False
        self._waiting: dict[str, Any] = {}

    def feed(self, event: Any) -> Iterable[Item]:
        """Return the parts of one event; none for what says nothing to a client."""
        handle = self._handlers.get(field(event, "kind"))
        # A replayed event repeats for the loop of the package what was said in an earlier run.
        if handle is None or field(event, "replay"):
            return ()
        usage = field(event, "usage")
        if usage is not None:
            self._usage = usage
        return handle(self, event)

    def end(self) -> Iterable[Item]:
        """Return the decisions that are still waited for."""
        return [_interrupt(hook_id, hook) for hook_id, hook in self._waiting.items()]

    def _stream_start(self, _: Any) -> Iterable[Item]:
        self._generations += 1
        self._usage = None
        return (StepBreak(),) if self._generations > 1 else ()

    def _stream_end(self, event: Any) -> Iterable[Item]:
        usage, model = self._usage, _text(event, "response_model")
        self._usage = None
        return (
            Finish(
                reason=_text(event, "finish_reason") or "stop",
                usage=None if usage is None else _counted(usage, model),
                response_id=_text(event, "response_id"),
                response_model=model,
            ),
        )

    def _text_start(self, _: Any) -> Iterable[Item]:
        return (TextStart(),)

    def _text_delta(self, event: Any) -> Iterable[Item]:
        return (TextDelta(delta=_text(event, "chunk") or ""),)

    def _text_end(self, _: Any) -> Iterable[Item]:
        return (TextEnd(),)

    def _reasoning_start(self, event: Any) -> Iterable[Item]:
        # Held back until there is something to read: hidden reasoning makes no empty block.
        ended = self._reasoning_end({}) if self._is_reasoning else ()
        self._signature = signature_in(field(event, "provider_metadata"))
        return ended

    def _reasoning_delta(self, event: Any) -> Iterable[Item]:
        self._signature = signature_in(field(event, "provider_metadata")) or self._signature
        delta = _text(event, "chunk")
        self._is_reasoning = self._is_reasoning or delta is not None
        return () if delta is None else (ReasoningDelta(delta=delta),)

    def _reasoning_end(self, event: Any) -> Iterable[Item]:
        found = signature_in(field(event, "provider_metadata")) or self._signature
        self._signature, self._is_reasoning = None, False
        if found is None:
            return (ReasoningEnd(),)
        return (ReasoningEnd(id=found.id, signature=found.signature, provider=found.provider),)

    def _tool_start(self, event: Any) -> Iterable[Item]:
        return (ToolInputStart(id=_text(event, "tool_call_id") or "", name=_text(event, "tool_name") or ""),)

    def _tool_delta(self, event: Any) -> Iterable[Item]:
        return (ToolInputDelta(id=_text(event, "tool_call_id") or "", delta=_text(event, "chunk") or ""),)

    def _tool_end(self, event: Any) -> Iterable[Item]:
        call = field(event, "tool_call")
        found = signature_in(field(event, "provider_metadata") or field(call, "provider_metadata"))
        return (
            ToolCall(
                id=_text(event, "tool_call_id") or _text(call, "tool_call_id") or "",
                name=_text(call, "tool_name") or "",
                input=field(call, "tool_args"),
                provider_executed=field(event, "kind") == "builtin_tool_end",
                signature=None if found is None else found.signature,
                provider=None if found is None else found.provider,
            ),
        )

    def _builtin_result(self, event: Any) -> Iterable[Item]:
        result = field(event, "result")
        call_id = _text(event, "tool_call_id") or _text(result, "tool_call_id") or ""
        if field(result, "is_error"):
            return (ToolFailure(id=call_id, error=error_text(field(result, "result"), "The tool failed")),)
        return (ToolResult(id=call_id, name=_text(result, "tool_name"), output=field(result, "result")),)

    def _results(self, event: Any) -> Iterable[Item]:
        for result in field(event, "results") or ():
            call_id = _text(result, "tool_call_id") or ""
            if field(result, "is_hook_deferred"):
                # It stands in for a result that comes after a decision.
                continue
            if field(result, "result_kind") == "error":
                yield ToolFailure(id=call_id, error=error_text(field(result, "result"), "The tool failed"))
            else:
                yield ToolResult(id=call_id, name=_text(result, "tool_name"), output=field(result, "result"))

    def _progress(self, event: Any) -> Iterable[Item]:
        call_id = _text(event, "tool_call_id")
        if call_id is None:
            return ()
        return (
            ToolResult(
                id=call_id,
                name=_text(event, "tool_name"),
                output=_slim(field(event, "value")),
                preliminary=True,
            ),
        )

    def _hook(self, event: Any) -> Iterable[Item]:
        hook = field(event, "hook")
        hook_id = _text(hook, "hook_id")
        if hook_id is not None:
            if field(hook, "status") == "pending":
                self._waiting[hook_id] = hook
            else:
                self._waiting.pop(hook_id, None)
        return ()

    def _blocked(self, event: Any) -> Iterable[Item]:
        for hook in field(event, "hooks") or ():
            hook_id = _text(hook, "hook_id")
            if hook_id is not None:
                self._waiting.pop(hook_id, None)
                yield _interrupt(hook_id, hook)

    def _retry(self, _: Any) -> Iterable[Item]:
        # The generation that comes in its place begins with a start of its own, which is then no second one.
        self._generations = 0
        self._usage = self._signature = None
        self._is_reasoning = False
        return (StepBreak(),)

    _handlers: ClassVar[dict[Any, Callable[[PackageEvents, Any], Iterable[Item]]]] = {
        "stream_start": _stream_start,
        "stream_end": _stream_end,
        "text_start": _text_start,
        "text_delta": _text_delta,
        "text_end": _text_end,
        "reasoning_start": _reasoning_start,
        "reasoning_delta": _reasoning_delta,
        "reasoning_end": _reasoning_end,
        "tool_start": _tool_start,
        "tool_delta": _tool_delta,
        "tool_end": _tool_end,
        "builtin_tool_start": _tool_start,
        "builtin_tool_delta": _tool_delta,
        "builtin_tool_end": _tool_end,
        "builtin_tool_result": _builtin_result,
        "tool_call_result": _results,
        "partial_tool_call_result": _progress,
        "hook": _hook,
        "run_blocked": _blocked,
        "retry": _retry,
    }


def _interrupt(hook_id: str, hook: Any) -> ApprovalRequest:
    metadata = field(hook, "metadata")
    given = dict(cast("Mapping[str, Any]", metadata)) if isinstance(metadata, Mapping) else {}
    tool, call_id = given.get("tool"), _text(hook, "tool_call_id")
    if isinstance(tool, str) and tool:
        return ApprovalRequest(
            id=hook_id, tool_call_id=call_id, message=f'Approve "{tool}"?', metadata={"toolName": tool}
        )
    return ApprovalRequest(
        id=hook_id, reason="interrupt", tool_call_id=call_id, metadata={"value": given} if given else None
    )


def _counted(usage: Any, model: str | None) -> Usage:
    return Usage(
        input_tokens=field(usage, "input_tokens"),
        output_tokens=field(usage, "output_tokens"),
        reasoning_tokens=field(usage, "reasoning_tokens"),
        cached_input_tokens=field(usage, "cache_read_tokens"),
        cache_write_input_tokens=field(usage, "cache_write_tokens"),
        model=model,
    )


def _slim(value: Any) -> Any:
    """Return what a tool reports; a sub-agent's event without the whole message that each carries."""
    if not isinstance(field(value, "kind"), str) or field(value, "message") is None:
        return plain(value)
    dump = getattr(value, "model_dump", None)
    members: Any = dump(mode="json", exclude={"message"}) if callable(dump) else plain(value)
    if not isinstance(members, Mapping):
        return members
    return {key: member for key, member in cast("Mapping[str, Any]", members).items() if key != "message"}


def _text(source: Any, name: str) -> str | None:
    value = field(source, name)
    return value if isinstance(value, str) and value else None
