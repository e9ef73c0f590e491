"""Models that a developer writes: the least they need, and what becomes of those that talk nonsense."""

from typing import Any

import pytest

from builtin_agents import given, of, run, run_context, types
from jumpseat import BuiltInAgent, define_tool
from jumpseat.agents.builtin.parts import ReasoningDelta, TextDelta, ToolCall, as_part
from jumpseat.protocol.codec import accept

TEXT = {"type": "text-delta", "delta": "x"}
FINISH = {"type": "finish"}


class Own:
    """Has nothing but the method."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    async def stream(self, request: Any) -> Any:
        for part in self.parts:
            yield part


async def test_a_method_named_stream_is_enough_for_a_whole_run():
    context = run_context()
    finish = {"type": "finish", "usage": {"inputTokens": 3, "outputTokens": 2}}
    events = await run(BuiltInAgent(model=Own(TEXT, finish)), given(), context)
    assert types(events) == [
        "RUN_STARTED",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "RUN_FINISHED",
    ]
    assert events[-1]["usage"] == [{"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}]
    assert (context.record["steps"], context.record["finish_reason"]) == (1, "stop")


async def test_the_names_of_a_part_are_texts_or_absent():
    usage = {"inputTokens": 3, "provider": 5, "model": ["m"]}
    events = await run(BuiltInAgent(model=Own(TEXT, {"type": "finish", "usage": usage})))
    assert events[-1]["usage"] == [{"inputTokens": 3}]


NONSENSE = {
    "a number as text": {"type": "text-delta", "delta": 5},
    "no text": {"type": "text-delta", "delta": None},
    "bytes": {"type": "reasoning-delta", "delta": b"x"},
    "an incomplete part": {"type": "text-delta"},
    "a call without name": {"type": "tool-call", "id": "c", "name": None},
    "a call whose id is a number": {"type": "tool-call", "id": 7, "name": "n"},
    "a signature that is a number": {"type": "reasoning-end", "signature": 5},
    "a reason that is a number": {"type": "finish", "reason": 5},
    "a usage that is a number": {"type": "finish", "usage": 5},
    "a struct with a number": TextDelta(delta=5),  # type: ignore[arg-type]
    "a number": 5,
    "nothing": None,
    "a string": "text",
}


@pytest.mark.parametrize("part", NONSENSE.values(), ids=NONSENSE)
async def test_what_is_no_part_ends_the_run_with_an_error_and_sends_nothing(part: Any):
    events = await run(BuiltInAgent(model=Own(part, FINISH)))
    assert types(events) == ["RUN_STARTED", "RUN_ERROR"]
    assert events[-1]["code"] == "provider_error"
    with pytest.raises(TypeError):
        as_part(part)


@pytest.mark.parametrize("kind", [["x"], 5, None, "x-unknown"])
async def test_a_part_of_an_unknown_kind_says_nothing(kind: Any):
    assert types(await run(BuiltInAgent(model=Own({"type": kind}, TEXT)))) == types(
        await run(BuiltInAgent(model=Own(TEXT)))
    )


WITHOUT_JSON = {
    "arguments": [{"type": "tool-call", "id": "c1", "name": "n", "input": object()}],
    "arguments of a call that has begun": [
        {"type": "tool-input-start", "id": "c1", "name": "n"},
        ToolCall(id="c1", name="n", input={1, 2, object()}),
    ],
    "details of reasoning": [
        {"type": "reasoning-delta", "delta": "hm"},
        {"type": "reasoning-end", "signature": "s", "details": {"a": object()}},
    ],
    "details of hidden reasoning": [
        TEXT,
        {"type": "reasoning-end", "signature": "s", "details": {"a": object()}},
    ],
}


@pytest.mark.parametrize("parts", WITHOUT_JSON.values(), ids=WITHOUT_JSON)
async def test_what_has_no_json_form_leaves_nothing_open(parts: list[Any]):
    events = await run(BuiltInAgent(model=Own(*parts, FINISH)))
    assert types(events)[-1] == "RUN_ERROR"
    for start, end in (
        ("TOOL_CALL_START", "TOOL_CALL_END"),
        ("REASONING_START", "REASONING_END"),
        ("REASONING_MESSAGE_START", "REASONING_MESSAGE_END"),
        ("TEXT_MESSAGE_START", "TEXT_MESSAGE_END"),
    ):
        assert len(of(start, events)) == len(of(end, events))
    for event in events:
        accept(event)


async def test_texts_of_subclasses_of_str_are_texts():
    class Word(str):
        __slots__ = ()

    events = await run(BuiltInAgent(model=Own(ReasoningDelta(delta=Word("a")), FINISH)))
    assert [event["delta"] for event in of("REASONING_MESSAGE_CONTENT", events)] == ["a"]


async def test_an_async_function_may_return_its_iterator():
    class Returning:
        async def stream(self, request: Any) -> Any:
            return Own(TEXT, FINISH).stream(request)

    assert types(await run(BuiltInAgent(model=Returning())))[-1] == "RUN_FINISHED"


@pytest.mark.parametrize(
    "parts", [[], [TEXT], [{"type": "tool-call", "id": "c", "name": "note", "input": {}}]]
)
async def test_an_answer_that_its_model_gives_up_is_a_failure(parts: list[Any]):
    ran: list[int] = []

    @define_tool
    def note() -> None:
        ran.append(1)

    events = await run(BuiltInAgent(model=Own(*parts, {"type": "abort"}), tools=[note]))
    assert types(events)[-1] == "RUN_ERROR"
    assert events[-1]["code"] == "provider_error"
    assert ran == []
    assert len(of("TOOL_CALL_RESULT", events)) == len(of("TOOL_CALL_START", events))
