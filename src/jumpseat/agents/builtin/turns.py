"""One generation of a run: what the model said, for the request that follows it."""

from __future__ import annotations

from typing import Any, cast

from jumpseat.agents.builtin.language_model import AssistantTurn, RequestedCall, Text, Thinking
from jumpseat.agents.builtin.parts import (
    Finish,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    StreamPart,
    TextDelta,
    Usage,
    UsageReport,
)
from jumpseat.agents.builtin.translator import OpenCall
from jumpseat.protocol.codec import decode_json

__all__ = ["TurnRecord", "arguments_of"]


class TurnRecord:
    """Collects one answer while it streams.

    Attributes:
        has_text: Some text came.
        finish: How the provider ended it, once it did.
        usage: What the provider counted last.
    """

    __slots__ = ("_content", "_reasoning", "_text", "finish", "has_text", "usage")

    def __init__(self) -> None:
        self.has_text = False
        self.finish: Finish | None = None
        self.usage: Usage | None = None
        self._content: list[Text | Thinking | RequestedCall] = []
        self._text: list[str] = []
        self._reasoning: list[str] = []

    def add(self, part: StreamPart) -> None:
        """Take in the next part."""
        if isinstance(part, TextDelta):
            if part.delta:
                self.has_text = True
                self._text.append(part.delta)
        elif isinstance(part, ReasoningDelta):
            self._reasoning.append(part.delta)
        elif isinstance(part, ReasoningStart):
            self._reasoning.clear()
        elif isinstance(part, ReasoningEnd):
            self._end_reasoning(part)
        elif isinstance(part, Finish | UsageReport):
            if isinstance(part, Finish):
                self.finish = part
            self.usage = part.usage or self.usage

    def restart(self) -> None:
        """Forget what came so far: the provider begins its answer anew. What it counted stays."""
        self.has_text = False
        self._content.clear()
        self._text.clear()
        self._reasoning.clear()

    def turn(self, calls: list[OpenCall], provider: str | None) -> AssistantTurn:
        """Return the answer with its calls, as the next request repeats it."""
        self._end_text()
        requested = [
            RequestedCall(
                id=call.id,
                name=call.name,
                arguments=arguments_of(call.arguments),
                signature=call.signature,
                provider=call.provider or provider,
            )
            for call in calls
            if not call.provider_executed
        ]
        renamed = {call.upstream_id: call.id for call in calls if call.upstream_id != call.id}
        native = None if self.finish is None else self.finish.native
        return AssistantTurn(content=[*self._content, *requested], native=native, renamed_calls=renamed)

    def _end_text(self) -> None:
        if self._text:
            self._content.append(Text(text="".join(self._text)))
            self._text.clear()

    def _end_reasoning(self, part: ReasoningEnd) -> None:
        self._end_text()
        if part.signature is not None:
            self._content.append(
                Thinking(
                    text="".join(self._reasoning),
                    signature=part.signature,
                    provider=part.provider or "",
                    id=part.id,
                    details=part.details,
                )
            )
        self._reasoning.clear()


def arguments_of(text: str) -> dict[str, Any]:
    """Return a call's arguments; empty for what is no JSON object."""
    try:
        value: Any = decode_json(text.encode()) if text else {}
    except ValueError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
