"""The reducer holds what a client's own tab holds, at a cost that does not grow with the text."""

import copy
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_streams import JSON, MESSAGES, REASONING, STATE, STREAMS, TEXT, TOOL_CALLS
from jumpseat.protocol.codec import encode_message
from jumpseat.protocol.events import (
    ActivityDelta,
    ActivitySnapshot,
    Event,
    MessagesSnapshot,
    ReasoningEncryptedValue,
    ReasoningMessageContent,
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
    ToolCall,
    ToolMessage,
    UserMessage,
)
from jumpseat.protocol.reduce import Reducer

DENSE_STREAMS = STREAMS | st.lists(st.one_of(TEXT, TOOL_CALLS, REASONING, STATE), max_size=40)


def reduce(*events: Event, messages=(), state=None, warn=lambda _: None) -> Reducer:
    reducer = Reducer(messages, state, warn=warn)
    for event in events:
        reducer.apply(event)
    return reducer


def call(call_id: str, arguments: str = "", **fields) -> ToolCall:
    return ToolCall(id=call_id, function=FunctionCall(name="f", arguments=arguments), **fields)


@given(MESSAGES, JSON, DENSE_STREAMS)
def test_no_input_is_ever_changed(messages, state, stream):
    before = copy.deepcopy((messages, state, stream))
    assert isinstance(reduce(*stream, messages=messages, state=state).messages, list)
    assert (messages, state, stream) == before


@given(MESSAGES, JSON, DENSE_STREAMS)
def test_reading_in_between_changes_nothing_and_what_was_read_stays_as_it_was(messages, state, stream):
    watched = Reducer(messages, state, warn=lambda _: None)
    snapshots: list[tuple[list[Message], object]] = []
    for event in stream:
        watched.apply(event)
        read = watched.messages, watched.state
        snapshots.append((read, copy.deepcopy(read)))
    assert all(read == copied for read, copied in snapshots)
    unwatched = reduce(*stream, messages=messages, state=state)
    assert (unwatched.messages, unwatched.state) == (watched.messages, watched.state)


@given(MESSAGES, DENSE_STREAMS)
def test_a_message_that_was_not_touched_is_the_one_that_came_in(messages, stream):
    reducer = reduce(*stream, messages=messages)
    before = {message.id: message for message in messages}
    for message in reducer.messages:
        if message.id not in reducer.touched:
            assert message == before[message.id]


@given(MESSAGES, DENSE_STREAMS)
def test_every_message_can_be_stored(messages, stream):
    for message in reduce(*stream, messages=messages).messages:
        encode_message(message)
        assert not isinstance(message, ActivityMessage) or isinstance(message.content, dict)


@given(MESSAGES, DENSE_STREAMS)
def test_a_rebase_onto_what_is_known_already_changes_nothing(messages, stream):
    reducer = reduce(*stream, messages=messages)
    before = reducer.messages
    if len({message.id for message in before}) < len(before):
        return
    reducer.rebase(before)
    assert reducer.messages == before


@given(MESSAGES, DENSE_STREAMS)
def test_deltas_that_go_into_the_sink_are_applied_like_any_other(messages, stream):
    with_sink, without = (Reducer(messages, None, warn=lambda _: None) for _ in range(2))
    for event in stream:
        with_sink.apply(event)
        without.apply(event)
        sink = with_sink.sink(event)
        if sink is not None:
            sink("+")
            without.apply(msgspec.structs.replace(event, delta="+", metadata=None))
    assert with_sink.messages == without.messages
    assert with_sink.touched == without.touched


def test_only_deltas_that_were_applied_have_a_sink():
    reducer = reduce(TextMessageStart(message_id="m"))
    assert reducer.sink(TextMessageStart(message_id="m")) is None
    assert reducer.sink(TextMessageContent(message_id="m", delta="x")) is None
    assert reducer.sink(TextMessageContent(message_id="other", delta="x")) is None
    assert reducer.sink(ToolCallArgs(tool_call_id="c", delta="x")) is None


def test_text_with_a_call_and_its_result_is_in_the_clients_order():
    reducer = reduce(
        TextMessageStart(message_id="m", name="n"),
        TextMessageContent(message_id="m", delta="Hel"),
        ToolCallStart(tool_call_id="c", tool_call_name="f", parent_message_id="m"),
        ToolCallArgs(tool_call_id="c", delta="{"),
        TextMessageContent(message_id="m", delta="lo"),
        ToolCallArgs(tool_call_id="c", delta="}"),
        ToolCallEnd(tool_call_id="c"),
        TextMessageEnd(message_id="m"),
        TextMessageStart(message_id="n", role="developer"),
        ToolCallResult(message_id="t1", tool_call_id="c", content="1"),
        ToolCallResult(message_id="t2", tool_call_id="c", content="2"),
    )
    assert reducer.messages == [
        AssistantMessage(id="m", content="Hello", name="n", tool_calls=[call("c", "{}")]),
        ToolMessage(id="t1", tool_call_id="c", content="1"),
        ToolMessage(id="t2", tool_call_id="c", content="2"),
        DeveloperMessage(id="n", content=""),
    ]
    assert reducer.touched == {"m", "n", "t1", "t2"}
    assert not reducer.snapshot


@pytest.mark.parametrize(
    ("parent", "known", "owner"),
    [
        ("a", [AssistantMessage(id="a", content="x")], "a"),
        ("new", [], "new"),
        (None, [], "c"),
        ("", [], "c"),
        ("u", [UserMessage(id="u", content="x")], "c"),
    ],
    ids=["assistant", "unknown", "none", "empty", "taken"],
)
def test_a_call_goes_to_its_parent_if_that_can_own_one(parent, known, owner):
    start = ToolCallStart(tool_call_id="c", tool_call_name="f", parent_message_id=parent)
    reducer = reduce(start, messages=known)
    assert [m.id for m in reducer.messages if isinstance(m, AssistantMessage) and m.tool_calls] == [owner]
    assert reducer.touched == {owner}


def test_a_call_that_is_known_is_not_added_twice():
    known = AssistantMessage(id="a", tool_calls=[call("c", '{"a":1}')])
    start = ToolCallStart(tool_call_id="c", tool_call_name="g", metadata={"k": 1})
    (message,) = reduce(start, messages=[known]).messages
    assert message.tool_calls == [
        ToolCall(id="c", function=FunctionCall(name="g", arguments='{"a":1}'), metadata={"k": 1})
    ]


def test_a_result_without_a_known_call_goes_to_the_end():
    result = ToolCallResult(message_id="t", tool_call_id="c", content="1")
    user = UserMessage(id="u", content="x")
    assert [message.id for message in reduce(result, messages=[user]).messages] == ["u", "t"]


def test_reasoning_becomes_a_message_and_encrypted_values_go_to_message_or_call():
    reducer = reduce(
        ReasoningMessageStart(message_id="r"),
        ReasoningMessageContent(message_id="r", delta="hm"),
        ReasoningEncryptedValue(subtype="message", entity_id="r", encrypted_value="E"),
        ToolCallStart(tool_call_id="c", tool_call_name="f"),
        ReasoningEncryptedValue(subtype="tool-call", entity_id="c", encrypted_value="F"),
    )
    assert reducer.messages == [
        ReasoningMessage(id="r", content="hm", encrypted_value="E"),
        AssistantMessage(id="c", tool_calls=[call("c", encrypted_value="F")]),
    ]


def test_metadata_is_merged_key_by_key_and_the_last_one_wins():
    (message,) = reduce(
        TextMessageStart(message_id="m", metadata={"a": 1, "b": 1}),
        TextMessageContent(message_id="m", delta="x", metadata={"b": 2}),
        TextMessageEnd(message_id="m", metadata={"c": 3}),
    ).messages
    assert message == AssistantMessage(id="m", content="x", metadata={"a": 1, "b": 2, "c": 3})


def test_an_activity_is_replaced_kept_or_patched():
    snapshot = ActivitySnapshot(message_id="x", activity_type="a", content={"n": [1]})
    reducer = reduce(
        snapshot,
        ActivitySnapshot(message_id="x", activity_type="b", content={"n": []}, replace=False),
        ActivityDelta(message_id="x", activity_type="a", patch=[{"op": "add", "path": "/n/-", "value": 2}]),
    )
    assert reducer.messages == [ActivityMessage(id="x", activity_type="a", content={"n": [1, 2]})]
    reducer.apply(ActivitySnapshot(message_id="x", activity_type="b", content={}))
    assert reducer.messages == [ActivityMessage(id="x", activity_type="b", content={})]


def test_an_activity_that_takes_the_id_of_another_message_takes_its_place():
    known = [AssistantMessage(id="a", tool_calls=[call("c")]), UserMessage(id="u", content="x")]
    reducer = reduce(ActivitySnapshot(message_id="a", activity_type="t", content={}), messages=known)
    assert reducer.messages == [ActivityMessage(id="a", activity_type="t", content={}), known[1]]


@pytest.mark.parametrize(
    "event",
    [
        TextMessageContent(message_id="missing", delta="x"),
        TextMessageContent(message_id="x", delta="x"),
        TextMessageStart(message_id="x"),
        ReasoningMessageStart(message_id="x"),
        ToolCallArgs(tool_call_id="missing", delta="x"),
        ActivityDelta(message_id="missing", activity_type="a", patch=[]),
        ActivityDelta(message_id="x", activity_type="a", patch=[{"op": "remove", "path": "/n"}]),
        ActivityDelta(message_id="x", activity_type="a", patch=[{"op": "replace", "path": "", "value": 1}]),
        StateDelta(delta=[{"op": "add", "path": "/a/b/c", "value": 1}]),
        RunStarted(thread_id="t", run_id="r", input={"messages": [{"id": "n", "role": "nobody"}]}),
        StateDelta(delta=[None]),
    ],
    ids=lambda event: type(event).__name__,
)
def test_an_event_that_does_not_fit_changes_nothing_and_warns_once(event):
    activity = ActivityMessage(id="x", activity_type="a", content={"k": 1})
    warned: list[str] = []
    reducer = reduce(event, event, messages=[activity], state={"a": 1}, warn=warned.append)
    assert reducer.messages == [activity]
    assert reducer.state == {"a": 1}
    assert len(warned) == 1


def test_nothing_an_event_holds_can_raise():
    warned: list[str] = []
    broken = [MessagesSnapshot(messages=None), StateDelta(delta=7)]
    assert reduce(*broken, state=1, warn=warned.append).state == 1
    assert len(warned) == len(broken)


def test_a_snapshot_keeps_the_order_of_known_messages_and_appends_new_ones():
    view = [
        UserMessage(id="u", content="x"),
        AssistantMessage(id="a", content="y"),
        UserMessage(id="v", content="z"),
    ]
    new = [
        AssistantMessage(id="b", content="new"),
        UserMessage(id="v", content="z"),
        UserMessage(id="u", content="X"),
    ]
    reducer = reduce(MessagesSnapshot(messages=new), messages=view)
    assert [message.id for message in reducer.messages] == ["u", "v", "b"]
    assert reducer.messages[0].content == "X"
    assert reducer.touched == {"u", "b"}
    assert reducer.snapshot


@pytest.mark.parametrize(
    ("sent", "metadata", "left"),
    [
        ([], None, ["x", "r"]),
        (["r2"], None, ["x", "r2"]),
        (["x2"], None, ["r", "x2"]),
        ([], {"@ag-ui/client": {"authoritativeActivityTypes": None}}, ["r"]),
        ([], {"@ag-ui/client": {"authoritativeActivityTypes": ["t"]}}, ["r"]),
        ([], {"@ag-ui/client": {"authoritativeActivityTypes": ["other"]}}, ["x", "r"]),
        (["x2"], {"@ag-ui/client": {"authoritativeActivityTypes": 5}}, ["x", "r", "x2"]),
        (["x2"], {"@ag-ui/client": {}}, ["x", "r", "x2"]),
        ([], {"other": 1}, ["x", "r"]),
    ],
)
def test_activities_and_reasoning_survive_a_snapshot_that_knows_none(sent, metadata, left):
    made = {
        "x": ActivityMessage(id="x", activity_type="t", content={}),
        "x2": ActivityMessage(id="x2", activity_type="t", content={}),
        "r": ReasoningMessage(id="r", content=""),
        "r2": ReasoningMessage(id="r2", content=""),
    }
    snapshot = MessagesSnapshot(messages=[made[key] for key in sent], metadata=metadata)
    view = [UserMessage(id="u", content=""), made["x"], made["r"]]
    assert [message.id for message in reduce(snapshot, messages=view).messages] == left


def test_text_goes_on_behind_a_snapshot_that_holds_its_message():
    (message,) = reduce(
        TextMessageStart(message_id="m"),
        TextMessageContent(message_id="m", delta="lost"),
        MessagesSnapshot(messages=[AssistantMessage(id="m", content="kept ")]),
        TextMessageContent(message_id="m", delta="on"),
    ).messages
    assert message.content == "kept on"


def test_a_rebase_takes_the_views_order_and_keeps_its_own_versions():
    own = AssistantMessage(id="a", content="own", tool_calls=[call("c")])
    reducer = Reducer([own], None, warn=pytest.fail)
    reducer.apply(TextMessageStart(message_id="m"))
    reducer.apply(ToolCallResult(message_id="t", tool_call_id="d", content="1"))
    view = [
        UserMessage(id="u", content="x"),
        AssistantMessage(id="a", content="theirs"),
        AssistantMessage(id="b", tool_calls=[call("d")]),
        UserMessage(id="v", content="y"),
    ]
    reducer.rebase(view)
    assert [message.id for message in reducer.messages] == ["u", "a", "b", "t", "v", "m"]
    assert reducer.messages[1] is own
    assert reducer.touched == {"m", "t"}


def test_messages_of_a_run_start_are_appended_if_they_are_unknown():
    echoed = [
        {"id": "u", "role": "user", "content": "old"},
        {"id": "v", "role": "user", "content": "new", "k": 1},
    ]
    start = RunStarted(thread_id="t", run_id="r", input={"messages": echoed})
    known = UserMessage(id="u", content="x")
    assert reduce(start, messages=[known]).messages == [
        known,
        UserMessage(id="v", content="new", extra={"k": 1}),
    ]


def test_the_state_is_replaced_and_patched_without_touching_what_came_in():
    first = {"a": [1]}
    reducer = reduce(StateDelta(delta=[{"op": "add", "path": "/a/-", "value": 2}]), state=first)
    assert reducer.state == {"a": [1, 2]}
    assert first == {"a": [1]}
    reducer.apply(StateSnapshot(snapshot=None))
    # The clients do not show a state that holds nothing, but further deltas apply to it.
    assert reducer.state == {"a": [1, 2]}
    reducer.apply(StateDelta(delta=[{"op": "replace", "path": "", "value": {"b": 1}}]))
    assert reducer.state == {"b": 1}


def test_a_long_text_costs_as_much_per_delta_as_a_short_one():
    def seconds_per_delta(count: int) -> float:
        reducer = reduce(TextMessageStart(message_id="m"))
        delta = TextMessageContent(message_id="m", delta="x" * 100)
        began = time.perf_counter()
        for _ in range(count):
            reducer.apply(delta)
        assert len(reducer.messages[0].content) == 100 * count
        return (time.perf_counter() - began) / count

    seconds_per_delta(1_000)
    short = min(seconds_per_delta(2_000) for _ in range(3))
    # A quadratic reducer would be fifty times slower, and a busy machine is not.
    assert seconds_per_delta(100_000) < 10 * short
