"""Hypothesis strategies for agents' event streams, and the rules by which clients refuse them."""

from collections.abc import Iterable

from hypothesis import strategies as st

from jumpseat.protocol.events import (
    ActivityDelta,
    ActivitySnapshot,
    Custom,
    Event,
    MessagesSnapshot,
    Raw,
    ReasoningEncryptedValue,
    ReasoningEnd,
    ReasoningMessageChunk,
    ReasoningMessageContent,
    ReasoningMessageEnd,
    ReasoningMessageStart,
    ReasoningStart,
    RunError,
    RunFinished,
    StateDelta,
    StateSnapshot,
    StepFinished,
    StepStarted,
    SubagentError,
    SubagentFinished,
    SubagentStarted,
    TextMessageChunk,
    TextMessageContent,
    TextMessageEnd,
    TextMessageStart,
    ToolCallArgs,
    ToolCallChunk,
    ToolCallEnd,
    ToolCallResult,
    ToolCallStart,
)
from jumpseat.protocol.inputs import (
    ActivityMessage,
    AssistantMessage,
    FunctionCall,
    Message,
    ReasoningMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
)

IDS = st.sampled_from(["a", "b", "c"])
MESSAGE_IDS = st.sampled_from(["m1", "m2", "m3"])
REASONING_IDS = st.sampled_from(["r1", "r2"])
ACTIVITY_IDS = st.sampled_from(["x1", "x2"])
RESULT_IDS = st.sampled_from([f"t{number}" for number in range(50)])
CALL_IDS = st.sampled_from(["c1", "c2", "c3"])
DELTAS = st.text(max_size=3)
OWNERS = st.sampled_from([None, None, "s1", "s2"])
METADATA = st.none() | st.dictionaries(st.sampled_from(["k", "l"]), st.integers(0, 3), max_size=2)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "s"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), JSON, max_size=3)
POINTERS = st.sampled_from(["", "/a", "/b", "/a/0", "/a/-", "/a/b", "/c/1", "/a/", "/b/01"])


def _operation(name: str, pointer: str, source: str, value: object) -> dict[str, object]:
    if name in ("move", "copy"):
        return {"op": name, "path": pointer, "from": source}
    return (
        {"op": name, "path": pointer} if name == "remove" else {"op": name, "path": pointer, "value": value}
    )


OPERATIONS = st.builds(
    _operation,
    st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]),
    POINTERS,
    POINTERS,
    JSON,
)
PATCHES = st.lists(OPERATIONS, max_size=3)

CALLS = st.builds(
    ToolCall, id=CALL_IDS, function=st.builds(FunctionCall, name=IDS, arguments=st.sampled_from(["", "{}"]))
)
MESSAGES: st.SearchStrategy[list[Message]] = st.lists(
    st.builds(UserMessage, id=st.sampled_from(["u1", "u2"]), content=DELTAS)
    | st.builds(AssistantMessage, id=MESSAGE_IDS, content=st.none() | DELTAS, subagent_run_id=OWNERS)
    | st.builds(AssistantMessage, id=MESSAGE_IDS, tool_calls=st.lists(CALLS, max_size=2))
    | st.builds(ToolMessage, id=RESULT_IDS, tool_call_id=CALL_IDS, content=DELTAS)
    | st.builds(ReasoningMessage, id=REASONING_IDS, content=DELTAS)
    | st.builds(ActivityMessage, id=ACTIVITY_IDS, activity_type=IDS, content=OBJECTS),
    max_size=5,
    unique_by=lambda message: message.id,
)

TEXT = st.one_of(
    st.builds(TextMessageStart, message_id=MESSAGE_IDS, metadata=METADATA, subagent_run_id=OWNERS),
    st.builds(TextMessageContent, message_id=MESSAGE_IDS, delta=DELTAS, metadata=METADATA),
    st.builds(TextMessageContent, message_id=MESSAGE_IDS, delta=DELTAS, subagent_run_id=OWNERS),
    st.builds(TextMessageEnd, message_id=MESSAGE_IDS, metadata=METADATA, subagent_run_id=OWNERS),
)
TOOL_CALLS = st.one_of(
    st.builds(
        ToolCallStart,
        tool_call_id=CALL_IDS,
        tool_call_name=IDS,
        parent_message_id=st.none() | MESSAGE_IDS,
        subagent_run_id=OWNERS,
    ),
    st.builds(ToolCallArgs, tool_call_id=CALL_IDS, delta=DELTAS, subagent_run_id=OWNERS),
    st.builds(ToolCallEnd, tool_call_id=CALL_IDS, metadata=METADATA, subagent_run_id=OWNERS),
    st.builds(
        ToolCallResult,
        tool_call_id=CALL_IDS,
        message_id=RESULT_IDS,
        content=DELTAS,
        subagent_run_id=OWNERS,
    ),
)
REASONING = st.one_of(
    st.builds(ReasoningStart, message_id=REASONING_IDS, subagent_run_id=OWNERS),
    st.builds(ReasoningMessageStart, message_id=REASONING_IDS, subagent_run_id=OWNERS),
    st.builds(ReasoningMessageContent, message_id=REASONING_IDS, delta=DELTAS, subagent_run_id=OWNERS),
    st.builds(ReasoningMessageEnd, message_id=REASONING_IDS, subagent_run_id=OWNERS),
    st.builds(ReasoningEnd, message_id=REASONING_IDS, subagent_run_id=OWNERS),
    st.builds(
        ReasoningEncryptedValue,
        subtype=st.sampled_from(["tool-call", "message"]),
        entity_id=CALL_IDS | MESSAGE_IDS,
        encrypted_value=DELTAS,
        subagent_run_id=OWNERS,
    ),
)
STEPS = st.one_of(
    st.builds(StepStarted, step_name=IDS, subagent_run_id=st.none() | st.just("s1")),
    st.builds(StepFinished, step_name=IDS, subagent_run_id=st.none() | st.just("s1")),
    st.builds(SubagentStarted, subagent_run_id=IDS, name=IDS, parent_subagent_run_id=st.none() | IDS),
    st.builds(SubagentFinished, subagent_run_id=IDS),
    st.builds(SubagentError, subagent_run_id=IDS, message=DELTAS),
)
STATE = st.one_of(
    st.builds(StateSnapshot, snapshot=JSON),
    st.builds(StateDelta, delta=PATCHES),
    st.builds(
        ActivitySnapshot,
        message_id=ACTIVITY_IDS,
        activity_type=IDS,
        content=OBJECTS,
        replace=st.none() | st.booleans(),
        metadata=METADATA,
        subagent_run_id=OWNERS,
    ),
    st.builds(ActivityDelta, message_id=ACTIVITY_IDS, activity_type=IDS, patch=PATCHES, metadata=METADATA),
    st.builds(
        ActivityDelta, message_id=ACTIVITY_IDS, activity_type=IDS, patch=PATCHES, subagent_run_id=OWNERS
    ),
    st.builds(MessagesSnapshot, messages=MESSAGES),
)
ASIDE = st.builds(Raw, event=JSON) | st.builds(Custom, name=IDS, value=JSON)
CHUNKS = st.one_of(
    st.builds(TextMessageChunk, message_id=st.none() | MESSAGE_IDS, delta=st.none() | DELTAS),
    st.builds(TextMessageChunk, delta=DELTAS, metadata=METADATA, raw_event=st.none() | OBJECTS),
    st.builds(ToolCallChunk, tool_call_id=CALL_IDS, tool_call_name=IDS, delta=st.none() | DELTAS),
    st.builds(ReasoningMessageChunk, message_id=st.none() | REASONING_IDS, delta=DELTAS),
)
TERMINALS = st.builds(RunFinished) | st.builds(RunError, message=DELTAS)

EVENTS: st.SearchStrategy[Event] = st.one_of(TEXT, TOOL_CALLS, REASONING, STEPS, STATE, ASIDE)
STREAMS = st.lists(EVENTS, max_size=25)


# What a strict client tracks: (book, field) by event; an opener needs the id closed, the others open.
_OPENERS = {
    TextMessageStart: ("text", "message_id"),
    ToolCallStart: ("call", "tool_call_id"),
    ReasoningStart: ("span", "message_id"),
    ReasoningMessageStart: ("thought", "message_id"),
    StepStarted: ("step", "step_name"),
    SubagentStarted: ("subagent", "subagent_run_id"),
}
_INSIDE = {
    TextMessageContent: ("text", "message_id"),
    ToolCallArgs: ("call", "tool_call_id"),
    ReasoningMessageContent: ("thought", "message_id"),
}
_CLOSERS = {
    TextMessageEnd: ("text", "message_id"),
    ToolCallEnd: ("call", "tool_call_id"),
    ReasoningEnd: ("span", "message_id"),
    ReasoningMessageEnd: ("thought", "message_id"),
    StepFinished: ("step", "step_name"),
    SubagentFinished: ("subagent", "subagent_run_id"),
    SubagentError: ("subagent", "subagent_run_id"),
}


def refusal(events: Iterable[Event]) -> str | None:
    """Say why a strict client refuses a stream behind its RUN_STARTED, or None if it reads all of it."""
    open_now: set[object] = set()
    subagents: set[str | None] = {None}
    owners: Owners = {}
    over = False
    for event in events:
        kind = type(event)
        fault = _fault(event, open_now, subagents) or _foreign(event, owners)
        if over or fault:
            return f"{kind.__name__}: {fault or 'after the terminal'}"
        if kind is RunFinished and open_now:
            return f"open at the end: {open_now}"
        over = kind in (RunFinished, RunError)
    return None if over else "no terminal"


def _fault(event: Event, open_now: set[object], subagents: set[str | None]) -> str | None:
    kind = type(event)
    if isinstance(event, (TextMessageChunk, ToolCallChunk, ReasoningMessageChunk)):
        return "a chunk"
    if isinstance(event, SubagentStarted):
        if event.subagent_run_id in subagents or event.parent_subagent_run_id not in subagents:
            return "a subagent id used twice, or an unknown parent"
        subagents.add(event.subagent_run_id)
    if kind in _OPENERS:
        key = _key(event, _OPENERS[kind])
        if key in open_now:
            return "already open"
        open_now.add(key)
    elif kind in _INSIDE and _key(event, _INSIDE[kind]) not in open_now:
        return "not open"
    elif kind in _CLOSERS:
        key = _key(event, _CLOSERS[kind])
        if key not in open_now:
            return "not open"
        open_now.discard(key)
    return None


Owners = dict[tuple[str, str], str | None]


_OWNED = {
    TextMessageStart: ("message", "message_id"),
    TextMessageContent: ("message", "message_id"),
    TextMessageEnd: ("message", "message_id"),
    ToolCallStart: ("call", "tool_call_id"),
    ToolCallArgs: ("call", "tool_call_id"),
    ToolCallEnd: ("call", "tool_call_id"),
    ReasoningStart: ("reasoning", "message_id"),
    ReasoningMessageStart: ("reasoning", "message_id"),
    ReasoningMessageContent: ("reasoning", "message_id"),
    ReasoningMessageEnd: ("reasoning", "message_id"),
    ReasoningEnd: ("reasoning", "message_id"),
    ActivityDelta: ("activity", "message_id"),
}


def _foreign(event: Event, owners: Owners) -> str | None:
    """What a client says of an event that names another subagent than what it belongs to."""
    tag = getattr(event, "subagent_run_id", None)
    if isinstance(event, ReasoningEncryptedValue):
        book = "call" if event.subtype == "tool-call" else "message"
        if book == "message" and (book, event.entity_id) not in owners:
            book = "reasoning"
        key = (book, event.entity_id)
    elif type(event) in _OWNED:
        book, field = _OWNED[type(event)]
        key = (book, getattr(event, field))
    else:
        _replace_owners(event, tag, owners)
        return None
    if isinstance(event, ToolCallStart) and ("message", event.parent_message_id) in owners:
        host = owners["message", event.parent_message_id]
        if tag not in (None, host) or (tag is None and owners.get(key, host) != host):
            return "not its message's"
        owners.setdefault(key, host)
    if type(event) in _OPENERS:
        owners.setdefault(key, tag)
    return "not its owner's" if tag not in (None, owners.get(key, tag)) else None


def _replace_owners(event: Event, tag: str | None, owners: Owners) -> None:
    if isinstance(event, ToolCallResult):
        owners["message", event.message_id] = tag
    elif isinstance(event, ActivitySnapshot):
        if event.replace is not False or ("activity", event.message_id) not in owners:
            owners["activity", event.message_id] = tag
    elif isinstance(event, MessagesSnapshot):
        books = {ReasoningMessage: "reasoning", ActivityMessage: "activity"}
        for message in event.messages:
            owners[books.get(type(message), "message"), message.id] = message.subagent_run_id
            for call in getattr(message, "tool_calls", None) or ():
                owners["call", call.id] = message.subagent_run_id


def _key(event: Event, where: tuple[str, str]) -> object:
    book, field = where
    owner = event.subagent_run_id if book == "step" else None
    return (book, getattr(event, field), owner)
