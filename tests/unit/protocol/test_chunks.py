"""Chunks become the events that a stream without chunks would have had."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_streams import ASIDE, CHUNKS, EVENTS, refusal
from jumpseat.errors import IllegalEvent, InvalidEvent
from jumpseat.protocol import endings
from jumpseat.protocol.chunks import ChunkExpander
from jumpseat.protocol.events import (
    ActivityDelta,
    ActivitySnapshot,
    Custom,
    Event,
    Raw,
    ReasoningEncryptedValue,
    ReasoningMessageChunk,
    ReasoningMessageContent,
    ReasoningMessageEnd,
    ReasoningMessageStart,
    TextMessageChunk,
    TextMessageContent,
    TextMessageEnd,
    TextMessageStart,
    ToolCallArgs,
    ToolCallChunk,
    ToolCallEnd,
    ToolCallStart,
)
from jumpseat.protocol.ledger import Ledger


def expand(*events: Event) -> list[Event]:
    expander = ChunkExpander()
    return [part for event in events for part in expander.expand(event)] + list(expander.flush())


@given(st.lists(CHUNKS | ASIDE, max_size=20))
def test_a_stream_of_chunks_is_one_that_strict_clients_read_after_expansion(stream):
    expanded = expand(*stream)
    ledger = Ledger("t", "r", warn=pytest.fail)
    sent = [part for event in expanded for part in ledger.accept(event)]
    assert sent == expanded
    assert refusal([*sent, *ledger.close(endings.returned())]) is None


@given(st.lists(CHUNKS | EVENTS, max_size=20))
def test_events_that_are_no_chunks_pass_unchanged_and_in_order(stream):
    chunkless = [event for event in stream if not type(event).__name__.endswith("Chunk")]
    passed = [part for part in expand(*stream) if any(part is event for event in chunkless)]
    assert len(passed) == len(chunkless)
    assert all(one is other for one, other in zip(passed, chunkless, strict=True))


@given(st.lists(st.builds(TextMessageChunk, delta=st.text(max_size=3)), min_size=1, max_size=10))
def test_the_text_of_chunks_without_id_lands_in_one_message(stream):
    start, *contents, end = expand(*stream)
    assert isinstance(start, TextMessageStart)
    assert [content.delta for content in contents] == [chunk.delta for chunk in stream]
    assert {content.message_id for content in contents} == {start.message_id, end.message_id}


def test_a_chunk_without_id_opens_a_message_with_a_fresh_id():
    first, second = (expand(TextMessageChunk(delta="x"))[0] for _ in range(2))
    assert first.message_id != second.message_id


def test_the_last_end_is_not_lost_when_the_stream_stops():
    assert expand(TextMessageChunk(message_id="m", delta="Hello"), TextMessageChunk(delta=" world")) == [
        TextMessageStart(message_id="m", role="assistant"),
        TextMessageContent(message_id="m", delta="Hello"),
        TextMessageContent(message_id="m", delta=" world"),
        TextMessageEnd(message_id="m"),
    ]


def test_another_id_closes_the_open_message_and_opens_its_own():
    assert expand(
        TextMessageChunk(message_id="m", delta="a", role="user", name="n"),
        TextMessageChunk(message_id="n"),
        ToolCallChunk(tool_call_id="c", tool_call_name="f", parent_message_id="n", delta="{"),
        ToolCallChunk(delta="}"),
        ReasoningMessageChunk(message_id="r", delta="hm"),
    ) == [
        TextMessageStart(message_id="m", role="user", name="n"),
        TextMessageContent(message_id="m", delta="a"),
        TextMessageEnd(message_id="m"),
        TextMessageStart(message_id="n", role="assistant"),
        TextMessageEnd(message_id="n"),
        ToolCallStart(tool_call_id="c", tool_call_name="f", parent_message_id="n"),
        ToolCallArgs(tool_call_id="c", delta="{"),
        ToolCallArgs(tool_call_id="c", delta="}"),
        ToolCallEnd(tool_call_id="c"),
        ReasoningMessageStart(message_id="r"),
        ReasoningMessageContent(message_id="r", delta="hm"),
        ReasoningMessageEnd(message_id="r"),
    ]


@pytest.mark.parametrize(
    "beside",
    [
        Raw(event=1),
        ActivitySnapshot(message_id="x", activity_type="a", content={}),
        ActivityDelta(message_id="x", activity_type="a", patch=[]),
        ReasoningEncryptedValue(subtype="message", entity_id="m", encrypted_value="v"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_events_beside_the_conversation_leave_the_message_open(beside):
    chunk = TextMessageChunk(message_id="m", delta="a")
    assert [type(event) for event in expand(chunk, beside, chunk)] == [
        TextMessageStart,
        TextMessageContent,
        type(beside),
        TextMessageContent,
        TextMessageEnd,
    ]


def test_any_other_event_closes_the_message():
    chunk = TextMessageChunk(message_id="m", delta="a")
    assert [type(event) for event in expand(chunk, Custom(name="n", value=1))] == [
        TextMessageStart,
        TextMessageContent,
        TextMessageEnd,
        Custom,
    ]


@pytest.mark.parametrize(
    ("chunk", "field"),
    [
        (ToolCallChunk(delta="{"), "toolCallId"),
        (ToolCallChunk(tool_call_name="f"), "toolCallId"),
        (ToolCallChunk(tool_call_id="c", delta="{"), "toolCallName"),
    ],
)
def test_a_chunk_that_opens_a_call_needs_its_id_and_name(chunk, field):
    with pytest.raises(InvalidEvent, match=field) as caught:
        ChunkExpander().expand(chunk)
    assert not isinstance(caught.value, IllegalEvent)


def test_chunks_of_another_subagent_do_not_continue_the_message():
    types = [
        type(event)
        for event in expand(
            TextMessageChunk(delta="a", subagent_run_id="s1"),
            TextMessageChunk(delta="b", subagent_run_id="s2"),
            TextMessageChunk(delta="c"),
        )
    ]
    opened = [TextMessageStart, TextMessageContent]
    assert types == [*opened, TextMessageEnd, *opened, TextMessageContent, TextMessageEnd]


def test_what_a_chunk_carries_besides_its_fields_goes_to_the_events_in_its_place():
    chunk = TextMessageChunk(
        message_id="m", delta="a", timestamp=7, metadata={"k": 1}, raw_event={"r": 1}, extra={"x": 1}
    )
    start, content, _ = expand(chunk)
    assert (start.timestamp, start.metadata, start.raw_event, start.extra) == (7, {"k": 1}, None, None)
    assert content == TextMessageContent(
        message_id="m", delta="a", timestamp=7, metadata={"k": 1}, raw_event={"r": 1}, extra={"x": 1}
    )


def test_metadata_of_a_chunk_without_text_is_not_lost():
    _, content, _ = expand(TextMessageChunk(message_id="m"), TextMessageChunk(metadata={"k": 1}))
    assert content == TextMessageContent(message_id="m", delta="", metadata={"k": 1})


def test_an_empty_continuation_is_nothing():
    expander = ChunkExpander()
    expander.expand(TextMessageChunk(message_id="m"))
    assert expander.expand(TextMessageChunk()) == ()
