"""Factories that return the chunks of TanStack AI, recorded from @tanstack/ai 0.58."""

import pytest

from foreign_streams import as_objects, converted, is_paired, kinds, of, recorded, results, text_of
from jumpseat.protocol.events import StateSnapshot

BERN = '{"city":"Bern"}'
CASES = ["text", "reasoning", "tools", "failing", "custom", "state", "approval", "client", "empty", "pending"]


def call(call_id: str = "c-1", name: str = "weather", *deltas: str) -> list[dict]:
    return [
        {"type": "TOOL_CALL_START", "toolCallId": call_id, "toolCallName": name},
        *({"type": "TOOL_CALL_ARGS", "toolCallId": call_id, "delta": delta} for delta in deltas),
        {"type": "TOOL_CALL_END", "toolCallId": call_id},
    ]


def text(message_id: str, *deltas: str) -> list[dict]:
    return [
        {"type": "TEXT_MESSAGE_START", "messageId": message_id, "role": "assistant"},
        *({"type": "TEXT_MESSAGE_CONTENT", "messageId": message_id, "delta": delta} for delta in deltas),
        {"type": "TEXT_MESSAGE_END", "messageId": message_id},
    ]


@pytest.mark.parametrize("name", CASES)
async def test_every_recorded_stream_becomes_one_whole_run(name):
    events = await converted("tanstack", recorded("tanstack", name))
    assert is_paired(events)
    assert (events[0]["threadId"], events[0]["runId"]) == ("t-1", "r-1")
    assert events[-1]["type"] == "RUN_FINISHED"


@pytest.mark.parametrize("name", CASES)
async def test_chunks_may_be_objects_with_snake_case_attributes(name):
    chunks = [chunk for chunk in recorded("tanstack", name) if "outcome" not in chunk]
    plain, objects = await converted("tanstack", chunks), await converted("tanstack", as_objects(chunks))
    assert kinds(plain) == kinds(objects)
    assert text_of(plain) == text_of(objects)
    assert results(plain) == results(objects)


async def test_text_is_streamed_delta_by_delta():
    events = await converted("tanstack", recorded("tanstack", "text"))
    assert kinds(events) == [
        "RUN_STARTED",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "RUN_FINISHED",
    ]
    assert text_of(events) == "Hello"


async def test_text_between_two_tool_turns_is_one_message_whatever_its_pieces_are_called():
    chunks = [
        *text("upstream-a", "One "),
        *text("upstream-b", "message"),
        *call(),
        *text("upstream-c", "Two"),
    ]
    events = await converted("tanstack", chunks)
    assert [event["messageId"] for event in of(events, "TEXT_MESSAGE_START")] == ["upstream-a", "upstream-c"]
    assert text_of(events) == "One messageTwo"


async def test_reasoning_goes_out_and_is_closed_before_the_text():
    events = await converted("tanstack", recorded("tanstack", "reasoning"))
    assert text_of(events, "REASONING_MESSAGE_CONTENT") == "Let me see"
    order = kinds(events)
    assert order.index("REASONING_END") < order.index("TEXT_MESSAGE_START")
    assert order.count("REASONING_START") == order.count("REASONING_END") == 1


async def test_reasoning_that_is_never_closed_is_closed_by_what_follows():
    chunks = [{"type": "REASONING_MESSAGE_CONTENT", "messageId": "x", "delta": "Hm"}, *call("c-1", "w", BERN)]
    order = kinds(await converted("tanstack", chunks))
    assert order.index("REASONING_END") < order.index("TOOL_CALL_START")


async def test_results_keep_strings_as_they_are_and_calls_belong_to_the_text_before_them():
    events = await converted("tanstack", recorded("tanstack", "tools"))
    assert results(events) == {
        "c-1": '{"city":"Bern","degrees":7,"sunny":true}',
        "c-2": 'Onwards "Bern"',
    }
    assert text_of(events, "TOOL_CALL_ARGS") == BERN * 2
    first, second = of(events, "TEXT_MESSAGE_START")
    assert {event["parentMessageId"] for event in of(events, "TOOL_CALL_START")} == {first["messageId"]}
    assert second["messageId"] != first["messageId"]


async def test_an_object_as_result_becomes_json_and_a_missing_one_null():
    chunks = [
        *call("c-1"),
        *call("c-2"),
        *call("c-3"),
        {"type": "TOOL_CALL_RESULT", "toolCallId": "c-1", "content": {"a": [1, "ü"]}},
        {"type": "TOOL_CALL_RESULT", "toolCallId": "c-2", "result": {"b": 2}},
        {"type": "TOOL_CALL_RESULT", "toolCallId": "c-3"},
    ]
    assert results(await converted("tanstack", chunks)) == {
        "c-1": '{"a":[1,"ü"]}',
        "c-2": '{"b":2}',
        "c-3": "null",
    }


async def test_a_tool_that_failed_or_returned_nothing_has_its_result():
    events = await converted("tanstack", recorded("tanstack", "failing"))
    assert results(events) == {"c-1": '{"error":"out of order"}', "c-2": "null"}


async def test_a_result_at_the_end_of_a_call_counts_once():
    chunks = call("c-1", "weather", BERN)
    chunks[-1]["result"] = '{"degrees":7}'
    again = {"type": "TOOL_CALL_RESULT", "toolCallId": "c-1", "content": "other"}
    assert results(await converted("tanstack", [*chunks, again])) == {"c-1": '{"degrees":7}'}


async def test_whole_arguments_at_the_end_count_when_no_delta_came():
    for extra in ({"input": {"city": "Bern"}}, {"metadata": {"tanstack": {"input": {"city": "Bern"}}}}):
        chunks = call("c-1", "weather")
        chunks[-1] |= extra
        assert text_of(await converted("tanstack", chunks), "TOOL_CALL_ARGS") == BERN
        chunks = call("c-1", "weather", BERN)
        chunks[-1] |= extra
        assert text_of(await converted("tanstack", chunks), "TOOL_CALL_ARGS") == BERN


async def test_a_call_announced_again_is_the_same_call():
    again = [*call("c-1", "weather", BERN), {"type": "TOOL_CALL_RESULT", "toolCallId": "c-1", "content": "7"}]
    events = await converted("tanstack", [*call("c-1", "weather", BERN), *again])
    assert len(of(events, "TOOL_CALL_START")) == len(of(events, "TOOL_CALL_END")) == 1
    assert text_of(events, "TOOL_CALL_ARGS") == BERN
    assert results(events) == {"c-1": "7"}


async def test_a_call_of_an_earlier_run_is_not_announced_again_but_gets_its_result():
    asked = {"id": "c-7", "type": "function", "function": {"name": "weather", "arguments": BERN}}
    messages = [{"id": "1", "role": "assistant", "toolCalls": [asked]}]
    chunks = [*call("c-7", "weather", BERN), *recorded("tanstack", "pending")]
    events = await converted("tanstack", chunks, messages=messages)
    assert not of(events, "TOOL_CALL_START")
    assert results(events) == {"c-7": '{"city":"Bern","degrees":7,"sunny":true}'}
    assert text_of(events) == "After."


async def test_results_of_the_state_tools_change_the_state_first():
    events = await converted("tanstack", recorded("tanstack", "state"), state={"n": 0})
    order = kinds(events)
    assert of(events, "STATE_SNAPSHOT")[0]["snapshot"] == {"n": 1}
    assert order.index("STATE_SNAPSHOT") < order.index("TOOL_CALL_RESULT")
    assert results(events) == {"c-1": '{"success":true,"snapshot":{"n":1}}'}


async def test_an_approval_of_an_outcome_ends_the_run_with_that_interrupt():
    events = await converted("tanstack", recorded("tanstack", "approval"))
    (interrupt,) = events[-1]["outcome"]["interrupts"]
    assert events[-1]["outcome"]["type"] == "interrupt"
    assert (interrupt["id"], interrupt["toolCallId"]) == ("approval_c-1", "c-1")
    assert interrupt["message"] == "Approval required to run remove"
    assert "oneOf" in interrupt["responseSchema"]
    assert not of(events, "TOOL_CALL_RESULT")
    assert not of(events, "MESSAGES_SNAPSHOT")


async def test_interrupts_of_an_outcome_may_be_models():
    class Model:
        def model_dump(self, **_: object) -> dict:
            return {"id": "i-1", "reason": "tool_call", "extra": 1}

    outcome = {"type": "interrupt", "interrupts": [Model()]}
    events = await converted("tanstack", [{"type": "RUN_FINISHED", "outcome": outcome}])
    assert events[-1]["outcome"]["interrupts"] == [{"id": "i-1", "reason": "tool_call", "extra": 1}]


async def test_interrupts_of_an_outcome_that_are_no_objects_end_the_run_with_an_error():
    outcome = {"type": "interrupt", "interrupts": ["i-1"]}
    events = await converted("tanstack", [{"type": "RUN_FINISHED", "outcome": outcome}])
    assert events[-1]["type"] == "RUN_ERROR"
    assert "interrupts" in events[-1]["message"]


async def test_an_approval_after_the_end_of_the_upstream_run_ends_the_run_with_an_interrupt():
    value = {"toolCallId": "c-1", "toolName": "remove", "input": {}, "approval": {"id": "approval_c-1"}}
    chunks = [
        *call("c-1", "remove", BERN),
        {"type": "RUN_FINISHED", "threadId": "x", "runId": "y"},
        {"type": "CUSTOM", "name": "approval-requested", "value": value},
    ]
    events = await converted("tanstack", chunks)
    assert events[-1]["outcome"] == {
        "type": "interrupt",
        "interrupts": [
            {
                "id": "approval_c-1",
                "reason": "tool_approval",
                "message": 'Approve "remove"?',
                "toolCallId": "c-1",
                "metadata": {"toolName": "remove"},
            }
        ],
    }


@pytest.mark.parametrize(
    "value", [None, {}, {"approval": {}}, {"approval": {"id": ""}}, {"approval": {"id": 7}}]
)
async def test_an_approval_without_an_id_is_ignored(value):
    chunks = [{"type": "CUSTOM", "name": "approval-requested", "value": value}, *text("m", "Hi")]
    events = await converted("tanstack", chunks)
    assert "outcome" not in events[-1]
    assert text_of(events) == "Hi"


async def test_a_call_for_the_front_end_stays_open_for_it_without_an_interrupt():
    events = await converted("tanstack", recorded("tanstack", "client"))
    assert "outcome" not in events[-1]
    assert len(of(events, "TOOL_CALL_END")) == 1
    assert not of(events, "TOOL_CALL_RESULT")


async def test_token_counts_of_every_turn_are_added_up():
    events = await converted("tanstack", recorded("tanstack", "tools"))
    assert events[-1]["usage"] == [
        {"model": "scripted-1", "inputTokens": 20, "outputTokens": 10, "totalTokens": 30}
    ]


async def test_token_counts_in_the_form_of_ag_ui_count_too():
    usage = [{"provider": "p", "model": "m", "inputTokens": 3, "outputTokens": 1, "cachedInputTokens": 2}]
    detailed = {
        "promptTokens": 5,
        "completionTokens": 4,
        "totalTokens": 9,
        "promptTokensDetails": {"cachedTokens": 1},
        "completionTokensDetails": {"reasoningTokens": 2},
    }
    chunks = [{"type": "RUN_FINISHED", "usage": usage}, {"type": "RUN_FINISHED", "usage": detailed}]
    first, second = (await converted("tanstack", chunks))[-1]["usage"]
    assert (first["provider"], first["totalTokens"], first["cachedInputTokens"]) == ("p", 4, 2)
    assert (second["totalTokens"], second["cachedInputTokens"], second["reasoningTokens"]) == (9, 1, 2)


async def test_a_result_of_the_upstream_run_is_kept():
    events = await converted("tanstack", [{"type": "RUN_FINISHED", "result": {"answer": 42}}])
    assert events[-1]["result"] == {"answer": 42}


async def test_an_upstream_error_ends_the_run_after_everything_is_closed_and_nothing_follows():
    chunks = [*text("m", "Par")[:-1], *recorded("tanstack", "run_error")[1:], *text("n", "late")]
    events = await converted("tanstack", chunks)
    assert is_paired(events)
    assert events[-1] == {"type": "RUN_ERROR", "message": "rate limited", "code": "provider_error"}
    assert text_of(events) == "Par"


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        ({}, "TanStack AI run error"),
        ({"message": ""}, "TanStack AI run error"),
        ({"error": {}}, "TanStack AI run error"),
        ({"error": {"message": "too much"}}, "too much"),
    ],
)
async def test_an_error_without_a_message_has_one(chunk, message):
    events = await converted("tanstack", [{"type": "RUN_ERROR", **chunk}])
    assert (events[-1]["type"], events[-1]["message"]) == ("RUN_ERROR", message)


async def test_state_steps_and_foreign_custom_events_say_nothing_but_structs_pass():
    chunks = [
        {"type": "STATE_SNAPSHOT", "snapshot": {"upstream": 1}},
        {"type": "STEP_STARTED", "stepName": "s"},
        {"type": "STEP_FINISHED", "stepName": "s"},
        {"type": "CUSTOM", "name": "file.changed", "value": {}},
        {"type": "MESSAGES_SNAPSHOT", "messages": []},
        {"type": "NEVER_HEARD_OF"},
        StateSnapshot(snapshot={"own": 1}),
        {"type": "ACTIVITY_SNAPSHOT", "messageId": "a", "activityType": "plan", "content": {}},
    ]
    events = await converted("tanstack", chunks)
    assert kinds(events) == ["RUN_STARTED", "STATE_SNAPSHOT", "ACTIVITY_SNAPSHOT", "RUN_FINISHED"]
    assert events[1]["snapshot"] == {"own": 1}


async def test_an_encrypted_value_passes():
    value = {"subtype": "tool-call", "entityId": "c-1", "encryptedValue": "opaque"}
    start, end = call()
    events = await converted("tanstack", [start, {"type": "REASONING_ENCRYPTED_VALUE", **value}, end])
    assert value.items() <= of(events, "REASONING_ENCRYPTED_VALUE")[0].items()
    assert is_paired(events)


async def test_a_delta_of_100_000_characters_arrives_whole():
    events = await converted("tanstack", text("m", "ü" * 100_000))
    assert text_of(events) == "ü" * 100_000


@pytest.mark.parametrize("chunk", [7, None, "text", {"delta": "x"}])
async def test_a_chunk_that_is_none_ends_the_run_with_an_error_that_names_it(chunk):
    events = await converted("tanstack", [*text("m", "Hi"), chunk])
    assert (events[-1]["type"], events[-1]["code"]) == ("RUN_ERROR", "agent_error")
    assert type(chunk).__name__ in events[-1]["message"]
    assert "tanstack" in events[-1]["message"]


async def test_a_stream_that_breaks_ends_the_run_with_its_error():
    events = await converted("tanstack", [*text("m", "Par")[:-1], RuntimeError("overloaded")])
    assert is_paired(events)
    assert events[-1] == {"type": "RUN_ERROR", "message": "overloaded", "code": "agent_error"}


async def test_what_is_no_stream_is_refused_with_what_it_should_be():
    class Answer:
        full_stream = None

    events = await converted("tanstack", Answer())
    assert events[-1]["code"] == "agent_error"
    assert "an async iterable of TanStack AI chunks" in events[-1]["message"]
