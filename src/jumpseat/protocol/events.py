"""The AG-UI events as structs: snake_case in code, camelCase on the wire, tagged by ``type``.

The set and the field names are those of https://docs.ag-ui.com/concepts/events. Optional fields
default to ``None`` and are left out on the wire. ``extra`` holds keys that AG-UI does not define; it
is written after the known ones.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from jumpseat.protocol.inputs import ContentPart, Extensible, Message

__all__ = [
    "ActivityDelta",
    "ActivitySnapshot",
    "BaseEvent",
    "Custom",
    "Event",
    "Interrupt",
    "MessagesSnapshot",
    "Raw",
    "ReasoningEncryptedValue",
    "ReasoningEnd",
    "ReasoningMessageChunk",
    "ReasoningMessageContent",
    "ReasoningMessageEnd",
    "ReasoningMessageStart",
    "ReasoningStart",
    "RunError",
    "RunFinished",
    "RunOutcome",
    "RunStarted",
    "StateDelta",
    "StateSnapshot",
    "StepFinished",
    "StepStarted",
    "SubagentError",
    "SubagentFinished",
    "SubagentStarted",
    "TextMessageChunk",
    "TextMessageContent",
    "TextMessageEnd",
    "TextMessageStart",
    "TokenUsage",
    "ToolCallArgs",
    "ToolCallChunk",
    "ToolCallEnd",
    "ToolCallResult",
    "ToolCallStart",
]

Role: TypeAlias = Literal["developer", "system", "assistant", "user"]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=9007199254740991)]


class BaseEvent(Extensible, tag_field="type", kw_only=True):
    """What every event may carry."""

    timestamp: int | float | None = None
    raw_event: Any = None
    metadata: dict[str, Any] | None = None

    @property
    def type(self) -> str:
        """The name of the event's type on the wire, for example ``TEXT_MESSAGE_CONTENT``."""
        return str(self.__struct_config__.tag)


class _Attributed(BaseEvent, kw_only=True):
    subagent_run_id: str | None = None


class RunStarted(BaseEvent, tag="RUN_STARTED", kw_only=True):
    """Opens a run. Jumpseat writes its own; one from an agent is absorbed."""

    thread_id: str
    run_id: str
    protocol_version: str | None = None
    parent_run_id: str | None = None
    input: dict[str, Any] | None = None


class TokenUsage(Extensible, kw_only=True):
    """Token counts of one provider and model."""

    provider: str | None = None
    model: str | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    total_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    cached_input_tokens: Count | None = None
    cache_write_input_tokens: Count | None = None


class Interrupt(Extensible, kw_only=True):
    """Something a run needs from outside before it can go on."""

    id: str
    reason: str
    message: str | None = None
    tool_call_id: str | None = None
    response_schema: dict[str, Any] | None = None
    expires_at: str | None = None
    metadata: dict[str, Any] | None = None
    subagent_run_id: str | None = None


class RunOutcome(Extensible, kw_only=True):
    """Why a run ended: ``success``, ``interrupt`` or ``cancelled``."""

    type: str
    interrupts: list[Interrupt] | None = None


class RunFinished(BaseEvent, tag="RUN_FINISHED", kw_only=True):
    """Ends a run that did not fail. The ids are filled in when an agent leaves them out."""

    thread_id: str = ""
    run_id: str = ""
    result: Any = None
    outcome: RunOutcome | None = None
    usage: list[TokenUsage] | None = None


class RunError(BaseEvent, tag="RUN_ERROR", kw_only=True):
    """Ends a run that failed."""

    message: str
    code: str | None = None
    usage: list[TokenUsage] | None = None


class StepStarted(_Attributed, tag="STEP_STARTED", kw_only=True):
    """Opens a named step."""

    step_name: str


class StepFinished(_Attributed, tag="STEP_FINISHED", kw_only=True):
    """Closes a named step."""

    step_name: str


class TextMessageStart(_Attributed, tag="TEXT_MESSAGE_START", kw_only=True):
    """Opens a streamed message; ``role`` absent means ``assistant``."""

    message_id: str
    role: Role | None = None
    name: str | None = None


class TextMessageContent(_Attributed, tag="TEXT_MESSAGE_CONTENT", kw_only=True):
    """Appends ``delta`` to an open message."""

    message_id: str
    delta: str


class TextMessageEnd(_Attributed, tag="TEXT_MESSAGE_END", kw_only=True):
    """Closes a streamed message."""

    message_id: str


class TextMessageChunk(_Attributed, tag="TEXT_MESSAGE_CHUNK", kw_only=True):
    """Stands for start, content and end; expanded before it is stored."""

    message_id: str | None = None
    role: Role | None = None
    delta: str | None = None
    name: str | None = None


class ToolCallStart(_Attributed, tag="TOOL_CALL_START", kw_only=True):
    """Opens a tool call."""

    tool_call_id: str
    tool_call_name: str
    parent_message_id: str | None = None


class ToolCallArgs(_Attributed, tag="TOOL_CALL_ARGS", kw_only=True):
    """Appends a piece of a call's JSON arguments."""

    tool_call_id: str
    delta: str


class ToolCallEnd(_Attributed, tag="TOOL_CALL_END", kw_only=True):
    """Says that a call's arguments are complete."""

    tool_call_id: str


class ToolCallChunk(_Attributed, tag="TOOL_CALL_CHUNK", kw_only=True):
    """Stands for start, args and end; expanded before it is stored."""

    tool_call_id: str | None = None
    tool_call_name: str | None = None
    parent_message_id: str | None = None
    delta: str | None = None


class ToolCallResult(_Attributed, tag="TOOL_CALL_RESULT", kw_only=True):
    """What a tool returned; becomes a message of its own."""

    message_id: str
    tool_call_id: str
    content: str | list[ContentPart]
    role: Literal["tool"] | None = None


class StateSnapshot(_Attributed, tag="STATE_SNAPSHOT", kw_only=True):
    """Replaces the shared state with any JSON value."""

    snapshot: Any


class StateDelta(_Attributed, tag="STATE_DELTA", kw_only=True):
    """Changes the shared state by a JSON Patch (RFC 6902)."""

    delta: list[Any]


class MessagesSnapshot(BaseEvent, tag="MESSAGES_SNAPSHOT", kw_only=True):
    """The agent's complete list of messages."""

    messages: list[Message]


class ActivitySnapshot(_Attributed, tag="ACTIVITY_SNAPSHOT", kw_only=True):
    """Sets the content of an activity message; ``replace=False`` only if it is new."""

    message_id: str
    activity_type: str
    content: dict[str, Any]
    replace: bool | None = None


class ActivityDelta(_Attributed, tag="ACTIVITY_DELTA", kw_only=True):
    """Changes an activity message by a JSON Patch (RFC 6902)."""

    message_id: str
    activity_type: str
    patch: list[Any]


class Raw(_Attributed, tag="RAW", kw_only=True):
    """A provider's own event, passed through."""

    event: Any
    source: str | None = None


class Custom(_Attributed, tag="CUSTOM", kw_only=True):
    """An application's own event."""

    name: str
    value: Any


class ReasoningStart(_Attributed, tag="REASONING_START", kw_only=True):
    """Opens a span of reasoning."""

    message_id: str


class ReasoningMessageStart(_Attributed, tag="REASONING_MESSAGE_START", kw_only=True):
    """Opens a streamed reasoning message."""

    message_id: str
    # A factory, because clients require the key and a plain default would be left out.
    role: Literal["reasoning"] = msgspec.field(default_factory=lambda: "reasoning")


class ReasoningMessageContent(_Attributed, tag="REASONING_MESSAGE_CONTENT", kw_only=True):
    """Appends ``delta`` to an open reasoning message."""

    message_id: str
    delta: str


class ReasoningMessageEnd(_Attributed, tag="REASONING_MESSAGE_END", kw_only=True):
    """Closes a streamed reasoning message."""

    message_id: str


class ReasoningMessageChunk(_Attributed, tag="REASONING_MESSAGE_CHUNK", kw_only=True):
    """Stands for start, content and end; expanded before it is stored."""

    message_id: str | None = None
    delta: str | None = None


class ReasoningEnd(_Attributed, tag="REASONING_END", kw_only=True):
    """Closes a span of reasoning."""

    message_id: str


class ReasoningEncryptedValue(_Attributed, tag="REASONING_ENCRYPTED_VALUE", kw_only=True):
    """A provider's opaque reasoning artefact for a message or a tool call."""

    subtype: Literal["tool-call", "message"]
    entity_id: str
    encrypted_value: str


class SubagentStarted(BaseEvent, tag="SUBAGENT_STARTED", kw_only=True):
    """Announces one invocation of a subagent. 0.0.57 clients do not know it."""

    subagent_run_id: str
    name: str
    description: str | None = None
    parent_subagent_run_id: str | None = None
    parent_tool_call_id: str | None = None
    parent_message_id: str | None = None


class SubagentFinished(BaseEvent, tag="SUBAGENT_FINISHED", kw_only=True):
    """Says that a subagent completed."""

    subagent_run_id: str
    result: Any = None
    outcome: dict[str, Any] | None = None


class SubagentError(BaseEvent, tag="SUBAGENT_ERROR", kw_only=True):
    """Says that a subagent failed; the run may go on."""

    subagent_run_id: str
    message: str
    code: str | None = None


Event: TypeAlias = (
    RunStarted
    | RunFinished
    | RunError
    | StepStarted
    | StepFinished
    | TextMessageStart
    | TextMessageContent
    | TextMessageEnd
    | TextMessageChunk
    | ToolCallStart
    | ToolCallArgs
    | ToolCallEnd
    | ToolCallChunk
    | ToolCallResult
    | StateSnapshot
    | StateDelta
    | MessagesSnapshot
    | ActivitySnapshot
    | ActivityDelta
    | Raw
    | Custom
    | ReasoningStart
    | ReasoningMessageStart
    | ReasoningMessageContent
    | ReasoningMessageEnd
    | ReasoningMessageChunk
    | ReasoningEnd
    | ReasoningEncryptedValue
    | SubagentStarted
    | SubagentFinished
    | SubagentError
)
