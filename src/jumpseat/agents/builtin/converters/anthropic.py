"""From the events of Anthropic's Messages API to stream parts."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final, cast

from jumpseat.agents.builtin.converters.base import Converter, Item
from jumpseat.agents.builtin.converters.fields import field
from jumpseat.agents.builtin.converters.upstream import async_stream, events_in, plain
from jumpseat.agents.builtin.parts import (
    Finish,
    ModelError,
    ReasoningDelta,
    ReasoningEnd,
    StepBreak,
    TextDelta,
    ToolCall,
    ToolInputDelta,
    ToolInputStart,
    ToolResult,
    Usage,
    UsageReport,
)
from jumpseat.protocol.inputs import RunAgentInput

__all__ = ["open_anthropic"]

_EXPECTED: Final = "an async stream of messages.create(..., stream=True) or messages.stream(...)"
_PROVIDER: Final = "anthropic"
# Under this id the libraries keep reasoning that only the provider can read.
_REDACTED: Final = "redacted_thinking"
_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_call",
    "refusal": "content_filter",
}
_CODES: Final = {
    "authentication_error": "authentication_error",
    "permission_error": "authentication_error",
    "billing_error": "rate_limit",
    "rate_limit_error": "rate_limit",
    "timeout_error": "timeout",
    "invalid_request_error": "invalid_request",
    "not_found_error": "invalid_request",
    "request_too_large": "invalid_request",
}


def open_anthropic(returned: Any, given: RunAgentInput) -> Converter:
    """Return the converter for a stream of message events, raw or with the SDK's derived events among them.

    Raises:
        TypeError: ``returned`` is no stream.
    """
    return _Anthropic(async_stream(returned, _EXPECTED))


@dataclass(slots=True)
class _Block:
    kind: str
    id: str = ""
    name: str = ""
    input: Any = None
    signature: str = ""
    shown: bool = False


class _Anthropic:
    def __init__(self, stream: AsyncIterable[Any]) -> None:
        self.stream = stream
        self._blocks: dict[int, _Block] = {}
        self._begun = False
        self._model: str | None = None
        self._message_id: str | None = None
        self._counts: dict[str, Any] = {}
        self._reason: str | None = None

    def feed(self, chunk: Any) -> Iterable[Item]:
        # The SDK's derived events repeat the raw ones under types of their own, which are not known here.
        handle = self._handlers.get(field(chunk, "type"))
        return events_in(chunk) if handle is None else handle(self, chunk)

    def end(self) -> Iterable[Item]:
        if (usage := self._usage()) is not None:
            yield UsageReport(usage=usage)

    def _message_start(self, chunk: Any) -> Iterator[Item]:
        if self._begun:
            yield StepBreak()
        self._begun = True
        self._blocks.clear()
        message = field(chunk, "message")
        self._model, self._message_id = field(message, "model"), field(message, "id")
        self._count(field(message, "usage"))

    def _block_start(self, chunk: Any) -> Iterator[Item]:
        content = field(chunk, "content_block")
        kind = str(field(content, "type"))
        block = self._blocks[field(chunk, "index")] = _Block(kind)
        if kind == "text":
            yield from _text(field(content, "text"))
        elif kind == "thinking":
            block.signature = field(content, "signature") or ""
            yield from _thought(block, field(content, "thinking"))
        elif kind == "redacted_thinking":
            yield ReasoningEnd(id=_REDACTED, signature=field(content, "data"), provider=_PROVIDER)
        elif kind.endswith("tool_use"):
            block.id, block.input = field(content, "id"), field(content, "input")
            block.name = field(content, "name") or kind.removesuffix("_tool_use")
            yield ToolInputStart(id=block.id, name=block.name)
        elif kind.endswith("_tool_result"):
            yield ToolResult(id=field(content, "tool_use_id"), output=plain(field(content, "content")))

    def _block_delta(self, chunk: Any) -> Iterable[Item]:
        block, delta = self._blocks.get(field(chunk, "index")), field(chunk, "delta")
        kind = field(delta, "type")
        if kind == "text_delta":
            return _text(field(delta, "text"))
        if block is None:
            return ()
        if kind == "thinking_delta":
            return _thought(block, field(delta, "thinking"))
        if kind == "signature_delta":
            block.signature += field(delta, "signature") or ""
        elif kind == "input_json_delta":
            return (ToolInputDelta(id=block.id, delta=field(delta, "partial_json") or ""),)
        return ()

    def _block_stop(self, chunk: Any) -> Iterable[Item]:
        # The end of a text says nothing: one answer is cut into several where its citations begin and end.
        block = self._blocks.pop(field(chunk, "index"), None)
        if block is None:
            return ()
        if block.kind == "thinking" and (block.shown or block.signature):
            return (ReasoningEnd(signature=block.signature or None, provider=_PROVIDER),)
        if block.kind.endswith("tool_use"):
            return (
                ToolCall(
                    id=block.id,
                    name=block.name,
                    input=plain(block.input) or None,
                    provider_executed=block.kind != "tool_use",
                ),
            )
        return ()

    def _message_delta(self, chunk: Any) -> Iterable[Item]:
        self._reason = field(field(chunk, "delta"), "stop_reason") or self._reason
        self._count(field(chunk, "usage"))
        return ()

    def _message_stop(self, chunk: Any) -> Iterator[Item]:
        yield Finish(
            reason=_REASONS.get(self._reason or "end_turn", "other"),
            usage=self._usage(),
            response_id=self._message_id,
            response_model=self._model,
        )

    def _error(self, chunk: Any) -> Iterator[Item]:
        error = field(chunk, "error")
        message = field(error, "message") or field(chunk, "message") or "The model's stream failed"
        yield ModelError(error=message, code=_CODES.get(field(error, "type"), "provider_error"))

    def _count(self, usage: object) -> None:
        # The counts of a later event replace those of an earlier one: they are sums already.
        for name in (
            "input_tokens",
            "output_tokens",
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
        ):
            if (count := field(usage, name)) is not None:
                self._counts[name] = count
        thought = field(field(usage, "output_tokens_details"), "thinking_tokens")
        if thought is not None:
            self._counts["thinking_tokens"] = thought

    def _usage(self) -> Usage | None:
        """Return the counts since the last time; the input includes the cache, as with other providers."""
        counts, self._counts = self._counts, {}
        if not counts:
            return None
        read, written = counts.get("cache_read_input_tokens"), counts.get("cache_creation_input_tokens")
        given = counts.get("input_tokens")
        if isinstance(given, int):
            given += sum(count for count in (read, written) if isinstance(count, int))
        return Usage(
            input_tokens=given,
            output_tokens=counts.get("output_tokens"),
            reasoning_tokens=counts.get("thinking_tokens"),
            cached_input_tokens=read,
            cache_write_input_tokens=written,
            provider=_PROVIDER,
            model=self._model,
        )

    _handlers: ClassVar[dict[str, Callable[[_Anthropic, Any], Iterable[Item]]]] = {
        "message_start": _message_start,
        "content_block_start": _block_start,
        "content_block_delta": _block_delta,
        "content_block_stop": _block_stop,
        "message_delta": _message_delta,
        "message_stop": _message_stop,
        "error": _error,
    }


def _text(text: object) -> Iterable[Item]:
    return (TextDelta(delta=cast("str", text)),) if text else ()


def _thought(block: _Block, text: str | None) -> Iterable[Item]:
    if not text:
        return ()
    block.shown = True
    return (ReasoningDelta(delta=text),)
