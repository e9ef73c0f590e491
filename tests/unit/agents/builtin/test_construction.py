"""Making a BuiltInAgent: what is checked at once, what is ignored with a warning, what is not imported."""

import importlib.util
import logging
import subprocess
import sys
from typing import Any

import pytest

from builtin_agents import run, types
from jumpseat import BuiltInAgent, ConfigurationError, define_tool
from jumpseat.errors import MissingDependencyError, ModelSpecError
from jumpseat.testing import ScriptedModel

USE = 'Use "openai/gpt-5", "anthropic/claude-sonnet-4.5", or "google/gemini-2.5-pro".'


@pytest.mark.parametrize("spec", ["gpt-4o", "/x", "openai/", "openai:", "", "/"])
def test_a_string_that_names_no_model_is_refused_with_examples(spec: str):
    with pytest.raises(ModelSpecError) as refused:
        BuiltInAgent(model=spec)
    assert str(refused.value) == f'Invalid model string "{spec}". {USE}'
    assert isinstance(refused.value, ConfigurationError)
    assert isinstance(refused.value, ValueError)


def test_an_unknown_provider_is_refused_with_the_known_ones():
    with pytest.raises(ModelSpecError) as refused:
        BuiltInAgent(model="foo/bar")
    start = 'Unknown provider "foo" in "foo/bar". Supported: openai, anthropic, google (gemini), '
    assert str(refused.value).startswith(start)
    assert "openrouter" in str(refused.value).removeprefix(start)


def test_construction_imports_no_library_of_a_provider():
    script = """
import sys
from jumpseat import BuiltInAgent
for model in ("openai:gpt-4o", "Gemini/x", "google-gemini/x", "openai:ft:gpt-4o:org::id", "anthropic/a"):
    BuiltInAgent(model=model, mcp_servers=[{"type": "http", "url": "http://127.0.0.1:9/mcp"}])
heavy = {"pydantic_ai", "openai", "anthropic", "google.genai", "pydantic", "mcp", "langchain_core", "httpx2"}
print(*sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == []


def test_a_missing_library_is_told_at_once_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch):
    find = importlib.util.find_spec
    monkeypatch.delitem(sys.modules, "anthropic", raising=False)
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "anthropic" else find(name, *rest)
    )
    with pytest.raises(MissingDependencyError, match=r'pip install "jumpseat\[anthropic\]"$'):
        BuiltInAgent(model="anthropic/claude-opus-4-8")


class Untouchable:
    """Fails the test when it is used."""

    async def tools(self) -> Any:
        pytest.fail("a factory connects to nothing")


async def empty(_: Any) -> Any:
    return
    yield


async def test_every_option_that_a_factory_ignores_is_named_in_one_warning(caplog: pytest.LogCaptureFixture):
    @define_tool
    def never() -> None:
        pytest.fail("a factory runs no tool")

    def prompt(*_: Any) -> str:
        pytest.fail("a factory has no prompt")

    with caplog.at_level(logging.WARNING):
        agent = BuiltInAgent(
            factory=empty,
            model="no model at all",
            tools=[never],
            prompt=prompt,
            api_key=prompt,
            mcp_servers=[{"type": "what", "url": "nowhere"}],
            mcp_clients=[Untouchable()],
            max_steps=-5,
            state_tools=True,
            temperature=None,
        )
    (record,) = caplog.records
    named = record.getMessage().rpartition(": ")[2].split(", ")
    assert sorted(named) == [
        "api_key",
        "max_steps",
        "mcp_clients",
        "mcp_servers",
        "model",
        "prompt",
        "state_tools",
        "tools",
    ]
    assert types(await run(agent)) == ["RUN_STARTED", "RUN_FINISHED"]
    assert await agent.capabilities() == await BuiltInAgent(factory=empty).capabilities()


def test_a_factory_without_other_options_is_no_reason_to_warn(caplog: pytest.LogCaptureFixture):
    BuiltInAgent(factory=empty, name="n", description="d", expose_usage=False)
    assert caplog.records == []


@pytest.mark.parametrize("kind", ["nope", "", None, ["custom"]])
def test_an_unknown_type_is_named_in_both_modes(kind: Any):
    for options in ({"factory": empty}, {"model": ScriptedModel([])}, {}):
        with pytest.raises(ConfigurationError) as refused:
            BuiltInAgent(type=kind, **options)  # type: ignore[arg-type]
        assert str(refused.value) == f"Unknown agent config type: {kind}"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("max_steps", value) for value in (-1, True, False, "3", 2.0)),
        *(("max_output_tokens", value) for value in ("9", 1.5, True)),
        *(("top_p", value) for value in (float("nan"), float("inf"), "0.5", True)),
        *(("stop_sequences", value) for value in ("STOP", [1], {"a"})),
        *(("max_retries", value) for value in (-1, 1.0, True)),
        *(("timeout", value) for value in (0, -1, True, "5", float("inf"))),
        *(("max_concurrent_tools", value) for value in (0, True, "4")),
        *(("tool_choice", value) for value in ("any", {"type": "tool"}, {"type": "tool", "toolName": ""}, 5)),
        ("capabilities", ["tools"]),
        ("state_tools", "yes"),
        ("forward_system_messages", 1),
        ("provider_options", "x"),
        ("tools", "x"),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_its_options_name(option: str, value: Any):
    with pytest.raises(ConfigurationError, match=option):
        BuiltInAgent(model=ScriptedModel([]), **{option: value})


async def test_values_that_are_false_are_values():
    model = ScriptedModel([["x"]])
    settings: dict[str, Any] = {
        "max_output_tokens": 0,
        "temperature": 0,
        "top_p": 0.0,
        "top_k": 0,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "stop_sequences": [],
        "seed": 0,
        "max_retries": 0,
    }
    await run(BuiltInAgent(model=model, max_steps=0, **settings))
    sent = model.requests[0].settings
    assert {name: getattr(sent, name) for name in settings} == settings


async def test_without_settings_only_the_retries_are_set():
    model = ScriptedModel([["x"]])
    await run(BuiltInAgent(model=model))
    sent = model.requests[0].settings
    assert {
        name: getattr(sent, name) for name in sent.__struct_fields__ if getattr(sent, name) is not None
    } == {"max_retries": 2}


async def test_every_option_of_a_node_program_has_its_name_here():
    model = ScriptedModel([["x"]])
    agent = BuiltInAgent.from_config(
        {
            "model": model,
            "apiKey": "k",
            "maxSteps": 2,
            "toolChoice": "auto",
            "maxOutputTokens": 5,
            "temperature": 0.5,
            "topP": 0.4,
            "topK": 3,
            "presencePenalty": 0.1,
            "frequencyPenalty": 0.2,
            "stopSequences": ["a"],
            "seed": 7,
            "maxRetries": 1,
            "prompt": "Be kind.",
            "tools": [],
            "mcpServers": [],
            "mcpClients": [],
            "forwardSystemMessages": True,
            "forwardDeveloperMessages": True,
            "providerOptions": {"scripted": {"a": 1}},
            "overridableProperties": ["temperature", "maxOutputTokens"],
            "capabilities": {},
        }
    )
    await run(agent)
    (request,) = model.requests
    sent = request.settings
    assert (sent.max_output_tokens, sent.top_p, sent.top_k, sent.seed, sent.max_retries) == (5, 0.4, 3, 7, 1)
    assert (sent.presence_penalty, sent.frequency_penalty, sent.stop_sequences) == (0.1, 0.2, ["a"])
    assert request.provider_options == {"a": 1}


@pytest.mark.parametrize("config", [{"modle": 1}, {"maxStep": 1}, {"maxSteps": 1, "max_steps": 2}])
def test_a_configuration_with_an_unknown_or_double_key_is_refused(config: dict[str, Any]):
    with pytest.raises(TypeError, match=r"modle|max_step"):
        BuiltInAgent.from_config({"model": ScriptedModel([]), **config})


def test_options_have_names():
    with pytest.raises(TypeError, match="positional"):
        BuiltInAgent(ScriptedModel([]))  # type: ignore[misc]
