"""Models of the Python ``ai`` package as language models, against the mock of the providers."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from ai_environment import Conversation
from jumpseat.agents.builtin.models.ai_sdk import AiSdkModel
from jumpseat.errors import MissingDependencyError
from mock_provider import MockProvider

APP = Path(__file__).parent / "ai_sdk_app.py"
CALL = {"toolCalls": [{"id": "call_up1", "name": "weather", "arguments": {"city": "Bern"}}]}
USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
KINDS = [
    pytest.param({"model": "openai:gpt-5", "protocol": "responses"}, "/v1/responses", id="responses"),
    pytest.param({"model": "openai:gpt-5", "protocol": "chat"}, "/v1/chat/completions", id="chat"),
    pytest.param({"model": "anthropic:claude-test-1"}, "/v1/messages", id="anthropic"),
]


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory):
    """The script in the interpreter that has the package."""
    conversation = Conversation(APP, tmp_path_factory.mktemp("ai") / "app.log")
    yield conversation
    conversation.end()


@pytest.fixture
def do(app: Conversation, provider: MockProvider):
    """Has the script do something against the mock."""

    def ask(name: str, *, fails: bool = False, **job: Any) -> Any:
        got = app.ask({"do": name, "environment": provider.environment, **job})
        assert ("raised" in got) is fails, got
        return got

    return ask


def text_of(parts: list[dict], kind: str = "text-delta") -> str:
    return "".join(part["delta"] for part in parts if part["type"] == kind)


def test_without_the_package_the_error_names_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ai", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "jumpseat\[ai\]"'):
        AiSdkModel(object())


@pytest.mark.parametrize(("kind", "path"), KINDS)
def test_a_text_streams_and_its_finish_counts_the_tokens(do, provider: MockProvider, kind: dict, path: str):
    provider.add(
        {
            "match": {"userMessage": "hello"},
            "response": {"content": "Hi there, friend.", "usage": USAGE},
            "chunkSize": 4,
        }
    )
    got = do("parts", **kind)
    assert text_of(got["parts"]) == "Hi there, friend."
    assert len([part for part in got["parts"] if part["type"] == "text-delta"]) > 2
    finish = got["parts"][-1]
    assert (finish["type"], finish["reason"]) == ("finish", "stop")
    assert (finish["usage"]["inputTokens"], finish["usage"]["outputTokens"]) == (5, 3)
    assert [request.path for request in provider.requests] == [path]
    assert (got["provider"], got["model"]) == tuple(kind["model"].split(":"))
    assert "Be kind." in json.dumps(provider.requests[0].json)


@pytest.mark.parametrize(("kind", "path"), KINDS)
def test_a_call_streams_and_the_schema_of_its_tool_arrives_as_it_was(
    do, provider: MockProvider, kind: dict, path: str
):
    provider.add({"match": {"userMessage": "hello"}, "response": CALL})
    got = do("parts", **kind, tools=True)["parts"]
    assert [part["type"] for part in got if part["type"] != "tool-input-delta"] == [
        "tool-input-start",
        "tool-call",
        "finish",
    ]
    assert json.loads(text_of(got, "tool-input-delta")) == {"city": "Bern"}
    assert got[-1]["reason"] == "tool_call"
    (tool,) = provider.requests[0].json["tools"]
    schema = tool.get("parameters") or tool.get("input_schema") or tool["function"]["parameters"]
    assert schema["properties"]["city"]["pattern"] == "^[A-Z]"
    assert provider.requests[0].path == path


@pytest.mark.parametrize(("kind", "path"), KINDS)
def test_a_run_calls_a_tool_and_answers_with_its_result(do, provider: MockProvider, kind: dict, path: str):
    provider.add(
        {"match": {"userMessage": "weather", "hasToolResult": False}, "response": {**CALL, "usage": USAGE}},
        {"match": {"userMessage": "weather"}, "response": {"content": "It is 7.", "usage": USAGE}},
    )
    events = do("agent", **kind)
    assert [event["type"] for event in events if not event["type"].endswith(("_CONTENT", "_ARGS"))] == [
        "RUN_STARTED",
        "TOOL_CALL_START",
        "TOOL_CALL_END",
        "TOOL_CALL_RESULT",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_END",
        "RUN_FINISHED",
    ]
    (result,) = [event for event in events if event["type"] == "TOOL_CALL_RESULT"]
    assert json.loads(result["content"]) == {"city": "Bern", "degrees": 7}
    assert "".join(e["delta"] for e in events if e["type"] == "TEXT_MESSAGE_CONTENT") == "It is 7."
    (usage,) = events[-1]["usage"]
    assert (usage["provider"], usage["totalTokens"]) == (kind["model"].partition(":")[0], 16)
    assert [request.path for request in provider.requests] == [path] * 2
    assert '\\"degrees\\":7' in json.dumps(provider.requests[1].json)


@pytest.mark.parametrize(("kind", "path"), KINDS)
def test_the_answer_of_an_earlier_step_goes_back_under_ids_that_had_to_change(
    do, provider: MockProvider, kind: dict, path: str
):
    provider.add(
        {"match": {"userMessage": "hello", "hasToolResult": False}, "response": CALL},
        {"match": {"userMessage": "hello"}, "response": {"content": "7"}},
    )
    got = do("parts", **kind, tools=True, again=True)
    assert text_of(got["parts"]) == "7"
    assert provider.requests[1].path == path
    sent = json.dumps(provider.requests[1].json)
    assert sent.count("call_renamed") == 2
    assert "call_up1" not in sent


@pytest.mark.parametrize(("kind", "path"), KINDS)
def test_pictures_reach_the_model_also_in_results(do, provider: MockProvider, kind: dict, path: str):
    provider.say("Seen.")
    assert text_of(do("parts", **kind, conversation="picture")["parts"]) == "Seen."
    assert text_of(do("parts", **kind, conversation="shown")["parts"]) == "Seen."
    assert all("iVBORw0KGgo=" in json.dumps(request.json) for request in provider.requests)
    assert len(provider.requests) == 2
    assert provider.requests[1].path == path


def test_signed_reasoning_goes_back_to_the_provider_that_signed_it(do, provider: MockProvider):
    provider.say("Done.")
    do("parts", model="anthropic:claude-test-1", conversation="answered")
    said = provider.requests[0].json["messages"][1]["content"]
    assert said[0] == {"type": "thinking", "thinking": "Hm", "signature": "sig-1"}
    assert [block["type"] for block in said] == ["thinking", "text", "tool_use"]


def test_reasoning_streams_before_the_text(do, provider: MockProvider):
    provider.add({"match": {"userMessage": "hello"}, "response": {"content": "Fine.", "reasoning": "Hm."}})
    got = do("parts", model="anthropic:claude-test-1")["parts"]
    kinds = [part["type"] for part in got]
    assert text_of(got, "reasoning-delta") == "Hm."
    assert kinds.index("reasoning-end") < kinds.index("text-start")


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        (
            {"model": "openai:gpt-5", "protocol": "chat"},
            {
                "temperature": 0,
                "top_p": 0.5,
                "seed": 7,
                "max_completion_tokens": 10,
                "frequency_penalty": 0.1,
            },
        ),
        (
            {"model": "openai:gpt-5", "protocol": "responses"},
            {"temperature": 0, "top_p": 0.5, "max_output_tokens": 10},
        ),
        (
            {"model": "anthropic:claude-test-1"},
            {"max_tokens": 10, "stop_sequences": None},
        ),
    ],
)
def test_settings_are_sent_and_those_the_provider_does_not_support_are_left_out(
    do, provider: MockProvider, kind: dict, sent: dict
):
    provider.say("Hi.")
    settings = {
        "temperature": 0, "top_p": 0.5, "top_k": 3, "seed": 7, "max_output_tokens": 10,
        "frequency_penalty": 0.1, "stop_sequences": ["x"],
    }  # fmt: skip
    got = do("parts", **kind, settings=settings)
    assert text_of(got["parts"]) == "Hi."
    assert len(provider.requests) == 1
    got = provider.requests[0].json
    assert {name: got.get(name) for name in sent} == sent


@pytest.mark.parametrize(
    ("choice", "chat", "anthropic"),
    [
        ("auto", None, None),
        ("required", "required", {"type": "any"}),
        ("none", "none", {"type": "none"}),
        (
            ["tool", "weather"],
            {"type": "function", "function": {"name": "weather"}},
            {"type": "tool", "name": "weather"},
        ),
    ],
)
def test_a_tool_choice_is_sent_in_the_words_of_the_provider(
    do, provider: MockProvider, choice: Any, chat: Any, anthropic: Any
):
    provider.say("Hi.")
    for kind in ({"model": "openai:gpt-5", "protocol": "chat"}, {"model": "anthropic:claude-test-1"}):
        do("parts", **kind, tools=True, tool_choice=choice)
    first, second = [request.json for request in provider.requests]
    assert (first.get("tool_choice"), second.get("tool_choice")) == (chat, anthropic)


def test_options_of_the_provider_are_sent_in_either_spelling_and_reasoning_can_be_switched_off(
    do,
    provider: MockProvider,
):
    provider.say("Hi.")
    chat = {"model": "openai:gpt-5", "protocol": "chat"}
    do("parts", **chat, options={"reasoningEffort": "high", "service_tier": "flex"})
    do("parts", **chat, options={"reasoning_effort": "high"}, thinking=False)
    thinking = {"thinking": {"type": "enabled", "budgetTokens": 1024}}
    do("parts", model="anthropic:claude-test-1", options=thinking)
    do("parts", model="anthropic:claude-test-1", options=thinking, thinking=False)
    first, second, third, fourth = [request.json for request in provider.requests]
    assert (first["reasoning_effort"], first["service_tier"]) == ("high", "flex")
    assert "reasoning_effort" not in second
    assert third["thinking"] == {"type": "enabled", "budget_tokens": 1024}
    assert "thinking" not in fourth


@pytest.mark.parametrize(
    ("status", "code"), [(401, "authentication_error"), (429, "rate_limit"), (400, "invalid_request")]
)
def test_a_refusal_of_the_provider_ends_the_run_with_its_code(
    do, provider: MockProvider, status: int, code: str
):
    for _ in range(4):
        provider.answer_once(status, {"error": {"message": "no more", "type": "x"}})
    events = do("agent", model="openai:gpt-5", protocol="chat")
    assert events[-1]["type"] == "RUN_ERROR"
    assert events[-1]["code"] == code
    assert "no more" in events[-1]["message"]


def test_a_stream_that_breaks_off_raises(do, provider: MockProvider):
    fixture = {"match": {"userMessage": "hello"}, "response": {"content": "Hi there, friend."}}
    provider.add({**fixture, "chunkSize": 4, "truncateAfterChunks": 2})
    got = do("parts", model="openai:gpt-5", protocol="chat", fails=True)
    assert got["raised"]


def test_a_provider_that_is_silent_for_too_long_raises_a_timeout(do, provider: MockProvider):
    provider.answer_once(200, stream=[b": nothing\n\n"], end="hang")
    got = do("parts", model="openai:gpt-5", protocol="chat", settings={"timeout": 0.5}, fails=True)
    assert got["raised"] == "TimeoutError"


def test_leaving_early_closes_the_request(do):
    assert do("left")["type"] in ("text-start", "text-delta")


def test_a_scripted_model_of_the_package_answers(do):
    got = do("scripted")
    assert text_of(got) == "Hi."
    assert [part["name"] for part in got if part["type"] == "tool-call"] == ["weather"]
    assert got[-1]["type"] == "finish"


def test_behind_the_gateway_the_vendor_is_the_provider_and_gets_its_options(do):
    got = do("gateway", options={"thinking": {"type": "enabled", "budget_tokens": 1024}})
    assert got["provider"] == "anthropic"
    options = {"thinking": {"type": "enabled", "budgetTokens": 1024}}
    assert got["body"] == {"providerOptions": {"anthropic": options}}
