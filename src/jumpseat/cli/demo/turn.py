"""One turn of the demo agent: what was asked, what the page offers, and the events a scene answers with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, cast

from jumpseat.context import RunContext
from jumpseat.protocol.codec import content_text
from jumpseat.protocol.events import (
    Event,
    ReasoningEnd,
    ReasoningMessageContent,
    ReasoningMessageEnd,
    ReasoningMessageStart,
    ReasoningStart,
    TextMessageContent,
    TextMessageEnd,
    TextMessageStart,
    ToolCallArgs,
    ToolCallEnd,
    ToolCallStart,
)
from jumpseat.protocol.inputs import AssistantMessage, FunctionCall, RunAgentInput, ToolMessage, UserMessage

__all__ = ["Turn"]


@dataclass(slots=True)
class Turn:
    """What a scene works with. ``subject`` is the part of the message that the scene is about."""

    input: RunAgentInput
    context: RunContext
    subject: str = ""
    _ids: Iterator[int] = field(default_factory=lambda: count(1))

    def last_user_text(self) -> str:
        """Return the text of the newest user message, ``""`` when there is none."""
        for message in reversed(self.input.messages):
            if isinstance(message, UserMessage):
                return content_text(message.content)
        return ""

    def tool_answer(self) -> tuple[FunctionCall, ToolMessage] | None:
        """Return the call and the result when this run was started by a page that answered a tool call."""
        last = self.input.messages[-1] if self.input.messages else None
        if not isinstance(last, ToolMessage):
            return None
        for message in reversed(self.input.messages):
            calls = message.tool_calls if isinstance(message, AssistantMessage) else None
            for call in calls or ():
                if call.id == last.tool_call_id:
                    return call.function, last
        return None

    def offers(self, tool: str) -> bool:
        """Whether the page offers a tool of this name."""
        return any(offered.name == tool for offered in self.input.tools)

    def state(self) -> dict[str, Any]:
        """Return the shared state as an object; anything else counts as empty."""
        state = self.input.state
        return cast("dict[str, Any]", state) if isinstance(state, dict) else {}

    def say(self, text: str, message_id: str | None = None) -> Iterator[Event]:
        """Stream ``text`` as an assistant message, word by word."""
        message_id = message_id or self.new_id()
        yield TextMessageStart(message_id=message_id, role="assistant")
        for word in _words(text):
            yield TextMessageContent(message_id=message_id, delta=word)
        yield TextMessageEnd(message_id=message_id)

    def think(self, text: str) -> Iterator[Event]:
        """Stream ``text`` as reasoning, word by word."""
        span, message_id = self.new_id(), self.new_id()
        yield ReasoningStart(message_id=span)
        yield ReasoningMessageStart(message_id=message_id)
        for word in _words(text):
            yield ReasoningMessageContent(message_id=message_id, delta=word)
        yield ReasoningMessageEnd(message_id=message_id)
        yield ReasoningEnd(message_id=span)

    def call(self, tool: str, arguments: dict[str, Any], lead: str) -> Iterator[Event]:
        """Say ``lead``, then call a tool of the page in the same message; the page answers with a new run."""
        message_id, call_id = self.new_id(), self.new_id()
        yield from self.say(lead, message_id)
        yield ToolCallStart(tool_call_id=call_id, tool_call_name=tool, parent_message_id=message_id)
        for piece in _pieces(json.dumps(arguments, ensure_ascii=False)):
            yield ToolCallArgs(tool_call_id=call_id, delta=piece)
        yield ToolCallEnd(tool_call_id=call_id)

    def new_id(self) -> str:
        """Return an id that no other run has."""
        return f"{self.context.run_key or self.input.run_id}-{next(self._ids)}"


def _words(text: str) -> Sequence[str]:
    return re.findall(r"\s*\S+", text)


def _pieces(text: str, size: int = 8) -> Iterator[str]:
    for start in range(0, len(text), size):
        yield text[start : start + size]
