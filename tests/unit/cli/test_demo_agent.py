"""The demo agent says and does what its page promises."""

import json
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jumpseat.cli.demo import DemoAgent
from jumpseat.cli.demo.intents import Intent, read_intent
from jumpseat.cli.demo.scenes import SCENES
from jumpseat.context import RunContext
from jumpseat.protocol.events import (
    Event,
    ReasoningMessageContent,
    RunFinished,
    StateDelta,
    StateSnapshot,
    TextMessageContent,
    ToolCallArgs,
    ToolCallChunk,
    ToolCallStart,
)
from jumpseat.protocol.inputs import (
    AssistantMessage,
    FunctionCall,
    ResumeEntry,
    RunAgentInput,
    TextPart,
    Tool,
    ToolCall,
    ToolMessage,
    UserMessage,
)

PAGE_TOOLS = [Tool(name=name, description="") for name in ("change_accent_color", "confirm_action")]


def asked(text: Any, **more: Any) -> RunAgentInput:
    messages = [UserMessage(id="u1", content=text)]
    return RunAgentInput(thread_id="t", run_id="r", **{"messages": messages, "tools": PAGE_TOOLS, **more})


def answered(tool: str, arguments: str, result: str, **more: Any) -> RunAgentInput:
    call = ToolCall(id="c1", function=FunctionCall(name=tool, arguments=arguments))
    messages = [
        UserMessage(id="u1", content="please"),
        AssistantMessage(id="a1", content="", tool_calls=[call]),
        ToolMessage(id="t1", content=result, tool_call_id="c1", **more),
    ]
    return asked("", messages=messages)


async def play(question: RunAgentInput, run_key: str = "K1") -> list[Event]:
    context = RunContext(thread_id="t", run_id="r", run_key=run_key, agent_id="default")
    async with aclosing(DemoAgent(pause=0).run(question, context)) as events:  # type: ignore[type-var]
        return [event async for event in events]


def text_of(events: list[Event]) -> str:
    return "".join(event.delta for event in events if isinstance(event, TextMessageContent))


def called(events: list[Event]) -> tuple[str, Any]:
    (start,) = [event for event in events if isinstance(event, ToolCallStart)]
    arguments = "".join(event.delta for event in events if isinstance(event, ToolCallArgs))
    return start.tool_call_name, json.loads(arguments)


@pytest.mark.parametrize(
    ("text", "scene", "subject"),
    [
        ("Tell me a story", "story", ""),
        ("tell me a really long story, please", "long_story", ""),
        ("change the accent colour to teal", "accent", "teal"),
        ("Make the accent color dark orange", "accent", "dark orange"),
        ("set the color to #ff00aa!", "accent", "#ff00aa"),
        ("Add milk, eggs and bread to my shopping list", "list_add", "milk, eggs and bread"),
        ("remove milk from the list", "list_remove", "milk"),
        ("clear my list", "list_clear", ""),
        ("What is on my list?", "list_show", ""),
        ("Think about why the sky is blue.", "reasoning", "why the sky is blue"),
        ("delete my account", "confirmation", "delete my account"),
        ("book a flight", "booking", ""),
        ("I would like to book a flight to Lisbon", "booking", "Lisbon"),
        ("fail", "failure", ""),
        ("Please fail now", "failure", ""),
        ("hi there", "greeting", ""),
        ("what can you do?", "help", ""),
        ("", "greeting", ""),
        ("What is the capital of Peru?", "unknown", "What is the capital of Peru?"),
    ],
)
def test_a_message_leads_to_its_scene(text: str, scene: str, subject: str):
    assert read_intent(text) == Intent(scene, subject)


@given(st.text(max_size=200))
def test_any_message_leads_to_a_scene(text: str):
    assert read_intent(text).scene in SCENES


async def test_the_long_story_takes_between_20_and_30_seconds():
    events = await play(asked("tell me a long story"))
    words = sum(isinstance(event, TextMessageContent) for event in events)
    assert 20 <= words * DemoAgent().pause <= 30


async def test_ids_differ_from_run_to_run_but_not_from_play_to_play():
    assert await play(asked("hello")) == await play(asked("hello"))
    assert await play(asked("hello"), "K2") != await play(asked("hello"))


async def test_the_accent_is_changed_by_the_page_and_confirmed_in_the_next_run():
    assert called(await play(asked("change the accent to teal"))) == (
        "change_accent_color",
        {"color": "teal"},
    )
    assert "**teal**" in text_of(await play(answered("change_accent_color", '{"color":"teal"}', "done")))


async def test_a_colour_that_the_page_refused_is_told():
    refusal = '{"changed": false, "reason": "no colour"}'
    assert "no colour" in text_of(await play(answered("change_accent_color", '{"color":"x"}', refusal)))


async def test_a_tool_that_the_page_does_not_offer_is_not_called():
    events = await play(asked("delete my account", tools=[]))
    assert not any(isinstance(event, ToolCallStart) for event in events)
    assert "confirm_action" in text_of(events)


async def test_a_tool_that_failed_in_the_page_is_told():
    events = await play(answered("change_accent_color", "{", "", error="no such colour"))
    assert "no such colour" in text_of(events)


@pytest.mark.parametrize(
    ("result", "approved"),
    [
        ("true", True),
        ("approved", True),
        ('"Yes"', True),
        ('{"approved": true}', True),
        ('{"confirmed": "yes"}', True),
        ("false", False),
        ('{"approved": false}', False),
        ("rejected", False),
        ("", False),
        ('{"status":"stopped","reason":"stop_requested"}', False),
    ],
)
async def test_only_a_clear_yes_approves(result: str, approved: bool):
    assert called(await play(asked("delete my account"))) == (
        "confirm_action",
        {"action": "delete your account"},
    )
    text = text_of(await play(answered("confirm_action", '{"action":"delete your account"}', result)))
    assert text.startswith("You approved" if approved else "You did not approve")


async def test_the_list_begins_as_a_snapshot_and_goes_on_in_patches():
    first = await play(asked("add milk and eggs to my list", state={"kept": 1}))
    assert first[0] == StateSnapshot(snapshot={"kept": 1, "items": ["milk", "eggs"]})
    then = await play(asked("add bread to my list", state={"items": ["milk"]}))
    assert then[0] == StateDelta(delta=[{"op": "add", "path": "/items/-", "value": "bread"}])
    last = await play(asked("remove Milk from my list", state={"items": ["bread", "milk"]}))
    assert last[0] == StateDelta(delta=[{"op": "remove", "path": "/items/1"}])


@pytest.mark.parametrize("state", [None, [], "text", {"items": None}, {"items": {}}])
async def test_a_state_of_another_shape_does_not_disturb_the_list(state: Any):
    events = await play(asked("add milk to my list", state=state))
    assert isinstance(events[0], StateSnapshot)
    assert events[0].snapshot["items"] == ["milk"]
    assert text_of(await play(asked("what is on my list", state=state)))


async def test_thinking_streams_as_reasoning_before_the_answer():
    events = await play(asked("think about rainbows"))
    kinds = [type(event) for event in events]
    assert kinds.index(ReasoningMessageContent) < kinds.index(TextMessageContent)
    assert "rainbows" in text_of(events)


async def test_a_booking_ends_with_a_question_and_the_answer_ends_it():
    events = await play(asked("book a flight to lisbon"))
    end = events[-1]
    assert isinstance(end, RunFinished)
    assert end.outcome is not None
    assert end.outcome.interrupts is not None
    (question,) = end.outcome.interrupts
    assert "Lisbon" in (question.message or "")

    def resumed(status: str, payload: Any) -> RunAgentInput:
        entry = ResumeEntry(interrupt_id=question.id, status=status, payload=payload)  # type: ignore[arg-type]
        return asked("book a flight to lisbon", resume=[entry])

    assert text_of(await play(resumed("resolved", {"approved": True}))).startswith("Booked: Lisbon")
    assert "did not book" in text_of(await play(resumed("resolved", {"approved": False})))
    assert "did not book" in text_of(await play(resumed("cancelled", None)))


async def test_failing_raises_in_the_middle_of_a_message():
    context = RunContext(thread_id="t", run_id="r", run_key="K", agent_id="default")
    events = DemoAgent(pause=0).run(asked("fail"), context)
    seen: list[Event] = []

    async def drain() -> None:
        async for event in events:
            seen.append(event)  # noqa: PERF401 - what came before the exception counts

    with pytest.raises(RuntimeError, match="as it was asked to"):
        await drain()
    assert isinstance(seen[-1], TextMessageContent)


async def test_suggestions_are_given_when_they_are_asked_for():
    (call,) = await play(asked("hi", tools=[Tool(name="copilotkitSuggest", description="")]))
    assert isinstance(call, ToolCallChunk)
    assert [set(one) for one in json.loads(call.delta or "")["suggestions"]] == [{"title", "message"}] * 3


async def test_a_message_in_parts_is_read_by_its_text():
    events = await play(asked([TextPart(text="tell me "), TextPart(text="a story")]))
    assert "keeper" in text_of(events)
