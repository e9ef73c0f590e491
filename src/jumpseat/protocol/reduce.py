"""Events to messages and state, by the rules of the AG-UI clients: a reload shows what the tab showed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, TypeAlias, cast

import msgspec

from jumpseat.protocol.codec import content_text, decode_message, encode_json
from jumpseat.protocol.events import (
    ActivityDelta,
    ActivitySnapshot,
    Event,
    MessagesSnapshot,
    ReasoningEncryptedValue,
    ReasoningMessageContent,
    ReasoningMessageEnd,
    ReasoningMessageStart,
    RunStarted,
    StateDelta,
    StateSnapshot,
    TextMessageContent,
    TextMessageEnd,
    TextMessageStart,
    ToolCallArgs,
    ToolCallEnd,
    ToolCallResult,
    ToolCallStart,
)
from jumpseat.protocol.inputs import (
    ActivityMessage,
    AssistantMessage,
    DeveloperMessage,
    FunctionCall,
    Message,
    ReasoningMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from jumpseat.protocol.jsonpatch import PatchError, apply_patch

__all__ = ["Reducer"]

_replace = msgspec.structs.replace
_CLIENT_METADATA: Final = "@ag-ui/client"
Metadata: TypeAlias = dict[str, Any]


class _Call:
    """A tool call that may still grow."""

    __slots__ = ("entry", "parts", "value")

    def __init__(self, value: ToolCall, entry: _Entry) -> None:
        self.value = value
        self.entry = entry
        self.parts = [value.function.arguments]

    def settle(self) -> ToolCall:
        """Return the call with all of its arguments; a value once returned never changes."""
        if len(self.parts) > 1:
            arguments = "".join(self.parts)
            self.parts = [arguments]
            self.value = _replace(self.value, function=_replace(self.value.function, arguments=arguments))
        return self.value


class _Entry:
    """A message that may still grow. Its struct is replaced, never changed, because others hold it."""

    __slots__ = ("calls", "calls_changed", "message", "parts")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.parts: list[str] | None = None
        self.calls: list[_Call] = []
        self.calls_changed = False
        if isinstance(message, AssistantMessage) and message.tool_calls:
            self.calls = [_Call(call, self) for call in message.tool_calls]

    def append(self, delta: str) -> None:
        if self.parts is None:
            content = cast("object", self.message.content)
            self.parts = [content if isinstance(content, str) else ""]
        self.parts.append(delta)

    def settle(self) -> Message:
        """Return the message with all of its text and calls."""
        if self.parts is not None and len(self.parts) > 1:
            content = "".join(self.parts)
            self.parts = [content]
            # Whatever the role: the clients append to any message but an activity.
            message: Any = self.message
            self.message = _replace(message, content=content)
        if self.calls_changed:
            self.calls_changed = False
            self.message = _replace(
                cast("AssistantMessage", self.message), tool_calls=[call.settle() for call in self.calls]
            )
        return self.message


class Reducer:
    """The messages and the state of a thread while a run changes them.

    Applying a delta costs the same however long the text already is. What was passed in, and what
    ``messages`` and ``state`` returned, is never changed later.

    Args:
        messages: The messages the run starts with, or as many of them as are known.
        state: The state the run starts with.
        warn: Called with a text the first time an event cannot be applied, once per kind.

    Attributes:
        state: The state as the pages of CopilotKit show it: null, false, 0 and "" change nothing there.
        touched: Ids of messages added or changed since construction.
        snapshot: Whether a MESSAGES_SNAPSHOT was applied.
    """

    def __init__(self, messages: Sequence[Message], state: Any, *, warn: Callable[[str], None]) -> None:
        self.state: Any = state
        self._folded: Any = state
        self.touched: set[str] = set()
        self.snapshot = False
        self._warn = warn
        self._warned: set[str] = set()
        self._entries: list[_Entry] = []
        self._by_id: dict[str, _Entry] = {}
        self._calls: dict[str, _Call] = {}
        self._set_entries([_Entry(message) for message in messages])

    @property
    def messages(self) -> list[Message]:
        """The messages now, in the order a client has them."""
        return [entry.settle() for entry in self._entries]

    def apply(self, event: Event) -> None:
        """Take in the next event. An event that does not fit is left out; nothing is ever raised."""
        rule = self._rules.get(type(event))
        if rule is None:
            return
        try:
            rule(self, event)
        except PatchError as error:
            self._warn_once(_wire_name(event), f"a patch does not apply: {error}")
        except Exception as error:
            self._warn_once(_wire_name(event), f"cannot be applied: {type(error).__name__}: {error}")

    def sink(self, event: Event) -> Callable[[str], None] | None:
        """Return what takes further deltas of the message or call that ``event`` has just added to.

        It stands for ``apply`` with plain deltas of the same id until anything else of this object is used;
        ``None`` when there is no such short cut.
        """
        match event:
            case TextMessageContent() | ReasoningMessageContent():
                entry = self._by_id.get(event.message_id)
                return None if entry is None or entry.parts is None else entry.parts.append
            case ToolCallArgs():
                call = self._calls.get(event.tool_call_id)
                return None if call is None else call.parts.append
            case _:
                return None

    def rebase(self, view: Sequence[Message]) -> None:
        """Put what is known so far into the complete list of the thread's messages.

        The order becomes that of ``view``; own versions of its messages win; further own messages
        stay behind it, tool results behind the call they answer.
        """
        known = self._by_id
        listed = {message.id for message in view}
        further = [entry for entry in self._entries if entry.message.id not in listed]
        self._set_entries([known.get(message.id) or _Entry(message) for message in view])
        for entry in further:
            message = entry.message
            if isinstance(message, ToolMessage) and message.tool_call_id in self._calls:
                self._insert_result(entry, message.tool_call_id)
            else:
                self._push(entry)

    def _text_start(self, event: TextMessageStart) -> None:
        entry = self._by_id.get(event.message_id)
        if entry is None:
            make = _TEXT_ROLES[event.role or "assistant"]
            entry = self._add(
                make(
                    id=event.message_id,
                    content="",
                    name=event.name,
                    subagent_run_id=event.subagent_run_id,
                )
            )
        elif isinstance(entry.message, ActivityMessage):
            self._warn_once("TEXT_MESSAGE_START", f"{event.message_id!r} is the id of an activity message")
            return
        self._merge_metadata(entry, event.metadata)

    def _text_content(self, event: TextMessageContent | ReasoningMessageContent) -> None:
        entry = self._by_id.get(event.message_id)
        if entry is None or type(entry.message) is ActivityMessage:
            self._warn_once(_wire_name(event), f"no message {event.message_id!r} to append to")
            return
        if entry.parts is None:
            entry.append(event.delta)
            self.touched.add(event.message_id)
        else:
            entry.parts.append(event.delta)
        if event.metadata is not None:
            self._merge_metadata(entry, event.metadata)

    def _text_end(self, event: TextMessageEnd | ReasoningMessageEnd) -> None:
        if event.metadata is None:
            return
        entry = self._by_id.get(event.message_id)
        if entry is not None and not isinstance(entry.message, ActivityMessage):
            self._merge_metadata(entry, event.metadata)

    def _reasoning_start(self, event: ReasoningMessageStart) -> None:
        entry = self._by_id.get(event.message_id)
        if entry is None:
            entry = self._add(
                ReasoningMessage(id=event.message_id, content="", subagent_run_id=event.subagent_run_id)
            )
        elif isinstance(entry.message, ActivityMessage):
            self._warn_once(
                "REASONING_MESSAGE_START", f"{event.message_id!r} is the id of an activity message"
            )
            return
        self._merge_metadata(entry, event.metadata)

    def _encrypted_value(self, event: ReasoningEncryptedValue) -> None:
        if event.subtype == "tool-call":
            call = self._calls.get(event.entity_id)
            if call is not None:
                call.value = _replace(call.value, encrypted_value=event.encrypted_value)
                self._call_changed(call)
            return
        entry = self._by_id.get(event.entity_id)
        if entry is not None and not isinstance(entry.message, ActivityMessage):
            entry.message = _replace(entry.message, encrypted_value=event.encrypted_value)
            self.touched.add(event.entity_id)

    def _call_start(self, event: ToolCallStart) -> None:
        call = self._calls.get(event.tool_call_id)
        if call is None:
            call = self._add_call(event)
        elif call.value.function.name != event.tool_call_name:
            function = _replace(call.value.function, name=event.tool_call_name)
            call.value = _replace(call.value, function=function)
            self._call_changed(call)
        self._merge_call_metadata(call, event.metadata)

    def _add_call(self, event: ToolCallStart) -> _Call:
        entry = self._by_id.get(event.parent_message_id) if event.parent_message_id else None
        if entry is None or not isinstance(entry.message, AssistantMessage):
            taken = entry is not None or not event.parent_message_id
            message_id = event.tool_call_id if taken else cast("str", event.parent_message_id)
            subagent = event.subagent_run_id if message_id not in self._by_id else None
            entry = self._add(AssistantMessage(id=message_id, subagent_run_id=subagent))
        call = _Call(
            ToolCall(id=event.tool_call_id, function=FunctionCall(name=event.tool_call_name, arguments="")),
            entry,
        )
        entry.calls.append(call)
        self._calls[event.tool_call_id] = call
        self._call_changed(call)
        return call

    def _call_args(self, event: ToolCallArgs) -> None:
        call = self._calls.get(event.tool_call_id)
        if call is None:
            self._warn_once("TOOL_CALL_ARGS", f"no tool call {event.tool_call_id!r} to append to")
            return
        call.parts.append(event.delta)
        entry = call.entry
        if not entry.calls_changed:
            self._call_changed(call)
        if event.metadata is not None:
            self._merge_call_metadata(call, event.metadata)

    def _call_end(self, event: ToolCallEnd) -> None:
        call = self._calls.get(event.tool_call_id)
        if call is not None and event.metadata is not None:
            self._merge_call_metadata(call, event.metadata)

    def _call_result(self, event: ToolCallResult) -> None:
        message = ToolMessage(
            id=event.message_id,
            tool_call_id=event.tool_call_id,
            content=content_text(event.content),
            subagent_run_id=event.subagent_run_id,
            metadata=event.metadata,
        )
        self.touched.add(message.id)
        self._insert_result(_Entry(message), event.tool_call_id)

    def _insert_result(self, entry: _Entry, call_id: str) -> None:
        """Put a result behind the message that owns its call and the results already there."""
        call = self._calls.get(call_id)
        if call is None:
            self._push(entry)
            return
        position = self._position(call.entry) + 1
        while position < len(self._entries) and isinstance(self._entries[position].message, ToolMessage):
            position += 1
        self._entries.insert(position, entry)
        if entry.message.id in self._by_id:
            self._set_entries(self._entries)
        else:
            self._by_id[entry.message.id] = entry

    def _position(self, wanted: _Entry) -> int:
        # From the end, because what a run works on is there.
        for position in range(len(self._entries) - 1, -1, -1):
            if self._entries[position] is wanted:
                return position
        return len(self._entries) - 1

    def _activity_snapshot(self, event: ActivitySnapshot) -> None:
        entry = self._by_id.get(event.message_id)
        replace = event.replace is not False
        if entry is None:
            self._add(_activity(event))
            return
        message = entry.message
        if isinstance(message, ActivityMessage):
            if replace:
                entry.message = _replace(
                    message,
                    activity_type=event.activity_type,
                    content=event.content,
                    subagent_run_id=event.subagent_run_id,
                )
                self.touched.add(event.message_id)
            self._merge_metadata(entry, event.metadata)
        elif replace:
            self._entries[self._position(entry)] = _Entry(_activity(event))
            self._set_entries(self._entries)
            self.touched.add(event.message_id)

    def _activity_delta(self, event: ActivityDelta) -> None:
        entry = self._by_id.get(event.message_id)
        if entry is None or not isinstance(entry.message, ActivityMessage):
            self._warn_once("ACTIVITY_DELTA", f"no activity message {event.message_id!r} to change")
            return
        self._merge_metadata(entry, event.metadata)
        content = apply_patch(entry.message.content, event.patch)
        if not isinstance(content, dict):
            raise PatchError("an activity's content must stay an object")
        entry.message = _replace(
            entry.message, content=cast("dict[str, Any]", content), activity_type=event.activity_type
        )
        self.touched.add(event.message_id)

    def _state_snapshot(self, event: StateSnapshot) -> None:
        self._fold(event.snapshot)

    def _state_delta(self, event: StateDelta) -> None:
        self._fold(apply_patch(self._folded, event.delta))

    def _fold(self, state: Any) -> None:
        """Make ``state`` what further deltas apply to; pages go on showing the last one that holds."""
        self._folded = state
        if state or isinstance(state, list | dict):
            self.state = state

    def _messages_snapshot(self, event: MessagesSnapshot) -> None:
        before = {entry.message.id: entry.settle() for entry in self._entries}
        sent = {message.id: message for message in event.messages}
        survives = _survival(event)
        kept = [
            _Entry(sent[entry.message.id]) if entry.message.id in sent else entry
            for entry in self._entries
            if entry.message.id in sent or survives(entry.message)
        ]
        new = [_Entry(message) for message in event.messages if message.id not in before]
        self._set_entries(kept + new)
        self.touched.update(key for key, message in sent.items() if before.get(key) != message)
        self.snapshot = True

    def _run_started(self, event: RunStarted) -> None:
        echoed = (event.input or {}).get("messages")
        for source in cast("list[dict[str, Any]]", echoed) if isinstance(echoed, list) else ():
            if source.get("id") not in self._by_id:
                self._add(decode_message(encode_json(source)))

    def _add(self, message: Message) -> _Entry:
        entry = _Entry(message)
        self._push(entry)
        self.touched.add(message.id)
        return entry

    def _push(self, entry: _Entry) -> None:
        self._entries.append(entry)
        self._register(entry)

    def _set_entries(self, entries: list[_Entry]) -> None:
        self._entries = entries
        self._by_id = {}
        self._calls = {}
        for entry in entries:
            self._register(entry)

    def _register(self, entry: _Entry) -> None:
        # The first one of an id is the one that clients find.
        self._by_id.setdefault(entry.message.id, entry)
        for call in entry.calls:
            self._calls.setdefault(call.value.id, call)

    def _call_changed(self, call: _Call) -> None:
        call.entry.calls_changed = True
        self.touched.add(call.entry.message.id)

    def _merge_metadata(self, entry: _Entry, metadata: Metadata | None) -> None:
        if metadata is not None:
            entry.message = _replace(entry.message, metadata=_merged(entry.message.metadata, metadata))
            self.touched.add(entry.message.id)

    def _merge_call_metadata(self, call: _Call, metadata: Metadata | None) -> None:
        if metadata is not None:
            call.value = _replace(call.value, metadata=_merged(call.value.metadata, metadata))
            self._call_changed(call)

    def _warn_once(self, kind: str, text: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            self._warn(f"{kind}: {text}; left out of the thread's messages and state")

    _rules: ClassVar[dict[type, Callable[[Reducer, Any], None]]] = {
        TextMessageStart: _text_start,
        TextMessageContent: _text_content,
        TextMessageEnd: _text_end,
        ReasoningMessageStart: _reasoning_start,
        ReasoningMessageContent: _text_content,
        ReasoningMessageEnd: _text_end,
        ReasoningEncryptedValue: _encrypted_value,
        ToolCallStart: _call_start,
        ToolCallArgs: _call_args,
        ToolCallEnd: _call_end,
        ToolCallResult: _call_result,
        ActivitySnapshot: _activity_snapshot,
        ActivityDelta: _activity_delta,
        StateSnapshot: _state_snapshot,
        StateDelta: _state_delta,
        MessagesSnapshot: _messages_snapshot,
        RunStarted: _run_started,
    }


_TEXT_ROLES: Final[dict[str, Callable[..., Message]]] = {
    "assistant": AssistantMessage,
    "developer": DeveloperMessage,
    "system": SystemMessage,
    "user": UserMessage,
}


def _wire_name(event: Event) -> str:
    return str(event.__struct_config__.tag)


def _activity(event: ActivitySnapshot) -> ActivityMessage:
    return ActivityMessage(
        id=event.message_id,
        activity_type=event.activity_type,
        content=event.content,
        subagent_run_id=event.subagent_run_id,
        metadata=event.metadata,
    )


def _merged(old: Metadata | None, new: Metadata) -> Metadata:
    return {**old, **new} if old else new


def _survival(event: MessagesSnapshot) -> Callable[[Message], bool]:
    """Say which messages that a snapshot leaves out are kept nevertheless."""
    has_reasoning = any(isinstance(message, ReasoningMessage) for message in event.messages)
    has_activity = any(isinstance(message, ActivityMessage) for message in event.messages)
    declared = _declared_activity_types(event.metadata)

    def survives(message: Message) -> bool:
        if isinstance(message, ReasoningMessage):
            return not has_reasoning
        if not isinstance(message, ActivityMessage):
            return False
        if isinstance(declared, list):
            return message.activity_type not in declared
        return declared is not None and not has_activity

    return survives


def _declared_activity_types(metadata: Metadata | None) -> list[str] | str | None:
    """Return the activity types a snapshot is complete for: a list, None for all, "inferred" if unsaid."""
    if not metadata or _CLIENT_METADATA not in metadata:
        return "inferred"
    declaration = metadata[_CLIENT_METADATA]
    if not declaration or not isinstance(declaration, dict):
        return []
    types = cast("dict[str, Any]", declaration).get("authoritativeActivityTypes", "inferred")
    if types is None or types == "inferred":
        return types
    if isinstance(types, list):
        names = cast("list[Any]", types)
        if all(isinstance(name, str) for name in names):
            return names
    return []
