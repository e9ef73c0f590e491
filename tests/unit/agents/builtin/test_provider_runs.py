"""Whole runs through the real SDK of every provider: reasoning, approvals, overrides, usage, suggestions."""

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from builtin_agents import given, of, run, run_context, types
from jumpseat import BuiltInAgent, define_tool
from mcp_servers import nowhere
from mock_provider import TEST_KEY, MockProvider
from provider_answers import anthropic_events
from serving import own_tasks, until

MODELS = ["openai/gpt-5", "openai-chat/gpt-5", "anthropic/claude-opus-4-8", "google/gemini-2.5-pro"]
HAIKU = "anthropic/claude-haiku-4-5"
USAGE = {
    "openai": {"input_tokens": 11, "output_tokens": 7},
    "openai-chat": {"prompt_tokens": 11, "completion_tokens": 7},
    "anthropic": {"input_tokens": 11, "output_tokens": 7},
    "google": {"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18},
}

approve = define_tool(
    name="approve",
    description="Ask.",
    parameters={"type": "object", "properties": {"amount": {"type": "number"}}},
    interrupt=True,
)


@define_tool
def weather(city: str) -> str:
    """Tell the weather."""
    return f"sunny in {city}"


@pytest.fixture(autouse=True)
def addresses(provider: MockProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    provider.use(monkeypatch)


@pytest_asyncio.fixture
async def made() -> AsyncIterator[Any]:
    """Makes agents, whose connections are closed at the end; no task of theirs may be left then."""
    agents: list[BuiltInAgent] = []

    def make(model: str, **options: Any) -> BuiltInAgent:
        agents.append(BuiltInAgent(model=model, **options))
        return agents[-1]

    yield make
    for agent in agents:
        await agent.aclose()
    await until(lambda: not own_tasks())


def name_of(model: str) -> str:
    return model.partition("/")[0]


def vendor_of(model: str) -> str:
    return name_of(model).partition("-")[0]


def assistant(*calls: tuple[str, str]) -> dict[str, Any]:
    listed = [
        {"id": call_id, "type": "function", "function": {"name": name, "arguments": "{}"}}
        for call_id, name in calls
    ]
    return {"id": "a1", "role": "assistant", "toolCalls": listed}


@pytest.mark.parametrize("model", MODELS)
async def test_reasoning_is_closed_before_the_text(model: str, provider: MockProvider, made: Any):
    provider.say("The answer is four.", reasoning="Two and two.")
    events = await run(made(model))
    kinds = list(dict.fromkeys(types(events)))
    assert kinds == [
        "RUN_STARTED",
        "REASONING_START",
        "REASONING_MESSAGE_START",
        "REASONING_MESSAGE_CONTENT",
        "REASONING_MESSAGE_END",
        "REASONING_END",
        *(["REASONING_ENCRYPTED_VALUE"] if "REASONING_ENCRYPTED_VALUE" in kinds else []),
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "RUN_FINISHED",
    ]
    thought = "".join(event["delta"] for event in of("REASONING_MESSAGE_CONTENT", events))
    assert thought == "Two and two."
    ids = {event["messageId"] for event in events if event["type"].endswith("_START")}
    assert len(ids) == 2


async def test_all_reasoning_that_anthropic_hides_before_a_call_comes_back_in_its_order(
    provider: MockProvider, made: Any
):
    hidden = [
        (
            {"type": "thinking", "thinking": "", "signature": ""},
            [{"type": "signature_delta", "signature": "of-omitted-thinking"}],
        ),
        ({"type": "redacted_thinking", "data": "redacted-data"}, []),
    ]
    call = ({"type": "tool_use", "id": "toolu_1", "name": "pick", "input": {}}, [])
    provider.answer_once(200, stream=anthropic_events(*hidden, call))
    provider.say("Picked.")
    agent = made(HAIKU)
    pick = {"name": "pick", "description": "d", "parameters": {}}
    first = await run(agent, given("pick one", tools=[pick]))
    assert not {kind for kind in types(first) if kind.startswith("REASONING")} - {"REASONING_ENCRYPTED_VALUE"}
    (kept,) = of("REASONING_ENCRYPTED_VALUE", first)
    asked = assistant(("toolu_1", "pick"))
    asked["toolCalls"][0]["encryptedValue"] = kept["encryptedValue"]
    answer = {"id": "t1", "role": "tool", "toolCallId": "toolu_1", "content": "this"}
    second = await run(agent, given("pick one", asked, answer, tools=[pick]))
    assert types(second)[-1] == "RUN_FINISHED"
    blocks = provider.requests[1].json["messages"][1]["content"]
    assert blocks[:2] == [
        {"type": "thinking", "thinking": "", "signature": "of-omitted-thinking"},
        {"type": "redacted_thinking", "data": "redacted-data"},
    ]
    assert [block["type"] for block in blocks[2:]] == ["tool_use"]


ANSWERED = {
    "a payload": ({"status": "resolved", "payload": {"yes": True}}, '{"yes":true}'),
    "no payload": ({"status": "resolved"}, '{"status":"resolved"}'),
    "null": ({"status": "resolved", "payload": None}, '{"status":"resolved"}'),
    "zero": ({"status": "resolved", "payload": 0}, "0"),
    "cancelled": ({"status": "cancelled", "payload": {"yes": True}}, '{"status":"cancelled"}'),
}


@pytest.mark.parametrize("model", MODELS)
async def test_an_answered_approval_reaches_every_model_as_a_result(
    model: str, provider: MockProvider, made: Any
):
    provider.say("Good.")
    agent = made(model, tools=[approve])
    for number, (entry, content) in enumerate(ANSWERED.values()):
        resume = [
            {"interruptId": "call_1"} | entry,
            {"interruptId": "call_1", "status": "cancelled"},
            {"interruptId": "nobody", "status": "cancelled"},
        ]
        asked = assistant(("call_1", "approve"), ("call_2", "approve"))
        events = await run(agent, given("go", asked, resume=resume))
        assert types(events)[-1] == "RUN_FINISHED"
        results = {
            message.get("tool_call_id"): message["content"]
            for message in provider.journal()[number]["body"]["messages"]
            if message["role"] == "tool"
        }
        assert len(results) == 2
        told, unanswered = results.values()
        # Gemini takes objects only.
        assert told in (content, json.dumps({"return_value": content}, separators=(",", ":")))
        assert "no result" in unanswered.lower()


async def test_an_answer_that_is_already_there_is_not_replaced(provider: MockProvider, made: Any):
    provider.say("Good.")
    answer = {"id": "t1", "role": "tool", "toolCallId": "call_1", "content": "first"}
    resume = [{"interruptId": "call_1", "status": "resolved", "payload": "second"}]
    asked = assistant(("call_1", "approve"))
    events = await run(made(MODELS[1], tools=[approve]), given("go", asked, answer, resume=resume))
    assert types(events)[-1] == "RUN_FINISHED"
    assert "first" in provider.requests[0].text
    assert "second" not in provider.requests[0].text


@pytest.mark.parametrize("asked", MODELS)
async def test_a_configured_key_never_reaches_another_vendor(asked: str, provider: MockProvider, made: Any):
    provider.say("Hello.")
    own_key = "key-of-the-configured-vendor"
    for configured in MODELS:
        provider.requests.clear()
        agent = made(configured, api_key=own_key, overridable_properties=["model"])
        events = await run(agent, given(forwardedProps={"model": asked}))
        assert types(events)[-1] == "RUN_FINISHED"
        (request,) = provider.requests
        # Both interfaces of OpenAI are one vendor's.
        is_own = vendor_of(asked) == vendor_of(configured)
        assert (own_key in request.text) is is_own
        assert (TEST_KEY in request.text) is not is_own
        assert own_key not in json.dumps(events)


@pytest.mark.parametrize("model", MODELS)
async def test_a_client_can_neither_redirect_a_request_nor_add_to_it(
    model: str, provider: MockProvider, made: Any
):
    provider.say("Hello.")
    bag = {
        "baseURL": "http://127.0.0.1:9/stolen",
        "base_url": "http://127.0.0.1:9/stolen",
        "apiKey": "stolen",
        "headers": {"x-mark": "stolen"},
        "extraHeaders": {"x-mark": "stolen"},
        "extra_body": {"mark": "stolen"},
        "metadata": {"headers": {"a": "stolen"}, "extra_body": "stolen"},
        "timeout": 0.000001,
    }
    agent = made(model, overridable_properties=["providerOptions"])
    events = await run(agent, given(forwardedProps={"providerOptions": {name_of(model): bag, "openai": bag}}))
    assert types(events)[-1] == "RUN_FINISHED"
    (request,) = provider.requests
    assert "stolen" not in request.text


@pytest.mark.parametrize("model", MODELS)
async def test_what_a_client_may_set_arrives_and_no_more(model: str, provider: MockProvider, made: Any):
    provider.say("Hello.")
    # The others think, and take no temperature then.
    plain = {MODELS[0]: "openai/gpt-4o", MODELS[1]: "openai-chat/gpt-4o", MODELS[2]: HAIKU}
    model = plain.get(model, model)
    agent = made(model, overridable_properties=["temperature"], max_output_tokens=77)
    sent = {"temperature": 0.125, "topP": 0.625, "maxOutputTokens": 99, "prompt": "Mine.", "maxSteps": 9}
    await run(agent, given(forwardedProps=sent))
    text = provider.requests[0].body.decode()
    assert "0.125" in text
    assert "77" in text
    assert not [word for word in ("0.625", "99,", "Mine.") if word in text]


@pytest.mark.parametrize("model", MODELS)
async def test_tokens_of_every_generation_are_added_up(model: str, provider: MockProvider, made: Any):
    name, model_id = model.split("/")
    call = {"toolCalls": [{"id": "call_1", "name": "weather", "arguments": {"city": "Rome"}}]}
    provider.add(
        {"match": {"hasToolResult": False}, "response": {**call, "usage": USAGE[name]}},
        {"match": {}, "response": {"content": "Sunny.", "usage": USAGE[name]}},
    )
    for expose in (True, False):
        provider.requests.clear()
        context = run_context()
        events = await run(
            made(model, tools=[weather], max_steps=3, expose_usage=expose), given("weather?"), context
        )
        assert len(provider.requests) == 2
        recorded = context.record["usage"][0]
        assert (recorded.input_tokens, recorded.output_tokens, recorded.total_tokens) == (22, 14, 36)
        assert (context.record["steps"], context.record["finish_reason"]) == (2, "stop")
        assert context.record["model"] == model_id
        if not expose:
            assert "usage" not in events[-1]
            continue
        (told,) = events[-1]["usage"]
        assert (told["inputTokens"], told["outputTokens"], told["totalTokens"]) == (22, 14, 36)
        assert all(isinstance(told[key], int) for key in told if key.endswith("Tokens"))


def suggestion() -> Any:
    tool = {
        "name": "copilotkitSuggest",
        "description": "Suggest.",
        "parameters": {"type": "object", "properties": {"suggestions": {"type": "array", "items": {}}}},
    }
    choice = {"type": "function", "function": {"name": "copilotkitSuggest"}}
    return given("what next?", tools=[tool], forwardedProps={"toolChoice": choice})


# With one tool to choose from, the word for "some tool" forces it.
FORCED = {
    "openai": "required",
    "openai-chat": "required",
    "anthropic": {"type": "any"},
    "google": {"mode": "ANY"},
}


@pytest.mark.parametrize("model", [*MODELS, HAIKU])
async def test_a_suggestion_is_one_forced_call_without_any_side_effect(
    model: str, provider: MockProvider, made: Any, caplog: pytest.LogCaptureFixture
):
    arguments = {"suggestions": [{"title": f"Title {number}", "message": "Do it."} for number in range(9)]}
    call = {"id": "call_1", "name": "copilotkitSuggest", "arguments": arguments}
    provider.add({"match": {}, "response": {"toolCalls": [call]}})
    dead = {"type": "http", "url": nowhere(), "name": "dead"}
    thinking = {"anthropic": {"thinking": {"type": "enabled", "budgetTokens": 2_000}}}
    agent = made(
        model,
        tools=[weather],
        mcp_servers=[dead],
        on_mcp_failure="fail",
        max_steps=5,
        provider_options=thinking if name_of(model) == "anthropic" else None,
    )
    with caplog.at_level(logging.WARNING):
        events = await run(agent, suggestion())
    assert types(events)[-1] == "RUN_FINISHED"
    assert of("TOOL_CALL_RESULT", events) == []
    whole = "".join(event["delta"] for event in of("TOOL_CALL_ARGS", events))
    assert json.loads(whole) == arguments
    if name_of(model) != "google":  # Gemini sends arguments whole
        assert len(of("TOOL_CALL_ARGS", events)) > 3
    (request,) = provider.requests
    body = request.json
    offered = [tool["function"]["name"] for tool in provider.journal()[0]["body"]["tools"]]
    assert offered == ["copilotkitSuggest"]
    choice = body.get("tool_choice") or body["toolConfig"]["functionCallingConfig"]
    assert choice == FORCED[name_of(model)]
    assert body.get("thinking", {"type": "disabled"})["type"] == "disabled"
    assert "dead" not in caplog.text
