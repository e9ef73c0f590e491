"""Factories that return the stream of a framework that already speaks AG-UI."""

import json

import pytest

from foreign_streams import converted, is_paired, kinds, of, results, stream_of, text_of
from jumpseat.protocol.events import RunFinished, TextMessageContent, TextMessageEnd, TextMessageStart

STARTED = {"type": "RUN_STARTED", "threadId": "upstream-t", "runId": "upstream-r"}
FINISHED = {"type": "RUN_FINISHED", "threadId": "upstream-t", "runId": "upstream-r"}
HELLO = [
    {"type": "TEXT_MESSAGE_START", "messageId": "m-1", "role": "assistant"},
    {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m-1", "delta": "Hellö 😀"},
    {"type": "TEXT_MESSAGE_END", "messageId": "m-1"},
]
CALL = [
    {"type": "TOOL_CALL_START", "toolCallId": "c-1", "toolCallName": "w", "parentMessageId": "m-1"},
    {"type": "TOOL_CALL_ARGS", "toolCallId": "c-1", "delta": '{"a":1}'},
    {"type": "TOOL_CALL_END", "toolCallId": "c-1"},
]
RESULT = {"type": "TOOL_CALL_RESULT", "messageId": "m-9", "toolCallId": "c-1", "content": "7", "role": "tool"}
ASKED = {"id": "c-1", "type": "function", "function": {"name": "w", "arguments": "{}"}}


class Model:
    """Has the shape of an ``ag_ui`` model."""

    def __init__(self, members: dict) -> None:
        self.__dict__ |= members
        self._members = members

    def model_dump_json(self, *, by_alias: bool) -> str:
        assert by_alias
        return json.dumps(self._members)


def sse(events: list[dict], newline: str = "\n") -> str:
    return "".join(f"data: {json.dumps(event, ensure_ascii=False)}{newline}{newline}" for event in events)


@pytest.mark.parametrize("form", ["dict", "model", "text", "bytes", "bytearray", "cut", "letters", "crlf"])
async def test_events_may_come_in_every_form(form):
    events = [STARTED, *HELLO, *CALL, RESULT, FINISHED]
    text = sse(events)
    chunks = {
        "dict": events,
        "model": [Model(event) for event in events],
        "text": [": hello\n\n", *(sse([event]) for event in events)],
        "bytes": [text.encode()],
        "bytearray": [bytearray(text.encode())],
        "cut": [text.encode()[i : i + 7] for i in range(0, len(text.encode()), 7)],
        "letters": list(text),
        "crlf": [sse(events, "\r\n").encode()],
    }[form]
    got = await converted("agui", chunks)
    assert is_paired(got)
    assert got[1:-1] == [*HELLO, *CALL, RESULT]
    assert (got[0]["threadId"], got[0]["runId"]) == ("t-1", "r-1")
    assert (got[-1]["threadId"], got[-1]["runId"]) == ("t-1", "r-1")


async def test_structs_pass_as_they_are():
    chunks = [
        TextMessageStart(message_id="m"),
        TextMessageContent(message_id="m", delta="Hi"),
        TextMessageEnd(message_id="m"),
        RunFinished(result=1),
    ]
    events = await converted("agui", chunks)
    assert text_of(events) == "Hi"
    assert events[-1]["result"] == 1


async def test_state_steps_custom_events_activities_and_snapshots_pass_in_order():
    chunks = [
        {"type": "STATE_SNAPSHOT", "snapshot": {"n": 1}},
        {"type": "STATE_DELTA", "delta": [{"op": "replace", "path": "/n", "value": 2}]},
        {"type": "STEP_STARTED", "stepName": "s"},
        {"type": "CUSTOM", "name": "c", "value": 1},
        {"type": "ACTIVITY_SNAPSHOT", "messageId": "a", "activityType": "plan", "content": {}},
        {"type": "MESSAGES_SNAPSHOT", "messages": [{"id": "1", "role": "user", "content": "Hi"}]},
        {"type": "RAW", "event": {"x": 1}},
        {"type": "STEP_FINISHED", "stepName": "s"},
    ]
    assert (await converted("agui", chunks))[1:-1] == chunks


async def test_the_old_names_of_reasoning_become_the_new_ones():
    chunks = [
        {"type": "THINKING_START", "title": "Hm"},
        {"type": "THINKING_TEXT_MESSAGE_START"},
        {"type": "THINKING_TEXT_MESSAGE_CONTENT", "delta": "Let me "},
        {"type": "THINKING_TEXT_MESSAGE_CONTENT", "delta": "see"},
        {"type": "THINKING_TEXT_MESSAGE_END"},
        {"type": "THINKING_END"},
        *HELLO,
    ]
    for given in (chunks, [Model(chunk) for chunk in chunks], [sse(chunks)]):
        events = await converted("agui", given)
        assert kinds(events)[1:-1] == [
            "REASONING_START",
            "REASONING_MESSAGE_START",
            "REASONING_MESSAGE_CONTENT",
            "REASONING_MESSAGE_CONTENT",
            "REASONING_MESSAGE_END",
            "REASONING_END",
            *[chunk["type"] for chunk in HELLO],
        ]
        assert len({event["messageId"] for event in events if event["type"].startswith("REASONING")}) == 1


async def test_reasoning_that_ends_without_an_end_is_closed():
    events = await converted("agui", [{"type": "THINKING_TEXT_MESSAGE_CONTENT", "delta": "Hm"}])
    assert is_paired(events)
    assert text_of(events, "REASONING_MESSAGE_CONTENT") == "Hm"
    assert kinds(events).count("REASONING_START") == kinds(events).count("REASONING_END") == 1


async def test_thinking_without_a_text_says_nothing():
    chunks = [{"type": "THINKING_START"}, {"type": "THINKING_END"}]
    assert kinds(await converted("agui", chunks)) == ["RUN_STARTED", "RUN_FINISHED"]


async def test_several_upstream_runs_become_one_that_keeps_outcome_result_and_all_usage():
    usage = [{"provider": "p", "model": "m", "inputTokens": 1, "outputTokens": 2, "totalTokens": 3}]
    interrupt = {"id": "i-1", "reason": "confirmation"}
    outcome = {"type": "interrupt", "interrupts": [interrupt]}
    second = [{**event, "messageId": "m-2"} for event in HELLO]
    chunks = [
        STARTED, *HELLO, {**FINISHED, "usage": usage, "result": {"a": 1}},
        STARTED, *second, {**FINISHED, "usage": usage, "outcome": outcome},
    ]  # fmt: skip
    events = await converted("agui", chunks)
    assert is_paired(events)
    assert events[1:-1] == [*HELLO, *second]
    assert events[-1]["outcome"] == outcome
    assert events[-1]["result"] == {"a": 1}
    assert events[-1]["usage"] == [{**usage[0], "inputTokens": 2, "outputTokens": 4, "totalTokens": 6}]


async def test_what_an_upstream_run_leaves_open_is_closed_before_the_next_uses_its_ids_again():
    step = {"type": "STEP_STARTED", "stepName": "s"}
    half = [step, *HELLO[:2], CALL[0]]
    for between in ([FINISHED, STARTED], [STARTED]):
        events = await converted("agui", [STARTED, *half, *between, step, *HELLO, FINISHED])
        assert kinds(events) == [
            "RUN_STARTED",
            "STEP_STARTED",
            "TEXT_MESSAGE_START",
            "TEXT_MESSAGE_CONTENT",
            "TOOL_CALL_START",
            "TEXT_MESSAGE_END",
            "TOOL_CALL_END",
            "STEP_FINISHED",
            "STEP_STARTED",
            "TEXT_MESSAGE_START",
            "TEXT_MESSAGE_CONTENT",
            "TEXT_MESSAGE_END",
            "STEP_FINISHED",
            "RUN_FINISHED",
        ]


async def test_a_call_and_a_result_that_come_again_are_dropped():
    events = await converted("agui", [STARTED, *CALL, RESULT, FINISHED, STARTED, *CALL, RESULT, *HELLO])
    assert events[1:-1] == [*CALL, RESULT, *HELLO]


async def test_calls_and_results_of_the_input_are_dropped_when_they_come_again():
    answered = [
        {"id": "1", "role": "assistant", "toolCalls": [ASKED]},
        {"id": "2", "role": "tool", "toolCallId": "c-1", "content": "7"},
    ]
    assert (await converted("agui", [*CALL, RESULT, *HELLO], messages=answered))[1:-1] == HELLO
    pending = answered[:1]
    assert (await converted("agui", [*CALL, RESULT, *HELLO], messages=pending))[1:-1] == [RESULT, *HELLO]


async def test_arguments_after_the_end_of_a_call_are_dropped_and_a_second_end_too():
    assert (await converted("agui", [*CALL, *CALL[1:]]))[1:-1] == CALL


async def test_a_call_in_chunks_that_comes_again_is_dropped():
    chunk = {"type": "TOOL_CALL_CHUNK", "toolCallId": "c-1", "toolCallName": "w", "delta": "{}"}
    events = await converted("agui", [STARTED, chunk, FINISHED, STARTED, chunk, *HELLO])
    assert kinds(events)[1:4] == ["TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END"]
    assert kinds(events).count("TOOL_CALL_START") == 1
    assert is_paired(events)


async def test_text_in_chunks_becomes_a_message():
    chunks = [
        {"type": "TEXT_MESSAGE_CHUNK", "delta": "Hi "},
        {"type": "TEXT_MESSAGE_CHUNK", "delta": "there"},
    ]
    events = await converted("agui", chunks)
    assert is_paired(events)
    assert text_of(events) == "Hi there"


async def test_two_calls_side_by_side_stay_apart():
    other = [{**event, "toolCallId": "c-2"} for event in CALL]
    mixed = [CALL[0], other[0], other[1], CALL[1], CALL[2], other[2]]
    assert (await converted("agui", mixed))[1:-1] == mixed


async def test_an_error_of_the_upstream_is_the_error_of_the_run_and_nothing_follows():
    failed = {"type": "RUN_ERROR", "message": "no more", "code": "rate_limit"}
    events = await converted("agui", [STARTED, *HELLO[:2], failed, *HELLO])
    assert is_paired(events)
    assert kinds(events)[-2:] == ["TEXT_MESSAGE_END", "RUN_ERROR"]
    assert events[-1] == failed


async def test_an_error_without_a_code_has_one():
    events = await converted("agui", [{"type": "RUN_ERROR", "message": "no more"}])
    assert events[-1] == {"type": "RUN_ERROR", "message": "no more", "code": "agent_error"}


async def test_events_nobody_knows_are_left_out_and_their_neighbours_kept():
    unknown = {"type": "NEVER_HEARD_OF"}
    for chunks in ([unknown, *HELLO], [sse([HELLO[0], unknown, *HELLO[1:]])]):
        assert (await converted("agui", chunks))[1:-1] == HELLO


async def test_results_of_the_state_tools_are_left_to_the_framework():
    start = {**CALL[0], "toolCallName": "AGUISendStateSnapshot"}
    result = {**RESULT, "content": '{"success":true,"snapshot":{"n":1}}'}
    events = await converted("agui", [start, *CALL[1:], result])
    assert not of(events, "STATE_SNAPSHOT")
    assert results(events) == {"c-1": result["content"]}


@pytest.mark.parametrize("tail", ["data: {broken\n\n", "data: [1]\n\n", 'data: {"type":"TEXT_MESSAGE_CON'])
async def test_a_frame_that_is_no_event_ends_the_run_with_an_error(tail):
    events = await converted("agui", [sse(HELLO[:2]), tail])
    assert is_paired(events)
    assert events[-1]["type"] == "RUN_ERROR"


async def test_a_last_frame_that_was_not_closed_counts_when_it_is_whole():
    events = await converted("agui", [sse(HELLO).rstrip("\n")])
    assert events[1:-1] == HELLO


@pytest.mark.parametrize("chunk", [7, None, object(), {"delta": "x"}])
async def test_a_chunk_that_is_no_event_ends_the_run_with_an_error(chunk):
    events = await converted("agui", [*HELLO, chunk])
    assert is_paired(events)
    assert events[-1]["type"] == "RUN_ERROR"


async def test_a_stream_that_breaks_ends_the_run_with_its_error():
    events = await converted("agui", [*HELLO[:2], RuntimeError("gone")])
    assert is_paired(events)
    assert events[-1] == {"type": "RUN_ERROR", "message": "gone", "code": "agent_error"}


async def test_what_is_no_stream_is_refused_with_what_it_should_be():
    events = await converted("agui", 7)
    assert "an async iterable of AG-UI events or of SSE chunks" in events[-1]["message"]


async def test_1500_events_arrive_in_order_and_a_delta_of_100_000_characters_whole():
    deltas = [{**HELLO[1], "delta": str(number)} for number in range(1_500)]
    events = await converted(
        "agui", stream_of([HELLO[0], *deltas, {**HELLO[1], "delta": "ü" * 100_000}, HELLO[2]])
    )
    assert text_of(events) == "".join(map(str, range(1_500))) + "ü" * 100_000
