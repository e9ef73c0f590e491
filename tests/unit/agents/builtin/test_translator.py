"""From parts to events: pairing, order and ids."""

import uuid

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from builtin_agents import given, wired
from jumpseat.agents.builtin.parts import (
    ApprovalRequest,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    StepBreak,
    TextDelta,
    TextEnd,
    TextStart,
    ToolCall,
    ToolFailure,
    ToolInputDelta,
    ToolInputEnd,
    ToolInputStart,
    ToolOutputDenied,
    ToolResult,
)
from jumpseat.agents.builtin.reasoning import Signature, parse_encrypted_value, parse_encrypted_values
from jumpseat.agents.builtin.state import SharedState
from jumpseat.agents.builtin.translator import Translator
from jumpseat.errors import IllegalEvent
from jumpseat.protocol import endings
from jumpseat.protocol.events import Custom, ToolCallResult
from jumpseat.protocol.ledger import Ledger


def translate(*parts, translator=None, close=True):
    translator = translator or Translator(given())
    events = [event for part in parts for event in translator.feed(part)]
    return wired([*events, *(translator.close() if close else ())])


def kinds(events):
    return [event["type"] for event in events]


def is_uuid(text):
    return str(uuid.UUID(text)) == text


def test_text_is_one_message_of_the_steps_id():
    translator = Translator(given())
    events = translate(TextDelta(delta="Hel"), TextDelta(delta="lo"), translator=translator)
    assert kinds(events) == [
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
    ]
    assert {event["messageId"] for event in events} == {translator.step_id}
    assert events[0]["role"] == "assistant"


def test_empty_deltas_make_no_message():
    assert translate(TextStart(), TextDelta(delta=""), TextEnd(), ReasoningDelta(delta="")) == []


@pytest.mark.parametrize("poor", ["0", "1", "txt-0", "msg-1", "", "a:12", "u1"])
def test_an_id_that_may_come_again_is_replaced(poor):
    events = translate(TextStart(id=poor), TextDelta(delta="x"))
    assert is_uuid(events[0]["messageId"])


@pytest.mark.parametrize("good", ["msg_abc123", "custom-msg-id-123"])
def test_an_id_of_the_providers_own_is_kept(good):
    events = translate(TextStart(id=good), TextDelta(delta="x", id=good), TextEnd(id=good))
    assert {event["messageId"] for event in events} == {good}


def test_reasoning_and_text_never_share_an_id():
    events = translate(
        ReasoningStart(id="rs_abcdef"),
        ReasoningDelta(delta="hm"),
        ReasoningEnd(),
        TextStart(id="rs_abcdef"),
        TextDelta(delta="x"),
        TextEnd(),
        TextStart(id="rs_abcdef"),
        TextDelta(delta="y"),
    )
    starts = [e["messageId"] for e in events if e["type"] in ("REASONING_START", "TEXT_MESSAGE_START")]
    assert starts[0] == "rs_abcdef"
    assert len(set(starts)) == 3


def test_reasoning_is_closed_before_anything_else():
    events = translate(ReasoningDelta(delta="hm"), TextDelta(delta="x"))
    assert kinds(events) == [
        "REASONING_START",
        "REASONING_MESSAGE_START",
        "REASONING_MESSAGE_CONTENT",
        "REASONING_MESSAGE_END",
        "REASONING_END",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
    ]


def test_a_second_reasoning_start_closes_the_first():
    events = translate(
        ReasoningStart(), ReasoningDelta(delta="a"), ReasoningStart(), ReasoningDelta(delta="b")
    )
    assert kinds(events).count("REASONING_END") == 2
    assert len({event["messageId"] for event in events}) == 2


def test_a_signature_follows_the_reasoning_it_belongs_to():
    events = translate(
        ReasoningDelta(delta="hm"),
        ReasoningEnd(signature="sig", id="x"),
        translator=Translator(given(), provider="anthropic"),
    )
    last = events[-1]
    assert (last["type"], last["subtype"]) == ("REASONING_ENCRYPTED_VALUE", "message")
    assert last["entityId"] == events[0]["messageId"]
    found = parse_encrypted_value(last["encryptedValue"])
    assert found is not None
    assert (found.provider, found.signature, found.id) == ("anthropic", "sig", "x")


def test_a_signature_without_reasoning_follows_the_end_of_the_next_call():
    events = translate(
        ReasoningEnd(signature="sig", provider="google"),
        ToolInputStart(id="c1", name="go"),
        ToolInputDelta(id="c1", delta="{}"),
        ToolCall(id="c1", name="go"),
    )
    assert kinds(events) == [
        "TOOL_CALL_START",
        "TOOL_CALL_ARGS",
        "TOOL_CALL_END",
        "REASONING_ENCRYPTED_VALUE",
    ]
    assert (events[-1]["subtype"], events[-1]["entityId"]) == ("tool-call", "c1")


def test_all_hidden_signatures_before_a_call_travel_with_it_in_their_order():
    translator = Translator(given(), provider="anthropic")
    events = translate(
        ReasoningEnd(signature="first", details={"signs": "hidden thought"}),
        ReasoningEnd(signature="second", id="redacted_thinking"),
        ToolCall(id="c1", name="go"),
        ToolCall(id="c2", name="go"),
        translator=translator,
    )
    (kept,) = [event for event in events if event["type"] == "REASONING_ENCRYPTED_VALUE"]
    assert (kept["subtype"], kept["entityId"]) == ("tool-call", "c1")
    assert parse_encrypted_values(kept["encryptedValue"]) == [
        Signature(provider="anthropic", signature="first", details={"signs": "hidden thought"}),
        Signature(provider="anthropic", signature="second", id="redacted_thinking"),
    ]


def test_a_calls_own_signature_does_not_displace_the_hidden_one_before_it():
    events = translate(
        ReasoningEnd(signature="thought", details={"signs": "thought"}),
        ToolCall(id="c1", name="go", signature="of the call"),
        translator=Translator(given(), provider="google"),
    )
    assert parse_encrypted_values(events[-1]["encryptedValue"]) == [
        Signature(provider="google", signature="thought", details={"signs": "thought"}),
        Signature(provider="google", signature="of the call"),
    ]


def test_a_signature_that_no_call_of_its_generation_carries_goes_to_none_of_another():
    translator = Translator(given(), provider="anthropic")
    translate(ToolCall(id="c1", name="go"), ReasoningEnd(signature="late"), translator=translator)
    translator.new_step()
    events = translate(ToolCall(id="c2", name="go"), translator=translator)
    assert kinds(events) == ["TOOL_CALL_START", "TOOL_CALL_END"]


def test_deltas_with_an_empty_id_are_one_message():
    events = translate(TextDelta(delta="a", id=""), TextDelta(delta="b", id=""), TextDelta(delta="c", id=""))
    assert len({event["messageId"] for event in events}) == 1
    assert kinds(events).count("TEXT_MESSAGE_START") == 1


def test_a_call_whose_arguments_streamed_does_not_repeat_them():
    events = translate(
        ToolInputStart(id="c1", name="go"),
        ToolInputDelta(id="c1", delta='{"a"'),
        ToolInputDelta(id="c1", delta=""),
        ToolInputDelta(id="c1", delta=":1}"),
        ToolInputEnd(id="c1"),
        ToolCall(id="c1", name="go", input={"a": 1}),
    )
    assert kinds(events) == ["TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_ARGS", "TOOL_CALL_END"]


@pytest.mark.parametrize(
    ("whole", "sent"), [({"a": 1}, '{"a":1}'), ('{"a": 1}', '{"a": 1}'), (None, None), ("", None)]
)
def test_a_call_that_comes_whole_sends_its_input_once(whole, sent):
    events = translate(ToolCall(id="c1", name="go", input=whole))
    deltas = [event["delta"] for event in events if event["type"] == "TOOL_CALL_ARGS"]
    assert deltas == ([] if sent is None else [sent])
    assert kinds(events)[-1] == "TOOL_CALL_END"


def test_calls_belong_to_the_text_before_them_and_never_to_another_step():
    translator = Translator(given())
    first = translate(ToolCall(id="c0", name="go"), translator=translator)
    own = translator.step_id
    said = translate(TextDelta(delta="x"), ToolCall(id="c1", name="go"), translator=translator)
    wired(translator.new_step())
    second = translate(ToolCall(id="c2", name="go"), translator=translator)
    assert first[0]["parentMessageId"] == own
    parent = next(e for e in said if e["type"] == "TOOL_CALL_START")["parentMessageId"]
    assert parent == said[0]["messageId"]
    assert second[0]["parentMessageId"] == translator.step_id != parent


def test_a_call_id_that_is_taken_or_empty_is_replaced():
    history = {
        "id": "a1",
        "role": "assistant",
        "toolCalls": [{"id": "c1", "type": "function", "function": {"name": "go", "arguments": "{}"}}],
    }
    translator = Translator(given("hi", history))
    events = translate(
        ToolInputStart(id="c1", name="go"),
        ToolInputDelta(id="c1", delta="{}"),
        ToolCall(id="c1", name="go"),
        ToolCall(id="", name="go"),
        translator=translator,
    )
    ids = [event["toolCallId"] for event in events if event["type"] == "TOOL_CALL_START"]
    assert all(len(one) == 37 and one.startswith("call_") for one in ids)
    assert len(set(ids)) == 2
    assert translator.calls[0].upstream_id == "c1"


def test_the_same_call_id_in_the_next_step_is_another_call():
    translator = Translator(given())
    translate(ToolCall(id="c1", name="go"), translator=translator)
    translator.new_step()
    events = translate(ToolCall(id="c1", name="go"), translator=translator)
    assert events[0]["toolCallId"] != "c1"


def test_a_foreign_stream_may_announce_a_call_again():
    translator = Translator(given(), reannounced=True)
    events = translate(
        ToolCall(id="c1", name="go", input={"a": 1}),
        ToolInputStart(id="c1", name="go"),
        ToolInputDelta(id="c1", delta="again"),
        ToolCall(id="c1", name="go", input={"a": 1}),
        ToolResult(id="c1", output=1),
        ToolResult(id="c1", output=2),
        translator=translator,
    )
    assert kinds(events) == ["TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END", "TOOL_CALL_RESULT"]
    assert events[-1]["content"] == "1"


def test_a_foreign_stream_speaks_with_a_new_id_after_results():
    translator = Translator(given(), reannounced=True)
    events = translate(
        TextDelta(delta="a"),
        ToolCall(id="c1", name="go"),
        ToolResult(id="c1", output="x"),
        TextDelta(delta="b"),
        ToolCall(id="c2", name="go"),
        translator=translator,
    )
    first, second = (e["messageId"] for e in events if e["type"] == "TEXT_MESSAGE_START")
    parents = [e["parentMessageId"] for e in events if e["type"] == "TOOL_CALL_START"]
    assert parents == [first, second]
    assert first != second


def test_what_a_result_says():
    translator = Translator(given(), reannounced=True)
    events = translate(
        *(ToolCall(id=f"call-{letter}", name="go") for letter in "abcde"),
        ToolResult(id="call-a", output="text"),
        ToolResult(id="call-b", output="text", verbatim=True),
        ToolResult(id="call-c", result={"x": None}),
        ToolFailure(id="call-d", error="broken"),
        ToolOutputDenied(id="call-e"),
        translator=translator,
    )
    contents = [event["content"] for event in events if event["type"] == "TOOL_CALL_RESULT"]
    assert contents == ['"text"', "text", '{"x":null}', '{"error":"broken"}', '{"status":"denied"}']


def test_progress_is_an_activity_and_no_result():
    events = translate(ToolCall(id="c1", name="go"), ToolResult(id="c1", output=1, preliminary=True))
    assert events[-1] == {
        "type": "ACTIVITY_SNAPSHOT",
        "messageId": "c1-progress",
        "activityType": "tool-progress",
        "content": {"toolCallId": "c1", "toolName": "go", "value": 1},
        "replace": True,
    }


def test_a_result_of_a_state_tool_changes_the_state_first():
    translator = Translator(given(), state=SharedState({}), reannounced=True)
    events = translate(
        ToolCall(id="c1", name="AGUISendStateSnapshot"),
        ToolResult(id="c1", output={"success": True, "snapshot": {"a": 1}}),
        translator=translator,
    )
    assert kinds(events)[-2:] == ["STATE_SNAPSHOT", "TOOL_CALL_RESULT"]


def test_an_approval_ends_its_call_and_waits():
    translator = Translator(given(), reannounced=True)
    events = translate(
        ToolInputStart(id="c1", name="pay"),
        ApprovalRequest(id="i1", tool_call_id="c1", message="Approve?"),
        ApprovalRequest(id="i1", tool_call_id="c1", message="Again?"),
        translator=translator,
    )
    assert kinds(events) == ["TOOL_CALL_START", "TOOL_CALL_END"]
    (interrupt,) = translator.interrupts.values()
    assert (interrupt.tool_call_id, interrupt.message) == ("c1", "Approve?")


def test_events_among_the_parts_fit_in():
    translator = Translator(given(), reannounced=True)
    opened = wired(translator.feed(TextDelta(delta="x")))
    assert wired(translator.around(Custom(name="n", value=1))) == [
        {"type": "CUSTOM", "name": "n", "value": 1}
    ]
    translator.feed(ToolInputStart(id="c1", name="go"))
    result = ToolCallResult(message_id="m", tool_call_id="c1", content="1", role="tool")
    events = wired(translator.around(result))
    assert kinds(events) == ["TOOL_CALL_END", "TOOL_CALL_RESULT"]
    assert translator.around(result) == []
    assert opened[0]["type"] == "TEXT_MESSAGE_START"


CALL_IDS = st.sampled_from(["", "c1", "c2", "known"])
IDS = st.sampled_from([None, "", "0", "m1", "block", "other", "u1"])
TEXT = st.sampled_from(["", "a", "{}"])
PARTS = st.one_of(
    st.builds(TextStart, id=IDS),
    st.builds(TextDelta, id=IDS, delta=TEXT),
    st.builds(TextEnd, id=IDS),
    st.builds(ReasoningStart, id=IDS),
    st.builds(ReasoningDelta, id=IDS, delta=TEXT),
    st.builds(ReasoningEnd, id=IDS, signature=st.sampled_from([None, "sig"])),
    st.builds(ToolInputStart, id=CALL_IDS, name=st.just("go")),
    st.builds(ToolInputDelta, id=CALL_IDS, delta=TEXT),
    st.builds(ToolInputEnd, id=CALL_IDS),
    st.builds(ToolCall, id=CALL_IDS, name=st.just("go"), input=TEXT),
    st.builds(ToolResult, id=CALL_IDS, output=TEXT, preliminary=st.booleans()),
    st.builds(ToolFailure, id=CALL_IDS, error=TEXT),
    st.builds(ToolOutputDenied, id=CALL_IDS),
    st.builds(ApprovalRequest, id=CALL_IDS, tool_call_id=CALL_IDS),
    st.builds(StepBreak),
)


@hypothesis_given(parts=st.lists(PARTS, max_size=40), reannounced=st.booleans())
def test_whatever_comes_the_run_is_legal_and_everything_is_closed(parts, reannounced):
    history = {
        "id": "a1",
        "role": "assistant",
        "toolCalls": [{"id": "known", "type": "function", "function": {"name": "go", "arguments": "{}"}}],
    }
    translator = Translator(given("hi", history), reannounced=reannounced)
    warnings: list[str] = []
    ledger = Ledger("t1", "r1", warn=warnings.append)
    events = [event for part in parts for event in translator.feed(part)] + translator.close()
    seen: list[str] = []
    for event in events:
        try:
            assert list(ledger.accept(event)) == [event], (event, warnings)
        except IllegalEvent as error:
            raise AssertionError(f"{event}: {error}") from error
        if event.type in ("TEXT_MESSAGE_START", "REASONING_START"):
            seen.append(event.message_id)
        if event.type == "TOOL_CALL_START":
            seen.append(event.tool_call_id)
    assert len(seen) == len(set(seen))
    assert [event.type for event in ledger.close(endings.returned())] == ["RUN_FINISHED"]
