"""Each real SDK sends one thread with every role and a dangling call, and the providers' mock answers it."""

from typing import Any

import anthropic
import openai
import pytest
from langchain_openai import ChatOpenAI
from pydantic_ai import Agent, DeferredToolRequests
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.openai import OpenAIProvider

from jumpseat.agents.builtin.outgoing import (
    to_anthropic_messages,
    to_anthropic_tools,
    to_langchain_messages,
    to_langchain_tools,
    to_openai_messages,
    to_openai_tools,
    to_pydantic_ai_messages,
    to_pydantic_ai_tools,
)
from mock_provider import TEST_KEY, MockProvider
from sample_thread import thread, tools

KEPT: dict[str, Any] = {
    "system": "First.",
    "forward_system_messages": True,
    "forward_developer_messages": True,
}
ANSWER = {"match": {"userMessage": "Thanks."}, "response": {"content": "You are welcome."}}


@pytest.fixture(autouse=True)
def answer(provider: MockProvider):
    provider.add(ANSWER)


def sent(provider: MockProvider) -> Any:
    (request,) = provider.requests
    return request.json


def check_journal(provider: MockProvider) -> None:
    """The mock read what was meant, whatever the provider: the results directly behind the calls."""
    messages = provider.journal()[0]["body"]["messages"]
    called = [number for number, message in enumerate(messages) if message.get("tool_calls")]
    calls = [one["id"] for number in called for one in messages[number]["tool_calls"]]
    results = messages[called[-1] + 1 : called[-1] + 3]
    assert called == list(range(called[0], called[-1] + 1))
    assert len(calls) == 2
    assert [message.get("tool_call_id") for message in results] == calls
    assert [message for message in messages if message.get("role") == "tool"] == results
    assert "Sunny" in results[0]["content"]
    assert "No result was recorded" in results[1]["content"]


def check_blocks(messages: list[Any]) -> None:
    """The same for Anthropic's form, in which texts may stand behind results in one message."""
    at = next(number for number, message in enumerate(messages) if "tool_use" in kinds(message))
    calls = [block["id"] for block in messages[at]["content"] if block["type"] == "tool_use"]
    results = messages[at + 1]["content"][:2]
    assert [block.get("tool_use_id") for block in results] == calls == ["call_1", "call_2"]
    assert [kind for message in messages for kind in kinds(message)].count("tool_result") == 2
    assert [message["role"] for message in messages] == ["user", "assistant", "user", "assistant", "user"]


def kinds(message: Any) -> list[str]:
    content = message["content"]
    return ["text"] if isinstance(content, str) else [block["type"] for block in content]


async def test_openai_responses(provider: MockProvider):
    items, functions = to_openai_messages(thread(), **KEPT), to_openai_tools(tools())
    async with openai.AsyncOpenAI(api_key=TEST_KEY, base_url=provider.openai_url) as client:
        response = await client.responses.create(model="gpt-5", input=items, tools=functions)
    assert response.output_text == "You are welcome."
    assert sent(provider)["input"] == items
    assert sent(provider)["tools"] == functions
    check_journal(provider)


async def test_openai_chat(provider: MockProvider):
    messages, functions = (
        to_openai_messages(thread(), api="chat", **KEPT),
        to_openai_tools(tools(), api="chat"),
    )
    async with openai.AsyncOpenAI(api_key=TEST_KEY, base_url=provider.openai_url) as client:
        completion = await client.chat.completions.create(model="gpt-5", messages=messages, tools=functions)
    assert completion.choices[0].message.content == "You are welcome."
    assert sent(provider)["messages"] == messages
    assert sent(provider)["tools"] == functions
    check_journal(provider)


async def test_anthropic(provider: MockProvider):
    system, messages = to_anthropic_messages(thread(), **KEPT)
    described = to_anthropic_tools(tools())
    async with anthropic.AsyncAnthropic(api_key=TEST_KEY, base_url=provider.origin) as client:
        message = await client.messages.create(
            model="claude-mock", max_tokens=100, system=system, messages=messages, tools=described
        )
    assert [block.text for block in message.content if block.type == "text"] == ["You are welcome."]
    assert sent(provider)["system"] == system
    assert sent(provider)["messages"] == messages
    assert sent(provider)["tools"] == described
    check_blocks(messages)


@pytest.mark.parametrize("uses_responses", [True, False])
async def test_langchain(provider: MockProvider, uses_responses: bool):
    model = ChatOpenAI(
        model="gpt-5", api_key=TEST_KEY, base_url=provider.openai_url, use_responses_api=uses_responses
    ).bind_tools(to_langchain_tools(tools()))
    message = await model.ainvoke(to_langchain_messages(thread(), **KEPT))
    assert message.text == "You are welcome."
    assert [tool.get("function", tool)["name"] for tool in sent(provider)["tools"]] == ["weather", "wave"]
    check_journal(provider)


def made(name: str, provider: MockProvider) -> Model:
    openai_provider = OpenAIProvider(api_key=TEST_KEY, base_url=provider.openai_url)
    match name:
        case "responses":
            return OpenAIResponsesModel("gpt-5", provider=openai_provider)
        case "chat":
            return OpenAIChatModel("gpt-5", provider=openai_provider)
        case "anthropic":
            upstream = AnthropicProvider(api_key=TEST_KEY, base_url=provider.origin)
            return AnthropicModel("claude-mock", provider=upstream)
        case _:
            google = GoogleProvider(api_key=TEST_KEY, base_url=provider.origin)
            return GoogleModel("gemini-2.5-pro", provider=google)


@pytest.mark.parametrize("name", ["responses", "chat", "anthropic", "google"])
async def test_pydantic_ai(provider: MockProvider, name: str, monkeypatch: pytest.MonkeyPatch):
    # The mock speaks only this version of Gemini's API.
    monkeypatch.setenv("GOOGLE_GENAI_API_VERSION", "beta")
    agent = Agent(made(name, provider), output_type=[str, DeferredToolRequests])
    async with agent:
        result = await agent.run(
            message_history=to_pydantic_ai_messages(thread(), **KEPT),
            toolsets=[to_pydantic_ai_tools(tools())],
        )
    assert result.output == "You are welcome."
    if name == "anthropic":
        check_blocks(sent(provider)["messages"])
    else:
        check_journal(provider)
