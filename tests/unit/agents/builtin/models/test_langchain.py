"""LangChain's chat models behind the port: scripted ones, and langchain-openai against the mock provider."""

import asyncio
import logging
from contextlib import aclosing
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI

from chat_models import calls, says, scripted
from converting import kinds, only
from jumpseat.agents.builtin.language_model import (
    AssistantTurn,
    LanguageModel,
    MediaData,
    ModelRequest,
    ModelSettings,
    ModelTool,
    RequestedCall,
    SystemText,
    Text,
    Thinking,
    ToolReturn,
    UserTurn,
)
from jumpseat.agents.builtin.models.langchain import LangChainModel
from jumpseat.agents.builtin.parts import Finish, ReasoningDelta, TextDelta, ToolInputDelta, UsageReport
from jumpseat.context import AbortSignal
from jumpseat.errors import ConfigurationError, MissingDependencyError
from mock_provider import TEST_KEY, MockProvider
from provider_answers import HELLO, WEATHER

WEATHER_TOOL = ModelTool(
    name="weather",
    description="The weather",
    parameters={"type": "object", "properties": {"city": {"type": "string", "minLength": 2}}},
)
ABOUT: dict[str, Any] = {"finish_reason": "stop", "model_name": "m-1"}


def request(*messages: Any, **fields: Any) -> ModelRequest:
    listed = list(messages) or [UserTurn(content="hi")]
    return ModelRequest(messages=listed, abort_signal=AbortSignal(), **fields)


async def answer(model: LangChainModel, asked: ModelRequest) -> list[Any]:
    async with asyncio.timeout(20), aclosing(model.stream(asked)) as parts:  # type: ignore[type-var]
        return [part async for part in parts]


def openai_model(provider: MockProvider, **options: Any) -> ChatOpenAI:
    options = {"model": "gpt-5", "stream_usage": True, "max_retries": 0} | options
    return ChatOpenAI(base_url=provider.openai_url, api_key=TEST_KEY, **options)  # type: ignore[arg-type]


def test_it_is_a_language_model_that_says_who_answers():
    model = LangChainModel(ChatOpenAI(model="gpt-5", api_key="sk"))  # type: ignore[arg-type]
    assert isinstance(model, LanguageModel)
    assert (model.provider, model.model) == ("openai", "gpt-5")
    bound = LangChainModel(ChatOpenAI(model="gpt-5", api_key="sk").bind(temperature=0))  # type: ignore[arg-type]
    assert (bound.provider, bound.model) == ("openai", "gpt-5")
    assert LangChainModel(scripted()).model == "ScriptedChatModel"


def test_what_cannot_stream_is_refused():
    with pytest.raises(ConfigurationError, match="astream"):
        LangChainModel(object())


async def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "langchain_core.messages.block_translators", None)
    monkeypatch.delitem(__import__("sys").modules, "langchain_core.messages")
    with pytest.raises(MissingDependencyError, match=r'pip install "jumpseat\[langchain\]"'):
        await answer(LangChainModel(scripted([says("a")])), request())


async def test_text_usage_and_the_end():
    used: Any = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    script = [says("Good "), says("day", usage_metadata=used), says(response_metadata=ABOUT)]
    parts = await answer(LangChainModel(scripted(script)), request())
    assert kinds(parts) == ["TextDelta", "TextDelta", "UsageReport", "Finish"]
    assert parts[-1].reason == "stop"
    assert parts[-1].response_model == "m-1"
    assert parts[-1].native is None


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"finish_reason": "length"}, "length"),
        ({"stop_reason": "max_tokens"}, "length"),
        ({"finish_reason": "SAFETY"}, "content_filter"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
        ({"finish_reason": "odd"}, "other"),
        ({}, "stop"),
    ],
)
async def test_it_says_why_it_ended(about: dict[str, Any], reason: str):
    script = [says("a"), says(response_metadata=about)]
    (finish,) = only(Finish, await answer(LangChainModel(scripted(script)), request()))
    assert finish.reason == reason


async def test_a_model_that_does_not_stream_answers_too():
    model = GenericFakeChatModel(messages=iter([AIMessage(content="all at once")]), disable_streaming=True)
    parts = await answer(LangChainModel(model), request())
    assert "".join(part.delta for part in only(TextDelta, parts)) == "all at once"


async def test_every_kind_of_message_reaches_the_model():
    model = scripted([says("a")])
    await answer(
        LangChainModel(model),
        request(
            SystemText(content="Be kind"),
            UserTurn(content=[Text(text="Look"), MediaData(data=b"x", media_type="image/png")]),
            AssistantTurn(content=[Text(text="Ok"), RequestedCall(id="c1", name="f", arguments={"a": 1})]),
            ToolReturn(tool_call_id="c1", name="f", content="42"),
            UserTurn(content="And?"),
        ),
    )
    (asked,) = model.requests
    assert [(message.type, message.content) for message in asked["messages"]] == [
        ("system", "Be kind"),
        (
            "human",
            [
                {"type": "text", "text": "Look"},
                {"type": "image", "base64": "eA==", "mime_type": "image/png"},
            ],
        ),
        ("ai", "Ok"),
        ("tool", "42"),
        ("human", "And?"),
    ]
    called = asked["messages"][2].tool_calls[0]
    assert (called["id"], called["name"], called["args"]) == ("c1", "f", {"a": 1})
    assert asked["messages"][3].tool_call_id == "c1"


async def test_restored_reasoning_reaches_its_provider():
    model = scripted([says("a")])
    thought = Thinking(text="Hm", signature="sig", provider="anthropic")
    await answer(LangChainModel(model), request(AssistantTurn(content=[thought, Text(text="Ok")])))
    assert model.requests[0]["messages"][0].content == [
        {"type": "thinking", "thinking": "Hm", "signature": "sig"},
        {"type": "text", "text": "Ok"},
    ]


async def test_settings_are_passed_as_given_and_unknown_ones_left_out_once(caplog: pytest.LogCaptureFixture):
    model = scripted([says("a")], [says("b")])
    settings = ModelSettings(temperature=0, max_output_tokens=5, stop_sequences=["END"], seed=1)
    adapter = LangChainModel(model)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            await answer(adapter, request(settings=settings, provider_options={"customKey": {"innerKey": 1}}))
    asked = model.requests[1]
    assert (asked["temperature"], asked["max_tokens"], asked["stop"]) == (0, 5, ["END"])
    assert asked["custom_key"] == {"inner_key": 1}
    assert "seed" not in asked
    assert [record.getMessage() for record in caplog.records] == [
        "ScriptedChatModel has no setting seed, which is left out"
    ]


async def test_what_is_bound_to_a_model_stays_bound():
    model = scripted([says("a")])
    bound = model.bind(extra="kept").with_config(tags=["mine"])
    await answer(LangChainModel(bound), request(tools=[WEATHER_TOOL], tool_choice="required"))
    (asked,) = model.requests
    assert asked["extra"] == "kept"
    assert asked["tool_choice"] == "any"
    assert asked["tools"][0]["function"]["name"] == "weather"


async def test_a_model_that_cannot_call_tools_answers_without(caplog: pytest.LogCaptureFixture):
    model = GenericFakeChatModel(messages=iter([AIMessage(content="no tools")]))
    parts = await answer(LangChainModel(model), request(tools=[WEATHER_TOOL]))
    assert only(TextDelta, parts)
    assert "cannot call tools" in caplog.text


async def test_a_timeout_ends_a_request():
    class Slow(type(scripted())):  # type: ignore[misc]
        async def _astream(self, *_: Any, **__: Any):
            await asyncio.Event().wait()
            yield None

    model = LangChainModel(Slow(scripts=[], requests=[]))
    with pytest.raises(TimeoutError):
        await answer(model, request(settings=ModelSettings(timeout=0.05)))


async def test_a_failure_is_raised():
    with pytest.raises(ConnectionError):
        await answer(LangChainModel(scripted([says("a"), ConnectionError("gone")])), request())


@pytest.mark.parametrize("responses", [False, True])
async def test_an_openai_model_reasons_and_speaks(provider: MockProvider, responses: bool):
    provider.add(HELLO)
    model = LangChainModel(openai_model(provider, use_responses_api=responses))
    parts = await answer(model, request(UserTurn(content="hello")))
    assert "".join(part.delta for part in only(TextDelta, parts)) == "Hello there, my good friend."
    assert [part.delta for part in only(ReasoningDelta, parts)] == (["A greeting."] if responses else [])
    assert only(UsageReport, parts)
    assert parts[-1].reason == "stop"


@pytest.mark.parametrize("responses", [False, True])
async def test_an_openai_model_calls_tools_and_gets_their_results(provider: MockProvider, responses: bool):
    provider.add(*WEATHER)
    model = LangChainModel(openai_model(provider, use_responses_api=responses))
    asked = UserTurn(content="weather")
    parts = await answer(model, request(asked, tools=[WEATHER_TOOL], tool_choice=("tool", "weather")))
    assert [part.delta for part in only(ToolInputDelta, parts)] == ['{"city":"Rome"}', '{"city":"Oslo"}']
    finish = parts[-1]
    assert finish.reason == "tool_call" if not responses else finish.reason in ("stop", "tool_call")
    sent = provider.requests[0].json["tools"][0]
    function = sent if responses else sent["function"]
    assert function["parameters"] == WEATHER_TOOL.parameters
    assert function["strict"] is False
    content: Any = [
        RequestedCall(id="mine", name="weather", arguments={"city": "Rome"}),
        RequestedCall(id="call_2", name="weather", arguments={"city": "Oslo"}),
    ]
    turn = AssistantTurn(content=content, native=finish.native, renamed_calls={"call_1": "mine"})
    results = [ToolReturn(tool_call_id=name, name="weather", content="sunny") for name in ("mine", "call_2")]
    parts = await answer(model, request(asked, turn, *results, tools=[WEATHER_TOOL]))
    assert "".join(part.delta for part in only(TextDelta, parts)) == "Sunny in Rome, cold in Oslo."
    assert "call_1" not in provider.requests[1].text
    assert provider.requests[1].text.count('"mine"') == 2


async def test_leaving_an_answer_closes_its_connection(provider: MockProvider):
    provider.answer_once(
        200, stream=[b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'], end="hang"
    )
    parts: Any = aiter(LangChainModel(openai_model(provider)).stream(request()))
    async with asyncio.timeout(10):
        assert (await anext(parts)).delta == "a"
        await parts.aclose()
    (seen,) = await provider.seen()
    assert await asyncio.to_thread(seen.hung_up.wait, 2.0)


async def test_calls_have_their_ends():
    script = [calls("weather", "{}", "c1"), says(response_metadata={"finish_reason": "tool_calls"})]
    parts = await answer(LangChainModel(scripted(script)), request(tools=[WEATHER_TOOL]))
    assert kinds(parts) == ["ToolInputStart", "ToolInputDelta", "ToolCall", "Finish"]
    assert parts[-1].native.tool_calls[0]["name"] == "weather"
