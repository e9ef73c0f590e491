"""Streams of the AI SDK: full streams, UI message streams, and those of the Python ``ai`` package."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Mapping
from typing import Any, ClassVar, Final, cast

from jumpseat.agents.builtin.converters.ai_package import PackageEvents, waits_for_ever
from jumpseat.agents.builtin.converters.base import Converter, Item
from jumpseat.agents.builtin.converters.failures import error_of, error_text
from jumpseat.agents.builtin.converters.fields import field, has_field
from jumpseat.agents.builtin.converters.passing import passing_event
from jumpseat.agents.builtin.converters.signatures import FoundSignature, signature_in
from jumpseat.agents.builtin.converters.upstream import plain
from jumpseat.agents.builtin.parts import (
    Abort,
    ApprovalRequest,
    Finish,
    ModelError,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    StepBreak,
    TextDelta,
    TextEnd,
    TextStart,
    ToolCall,
    ToolFailure,
    ToolInputDelta,
    ToolInputStart,
    ToolOutputDenied,
    ToolResult,
    Usage,
)
from jumpseat.protocol import codec
from jumpseat.protocol.events import Custom
from jumpseat.protocol.inputs import AssistantMessage, RunAgentInput

__all__ = ["open_ai_sdk"]

_NO_APPROVAL_ID: Final = "A tool-approval-request came without an approvalId: nobody could answer it"
_REASONS: Final = {"tool-calls": "tool_call", "content-filter": "content_filter", "unknown": "other"}


def open_ai_sdk(returned: Any, given: RunAgentInput) -> Converter:
    """Return the converter for a stream of the AI SDK or of the Python ``ai`` package.

    Args:
        returned: An async iterable of parts, chunks or events, or an object with one in ``full_stream`` or
            ``fullStream``.
        given: The run's input; it knows the names of calls that were announced in an earlier run.

    Raises:
        TypeError: It is neither.
    """
    full_stream = field(returned, "full_stream")
    stream = returned if full_stream is None else full_stream
    if not isinstance(stream, AsyncIterable):
        raise TypeError("an async iterable of AI SDK parts, or an object with full_stream")
    return _AiSdk(cast("AsyncIterable[Any]", stream), given)


class _AiSdk:
    def __init__(self, stream: AsyncIterable[Any], given: RunAgentInput) -> None:
        self._upstream = stream
        self._names = {
            call.id: call.function.name
            for message in given.messages
            if isinstance(message, AssistantMessage)
            for call in message.tool_calls or ()
        }
        self._package = PackageEvents()
        self._in_plain_text: set[str] = set()
        self._signature: FoundSignature | None = None
        self._steps = 0
        self._counted = False

    @property
    def stream(self) -> AsyncIterable[Any]:
        return self._until_blocked()

    async def _until_blocked(self) -> AsyncGenerator[Any]:
        close: Callable[[], Awaitable[Any]] | None = getattr(self._upstream, "aclose", None)
        try:
            async for chunk in self._upstream:
                yield chunk
                if waits_for_ever(chunk):
                    return
        finally:
            if close is not None:
                await close()

    def feed(self, chunk: Any) -> Iterable[Item]:
        kind = field(chunk, "type")
        if not isinstance(kind, str):
            if isinstance(field(chunk, "kind"), str):
                return self._package.feed(chunk)
            raise TypeError(
                f"a stream of type 'aisdk' yields parts with a type or a kind, not {type(chunk).__name__}"
            )
        handle = self._handlers.get(kind)
        if handle is not None:
            return handle(self, chunk)
        if kind.startswith("data-"):
            return (Custom(name=kind, value=plain(field(chunk, "data"))),)
        event = passing_event(chunk)
        return () if event is None else (event,)

    def end(self) -> Iterable[Item]:
        return self._package.end()

    # --- text and reasoning

    def _text_start(self, chunk: Any) -> Iterable[Item]:
        return (TextStart(id=_text(chunk, "id")),)

    def _text_delta(self, chunk: Any) -> Iterable[Item]:
        return (TextDelta(delta=_delta(chunk), id=_text(chunk, "id")),)

    def _text_end(self, chunk: Any) -> Iterable[Item]:
        return (TextEnd(id=_text(chunk, "id")),)

    def _reasoning_start(self, chunk: Any) -> Iterable[Item]:
        self._signature = signature_in(field(chunk, "provider_metadata"))
        return (ReasoningStart(id=_text(chunk, "id")),)

    def _reasoning_delta(self, chunk: Any) -> Iterable[Item]:
        # Some providers sign with an empty delta before the end.
        self._signature = signature_in(field(chunk, "provider_metadata")) or self._signature
        return (ReasoningDelta(delta=_delta(chunk), id=_text(chunk, "id")),)

    def _reasoning_end(self, chunk: Any) -> Iterable[Item]:
        found = signature_in(field(chunk, "provider_metadata")) or self._signature
        self._signature = None
        if found is None:
            return (ReasoningEnd(),)
        return (ReasoningEnd(id=found.id, signature=found.signature, provider=found.provider),)

    # --- calls

    def _input_start(self, chunk: Any) -> Iterable[Item]:
        call_id, name = self._named_call(chunk)
        if field(chunk, "input_encoding") == "text":
            self._in_plain_text.add(call_id)
        return (ToolInputStart(id=call_id, name=name),)

    def _input_delta(self, chunk: Any) -> Iterable[Item]:
        call_id = _call_id(chunk)
        # Plain text is no JSON yet: it goes out whole, as a JSON string, with the call.
        if call_id in self._in_plain_text:
            return ()
        return (ToolInputDelta(id=call_id, delta=_delta(chunk)),)

    def _call(self, chunk: Any) -> Iterable[Item]:
        call_id, name = self._named_call(chunk)
        given = field(chunk, "input")
        if call_id in self._in_plain_text:
            given = codec.encode_json(given).decode()
        found = signature_in(field(chunk, "provider_metadata"))
        return (
            ToolCall(
                id=call_id,
                name=name,
                input=given,
                provider_executed=bool(field(chunk, "provider_executed")),
                signature=None if found is None else found.signature,
                provider=None if found is None else found.provider,
            ),
        )

    def _result(self, chunk: Any) -> Iterable[Item]:
        call_id, name = self._named_call(chunk)
        value = field(chunk, "output") if has_field(chunk, "output") else field(chunk, "result")
        if field(chunk, "preliminary"):
            return (ToolResult(id=call_id, name=name or None, output=plain(value), preliminary=True),)
        return (ToolResult(id=call_id, name=name or None, output=value),)

    def _tool_error(self, chunk: Any) -> Iterable[Item]:
        return (ToolFailure(id=_call_id(chunk), error=_failure(chunk)),)

    def _input_error(self, chunk: Any) -> Iterable[Item]:
        return (*self._call(chunk), *self._tool_error(chunk))

    def _denied(self, chunk: Any) -> Iterable[Item]:
        return (ToolOutputDenied(id=_call_id(chunk)),)

    def _approval(self, chunk: Any) -> Iterable[Item]:
        if field(chunk, "is_automatic"):
            return
        approval_id = _text(chunk, "approval_id")
        if approval_id is None:
            yield ModelError(error=_NO_APPROVAL_ID)
            return
        call = field(chunk, "tool_call")
        if call is not None and _call_id(call) not in self._names:
            yield from self._call(call)
        call_id, name = self._named_call(chunk if call is None else call)
        yield ApprovalRequest(
            id=approval_id,
            tool_call_id=call_id or None,
            message=f'Approve "{name}"?' if name else None,
            metadata={"toolName": name} if name else None,
        )

    def _named_call(self, chunk: Any) -> tuple[str, str]:
        call_id, name = _call_id(chunk), _text(chunk, "tool_name")
        if name is not None:
            self._names[call_id] = name
        return call_id, name or self._names.get(call_id, "")

    # --- generations and ends

    def _step_start(self, _: Any) -> Iterable[Item]:
        self._steps += 1
        return (StepBreak(),) if self._steps > 1 else ()

    def _step_reset(self, _: Any) -> Iterable[Item]:
        return (StepBreak(),)

    def _step_finish(self, chunk: Any) -> Iterable[Item]:
        if not has_field(chunk, "usage"):
            return ()
        self._counted = True
        response = field(chunk, "response")
        model = _text(response, "model_id")
        return (
            Finish(
                reason=_reason(chunk),
                usage=_usage(field(chunk, "usage"), _provider(chunk), model),
                response_id=_text(response, "id"),
                response_model=model,
            ),
        )

    def _finish(self, chunk: Any) -> Iterable[Item]:
        total = None if self._counted else field(chunk, "total_usage", field(chunk, "usage"))
        return (Finish(reason=_reason(chunk), usage=_usage(total, None, None)),)

    def _abort(self, _: Any) -> Iterable[Item]:
        return (Abort(),)

    def _error(self, chunk: Any) -> Iterable[Item]:
        return (ModelError(error=error_of(field(chunk, "error", field(chunk, "error_text")))),)

    _handlers: ClassVar[dict[str, Callable[[_AiSdk, Any], Iterable[Item]]]] = {
        "text-start": _text_start,
        "text-delta": _text_delta,
        "text-end": _text_end,
        "reasoning-start": _reasoning_start,
        "reasoning-delta": _reasoning_delta,
        "reasoning-end": _reasoning_end,
        "tool-input-start": _input_start,
        "tool-input-delta": _input_delta,
        "tool-call": _call,
        "tool-input-available": _call,
        "tool-result": _result,
        "tool-output-available": _result,
        "tool-error": _tool_error,
        "tool-output-error": _tool_error,
        "tool-input-error": _input_error,
        "tool-output-denied": _denied,
        "tool-approval-request": _approval,
        "start-step": _step_start,
        "reset-step": _step_reset,
        "finish-step": _step_finish,
        "finish": _finish,
        "abort": _abort,
        "error": _error,
    }


def _text(source: Any, name: str) -> str | None:
    value = field(source, name)
    return value if isinstance(value, str) and value else None


def _call_id(chunk: Any) -> str:
    return _text(chunk, "tool_call_id") or _text(chunk, "id") or ""


def _delta(chunk: Any) -> str:
    for name in ("text", "delta", "input_text_delta"):
        value = field(chunk, name)
        if isinstance(value, str):
            return value
    return ""


def _failure(chunk: Any) -> str:
    return error_text(field(chunk, "error", field(chunk, "error_text")), "The tool failed")


def _reason(chunk: Any) -> str:
    reason = _text(chunk, "finish_reason") or "other"
    return _REASONS.get(reason, reason)


def _provider(chunk: Any) -> str | None:
    metadata = field(chunk, "provider_metadata")
    if not isinstance(metadata, Mapping):
        return None
    names = list(cast("Mapping[str, Any]", metadata))
    return names[0] if len(names) == 1 else None


def _usage(usage: Any, provider: str | None, model: str | None) -> Usage | None:
    if usage is None:
        return None
    taken, made = field(usage, "input_token_details"), field(usage, "output_token_details")
    return Usage(
        input_tokens=field(usage, "input_tokens"),
        output_tokens=field(usage, "output_tokens"),
        total_tokens=field(usage, "total_tokens"),
        reasoning_tokens=field(usage, "reasoning_tokens", field(made, "reasoning_tokens")),
        cached_input_tokens=field(usage, "cached_input_tokens", field(taken, "cache_read_tokens")),
        cache_write_input_tokens=field(taken, "cache_write_tokens"),
        provider=provider,
        model=model,
    )
