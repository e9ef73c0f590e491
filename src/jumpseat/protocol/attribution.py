"""Which subagent owns a message or a call: what follows a start must name the owner, or nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, TypeVar

import msgspec

from jumpseat.protocol.events import (
    ActivityDelta,
    ActivitySnapshot,
    Event,
    MessagesSnapshot,
    ReasoningEncryptedValue,
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
    ToolCallResult,
    ToolCallStart,
)
from jumpseat.protocol.inputs import ActivityMessage, AssistantMessage, Message, ReasoningMessage

__all__ = ["Attribution"]

E = TypeVar("E", bound=msgspec.Struct)


class Attribution:
    """The owners of one run's messages, reasoning, activities and calls.

    Clients refuse an event whose ``subagentRunId`` is not that of the start it belongs to, and read one
    that has none: the start decides.

    Args:
        warn: Called with a text for each event that named somebody else.
    """

    __slots__ = ("_activities", "_calls", "_messages", "_reasoning", "_warn")

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._messages: dict[str, str | None] = {}
        self._reasoning: dict[str, str | None] = {}
        self._activities: dict[str, str | None] = {}
        self._calls: dict[str, str | None] = {}
        self._warn = warn

    def settle(self, event: Event) -> Event:
        """Return the event as clients read it: with its owner's tag where it has another."""
        rule = self._rules.get(type(event))
        return event if rule is None else rule(self, event)

    def _fit(self, owners: dict[str, str | None], key: str, event: E) -> E:
        tag: str | None = getattr(event, "subagent_run_id", None)
        if tag is None or owners.get(key, tag) == tag:
            return event
        name = event.__struct_config__.tag
        self._warn(f"{name} with another subagentRunId than what it belongs to: corrected")
        return msgspec.structs.replace(event, subagent_run_id=owners[key])

    def _text_start(self, event: TextMessageStart) -> Event:
        self._messages.setdefault(event.message_id, event.subagent_run_id)
        return self._fit(self._messages, event.message_id, event)

    def _text(self, event: TextMessageContent | TextMessageEnd) -> Event:
        return self._fit(self._messages, event.message_id, event)

    def _call_start(self, event: ToolCallStart) -> Event:
        call, parent, known = event.tool_call_id, event.parent_message_id, self._messages
        if parent is not None and parent in known:
            if known[parent] != self._calls.get(call, known[parent]):
                # A call that is known stays with its owner; another's message cannot take it over.
                event = msgspec.structs.replace(event, parent_message_id=None)
            else:
                event = self._fit(known, parent, event)
                self._calls.setdefault(call, known[parent])
        self._calls.setdefault(call, event.subagent_run_id)
        return self._fit(self._calls, call, event)

    def _call(self, event: ToolCallArgs | ToolCallEnd) -> Event:
        return self._fit(self._calls, event.tool_call_id, event)

    def _result(self, event: ToolCallResult) -> Event:
        self._messages[event.message_id] = event.subagent_run_id
        return event

    def _reasoning_start(
        self, event: ReasoningStart | ReasoningMessageStart | ReasoningMessageContent
    ) -> Event:
        self._reasoning.setdefault(event.message_id, event.subagent_run_id)
        return self._fit(self._reasoning, event.message_id, event)

    def _reasoning_end(self, event: ReasoningMessageEnd | ReasoningEnd) -> Event:
        return self._fit(self._reasoning, event.message_id, event)

    def _encrypted(self, event: ReasoningEncryptedValue) -> Event:
        key = event.entity_id
        if event.subtype == "tool-call":
            return self._fit(self._calls, key, event)
        return self._fit(self._messages if key in self._messages else self._reasoning, key, event)

    def _activity(self, event: ActivitySnapshot) -> Event:
        if event.replace is not False or event.message_id not in self._activities:
            self._activities[event.message_id] = event.subagent_run_id
        return event

    def _activity_delta(self, event: ActivityDelta) -> Event:
        return self._fit(self._activities, event.message_id, event)

    def _snapshot(self, event: MessagesSnapshot) -> Event:
        self._learn(event.messages)
        return event

    def _learn(self, messages: Iterable[Message]) -> None:
        for message in messages:
            owner: str | None = getattr(message, "subagent_run_id", None)
            if isinstance(message, ReasoningMessage):
                self._reasoning[message.id] = owner
            elif isinstance(message, ActivityMessage):
                self._activities[message.id] = owner
            else:
                self._messages[message.id] = owner
            if isinstance(message, AssistantMessage):
                self._calls.update((call.id, owner) for call in message.tool_calls or ())

    _rules: ClassVar[dict[type, Callable[[Attribution, Any], Event]]] = {
        TextMessageStart: _text_start,
        TextMessageContent: _text,
        TextMessageEnd: _text,
        ToolCallStart: _call_start,
        ToolCallArgs: _call,
        ToolCallEnd: _call,
        ToolCallResult: _result,
        ReasoningStart: _reasoning_start,
        ReasoningMessageStart: _reasoning_start,
        ReasoningMessageContent: _reasoning_start,
        ReasoningMessageEnd: _reasoning_end,
        ReasoningEnd: _reasoning_end,
        ReasoningEncryptedValue: _encrypted,
        ActivitySnapshot: _activity,
        ActivityDelta: _activity_delta,
        MessagesSnapshot: _snapshot,
    }
