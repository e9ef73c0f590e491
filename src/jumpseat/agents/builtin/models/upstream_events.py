"""pydantic-ai's events of one answer as parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from jumpseat.agents.builtin.models.signatures import call_signature, reasoning_end
from jumpseat.agents.builtin.parts import (
    Finish,
    ReasoningDelta,
    ReasoningStart,
    StreamPart,
    TextDelta,
    TextEnd,
    TextStart,
    ToolCall,
    ToolInputDelta,
    ToolInputEnd,
    ToolInputStart,
    ToolResult,
    Usage,
)
from jumpseat.protocol.codec import decode_json

__all__ = ["EventReader"]

_NOTHING: Final[Sequence[StreamPart]] = ()
_RAW: Final = "raw_content"


class _Thought:
    """A block of reasoning as it comes in: one part of the library, or several of one provider's item."""

    __slots__ = ("breaks", "id", "provider_details", "signature", "visible")

    def __init__(self, identifier: str | None) -> None:
        self.id = identifier
        self.signature: str | None = None
        self.provider_details: dict[str, Any] | None = None
        self.visible = False
        self.breaks = False


class EventReader:
    """Reads the events of one answer, one after the other, and then its end.

    Args:
        provider: Whom signatures are filed under.
        keeps_ids: The provider names its messages in a way that is worth keeping.
    """

    __slots__ = ("_calls", "_keeps_ids", "_provider", "_said_something", "_thought")

    def __init__(self, provider: str, *, keeps_ids: bool) -> None:
        self._provider = provider
        self._keeps_ids = keeps_ids
        self._thought: _Thought | None = None
        # Calls that are not complete: index -> id, and whether arguments came in pieces of text.
        self._calls: dict[int, str] = {}
        self._said_something = False

    def read(self, event: Any) -> Sequence[StreamPart]:
        """Return what an event amounts to."""
        kind = event.event_kind
        if kind == "part_delta":
            return self._delta(event.index, event.delta)
        if kind == "part_start":
            return self._start(event.index, event.part)
        return self._end(event.index, event.part) if kind == "part_end" else _NOTHING

    def finish(self, response: Any) -> Sequence[StreamPart]:
        """Return what is left, and the end, unless the provider gave no sign of it and said nothing."""
        parts: list[StreamPart] = [*self._close_thought()]
        waiting = set(self._calls.values())
        parts += [
            _call(part)
            for part in response.parts
            if getattr(part, "tool_call_id", None) in waiting and hasattr(part, "args")
        ]
        self._calls.clear()
        reason = response.finish_reason
        if reason == "stop" and any(part.part_kind == "tool-call" for part in response.parts):
            # Two of the interfaces have no word for it.
            reason = "tool_call"
        if reason is None and not self._said_something:
            return parts
        parts.append(
            Finish(
                reason=reason or "other",
                usage=self._usage(response),
                response_id=response.provider_response_id,
                response_model=response.model_name,
                native=response,
            )
        )
        return parts

    def _delta(self, index: int, delta: Any) -> Sequence[StreamPart]:
        kind = delta.part_delta_kind
        if kind == "text":
            return (TextDelta(delta=delta.content_delta),) if delta.content_delta else _NOTHING
        if kind == "tool_call":
            identifier, arguments = self._calls.get(index), delta.args_delta
            if identifier is None or not arguments or not isinstance(arguments, str):
                return _NOTHING
            return (ToolInputDelta(id=identifier, delta=arguments),)
        return self._think(delta.content_delta, delta.signature_delta, delta.provider_details)

    def _start(self, index: int, part: Any) -> Sequence[StreamPart]:
        kind = part.part_kind
        if kind == "thinking":
            return self._start_thought(part)
        self._said_something = True
        parts: list[StreamPart] = [*self._close_thought()]
        if kind == "text":
            parts.append(TextStart(id=part.id if self._keeps_ids else None))
            if part.content:
                parts.append(TextDelta(delta=part.content))
        elif kind in ("tool-call", "builtin-tool-call"):
            identifier = self._calls[index] = part.tool_call_id
            parts.append(ToolInputStart(id=identifier, name=part.tool_name))
            if part.args and isinstance(part.args, str):
                parts.append(ToolInputDelta(id=identifier, delta=part.args))
        elif kind == "builtin-tool-return":
            parts.append(ToolResult(id=part.tool_call_id, name=part.tool_name, output=part.content))
        return parts

    def _end(self, index: int, part: Any) -> Sequence[StreamPart]:
        if part.part_kind == "text":
            return (TextEnd(),)
        if index in self._calls and _is_complete(part.args):
            identifier = self._calls.pop(index)
            return (ToolInputEnd(id=identifier), _call(part))
        return _NOTHING

    # --- reasoning

    def _start_thought(self, part: Any) -> Sequence[StreamPart]:
        thought = self._thought
        parts: list[StreamPart] = []
        if thought is not None and part.id and thought.id == part.id:
            # The next paragraph of a summary that comes in pieces.
            thought.breaks = thought.visible
        else:
            parts += self._close_thought()
            self._thought = _Thought(part.id)
        return [*parts, *self._think(part.content, part.signature, part.provider_details)]

    def _think(self, text: str | None, signature: str | None, details: Any) -> Sequence[StreamPart]:
        thought = self._thought
        if thought is None:
            return _NOTHING
        if signature:
            thought.signature = signature
        if details is not None:
            text = (text or "") + _merged(thought, details)
        if not text:
            return _NOTHING
        self._said_something = True
        if thought.breaks:
            thought.breaks = False
            text = f"\n\n{text}"
        if thought.visible:
            return (ReasoningDelta(delta=text),)
        thought.visible = True
        return (ReasoningStart(id=thought.id if self._keeps_ids else None), ReasoningDelta(delta=text))

    def _close_thought(self) -> Sequence[StreamPart]:
        thought, self._thought = self._thought, None
        if thought is None:
            return _NOTHING
        end = reasoning_end(thought, self._provider, visible=thought.visible)
        return (end,) if thought.visible or end.signature else _NOTHING

    def _usage(self, response: Any) -> Usage | None:
        usage = response.usage
        details: dict[str, Any] = usage.details or {}
        counted = Usage(
            input_tokens=usage.input_tokens or None,
            output_tokens=usage.output_tokens or None,
            reasoning_tokens=(
                getattr(usage, "output_reasoning_tokens", 0)
                or details.get("reasoning_tokens")
                or details.get("thoughts_tokens")
                or None
            ),
            cached_input_tokens=usage.cache_read_tokens or None,
            cache_write_input_tokens=usage.cache_write_tokens or None,
            provider=self._provider or None,
            model=response.model_name,
        )
        return counted if counted.input_tokens or counted.output_tokens else None


def _merged(thought: _Thought, details: Any) -> str:
    """Take in what the provider adds to a thought; returns the raw reasoning that some add in this way."""
    before = thought.provider_details
    after: dict[str, Any]
    after = cast("Any", details)(before) if callable(details) else {**(before or {}), **details}
    thought.provider_details = after
    old, new = "".join((before or {}).get(_RAW) or ()), "".join(after.get(_RAW) or ())
    return new[len(old) :]


def _call(part: Any) -> StreamPart:
    return ToolCall(
        id=part.tool_call_id,
        name=part.tool_name,
        input=part.args,
        provider_executed=part.part_kind == "builtin-tool-call",
        signature=(signature := call_signature(part)),
        provider=part.provider_name if signature else None,
    )


def _is_complete(arguments: Any) -> bool:
    """Whether nothing can follow. Some servers announce several calls at once before they send arguments."""
    if not isinstance(arguments, str):
        return arguments is not None
    try:
        return isinstance(decode_json(arguments.encode()), dict)
    except ValueError:
        return False
