"""Compaction joins deltas, changes nothing else, and leaves a log that means the same."""

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from event_streams import ASIDE, JSON, MESSAGES, STREAMS, TEXT, TOOL_CALLS
from jumpseat.protocol.codec import decode, encode
from jumpseat.protocol.compact import Compactor, compact
from jumpseat.protocol.events import (
    Custom,
    Event,
    MessagesSnapshot,
    ReasoningMessageContent,
    TextMessageContent,
    TextMessageStart,
    ToolCallArgs,
    ToolCallStart,
)
from jumpseat.protocol.reduce import Reducer

DENSE_STREAMS = st.lists(TEXT | TOOL_CALLS | ASIDE, max_size=40)
DELTAS = (TextMessageContent, ToolCallArgs, ReasoningMessageContent)


def compacted(stream: list[Event]) -> list[Event]:
    compactor = Compactor()
    for event in stream:
        compactor.add(event, encode(event))
    return [decode(data) for data in compactor.result()]


def reduced(messages, state, stream):
    reducer = Reducer(messages, state, warn=lambda _: None)
    for event in stream:
        reducer.apply(event)
    return reducer.messages, reducer.state


@given(MESSAGES, JSON, STREAMS | DENSE_STREAMS)
def test_a_compacted_log_reduces_to_the_same_messages_and_state(messages, state, stream):
    assert reduced(messages, state, compacted(stream)) == reduced(messages, state, stream)


@given(STREAMS | DENSE_STREAMS)
def test_compacting_twice_changes_nothing_and_needs_no_memory_of_the_run(stream):
    once = compact(encode(event) for event in stream)
    assert compact(once) == once
    assert [decode(data) for data in once] == compacted(stream)


@given(STREAMS | DENSE_STREAMS)
def test_events_that_are_no_deltas_keep_their_bytes_and_their_order(stream):
    before = [encode(event) for event in stream if not isinstance(event, DELTAS)]
    assert [encode(event) for event in compacted(stream) if not isinstance(event, DELTAS)] == before


@given(DENSE_STREAMS)
def test_no_two_neighbours_could_be_joined_any_more(stream):
    events = compacted(stream)
    for one, other in itertools.pairwise(events):
        if isinstance(one, TextMessageContent) and isinstance(other, TextMessageContent):
            assert (one.message_id, one.subagent_run_id) != (other.message_id, other.subagent_run_id)


def test_neighbours_of_one_message_become_one_event():
    assert compacted(
        [
            TextMessageContent(message_id="m", delta="Hel"),
            TextMessageContent(message_id="m", delta="lo"),
            ToolCallArgs(tool_call_id="c", delta="{"),
            ToolCallArgs(tool_call_id="c", delta="}"),
            ReasoningMessageContent(message_id="m", delta="h"),
            ReasoningMessageContent(message_id="m", delta="m"),
            TextMessageContent(message_id="m", delta="!"),
        ]
    ) == [
        TextMessageContent(message_id="m", delta="Hello"),
        ToolCallArgs(tool_call_id="c", delta="{}"),
        ReasoningMessageContent(message_id="m", delta="hm"),
        TextMessageContent(message_id="m", delta="!"),
    ]


def test_interleaved_messages_a_call_inside_text_and_a_snapshot_stay_in_their_places():
    stream = [
        TextMessageStart(message_id="m"),
        TextMessageContent(message_id="m", delta="a"),
        TextMessageStart(message_id="n"),
        TextMessageContent(message_id="n", delta="b"),
        TextMessageContent(message_id="m", delta="c"),
        ToolCallStart(tool_call_id="c", tool_call_name="f"),
        TextMessageContent(message_id="m", delta="d"),
        MessagesSnapshot(messages=[]),
        TextMessageContent(message_id="m", delta="e"),
    ]
    assert compacted(stream) == stream


def test_the_joined_event_keeps_the_first_time_and_all_metadata_and_no_raw_event():
    assert compacted(
        [
            TextMessageContent(message_id="m", delta="a", timestamp=1, raw_event=1, metadata={"k": 1}),
            TextMessageContent(message_id="m", delta="b", timestamp=2, metadata={"k": 2, "l": 3}),
        ]
    ) == [TextMessageContent(message_id="m", delta="ab", timestamp=1, metadata={"k": 2, "l": 3})]


def test_a_delta_on_its_own_keeps_its_raw_event():
    alone = TextMessageContent(message_id="m", delta="a", raw_event={"id": 1})
    assert compacted([alone, Custom(name="n", value=1)])[0] == alone


def test_deltas_of_different_subagents_stay_apart():
    stream = [
        TextMessageContent(message_id="m", delta="a", subagent_run_id="s"),
        TextMessageContent(message_id="m", delta="b"),
    ]
    assert compacted(stream) == stream


def test_a_delta_with_unknown_keys_is_left_as_it_is_and_parts_its_neighbours():
    plain = encode(TextMessageContent(message_id="m", delta="a"))
    special = encode(TextMessageContent(message_id="m", delta="b", extra={"score": 1}))
    log = [plain, special, plain, plain]
    compactor = Compactor()
    for event, data in (
        (TextMessageContent(message_id="m", delta="a"), plain),
        (TextMessageContent(message_id="m", delta="b", extra={"score": 1}), special),
        (TextMessageContent(message_id="m", delta="a"), plain),
        (TextMessageContent(message_id="m", delta="a"), plain),
    ):
        compactor.add(event, data)
    joined = encode(TextMessageContent(message_id="m", delta="aa"))
    assert compactor.result() == compact(log) == [plain, special, joined]
    assert json.loads(special)["score"] == 1


@given(DENSE_STREAMS)
def test_deltas_that_go_into_the_sink_are_joined_as_if_they_had_been_added(stream):
    with_sink, without = Compactor(), Compactor()
    for event in stream:
        for compactor in (with_sink, without):
            compactor.add(event, encode(event))
        sink = with_sink.sink()
        plain = isinstance(event, DELTAS)
        assert (sink is not None) is plain
        if sink is not None:
            more = type(event)(**plain_fields(event), delta="+")
            sink(more.delta)
            without.add(more, encode(more))
    assert with_sink.result() == without.result()


def plain_fields(event: Event) -> dict[str, str | None]:
    key = "tool_call_id" if isinstance(event, ToolCallArgs) else "message_id"
    return {key: getattr(event, key), "subagent_run_id": event.subagent_run_id}


def test_an_empty_log_stays_empty():
    assert compact([]) == []
