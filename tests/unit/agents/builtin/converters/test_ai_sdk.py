"""Factories that return full streams or UI message streams of the AI SDK, recorded from npm's ai 6.0."""

from types import SimpleNamespace

import pytest

from builtin_agents import run
from foreign_streams import (
    RECORDED,
    as_objects,
    converted,
    is_paired,
    kinds,
    of,
    recorded,
    results,
    run_input,
    stream_of,
    text_of,
)
from jumpseat.agents.builtin import BuiltInAgent
from jumpseat.protocol.codec import to_wire
from jumpseat.protocol.events import Custom

BERN = '{"city":"Bern"}'
BOTH = ["ai_sdk_full", "ai_sdk_ui"]
WHOLE = [
    "text",
    "reasoning",
    "tools",
    "failing",
    "invalid",
    "preliminary",
    "approval",
    "client",
    "provider",
    "empty",
    "denied",
    "abort",
]
ASKED = {"id": "c-1", "type": "function", "function": {"name": "remove", "arguments": BERN}}


def both(name: str) -> list:
    return [pytest.param(kind, name, id=kind) for kind in BOTH]


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("name", WHOLE)
async def test_every_recorded_stream_becomes_one_whole_run(kind, name):
    events = await converted("aisdk", recorded(kind, name))
    assert is_paired(events)
    assert events[-1]["type"] == "RUN_FINISHED"


@pytest.mark.parametrize("name", WHOLE)
async def test_a_full_stream_and_its_ui_message_stream_say_the_same(name):
    full, ui = [await converted("aisdk", recorded(kind, name)) for kind in BOTH]
    assert kinds(full) == kinds(ui)
    assert text_of(full) == text_of(ui)
    assert text_of(full, "TOOL_CALL_ARGS") == text_of(ui, "TOOL_CALL_ARGS")
    assert results(full) == results(ui)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("name", ["text", "reasoning", "tools", "failing", "approval", "preliminary"])
async def test_chunks_may_be_objects_with_snake_case_attributes(kind, name):
    chunks = recorded(kind, name)
    plain, objects = await converted("aisdk", chunks), await converted("aisdk", as_objects(chunks))
    assert kinds(plain) == kinds(objects)
    assert text_of(plain) == text_of(objects)
    assert results(plain) == results(objects)
    assert plain[-1] == objects[-1]


async def test_every_recording_is_used():
    used = {*WHOLE, "error", "data"}
    assert {path.stem for kind in BOTH for path in (RECORDED / kind).iterdir()} == used


@pytest.mark.parametrize(("kind", "name"), both("text"))
async def test_text_is_streamed_delta_by_delta(kind, name):
    events = await converted("aisdk", recorded(kind, name))
    assert kinds(events) == [
        "RUN_STARTED",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "RUN_FINISHED",
    ]
    assert text_of(events) == "Hello"
    assert len(events[1]["messageId"]) == 36  # "0" is no id


@pytest.mark.parametrize(("kind", "name"), both("reasoning"))
async def test_reasoning_is_closed_before_the_text_and_keeps_its_signature(kind, name):
    events = await converted("aisdk", recorded(kind, name))
    assert text_of(events, "REASONING_MESSAGE_CONTENT") == "Let me see"
    assert kinds(events)[1:8] == [
        "REASONING_START",
        "REASONING_MESSAGE_START",
        "REASONING_MESSAGE_CONTENT",
        "REASONING_MESSAGE_CONTENT",
        "REASONING_MESSAGE_END",
        "REASONING_END",
        "REASONING_ENCRYPTED_VALUE",
    ]
    assert events[7]["encryptedValue"] == '{"provider":"anthropic","signature":"sig-1"}'
    assert events[7]["entityId"] == events[1]["messageId"]


@pytest.mark.parametrize(
    ("chunks", "value"),
    [
        (
            [
                {"type": "reasoning-start", "id": "0"},
                {"type": "reasoning-delta", "id": "0", "text": "Hm"},
                {
                    "type": "reasoning-delta",
                    "text": "",
                    "providerMetadata": {"anthropic": {"signature": "s"}},
                },
                {"type": "reasoning-end", "id": "0"},
            ],
            '{"provider":"anthropic","signature":"s"}',
        ),
        (
            [
                {"type": "reasoning-start", "providerMetadata": {"anthropic": {"redactedData": "x"}}},
                {"type": "reasoning-end"},
            ],
            '{"provider":"anthropic","signature":"x","id":"redacted_thinking"}',
        ),
        (
            [
                {"type": "reasoning-delta", "text": "Hm"},
                {
                    "type": "reasoning-end",
                    "providerMetadata": {"openai": {"itemId": "rs_1", "reasoningEncryptedContent": "e"}},
                },
            ],
            '{"provider":"openai","signature":"e","id":"rs_1"}',
        ),
    ],
)
async def test_signatures_are_found_wherever_a_provider_puts_them(chunks, value):
    events = await converted("aisdk", chunks)
    assert [event["encryptedValue"] for event in of(events, "REASONING_ENCRYPTED_VALUE")] == [value]
    assert is_paired(events)


async def test_a_signature_of_a_call_goes_out_with_the_call():
    metadata = {"google": {"thoughtSignature": "t"}}
    chunk = {
        "type": "tool-call",
        "toolCallId": "c-1",
        "toolName": "w",
        "input": {},
        "providerMetadata": metadata,
    }
    (value,) = of(await converted("aisdk", [chunk]), "REASONING_ENCRYPTED_VALUE")
    assert (value["subtype"], value["entityId"]) == ("tool-call", "c-1")
    assert value["encryptedValue"] == '{"provider":"google","signature":"t"}'


@pytest.mark.parametrize(("kind", "name"), both("tools"))
async def test_two_calls_and_the_answer_that_follows_belong_to_two_messages(kind, name):
    events = await converted("aisdk", recorded(kind, name))
    assert [event["toolCallName"] for event in of(events, "TOOL_CALL_START")] == ["weather", "motto"]
    assert text_of(events, "TOOL_CALL_ARGS") == BERN * 2
    assert results(events) == {"c-1": '{"city":"Bern","degrees":7}', "c-2": '"Onwards \\"Bern\\""'}
    first, second = of(events, "TEXT_MESSAGE_START")
    assert {event["parentMessageId"] for event in of(events, "TOOL_CALL_START")} == {first["messageId"]}
    assert second["messageId"] != first["messageId"]


async def test_calls_of_a_later_step_do_not_belong_to_the_text_of_an_earlier_one():
    chunks = [
        {"type": "start-step"},
        {"type": "text-delta", "id": "a", "text": "Hm"},
        {"type": "finish-step"},
        {"type": "start-step"},
        {"type": "tool-call", "toolCallId": "c-1", "toolName": "w", "input": {}},
    ]
    events = await converted("aisdk", chunks)
    parents = {event["parentMessageId"] for event in of(events, "TOOL_CALL_START")}
    assert parents.isdisjoint(event["messageId"] for event in of(events, "TEXT_MESSAGE_START"))


async def test_a_step_that_is_taken_back_is_closed():
    chunks = [
        {"type": "text-delta", "id": "a", "delta": "Wro"},
        {"type": "reset-step"},
        {"type": "text-delta", "id": "a", "delta": "Right"},
    ]
    events = await converted("aisdk", chunks)
    assert is_paired(events)
    assert len(of(events, "TEXT_MESSAGE_START")) == 2


@pytest.mark.parametrize(("kind", "name"), both("failing"))
async def test_a_tool_that_fails_has_an_error_as_result(kind, name):
    assert results(await converted("aisdk", recorded(kind, name))) == {"c-1": '{"error":"out of order"}'}


@pytest.mark.parametrize(("kind", "name"), both("invalid"))
async def test_calls_with_wrong_input_or_of_an_unknown_tool_have_one_result_each(kind, name):
    found = results(await converted("aisdk", recorded(kind, name)))
    assert found["c-1"].startswith('{"error":"Invalid input for tool weather')
    assert found["c-2"].startswith('{"error":"Model tried to call unavailable tool')


async def test_a_call_with_wrong_input_that_did_not_stream_is_announced():
    call = {"toolCallId": "c-1", "toolName": "w", "input": {"a": 1}}
    chunk = {"type": "tool-input-error", **call, "errorText": "no b"}
    events = await converted("aisdk", [chunk])
    assert kinds(events)[1:-1] == ["TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END", "TOOL_CALL_RESULT"]
    assert results(events) == {"c-1": '{"error":"no b"}'}


@pytest.mark.parametrize(
    ("error", "content"),
    [
        (ValueError("bad"), '{"error":"bad"}'),
        (ValueError(), '{"error":"ValueError"}'),
        ({"name": "Error", "message": "bad"}, '{"error":"bad"}'),
        ({"error": {"message": "bad"}}, '{"error":"bad"}'),
        ({"code": 1}, '{"error":"{\\"code\\":1}"}'),
        ({}, '{"error":"The tool failed"}'),
        (None, '{"error":"The tool failed"}'),
    ],
)
async def test_an_error_of_a_tool_is_told_in_its_own_words(error, content):
    chunks = [
        {"type": "tool-call", "toolCallId": "c-1", "toolName": "w", "input": {}},
        {"type": "tool-error", "toolCallId": "c-1", "toolName": "w", "error": error},
    ]
    assert results(await converted("aisdk", chunks)) == {"c-1": content}


@pytest.mark.parametrize(("kind", "name"), both("preliminary"))
async def test_what_a_tool_yields_before_its_result_is_progress(kind, name):
    events = await converted("aisdk", recorded(kind, name))
    progress = of(events, "ACTIVITY_SNAPSHOT")
    assert [event["content"]["value"] for event in progress] == [{"percent": 50}, {"percent": 100}]
    assert {event["messageId"] for event in progress} == {"c-1-progress"}
    assert progress[0]["content"]["toolName"] == "slow"
    assert results(events) == {"c-1": '{"percent":100}'}


async def test_progress_may_be_a_model():
    class Model:
        def model_dump(self, **_: object) -> dict:
            return {"percent": 50}

    chunk = {
        "type": "tool-result",
        "toolCallId": "c-1",
        "toolName": "w",
        "output": Model(),
        "preliminary": True,
    }
    assert of(await converted("aisdk", [chunk]), "ACTIVITY_SNAPSHOT")[0]["content"]["value"] == {
        "percent": 50
    }


async def test_result_is_read_when_output_is_absent():
    chunks = [
        {"type": "tool-call", "toolCallId": "c-1", "toolName": "w", "input": {}},
        {"type": "tool-result", "toolCallId": "c-1", "toolName": "w", "result": [1]},
        {"type": "tool-call", "toolCallId": "c-2", "toolName": "w", "input": {}},
        {"type": "tool-result", "toolCallId": "c-2", "toolName": "w", "output": None, "result": [1]},
    ]
    assert results(await converted("aisdk", chunks)) == {"c-1": "[1]", "c-2": "null"}


@pytest.mark.parametrize("kind", ["tool-result", "tool-output-available"])
async def test_results_of_the_state_tools_change_the_state_first(kind):
    call = {"type": "tool-call", "toolCallId": "c-1", "toolName": "AGUISendStateSnapshot", "input": {}}
    result = {"type": kind, "toolCallId": "c-1", "output": {"success": True, "snapshot": {"n": 1}}}
    order = kinds(await converted("aisdk", [call, result]))
    assert order.index("STATE_SNAPSHOT") < order.index("TOOL_CALL_RESULT")


@pytest.mark.parametrize(("kind", "name"), both("provider"))
async def test_a_tool_of_the_provider_is_a_call_with_a_result(kind, name):
    events = await converted("aisdk", recorded(kind, name))
    assert results(events) == {"ws-1": '[{"url":"https://example.org/"}]'}
    assert text_of(events, "TOOL_CALL_ARGS") == '{"query":"bern"}'
    assert text_of(events) == "Found."


@pytest.mark.parametrize(("kind", "name"), both("approval"))
async def test_an_approval_request_ends_the_run_with_an_interrupt(kind, name):
    chunks = recorded(kind, name)
    approval_id = next(c["approvalId"] for c in chunks if c["type"] == "tool-approval-request")
    events = await converted("aisdk", chunks)
    assert events[-1]["outcome"] == {
        "type": "interrupt",
        "interrupts": [
            {
                "id": approval_id,
                "reason": "tool_approval",
                "message": 'Approve "remove"?',
                "toolCallId": "c-1",
                "metadata": {"toolName": "remove"},
            }
        ],
    }
    assert not of(events, "TOOL_CALL_RESULT")


async def test_an_approval_request_ends_its_call_and_announces_one_that_was_not():
    open_call = {"type": "tool-input-start", "id": "c-1", "toolName": "remove"}
    ui = {"type": "tool-approval-request", "approvalId": "ap-1", "toolCallId": "c-1"}
    assert kinds(await converted("aisdk", [open_call, ui]))[1:-1] == ["TOOL_CALL_START", "TOOL_CALL_END"]
    call = {"toolCallId": "c-2", "toolName": "remove", "input": {"city": "Bern"}}
    full = {"type": "tool-approval-request", "approvalId": "ap-2", "toolCall": call}
    events = await converted("aisdk", [full])
    assert kinds(events)[1:-1] == ["TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END"]
    assert events[-1]["outcome"]["interrupts"][0]["id"] == "ap-2"


async def test_an_approval_request_without_an_id_is_an_error():
    chunks = [
        {"type": "text-delta", "id": "a", "text": "Hi"},
        {"type": "tool-approval-request", "toolCallId": "c"},
    ]
    events = await converted("aisdk", chunks)
    assert is_paired(events)
    assert events[-1]["type"] == "RUN_ERROR"
    assert "approvalId" in events[-1]["message"]


async def test_an_approval_that_was_given_automatically_asks_nobody():
    chunk = {"type": "tool-approval-request", "approvalId": "a", "toolCallId": "c", "isAutomatic": True}
    assert "outcome" not in (await converted("aisdk", [chunk]))[-1]


@pytest.mark.parametrize(("kind", "name"), both("denied"))
async def test_a_denied_call_of_an_earlier_run_has_its_result_and_is_not_announced_again(kind, name):
    messages = [{"id": "1", "role": "assistant", "toolCalls": [ASKED]}]
    events = await converted("aisdk", recorded(kind, name), messages=messages)
    assert results(events) == {"c-1": '{"status":"denied"}'}
    assert not of(events, "TOOL_CALL_START")


async def test_answers_to_interrupts_reach_the_factory_as_tool_messages_and_the_call_gets_one_result():
    seen = []

    async def factory(context):
        seen.extend(to_wire(message) for message in context.input.messages)
        yield {"type": "tool-result", "toolCallId": "c-1", "toolName": "remove", "output": {"removed": True}}
        yield {"type": "text-delta", "id": "a", "text": "Done."}

    messages = [{"id": "1", "role": "assistant", "toolCalls": [ASKED]}]
    resume = [{"interruptId": "c-1", "status": "resolved", "payload": {"ok": True}}]
    asked = run_input(messages=messages, resume=resume)
    events = await run(BuiltInAgent(factory=factory, type="aisdk"), asked)
    assert (seen[-1]["role"], seen[-1]["toolCallId"], seen[-1]["content"]) == ("tool", "c-1", '{"ok":true}')
    assert text_of(events) == "Done."
    assert results(events) == {"c-1": '{"removed":true}'}
    assert not of(events, "TOOL_CALL_START")


async def test_a_call_whose_input_is_plain_text_leaves_as_a_json_string():
    chunks = [
        {"type": "tool-input-start", "id": "c-1", "toolName": "patch", "inputEncoding": "text"},
        {"type": "tool-input-delta", "id": "c-1", "delta": 'say "'},
        {"type": "tool-input-delta", "id": "c-1", "delta": 'hi"'},
        {"type": "tool-call", "toolCallId": "c-1", "toolName": "patch", "input": 'say "hi"'},
    ]
    assert text_of(await converted("aisdk", chunks), "TOOL_CALL_ARGS") == '"say \\"hi\\""'


@pytest.mark.parametrize(("kind", "name"), both("error"))
async def test_an_error_ends_the_run_after_everything_is_closed_and_nothing_follows(kind, name):
    events = await converted("aisdk", recorded(kind, name))
    assert is_paired(events)
    assert text_of(events) == "Par"
    assert events[-1] == {"type": "RUN_ERROR", "message": "overloaded", "code": "provider_error"}


async def test_an_error_that_is_an_exception_keeps_what_it_knows():
    class RateLimitError(Exception):
        status_code = 429

    events = await converted("aisdk", [{"type": "error", "error": RateLimitError("slow down")}])
    assert events[-1] == {"type": "RUN_ERROR", "message": "slow down", "code": "rate_limit"}


async def test_an_error_without_words_has_some():
    for chunk in ({"type": "error"}, {"type": "error", "errorText": ""}, {"type": "error", "error": {}}):
        assert (await converted("aisdk", [chunk]))[-1]["message"] == "The upstream reported an error"


@pytest.mark.parametrize(("kind", "name"), both("abort"))
async def test_an_abort_closes_what_is_open_without_an_error(kind, name):
    events = await converted("aisdk", recorded(kind, name))
    assert is_paired(events)
    assert text_of(events) == "Par"
    assert not of(events, "RUN_ERROR")


async def test_an_abort_after_the_first_chunk_leaves_an_empty_run():
    assert kinds(await converted("aisdk", [{"type": "start"}, {"type": "abort"}])) == [
        "RUN_STARTED",
        "RUN_FINISHED",
    ]


async def test_data_parts_become_custom_events_and_an_error_after_them_ends_the_run():
    events = await converted("aisdk", recorded("ai_sdk_ui", "data"))
    assert [(event["name"], event["value"]) for event in of(events, "CUSTOM")] == [
        ("data-weather", {"degrees": 7}),
        ("data-note", "plain"),
    ]
    assert (events[-1]["type"], events[-1]["message"]) == ("RUN_ERROR", "late")


async def test_token_counts_are_those_of_the_steps_and_not_counted_twice():
    usage = (await converted("aisdk", recorded("ai_sdk_full", "tools")))[-1]["usage"]
    assert usage == [{"model": "mock-large", "inputTokens": 30, "outputTokens": 8, "totalTokens": 38}]
    usage = (await converted("aisdk", recorded("ai_sdk_full", "reasoning")))[-1]["usage"]
    assert (usage[0]["reasoningTokens"], usage[0]["cachedInputTokens"]) == (4, 3)


async def test_the_total_counts_when_no_step_was_counted_and_a_single_provider_is_named():
    total = {"inputTokens": 4, "outputTokens": 2}
    finish = {"type": "finish", "finishReason": "stop", "totalUsage": total}
    assert (await converted("aisdk", [finish]))[-1]["usage"] == [
        {"inputTokens": 4, "outputTokens": 2, "totalTokens": 6}
    ]
    step = {"type": "finish-step", "finishReason": "stop", "usage": total, "providerMetadata": {"openai": {}}}
    assert (await converted("aisdk", [step, finish]))[-1]["usage"] == [
        {"provider": "openai", "inputTokens": 4, "outputTokens": 2, "totalTokens": 6}
    ]
    assert "usage" not in (await converted("aisdk", recorded("ai_sdk_ui", "text")))[-1]


async def test_a_delta_of_100_000_characters_arrives_whole():
    events = await converted("aisdk", [{"type": "text-delta", "id": "a", "text": "ü" * 100_000}])
    assert text_of(events) == "ü" * 100_000


async def test_ag_ui_events_among_the_parts_pass_and_unknown_parts_say_nothing():
    chunks = [
        {"type": "text-delta", "id": "a", "text": "Hi"},
        Custom(name="own", value=1),
        {"type": "CUSTOM", "name": "dict", "value": 2},
        {"type": "source", "url": "https://example.org/"},
        {"type": "raw", "rawValue": {}},
        {"type": "NEVER_HEARD_OF"},
        {"type": "never-heard-of"},
        {"kind": "never_heard_of"},
    ]
    events = await converted("aisdk", chunks)
    assert [event["name"] for event in of(events, "CUSTOM")] == ["own", "dict"]
    assert is_paired(events)


@pytest.mark.parametrize("chunk", [7, None, "text", {"text": "x"}, object()])
async def test_a_chunk_that_is_none_ends_the_run_with_an_error_that_names_it(chunk):
    events = await converted("aisdk", [{"type": "text-delta", "id": "a", "text": "Hi"}, chunk])
    assert is_paired(events)
    assert (events[-1]["type"], events[-1]["code"]) == ("RUN_ERROR", "agent_error")
    assert type(chunk).__name__ in events[-1]["message"]
    assert "aisdk" in events[-1]["message"]


@pytest.mark.parametrize("attribute", ["full_stream", "fullStream"])
async def test_an_object_with_a_full_stream_is_read_through_it(attribute):
    result = SimpleNamespace(**{attribute: stream_of(recorded("ai_sdk_full", "text"))})
    assert text_of(await converted("aisdk", result)) == "Hello"


async def test_what_is_no_stream_is_refused_with_what_it_should_be():
    class Answer:
        full_stream = 7

    events = await converted("aisdk", Answer())
    assert events[-1]["code"] == "agent_error"
    assert "an async iterable of AI SDK parts" in events[-1]["message"]


async def test_the_stream_is_closed_when_the_run_ends_early():
    closed = []

    async def endless():
        try:
            while True:
                yield {"type": "text-delta", "id": "a", "text": "x"}
                yield {"type": "error", "errorText": "enough"}
        finally:
            closed.append(True)

    assert (await converted("aisdk", endless()))[-1]["message"] == "enough"
    assert closed == [True]
