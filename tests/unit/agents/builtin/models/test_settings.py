import logging
from typing import Any

import pytest

from jumpseat.agents.builtin.language_model import ModelSettings, ModelTool
from mock_provider import MockProvider
from model_requests import SPECS, WEATHER, answered, asked

CLOCK = ModelTool(
    name="clock", description="Tells the time.", parameters={"type": "object", "properties": {}}
)
EVERYTHING = ModelSettings(
    max_output_tokens=100,
    temperature=0,
    top_p=0.5,
    top_k=7,
    presence_penalty=0.25,
    frequency_penalty=0,
    stop_sequences=["END"],
    seed=0,
)
SENT = {
    "openai-chat/gpt-4o": {
        "max_completion_tokens": 100,
        "temperature": 0,
        "top_p": 0.5,
        "presence_penalty": 0.25,
        "frequency_penalty": 0,
        "stop": ["END"],
        "seed": 0,
    },
    "openai/gpt-4o": {"max_output_tokens": 100, "temperature": 0, "top_p": 0.5},
    "anthropic/claude-haiku-4-5": {
        "max_tokens": 100,
        "temperature": 0,
        "top_p": 0.5,
        "top_k": 7,
        "stop_sequences": ["END"],
    },
}


async def sent_for(connect: Any, provider: MockProvider, spec: str, **request: Any) -> dict[str, Any]:
    provider.say("ok")
    await answered(await connect(spec), asked("hi", **request))
    return provider.requests[-1].json


@pytest.mark.parametrize("spec", SENT)
async def test_settings_arrive_as_given_also_when_they_are_zero(
    spec: str, provider: MockProvider, connect: Any
):
    body = await sent_for(connect, provider, spec, settings=EVERYTHING)
    assert {name: body.get(name) for name in SENT[spec]} == SENT[spec]


async def test_settings_arrive_at_gemini(provider: MockProvider, connect: Any):
    body = await sent_for(connect, provider, SPECS["google"], settings=EVERYTHING)
    assert {"temperature": 0, "topP": 0.5, "topK": 7, "seed": 0, "maxOutputTokens": 100}.items() <= body[
        "generationConfig"
    ].items()


async def test_what_a_provider_does_not_support_is_dropped_with_one_warning(
    provider: MockProvider, connect: Any, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING, "jumpseat"):
        for _ in range(2):
            body = await sent_for(
                connect, provider, "openai/gpt-4.1-nano", settings=ModelSettings(seed=5, temperature=1)
            )
    assert "seed" not in body
    assert body["temperature"] == 1
    assert [record.getMessage() for record in caplog.records if record.name == "jumpseat"] == [
        "openai:gpt-4.1-nano does not support the option seed: it is left out"
    ]


async def test_sampling_settings_are_not_sent_to_a_model_that_reasons(provider: MockProvider, connect: Any):
    body = await sent_for(connect, provider, "openai/o3", settings=ModelSettings(temperature=0.5))
    assert "temperature" not in body


@pytest.mark.parametrize(
    "case",
    [
        ("openai/gpt-5", {"reasoningEffort": "high"}, ["reasoning", "effort"], "high"),
        ("openai/gpt-5", {"reasoning_summary": "auto"}, ["reasoning", "summary"], "auto"),
        ("openai/gpt-5", {"openai_reasoning_effort": "low"}, ["reasoning", "effort"], "low"),
        ("openai/gpt-5", {"store": False}, ["store"], False),
        ("openai-chat/gpt-4o", {"user": "u-1"}, ["user"], "u-1"),
        ("openai-chat/gpt-4o", {"logitBias": {"aB": 1}}, ["logit_bias"], {"aB": 1}),
        (
            "anthropic/claude-haiku-4-5",
            {"thinking": {"type": "enabled", "budgetTokens": 10_000}},
            ["thinking"],
            {"type": "enabled", "budget_tokens": 10_000},
        ),
        ("anthropic/claude-haiku-4-5", {"metadata": {"user_id": "u"}}, ["metadata"], {"user_id": "u"}),
        (
            "google/gemini-2.5-pro",
            {"thinkingConfig": {"thinkingBudget": 512, "includeThoughts": True}},
            ["generationConfig", "thinkingConfig"],
            {"thinkingBudget": 512, "includeThoughts": True},
        ),
    ],
)
async def test_options_of_the_provider_arrive_in_either_spelling(
    case: tuple[str, dict[str, Any], list[str], Any], provider: MockProvider, connect: Any
):
    spec, options, path, value = case
    found = await sent_for(connect, provider, spec, provider_options=options)
    for step in path:
        found = found[step]
    assert found == value or {key.replace("_", ""): v for key, v in found.items()} == {
        key.lower(): v for key, v in value.items()
    }


async def test_an_unknown_option_is_left_out_with_a_warning(
    provider: MockProvider, connect: Any, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING, "jumpseat"):
        body = await sent_for(
            connect,
            provider,
            "openai/gpt-4o",
            provider_options={"baseUrl": "http://evil.test", "nonsense": 1},
        )
    assert "nonsense" not in str(body)
    assert "evil" not in str(body)
    assert "nonsense" in caplog.text


@pytest.mark.parametrize(
    ("name", "forced", "one"),
    [
        ("openai", "required", {"type": "function", "name": "weather"}),
        ("openai-chat", "required", {"type": "function", "function": {"name": "weather"}}),
        ("anthropic", {"type": "any"}, {"type": "tool", "name": "weather"}),
    ],
)
async def test_a_tool_can_be_forced(name: str, forced: Any, one: Any, provider: MockProvider, connect: Any):
    body = await sent_for(connect, provider, SPECS[name], tools=[WEATHER], tool_choice="required")
    assert body["tool_choice"] == forced
    both = [WEATHER, CLOCK]
    body = await sent_for(connect, provider, SPECS[name], tools=both, tool_choice=("tool", "weather"))
    assert body["tool_choice"] == one


async def test_gemini_can_be_forced_to_one_tool(provider: MockProvider, connect: Any):
    body = await sent_for(
        connect, provider, SPECS["google"], tools=[WEATHER, CLOCK], tool_choice=("tool", "weather")
    )
    config = body["toolConfig"]["functionCallingConfig"]
    assert config == {"mode": "ANY", "allowedFunctionNames": ["weather"]}


async def test_without_thinking_the_options_for_it_are_not_sent(provider: MockProvider, connect: Any):
    options = {"thinking": {"type": "enabled", "budget_tokens": 5_000}, "effort": "high"}
    body = await sent_for(
        connect,
        provider,
        "anthropic/claude-haiku-4-5",
        provider_options=options,
        thinking=False,
        tools=[WEATHER, CLOCK],
        tool_choice=("tool", "weather"),
    )
    assert body.get("thinking", {"type": "disabled"})["type"] != "enabled"
    assert "5000" not in str(body)
    assert body["tool_choice"] == {"type": "tool", "name": "weather"}
