"""From the chunks of OpenAI's Chat Completions API, and of all that imitate it, to stream parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from jumpseat.agents.builtin.block_ids import fresh_call_id
from jumpseat.agents.builtin.converters.base import Item
from jumpseat.agents.builtin.converters.failures import error_text
from jumpseat.agents.builtin.converters.fields import field
from jumpseat.agents.builtin.converters.upstream import events_in
from jumpseat.agents.builtin.parts import (
    Finish,
    ModelError,
    ReasoningDelta,
    StepBreak,
    TextDelta,
    ToolInputDelta,
    ToolInputEnd,
    ToolInputStart,
    Usage,
    UsageReport,
)

__all__ = ["ChatReader"]

_REASONS: Final = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_call",
    "function_call": "tool_call",
    "content_filter": "content_filter",
}


class ChatReader:
    """Reads the chunks of one or several completions, one after the other."""

    def __init__(self) -> None:
        self._calls: dict[int, str] = {}
        self._open: list[str] = []
        self._finished: str | None = None

    def feed(self, chunk: Any) -> Iterator[Item]:
        """Return what a chunk says, its first choice only."""
        choices = field(chunk, "choices")
        if choices is None:
            yield from self._other(chunk)
            return
        if choices:
            yield from self._choice(choices[0], field(chunk, "id") or "")
        if (counts := field(chunk, "usage")) is not None:
            yield UsageReport(usage=_usage(counts, field(chunk, "model")))

    def _other(self, chunk: Any) -> Iterator[Item]:
        if field(chunk, "type") == "chunk":
            # The SDK's own helper wraps each chunk, and adds events that repeat it.
            yield from self.feed(field(chunk, "chunk"))
        elif (error := field(chunk, "error")) is not None:
            yield ModelError(error=error_text(error), code="provider_error")
        else:
            yield from events_in(chunk)

    def _choice(self, choice: object, completion: str) -> Iterator[Item]:
        if self._finished is not None and self._finished != completion:
            self._finished = None
            yield StepBreak()
        delta = field(choice, "delta")
        # What OpenAI itself does not have is no attribute that the SDK's objects could find quickly.
        more = getattr(delta, "model_extra", delta)
        if thought := field(more, "reasoning_content") or field(more, "reasoning"):
            yield ReasoningDelta(delta=thought)
        if text := field(delta, "content") or field(delta, "refusal"):
            yield TextDelta(delta=text)
        for call in field(delta, "tool_calls") or ():
            yield from self._call(call)
        if reason := field(choice, "finish_reason"):
            self._finished = completion
            yield from self._ends()
            yield Finish(reason=_REASONS.get(reason, "other"))

    def _call(self, call: object) -> Iterable[Item]:
        index, call_id, function = field(call, "index"), field(call, "id"), field(call, "function")
        name = field(function, "name")
        known = self._calls.get(index)
        # Some imitations number every call 0 and tell them apart by id only, others repeat the id.
        if known is None or (name and call_id and call_id != known):
            known = self._calls[index] = call_id or fresh_call_id()
            self._open.append(known)
            yield ToolInputStart(id=known, name=name or "")
        if arguments := field(function, "arguments"):
            yield ToolInputDelta(id=known, delta=arguments)

    def _ends(self) -> list[Item]:
        ended, self._open, self._calls = self._open, [], {}
        return [ToolInputEnd(id=call_id) for call_id in ended]


def _usage(counts: object, model: str | None) -> Usage:
    given = field(counts, "prompt_tokens_details")
    return Usage(
        input_tokens=field(counts, "prompt_tokens"),
        output_tokens=field(counts, "completion_tokens"),
        total_tokens=field(counts, "total_tokens"),
        reasoning_tokens=field(field(counts, "completion_tokens_details"), "reasoning_tokens"),
        cached_input_tokens=field(given, "cached_tokens"),
        cache_write_input_tokens=field(given, "cache_write_tokens"),
        provider="openai",
        model=model,
    )
