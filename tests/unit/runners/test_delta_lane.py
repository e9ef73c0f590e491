"""The short cut for deltas changes nothing but the time it takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jumpseat.errors import RunFailure
from jumpseat.protocol import endings
from jumpseat.protocol.codec import encode_json, to_wire
from jumpseat.protocol.events import (
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
from jumpseat.runners.intake import Intake
from jumpseat.runners.options import Limits

IDS = st.sampled_from(["a", "b"])
DELTAS = st.text(max_size=3) | st.sampled_from(["\ud83d", 'é"\\\n', ""])
MORE = st.fixed_dictionaries(
    {},
    optional={
        "metadata": st.sampled_from([{"k": 1}, {}]),
        "timestamp": st.sampled_from([1, 2.5]),
        "raw_event": st.sampled_from([{"r": 1}]),
        "subagent_run_id": st.sampled_from(["s"]),
        "extra": st.sampled_from([{"x": 1}]),
    },
)


@st.composite
def items(draw):
    kind = draw(
        st.sampled_from(
            [TextMessageContent] * 6
            + [ToolCallArgs, ReasoningMessageContent] * 3
            + [TextMessageChunk, ToolCallChunk, ReasoningMessageChunk] * 2
            + [TextMessageStart, TextMessageEnd, ToolCallEnd, ReasoningMessageStart, ReasoningMessageEnd]
            + [ToolCallStart]
        )
    )
    of_call = kind in (ToolCallArgs, ToolCallEnd, ToolCallStart, ToolCallChunk)
    chunk = kind in (TextMessageChunk, ToolCallChunk, ReasoningMessageChunk)
    fields = {} if chunk and draw(st.booleans()) else {"tool_call_id" if of_call else "message_id": draw(IDS)}
    if "delta" in kind.__struct_fields__:
        fields["delta"] = draw(DELTAS)
    if kind in (ToolCallStart, ToolCallChunk):
        fields["tool_call_name"] = "tool"
    event = kind(**fields, **(draw(MORE) if draw(st.integers(0, 4)) == 0 else {}))
    if kind is TextMessageContent and draw(st.booleans()):
        return {"type": "TEXT_MESSAGE_CONTENT", "messageId": event.message_id, "delta": event.delta}
    return event


def feed(script, *, with_lane):
    intake = Intake("t", "r", messages=[], state=None, limits=Limits())
    intake.opened(encode_json({"type": "RUN_STARTED", "threadId": "t", "runId": "r"}))
    ending = endings.returned()
    for item in script:
        try:
            if with_lane and intake.take_delta(item):
                continue
            event = intake.validate(item)
            if event is not None:
                intake.take(event)
        except RunFailure as failure:
            ending = endings.broke(failure)
            break
    intake.close(ending)
    return intake


def ids_away(encoded):
    """Chunks without ids get random ones: number them in order of appearance."""
    import re

    seen: dict[str, str] = {}
    text = b"\n".join(encoded).decode()
    return re.sub(
        r"[0-9a-f]{8}-[0-9a-f-]{27}", lambda match: seen.setdefault(match[0], f"id{len(seen)}"), text
    )


@given(st.lists(items(), max_size=40))
def test_events_messages_and_kept_log_are_the_same_with_and_without_the_short_cut(script):
    quick, slow = feed(script, with_lane=True), feed(script, with_lane=False)
    assert ids_away(quick.out) == ids_away(slow.out)
    assert ids_away(quick.compacted) == ids_away(slow.compacted)
    assert ids_away([encode_json(to_wire(quick.reducer.messages))]) == ids_away(
        [encode_json(to_wire(slow.reducer.messages))]
    )
    assert quick.out_bytes == slow.out_bytes == sum(map(len, quick.out))


def test_most_deltas_of_a_message_take_the_short_cut():
    intake = Intake("t", "r", messages=[], state=None, limits=Limits())
    intake.take(intake.validate(TextMessageStart(message_id="m")))
    intake.take(intake.validate(TextMessageContent(message_id="m", delta="first")))
    assert intake.take_delta(TextMessageContent(message_id="m", delta="second"))
    assert intake.take_delta({"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "third"})
    assert not intake.take_delta(TextMessageContent(message_id="other", delta="x"))
    assert not intake.take_delta(TextMessageContent(message_id="m", delta=5))
    intake.take(intake.validate(TextMessageEnd(message_id="m")))
    assert not intake.take_delta(TextMessageContent(message_id="m", delta="after the end"))
