"""Factories that return events of the Python ``ai`` package: real agents, and every event by itself."""

from pathlib import Path

import pytest

from ai_environment import answers
from foreign_streams import as_objects, converted, is_paired, kinds, of, results, text_of

APP = Path(__file__).parent / "ai_package_app.py"
START = {"kind": "stream_start"}
BERN = '{"city": "Bern"}'


@pytest.fixture(scope="session")
def runs() -> dict[str, list[dict]]:
    """The events of runs of the real package, by the name of the case."""
    return answers(APP)


def called(call_id: str = "c-1", name: str = "w", kind: str = "tool") -> list[dict]:
    part = {"tool_call_id": call_id, "tool_name": name, "tool_args": BERN}
    return [
        {"kind": f"{kind}_start", "tool_call_id": call_id, "tool_name": name},
        {"kind": f"{kind}_delta", "tool_call_id": call_id, "chunk": BERN},
        {"kind": f"{kind}_end", "tool_call_id": call_id, "tool_call": part},
    ]


def returned(*results: dict) -> dict:
    return {"kind": "tool_call_result", "results": [{"tool_name": "w", **result} for result in results]}


def hook(hook_id: str, status: str = "pending", **members: object) -> dict:
    return {"hook_id": hook_id, "hook_type": "ToolApproval", "status": status, "metadata": {}, **members}


@pytest.mark.parametrize(
    "name",
    [
        "text", "reasoning", "tools", "failing", "progress", "approval", "client", "approved", "as_dicts",
        "from_a_ui_message_stream",
    ],
)  # fmt: skip
def test_every_real_stream_becomes_one_whole_run(runs, name):
    assert is_paired(runs[name])
    assert runs[name][-1]["type"] == "RUN_FINISHED"


def test_text_of_a_real_model_has_an_id_of_its_own(runs):
    assert text_of(runs["text"]) == "Hello"
    assert len(of(runs["text"], "TEXT_MESSAGE_START")[0]["messageId"]) == 36


def test_reasoning_of_a_real_model_is_closed_before_the_text_and_keeps_its_signature(runs):
    order = kinds(runs["reasoning"])
    assert text_of(runs["reasoning"], "REASONING_MESSAGE_CONTENT") == "Let me see"
    assert order.index("REASONING_END") < order.index("TEXT_MESSAGE_START")
    (value,) = of(runs["reasoning"], "REASONING_ENCRYPTED_VALUE")
    assert value["encryptedValue"] == '{"provider":"anthropic","signature":"sig-1"}'


@pytest.mark.parametrize("name", ["tools", "as_dicts", "from_a_ui_message_stream"])
def test_calls_of_a_real_agent_have_their_results_and_its_answer_a_message_of_its_own(runs, name):
    events = runs[name]
    assert [event["toolCallName"] for event in of(events, "TOOL_CALL_START")] == ["weather", "motto"]
    assert list(results(events).values()) == ['{"city":"Bern","degrees":7}', '"Onwards \\"Bern\\""']
    assert text_of(events) == "I look.It is 7."
    first, second = of(events, "TEXT_MESSAGE_START")
    assert first["messageId"] != second["messageId"]
    assert {event["parentMessageId"] for event in of(events, "TOOL_CALL_START")} == {first["messageId"]}


def test_a_tool_of_a_real_agent_that_fails_has_an_error_as_result(runs):
    assert list(results(runs["failing"]).values()) == ['{"error":"ValueError: no Bern"}']


def test_what_a_streaming_tool_of_a_real_agent_yields_is_progress(runs):
    assert [event["content"]["value"] for event in of(runs["progress"], "ACTIVITY_SNAPSHOT")] == [
        "half",
        " of Bern",
    ]
    assert list(results(runs["progress"]).values()) == ['"half of Bern"']


def test_a_real_agent_that_waits_for_an_approval_ends_the_run_with_an_interrupt(runs):
    first, second = [event["toolCallId"] for event in of(runs["approval"], "TOOL_CALL_START")]
    assert runs["approval"][-1]["outcome"]["interrupts"] == [
        {
            "id": f"approve_{first}",
            "reason": "tool_approval",
            "message": 'Approve "remove"?',
            "toolCallId": first,
            "metadata": {"toolName": "remove"},
        }
    ]
    assert list(results(runs["approval"])) == [second]
    assert text_of(runs["approval"]) == ""


def test_after_the_approval_the_call_is_not_announced_again_and_has_its_result(runs):
    assert not of(runs["approved"], "TOOL_CALL_START")
    assert list(results(runs["approved"]).values()) == ['"removed Bern"']
    assert text_of(runs["approved"]) == "It is gone."


def test_a_call_without_an_executor_stays_open_for_the_front_end(runs):
    assert kinds(runs["client"])[1:-1] == ["TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END"]


def test_a_stream_that_broke_off_ends_the_run_with_an_error(runs):
    assert is_paired(runs["unfinished"])
    assert runs["unfinished"][-1]["type"] == "RUN_ERROR"


async def test_events_may_be_objects():
    events = [START, *called(), returned({"tool_call_id": "c-1", "result": 7}), {"kind": "stream_end"}]
    plain, objects = await converted("aisdk", events), await converted("aisdk", as_objects(events))
    assert (
        kinds(plain)
        == kinds(objects)
        == [
            "RUN_STARTED",
            "TOOL_CALL_START",
            "TOOL_CALL_ARGS",
            "TOOL_CALL_END",
            "TOOL_CALL_RESULT",
            "RUN_FINISHED",
        ]
    )
    assert results(plain) == results(objects) == {"c-1": "7"}


async def test_a_tool_of_the_provider_is_a_call_with_a_result():
    result = {"tool_call_id": "c-1", "tool_name": "search", "result": [{"url": "x"}], "is_error": False}
    events = [
        *called("c-1", "search", "builtin_tool"),
        {"kind": "builtin_tool_result", "tool_call_id": "c-1", "result": result},
    ]
    events = await converted("aisdk", events)
    assert is_paired(events)
    assert text_of(events, "TOOL_CALL_ARGS") == BERN
    assert results(events) == {"c-1": '[{"url":"x"}]'}


async def test_a_tool_of_the_provider_that_failed_has_an_error_as_result():
    for told, text in (("gone", "gone"), ({"message": "gone"}, "gone"), (None, "The tool failed")):
        result = {"kind": "builtin_tool_result", "result": {"result": told, "is_error": True}}
        events = await converted("aisdk", [*called(kind="builtin_tool"), {**result, "tool_call_id": "c-1"}])
        assert results(events) == {"c-1": f'{{"error":"{text}"}}'}


async def test_each_result_of_an_event_counts_and_a_stand_in_for_a_later_one_does_not():
    result = returned(
        {"tool_call_id": "c-1", "result": {"a": 1}},
        {"tool_call_id": "c-2", "result": "ValueError: no", "result_kind": "error"},
        {"tool_call_id": "c-3", "result": "", "is_hook_deferred": True},
    )
    events = await converted("aisdk", [*called("c-1"), *called("c-2"), *called("c-3"), result])
    assert results(events) == {"c-1": '{"a":1}', "c-2": '{"error":"ValueError: no"}'}


async def test_progress_of_a_sub_agent_leaves_out_the_message_so_far():
    value = {"kind": "text_delta", "chunk": "x", "message": {"parts": ["long"]}}
    partial = {"kind": "partial_tool_call_result", "tool_call_id": "c-1", "tool_name": "w", "value": value}
    (progress,) = of(await converted("aisdk", [*called(), partial]), "ACTIVITY_SNAPSHOT")
    assert progress["content"] == {
        "toolCallId": "c-1",
        "toolName": "w",
        "value": {"kind": "text_delta", "chunk": "x"},
    }
    assert kinds(await converted("aisdk", [{**partial, "tool_call_id": None}])) == [
        "RUN_STARTED",
        "RUN_FINISHED",
    ]


async def test_a_blocked_run_has_an_interrupt_for_each_hook_and_is_not_read_any_further():
    asked = hook("approve_c-1", tool_call_id="c-1", metadata={"tool": "w", "kwargs": {"secret": 1}})
    other = hook("ask", metadata={"question": "Why?"})
    closed = []

    async def stream():
        try:
            for event in called():
                yield event
            yield {"kind": "hook", "hook": asked}
            yield {"kind": "run_blocked", "hooks": [asked, other]}
            yield {"kind": "text_delta", "chunk": "never"}
        finally:
            closed.append(True)

    events = await converted("aisdk", stream())
    assert events[-1]["outcome"]["interrupts"] == [
        {
            "id": "approve_c-1",
            "reason": "tool_approval",
            "message": 'Approve "w"?',
            "toolCallId": "c-1",
            "metadata": {"toolName": "w"},
        },
        {"id": "ask", "reason": "interrupt", "metadata": {"value": {"question": "Why?"}}},
    ]
    assert text_of(events) == ""
    assert closed == [True]


async def test_a_hook_that_still_waits_at_the_end_is_an_interrupt_and_a_resolved_one_is_none():
    waiting, done = hook("a"), hook("b")
    events = [
        {"kind": "hook", "hook": waiting},
        {"kind": "hook", "hook": done},
        {"kind": "hook", "hook": {**done, "status": "resolved"}},
    ]
    outcome = (await converted("aisdk", events))[-1]["outcome"]
    assert [interrupt["id"] for interrupt in outcome["interrupts"]] == ["a"]


async def test_a_retry_closes_everything_and_what_follows_is_another_message():
    events = [
        START,
        {"kind": "text_delta", "chunk": "Wro"},
        {"kind": "tool_start", "tool_call_id": "c-1", "tool_name": "w"},
        {"kind": "retry"},
        START,
        {"kind": "text_delta", "chunk": "Right"},
        *called("c-2"),
        {"kind": "stream_end"},
    ]
    events = await converted("aisdk", events)
    assert is_paired(events)
    first, second = of(events, "TEXT_MESSAGE_START")
    assert first["messageId"] != second["messageId"]
    assert of(events, "TOOL_CALL_START")[1]["parentMessageId"] == second["messageId"]


async def test_token_counts_of_every_generation_are_added_up_with_the_latest_of_each():
    early = {"input_tokens": 1, "output_tokens": 0}
    counted = {"input_tokens": 5, "output_tokens": 2, "reasoning_tokens": 1, "cache_read_tokens": 3}
    end = {"kind": "stream_end", "usage": counted, "response_model": "m", "finish_reason": "stop"}
    partway = {"kind": "text_delta", "chunk": "x", "usage": early}
    (usage,) = (await converted("aisdk", [START, partway, end, START, partway, end]))[-1]["usage"]
    assert usage == {
        "model": "m",
        "inputTokens": 10,
        "outputTokens": 4,
        "totalTokens": 14,
        "reasoningTokens": 2,
        "cachedInputTokens": 6,
    }


async def test_replayed_and_unknown_events_and_files_say_nothing():
    events = [
        {**called()[2], "replay": True},
        {"kind": "file", "media_type": "image/png", "data": "AA=="},
        {"kind": "never_heard_of"},
    ]
    assert kinds(await converted("aisdk", events)) == ["RUN_STARTED", "RUN_FINISHED"]


@pytest.mark.parametrize(
    ("metadata", "value"),
    [
        ({"anthropic": {"signature": "s"}}, '{"provider":"anthropic","signature":"s"}'),
        (
            {"openai": {"item_id": "rs_1", "reasoning_encrypted_content": "e", "raw_item": {}}},
            '{"provider":"openai","signature":"e","id":"rs_1"}',
        ),
        ({"openai": {"item_id": "rs_1"}}, None),
        ({"anthropic": {}}, None),
        (None, None),
    ],
)
async def test_signatures_are_found_in_the_metadata_of_a_provider(metadata, value):
    events = [
        {"kind": "reasoning_start", "block_id": "0"},
        {"kind": "reasoning_delta", "block_id": "0", "chunk": "Hm"},
        {"kind": "reasoning_end", "block_id": "0", "provider_metadata": metadata},
    ]
    found = of(await converted("aisdk", events), "REASONING_ENCRYPTED_VALUE")
    assert [event["encryptedValue"] for event in found] == ([] if value is None else [value])


async def test_hidden_reasoning_makes_no_empty_block_and_its_signature_goes_with_the_next_call():
    hidden = [
        {"kind": "reasoning_start", "block_id": "0"},
        {"kind": "reasoning_delta", "block_id": "0", "chunk": ""},
        {
            "kind": "reasoning_end",
            "block_id": "0",
            "provider_metadata": {"openai": {"reasoning_encrypted_content": "e"}},
        },
    ]
    events = await converted("aisdk", [START, *hidden, *called()])
    assert "REASONING_START" not in kinds(events)
    (value,) = of(events, "REASONING_ENCRYPTED_VALUE")
    assert (value["subtype"], value["entityId"]) == ("tool-call", "c-1")


async def test_reasoning_that_begins_again_without_an_end_is_two_blocks():
    block = [{"kind": "reasoning_start"}, {"kind": "reasoning_delta", "chunk": "Hm"}]
    events = await converted("aisdk", [*block, *block])
    assert is_paired(events)
    assert kinds(events).count("REASONING_START") == kinds(events).count("REASONING_END") == 2


async def test_a_delta_of_100_000_characters_arrives_whole():
    events = await converted("aisdk", [START, {"kind": "text_delta", "chunk": "ü" * 100_000}])
    assert text_of(events) == "ü" * 100_000
