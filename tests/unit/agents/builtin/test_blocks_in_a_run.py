"""Texts, reasoning and calls of whole runs: opened once, closed in time, under ids of their own."""

import uuid

import pytest

from builtin_agents import given, of, run, types
from event_streams import refusal
from jumpseat import BuiltInAgent, define_tool
from jumpseat.protocol.codec import accept
from jumpseat.testing import ScriptedModel

BEGUN = ["REASONING_START", "REASONING_MESSAGE_START", "REASONING_MESSAGE_CONTENT"]
ENDED = ["REASONING_MESSAGE_END", "REASONING_END"]


@define_tool
def weather() -> str:
    """Tell the weather."""
    return "sunny"


def reasoning(delta="hm", **fields):
    return {"type": "reasoning-delta", "delta": delta, **fields}


def call(call_id="c1"):
    return {"type": "tool-call", "id": call_id, "name": "weather", "input": {}}


async def played(*script, run_input=None, **options):
    """The events of a run that every client takes."""
    agent = BuiltInAgent(model=ScriptedModel(script), tools=[weather], **options)
    events = await run(agent, run_input or given())
    assert refusal([accept(event) for event in events[1:]]) is None
    return events


AFTER = {
    "text": (["text"], "TEXT_MESSAGE_START"),
    "an empty text": ([{"type": "text-start"}, "text"], "TEXT_MESSAGE_START"),
    "a call": ([call()], "TOOL_CALL_START"),
    "arguments": ([{"type": "tool-input-start", "id": "c1", "name": "weather"}, call()], "TOOL_CALL_START"),
    "other reasoning": ([{"type": "reasoning-start"}, reasoning("more")], "REASONING_START"),
    "the end": ([{"type": "finish"}], "RUN_FINISHED"),
    "an error": ([{"type": "error", "error": "no"}], "RUN_ERROR"),
    "an exception": ([RuntimeError("no")], "RUN_ERROR"),
    "a filter": ([{"type": "finish", "reason": "content_filter"}], "RUN_ERROR"),
    "an end that is an error": ([{"type": "finish", "reason": "error"}], "RUN_ERROR"),
}


@pytest.mark.parametrize(("after", "first"), AFTER.values(), ids=AFTER)
@pytest.mark.parametrize(
    "start", [[], [{"type": "reasoning-start", "id": "rs_one"}]], ids=["bare", "started"]
)
async def test_reasoning_without_an_end_is_closed_before_what_follows(start, after, first):
    events = await played([*start, reasoning(""), reasoning(), reasoning(""), *after])
    kinds = types(events)
    assert kinds[1:6] == BEGUN + ENDED
    assert kinds[6] == first
    assert len({event["messageId"] for event in events[1:6]}) == 1


async def test_ids_that_come_again_name_one_block_each():
    poor = ["0", "1", "txt-0", "msg-1", "", "u1", "rs_shared", "rs_shared"]
    parts = [{"type": "reasoning-start", "id": "rs_shared"}, reasoning()]
    for wanted in poor:
        parts += [
            {"type": "text-start", "id": wanted},
            {"type": "text-delta", "delta": "a"},
            {"type": "text-end"},
        ]
    for kept in ("msg_abc123", "custom-msg-id-123"):
        parts += [
            {"type": "text-delta", "id": kept, "delta": "b"},
            {"type": "text-delta", "id": kept, "delta": "c"},
        ]
    events = await played(parts)
    starts = [event["messageId"] for event in of("TEXT_MESSAGE_START", events)]
    assert len(set(starts)) == len(starts) == len(poor) + 2
    assert starts[-2:] == ["msg_abc123", "custom-msg-id-123"]
    assert all(str(uuid.UUID(one)) == one for one in starts[:-2])
    assert of("REASONING_START", events)[0]["messageId"] == "rs_shared"


async def test_steps_have_parents_of_their_own_and_repeated_calls_other_ids():
    known = {
        "id": "a1",
        "role": "assistant",
        "toolCalls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}],
    }
    answer = {"id": "t1", "role": "tool", "toolCallId": "c1", "content": "x"}
    script = [[call("c1")], ["look", call("c1")], [call("c1"), "late"], ["end"]]
    events = await played(*script, run_input=given("hi", known, answer), max_steps=4)
    calls = of("TOOL_CALL_START", events)
    assert len({event["toolCallId"] for event in calls} - {"c1"}) == 3
    assert len({event["parentMessageId"] for event in calls}) == 3
    texts = [event["messageId"] for event in of("TEXT_MESSAGE_START", events)]
    assert calls[1]["parentMessageId"] == texts[0]
    # A call that came first and the text behind it are one message of the model.
    assert calls[2]["parentMessageId"] == texts[1]
    assert [event["toolCallId"] for event in of("TOOL_CALL_RESULT", events)] == [
        event["toolCallId"] for event in calls
    ]
