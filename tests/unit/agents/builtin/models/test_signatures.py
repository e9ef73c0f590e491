import json
from typing import Any

import pytest

from jumpseat.agents.builtin.language_model import AssistantTurn, RequestedCall, Text, Thinking, ToolReturn
from jumpseat.agents.builtin.parts import ReasoningEnd, ReasoningStart
from mock_provider import MockProvider
from model_requests import SPECS, WEATHER, answered, asked, calls_of, finish_of, reasoning_of, text_of
from provider_answers import anthropic_events

HAIKU = "anthropic/claude-haiku-4-5"
THINK = {"thinking": {"type": "enabled", "budgetTokens": 2_000}}
RESULT = ToolReturn(tool_call_id="call_1", name="weather", content="sunny")
CALLED = RequestedCall(id="call_1", name="weather", arguments={"city": "Rome"})


TOOL_USE = (
    {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}},
    [
        {"type": "input_json_delta", "partial_json": '{"city":'},
        {"type": "input_json_delta", "partial_json": '"Rome"}'},
    ],
)


async def test_anthropic_gets_the_signature_of_an_earlier_run_back(provider: MockProvider, connect: Any):
    call = {"id": "call_1", "name": "weather", "arguments": {"city": "Rome"}}
    provider.add(
        {
            "match": {"hasToolResult": False},
            "response": {
                "reasoning": "Think first.",
                "reasoningSignature": "signed-by-them",
                "toolCalls": [call],
            },
        },
        {"match": {"hasToolResult": True}, "response": {"content": "Sunny."}},
    )
    model = await connect(HAIKU)
    first = await answered(model, asked("weather?", tools=[WEATHER], provider_options=THINK))
    (end,) = [part for part in first if isinstance(part, ReasoningEnd)]
    assert (end.signature, end.provider, end.id) == ("signed-by-them", "anthropic", None)

    thinking = Thinking(text=reasoning_of(first), signature=end.signature, provider="anthropic")
    earlier = AssistantTurn(content=[thinking, CALLED])
    request = asked("weather?", earlier, RESULT, tools=[WEATHER], provider_options=THINK)
    assert text_of(await answered(model, request)) == "Sunny."
    sent = provider.requests[1].json
    assert sent["messages"][1]["content"][0] == {
        "type": "thinking",
        "thinking": "Think first.",
        "signature": "signed-by-them",
    }
    assert sent["thinking"] == {"type": "enabled", "budget_tokens": 2_000}


@pytest.mark.parametrize(
    ("block", "deltas", "sent"),
    [
        (
            {"type": "redacted_thinking", "data": "hidden-data"},
            [],
            {"type": "redacted_thinking", "data": "hidden-data"},
        ),
        (
            {"type": "thinking", "thinking": "", "signature": ""},
            [{"type": "signature_delta", "signature": "of-nothing-visible"}],
            {"type": "thinking", "thinking": "", "signature": "of-nothing-visible"},
        ),
    ],
)
async def test_hidden_thinking_of_anthropic_goes_back_as_it_was(
    block: dict[str, Any], deltas: list[Any], sent: dict[str, Any], provider: MockProvider, connect: Any
):
    provider.answer_once(200, stream=anthropic_events((block, deltas), TOOL_USE))
    provider.say("Sunny.")
    model = await connect(HAIKU)
    first = await answered(model, asked("weather?", tools=[WEATHER]))
    assert not any(isinstance(part, ReasoningStart) for part in first)
    (end,) = [part for part in first if isinstance(part, ReasoningEnd)]
    # What travels with a call is reasoning only if it says so.
    assert end.signature
    assert end.id or end.details
    assert [call.input for call in calls_of(first)] == ['{"city":"Rome"}']
    thinking = Thinking(
        text="", signature=end.signature, provider="anthropic", id=end.id, details=end.details
    )
    await answered(
        model, asked("weather?", AssistantTurn(content=[thinking, CALLED]), RESULT, tools=[WEATHER])
    )
    assert provider.requests[1].json["messages"][1]["content"][0] == sent


async def test_openai_gets_its_encrypted_reasoning_back(provider: MockProvider, connect: Any):
    provider.say("Sunny.")
    thinking = Thinking(text="A thought.", signature="encrypted", provider="openai", id="rs_1")
    turn = AssistantTurn(content=[thinking, CALLED])
    await answered(await connect(SPECS["openai"]), asked("weather?", turn, RESULT, tools=[WEATHER]))
    items = provider.requests[0].json["input"]
    (reasoning,) = [item for item in items if item.get("type") == "reasoning"]
    assert (reasoning["id"], reasoning["encrypted_content"]) == ("rs_1", "encrypted")
    assert reasoning["summary"] == [{"type": "summary_text", "text": "A thought."}]


async def test_a_summary_in_several_pieces_is_one_block(provider: MockProvider, connect: Any):
    item = {"id": "rs_9", "type": "reasoning", "summary": []}
    response = {
        "id": "r",
        "object": "response",
        "created_at": 1,
        "model": "m",
        "output": [],
        "status": "completed",
    }
    response |= {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    where = {"item_id": "rs_9", "output_index": 0}
    part = {"type": "summary_text", "text": ""}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**response, "status": "in_progress"}},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.reasoning_summary_part.added", "summary_index": 0, "part": part, **where},
        {"type": "response.reasoning_summary_text.delta", "summary_index": 0, "delta": "One.", **where},
        {"type": "response.reasoning_summary_part.added", "summary_index": 1, "part": part, **where},
        {"type": "response.reasoning_summary_text.delta", "summary_index": 1, "delta": "Two.", **where},
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": {**item, "encrypted_content": "sealed"},
        },
        {"type": "response.completed", "response": response},
    ]
    stream = [
        f"event: {event['type']}\ndata: {json.dumps({**event, 'sequence_number': number})}\n\n".encode()
        for number, event in enumerate(events)
    ]
    provider.answer_once(200, stream=stream)
    parts = await answered(await connect(SPECS["openai"]), asked("hi"))
    assert reasoning_of(parts) == "One.\n\nTwo."
    assert [part.id for part in parts if isinstance(part, ReasoningStart)] == ["rs_9"]
    (end,) = [part for part in parts if isinstance(part, ReasoningEnd)]
    assert (end.id, end.signature) == ("rs_9", "sealed")


async def test_gemini_signs_its_calls(provider: MockProvider, connect: Any):
    call = {"functionCall": {"name": "weather", "args": {"city": "Rome"}}, "thoughtSignature": "c2lnbmVk"}
    candidate = {"content": {"role": "model", "parts": [call]}, "finishReason": "STOP"}
    provider.answer_once(200, stream=[b"data: " + json.dumps({"candidates": [candidate]}).encode() + b"\n\n"])
    provider.say("Sunny.")
    model = await connect(SPECS["google"])
    first = await answered(model, asked("weather?", tools=[WEATHER]))
    (told,) = calls_of(first)
    assert (told.signature, told.provider, told.input) == ("c2lnbmVk", "google", {"city": "Rome"})
    assert finish_of(first).reason == "tool_call"
    again = RequestedCall(
        id="call_1", name="weather", arguments={"city": "Rome"}, signature=told.signature, provider="google"
    )
    turn = AssistantTurn(content=[Text(text="Wait."), again])
    await answered(model, asked("weather?", turn, RESULT, tools=[WEATHER]))
    assert "c2lnbmVk" in provider.requests[1].text


@pytest.mark.parametrize("name", ["anthropic", "openai"])
async def test_reasoning_that_the_provider_refuses_is_left_out_from_then_on(
    name: str, provider: MockProvider, connect: Any
):
    provider.answer_once(400, {"error": {"message": "Invalid signature in thinking block", "type": "x"}})
    provider.say("Fine.")
    thinking = Thinking(text="Old thought.", signature="stale", provider=name, id="rs_1")
    turn = AssistantTurn(content=[thinking, Text(text="Yes."), CALLED])
    options = THINK if name == "anthropic" else {"reasoning_effort": "high"}
    request = asked("weather?", turn, RESULT, tools=[WEATHER], provider_options=options)
    model = await connect(HAIKU if name == "anthropic" else SPECS[name])
    assert text_of(await answered(model, request)) == "Fine."
    refused, second = provider.requests
    assert "stale" in refused.text
    assert "stale" not in second.text
    assert "Old thought." not in second.text
    assert second.json.get("thinking", {}).get("type") in (None, "disabled")
    assert (second.json.get("reasoning") or {}).get("effort") != "high"
    # The next step of the run does not try it once more.
    await answered(model, request)
    assert len(provider.requests) == 3


async def test_a_refusal_without_restored_reasoning_is_not_repeated(provider: MockProvider, connect: Any):
    provider.answer_once(400, {"error": {"message": "No.", "type": "x"}})
    provider.say("Fine.")
    with pytest.raises(Exception, match="No"):
        await answered(await connect(SPECS["anthropic"]), asked("hi"))
    assert len(provider.requests) == 1
