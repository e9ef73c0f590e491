"""A BuiltInAgent whose model is one of LangChain's, beside one whose model is of pydantic-ai."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from langchain_openai import ChatOpenAI
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from builtin_agents import given, of, run, run_context, types
from chat_models import calls, says, scripted
from jumpseat import BuiltInAgent, define_tool
from mock_provider import TEST_KEY, MockProvider
from provider_answers import WEATHER


@define_tool
def weather(city: str) -> str:
    """The weather."""
    return f"sunny in {city}"


def openai_models(provider: MockProvider) -> dict[str, Any]:
    upstream = OpenAIProvider(base_url=provider.openai_url, api_key=TEST_KEY)
    options: dict[str, Any] = {"base_url": provider.openai_url, "api_key": TEST_KEY, "model": "gpt-4o"}
    return {
        "langchain chat": ChatOpenAI(**options, stream_usage=True),
        "langchain responses": ChatOpenAI(**options, use_responses_api=True),
        "pydantic_ai chat": OpenAIChatModel("gpt-4o", provider=upstream),
        "pydantic_ai responses": OpenAIResponsesModel("gpt-4o", provider=upstream),
    }


def without_ids(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was said, by whom it was said aside."""
    left_out = {"messageId", "parentMessageId", "usage"}
    return [{key: value for key, value in event.items() if key not in left_out} for event in events]


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_it_says_the_same_as_a_model_of_pydantic_ai(provider: MockProvider, api: str):
    provider.add(*WEATHER)
    models = openai_models(provider)
    runs: dict[str, list[dict[str, Any]]] = {}
    for library in ("langchain", "pydantic_ai"):
        agent = BuiltInAgent(model=models[f"{library} {api}"], tools=[weather], max_steps=3, prompt="Be kind")
        runs[library] = await run(agent, given("weather"))
    ours = runs["langchain"]
    assert without_ids(ours) == without_ids(runs["pydantic_ai"])
    assert {e["toolCallId"]: e["content"] for e in of("TOOL_CALL_RESULT", ours)} == {
        "call_1": '"sunny in Rome"',
        "call_2": '"sunny in Oslo"',
    }
    text = "".join(event["delta"] for event in of("TEXT_MESSAGE_CONTENT", ours))
    assert text == "Sunny in Rome, cold in Oslo."
    assert types(ours)[-1] == "RUN_FINISHED"
    (used,) = ours[-1]["usage"]
    assert (used["provider"], used["model"]) == ("openai", "gpt-4o")
    assert used["inputTokens"] >= 10


async def test_a_call_with_a_used_id_is_renamed_for_the_model_too():
    model = scripted(
        [calls("weather", '{"city":"Rome"}', "c1"), says(response_metadata={"finish_reason": "tool_calls"})],
        [says("Fine")],
    )
    old = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    messages = [
        {"id": "a1", "role": "assistant", "toolCalls": [old]},
        {"id": "t1", "role": "tool", "toolCallId": "c1", "content": "old"},
    ]
    events = await run(BuiltInAgent(model=model, tools=[weather], max_steps=2), given("hi", *messages, "now"))
    (start,) = of("TOOL_CALL_START", events)
    assert start["toolCallId"] != "c1"
    asked = model.requests[1]["messages"]
    assert asked[-2].tool_calls[0]["id"] == start["toolCallId"] == asked[-1].tool_call_id
    assert asked[-1].content == '"sunny in Rome"'


async def test_a_model_that_fails_is_an_error_of_the_provider():
    model = scripted([says("a"), ConnectionError("the line is cut")])
    events = await run(BuiltInAgent(model=model, state_tools=False))
    assert types(events)[-2:] == ["TEXT_MESSAGE_END", "RUN_ERROR"]
    assert events[-1]["code"] == "provider_error"
    assert "the line is cut" in events[-1]["message"]


async def test_leaving_a_run_closes_the_models_connection(provider: MockProvider):
    chunk = b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    provider.answer_once(200, stream=[chunk], end="hang")
    agent = BuiltInAgent(model=openai_models(provider)["langchain chat"])
    async with asyncio.timeout(20):
        async with aclosing(agent.run(given(), run_context())) as events:  # type: ignore[type-var]
            async for event in events:
                if event.type == "TEXT_MESSAGE_CONTENT":
                    break
        (request,) = await provider.seen()
        assert await asyncio.to_thread(request.hung_up.wait, 2.0)


async def test_a_factory_may_return_the_models_stream():
    agent = BuiltInAgent(
        factory=lambda _: scripted([says("Good "), says("day")]).astream("hi"), type="langchain"
    )
    events = await run(agent)
    assert [event["delta"] for event in of("TEXT_MESSAGE_CONTENT", events)] == ["Good ", "day"]
