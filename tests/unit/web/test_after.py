"""What an after middleware is told of an event stream."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jumpseat.web.after import MAX_TEXT_BYTES, StreamRecord


def frame(**event) -> bytes:
    return b"id: k:1\ndata: " + json.dumps(event).encode() + b"\n\n"


def text(message_id: str, *deltas: str, **start) -> bytes:
    begin = frame(type="TEXT_MESSAGE_START", messageId=message_id, **start)
    parts = (frame(type="TEXT_MESSAGE_CONTENT", messageId=message_id, delta=delta) for delta in deltas)
    return begin + b"".join(parts) + frame(type="TEXT_MESSAGE_END", messageId=message_id)


def call(call_id: str, name: str, *deltas: str, **start) -> bytes:
    begin = frame(type="TOOL_CALL_START", toolCallId=call_id, toolCallName=name, **start)
    return begin + b"".join(frame(type="TOOL_CALL_ARGS", toolCallId=call_id, delta=delta) for delta in deltas)


def messages_of(*pieces: bytes) -> list:
    record = StreamRecord()
    for piece in pieces:
        record.feed(piece)
    return record.messages()


def test_the_ids_are_those_of_the_last_run():
    record = StreamRecord()
    record.feed(b": connected\n\n")
    assert (record.thread_id, record.run_id, record.messages()) == (None, None, [])
    for number in ("1", "2"):
        record.feed(frame(type="RUN_STARTED", threadId=f"t{number}", runId=f"r{number}"))
    assert (record.thread_id, record.run_id) == ("t2", "r2")


def test_text_is_put_together_by_message():
    assert messages_of(text("a", "Hel", "lo"), text("b", "ü", role="user"), text("c")) == [
        {"id": "a", "role": "assistant", "content": "Hello"},
        {"id": "b", "role": "user", "content": "ü"},
        {"id": "c", "role": "assistant", "content": ""},
    ]


def test_chunks_give_messages_and_calls_too():
    assert messages_of(
        frame(type="TEXT_MESSAGE_CHUNK", messageId="a", delta="Hel"),
        frame(type="TEXT_MESSAGE_CHUNK", messageId="a", delta="lo"),
        frame(type="TOOL_CALL_CHUNK", toolCallId="c", toolCallName="go", parentMessageId="a", delta="{"),
        frame(type="TOOL_CALL_CHUNK", toolCallId="c", delta="}"),
    ) == [
        {
            "id": "a",
            "role": "assistant",
            "content": "Hello",
            "toolCalls": [{"id": "c", "name": "go", "args": "{}"}],
        }
    ]


def test_tool_calls_belong_to_their_parent_and_make_it_when_it_never_spoke():
    assert messages_of(
        text("a", "x"),
        call("c1", "one", "{", "}", parentMessageId="a"),
        call("c2", "two", parentMessageId="b"),
        call("c3", "three"),
    ) == [
        {
            "id": "a",
            "role": "assistant",
            "content": "x",
            "toolCalls": [{"id": "c1", "name": "one", "args": "{}"}],
        },
        {"id": "b", "role": "assistant", "toolCalls": [{"id": "c2", "name": "two", "args": ""}]},
        {"id": "c3", "role": "assistant", "toolCalls": [{"id": "c3", "name": "three", "args": ""}]},
    ]


@pytest.mark.parametrize(
    "content", ["done", [{"type": "text", "text": "do"}, {"type": "image"}, {"type": "text", "text": "ne"}]]
)
def test_results_are_tool_messages_with_plain_text(content):
    assert messages_of(frame(type="TOOL_CALL_RESULT", messageId="m", toolCallId="c", content=content)) == [
        {"id": "m", "role": "tool", "content": "done", "toolCallId": "c"}
    ]


def test_the_last_snapshot_is_what_counts():
    snapshots = [frame(type="MESSAGES_SNAPSHOT", messages=[{"id": str(n), "role": "user"}]) for n in (1, 2)]
    assert messages_of(text("a", "x"), *snapshots, text("b", "y")) == [{"id": "2", "role": "user"}]


def test_no_more_than_the_limit_is_kept_however_much_is_sent():
    record = StreamRecord(max_text_bytes=100)
    record.feed(frame(type="RUN_STARTED", threadId="t", runId="r"))
    for number in range(50):
        record.feed(text(f"m{number}", "ü" * 20))
    kept = "".join(message["id"] + message["content"] for message in record.messages())
    assert len(kept.encode()) <= 100
    assert record.messages()[0]["content"] == "ü" * 20
    record.feed(frame(type="MESSAGES_SNAPSHOT", messages=[{"id": "x" * 200}]))
    assert record.messages() == []


def test_a_snapshot_gives_the_room_of_the_one_before_back():
    record = StreamRecord(max_text_bytes=150)
    for number in range(20):
        record.feed(frame(type="MESSAGES_SNAPSHOT", messages=[{"id": f"{number}" + "x" * 50}]))
    assert record.messages() == [{"id": "19" + "x" * 50}]


def test_a_long_message_of_small_pieces_costs_no_more_per_piece():
    pieces = [frame(type="TEXT_MESSAGE_CONTENT", messageId="a", delta="x" * 50) for _ in range(500)]
    record, start = StreamRecord(), time.process_time()
    for _ in range(100):
        for piece in pieces:
            record.feed(piece)
    assert len(record.messages()[0]["content"]) == 50 * 500 * 100
    assert time.process_time() - start < 5


def test_a_frame_beyond_any_event_ends_the_record_without_an_error():
    record = StreamRecord()
    record.feed(text("a", "x"))
    for _ in range(20):
        record.feed(b"data: " + b"x" * (MAX_TEXT_BYTES // 8))
    record.feed(b"\n\n" + text("b", "y"))
    assert [message["id"] for message in record.messages()] == ["a"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda deeper: st.lists(deeper, max_size=3)
)
KINDS = [
    "RUN_STARTED",
    "MESSAGES_SNAPSHOT",
    "TEXT_MESSAGE_START",
    "TEXT_MESSAGE_CONTENT",
    "TEXT_MESSAGE_CHUNK",
    "TOOL_CALL_START",
    "TOOL_CALL_ARGS",
    "TOOL_CALL_CHUNK",
    "TOOL_CALL_RESULT",
    "CUSTOM",
]
IDS = ["messageId", "toolCallId", "toolCallName", "parentMessageId"]
FIELDS = [*IDS, "delta", "content", "role", "messages"]
EVENTS = st.fixed_dictionaries({"type": st.sampled_from(KINDS)}, optional=dict.fromkeys(FIELDS, JSON))


@given(st.lists(EVENTS | JSON))
def test_nothing_a_stream_may_hold_raises(events):
    record = StreamRecord()
    for event in events:
        record.feed(b"data: " + json.dumps(event).encode() + b"\n\n")
    json.dumps(record.messages())
