import copy
import json
from typing import Any

import pytest

from jumpseat.agents.builtin.language_model import AssistantTurn, RequestedCall, Text, ToolReturn, UserTurn
from jumpseat.agents.builtin.parts import (
    ReasoningEnd,
    ReasoningStart,
    TextStart,
    ToolInputDelta,
    ToolInputStart,
)
from mock_provider import MockProvider
from model_requests import SPECS, WEATHER, answered, asked, calls_of, finish_of, reasoning_of, text_of

PATHS = {
    "openai": "/v1/responses",
    "openai-chat": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "google": "/v1beta/models/gemini-2.5-pro:streamGenerateContent",
}
USAGE = {
    "openai": {"input_tokens": 11, "output_tokens": 7},
    "openai-chat": {"prompt_tokens": 11, "completion_tokens": 7},
    "anthropic": {"input_tokens": 11, "output_tokens": 7},
    "google": {"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18},
}


@pytest.mark.parametrize("name", SPECS)
async def test_text_comes_in_deltas_with_usage_and_an_end(name: str, provider: MockProvider, connect: Any):
    provider.say("Hello, dear friend of mine, how are you?", usage=USAGE[name])
    model = await connect(SPECS[name])
    parts = await answered(model, asked("hi", system="Be kind."))
    assert text_of(parts) == "Hello, dear friend of mine, how are you?"
    assert len([part for part in parts if getattr(part, "delta", "")]) > 1
    finish = finish_of(parts)
    assert finish.reason == "stop"
    assert finish.usage is not None
    assert (finish.usage.input_tokens, finish.usage.output_tokens) == (11, 7)
    assert (finish.usage.provider, model.provider) == (name.partition("-")[0],) * 2
    (request,) = provider.requests
    assert request.path.partition("?")[0] == PATHS[name]
    roles = [(message["role"], message["content"]) for message in provider.journal()[0]["body"]["messages"]]
    assert roles == [("system", "Be kind."), ("user", "hi")]


@pytest.mark.parametrize("name", SPECS)
async def test_reasoning_and_calls_are_told_in_order(name: str, provider: MockProvider, connect: Any):
    calls = [
        {"id": "call_a1", "name": "weather", "arguments": {"city": "Rome"}},
        {"id": "call_b2", "name": "weather", "arguments": {"city": "Oslo", "days": 2}},
    ]
    provider.add(
        {"match": {}, "response": {"reasoning": "Look up.", "content": "Looking.", "toolCalls": calls}}
    )
    parts = await answered(await connect(SPECS[name]), asked("weather?", tools=[WEATHER]))
    if name != "openai-chat":  # the mock has no reasoning for gpt-4o there
        assert reasoning_of(parts) == "Look up."
        order = [type(part) for part in parts]
        assert order.index(ReasoningStart) < order.index(ReasoningEnd) < order.index(TextStart)
    assert text_of(parts) == "Looking."
    first, second = calls_of(parts)
    assert [first.name, second.name] == ["weather", "weather"]
    assert first.id != second.id
    started = [part.id for part in parts if isinstance(part, ToolInputStart)]
    assert started == [first.id, second.id]
    streamed = "".join(p.delta for p in parts if isinstance(p, ToolInputDelta) and p.id == second.id)
    expected = {"city": "Oslo", "days": 2}
    assert second.input == expected or (streamed == second.input and eval(streamed) == expected)
    assert finish_of(parts).reason == "tool_call"


@pytest.mark.parametrize("name", SPECS)
async def test_the_native_answer_goes_back_with_renamed_calls(
    name: str, provider: MockProvider, connect: Any
):
    call = {"id": "call_a1", "name": "weather", "arguments": {"city": "Rome"}}
    provider.add(
        {"match": {"hasToolResult": False}, "response": {"content": "Wait.", "toolCalls": [call]}},
        {"match": {"hasToolResult": True}, "response": {"content": "Sunny."}},
    )
    model = await connect(SPECS[name])
    first = await answered(model, asked("weather?", tools=[WEATHER]))
    native, (told,) = finish_of(first).native, calls_of(first)
    before = copy.deepcopy(native.parts)
    turn = AssistantTurn(content=[], native=native, renamed_calls={told.id: "call_renamed"})
    result = ToolReturn(tool_call_id="call_renamed", name="weather", content='{"sky":"blue"}')
    second = await answered(model, asked("weather?", turn, result, tools=[WEATHER], step=2))
    assert text_of(second) == "Sunny."
    assert native.parts == before
    sent = provider.requests[1].text
    assert "call_renamed" in sent
    assert told.id not in sent
    assert "blue" in sent


@pytest.mark.parametrize("name", SPECS)
async def test_a_conversation_of_earlier_runs_is_written_for_each_provider(
    name: str, provider: MockProvider, connect: Any
):
    provider.say("Fine.")
    called = RequestedCall(id="call_1", name="weather", arguments={"city": "Rome"})
    messages = [
        "weather?",
        AssistantTurn(content=[Text(text="Let me see."), called]),
        ToolReturn(tool_call_id="call_1", name="weather", content="sunny"),
        AssistantTurn(content=[Text(text="Sunny.")]),
        UserTurn(content=[Text(text="and "), Text(text="tomorrow?")]),
    ]
    await answered(await connect(SPECS[name]), asked(*messages, tools=[WEATHER]))
    body = provider.journal()[0]["body"]["messages"]
    assert [message["role"] for message in body if message["content"] != ""] == [
        *("user", "assistant"),
        *(("assistant",) if name == "openai" else ()),
        *("tool", "assistant", "user"),
    ]
    assert any("Rome" in str(message.get("tool_calls")) for message in body)


@pytest.mark.parametrize("name", SPECS)
async def test_the_schema_of_a_tool_arrives_as_it_is_and_not_strict(
    name: str, provider: MockProvider, connect: Any
):
    provider.say("ok")
    await answered(await connect(SPECS[name]), asked("hi", tools=[WEATHER]))
    (sent,) = provider.journal()[0]["body"]["tools"] if name != "google" else [_gemini_tool(provider)]
    assert sent["function"]["parameters"] == WEATHER.parameters
    assert '"strict":true' not in provider.requests[0].text.replace(" ", "")


def _gemini_tool(provider: MockProvider) -> dict[str, Any]:
    declared = provider.requests[0].json["tools"][0]["functionDeclarations"][0]
    return {
        "function": {"parameters": declared.get("parametersJsonSchema") or declared["parameters_json_schema"]}
    }


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("anthropic", "/v1"),
        ("anthropic", "/v1/"),
        ("google", "/v1beta"),
    ],
)
async def test_the_address_of_a_node_program_leads_to_the_same_path(
    name: str,
    suffix: str,
    provider: MockProvider,
    connect: Any,
    monkeypatch: pytest.MonkeyPatch,
):
    provider.say("ok")
    variable = {"anthropic": "ANTHROPIC_BASE_URL", "google": "GOOGLE_GENERATIVE_AI_BASE_URL"}[name]
    monkeypatch.setenv(variable, provider.origin + suffix)
    await answered(await connect(SPECS[name]), asked("hi"))
    assert provider.requests[0].path.partition("?")[0] == PATHS[name]


async def test_minimax_never_gets_the_key_of_another_vendor(
    provider: MockProvider, connect: Any, monkeypatch: pytest.MonkeyPatch
):
    provider.say("ok")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    monkeypatch.setenv("MINIMAX_API_KEY", "key-of-minimax")
    await answered(await connect("minimax/MiniMax-M2"), asked("hi"))
    (request,) = provider.requests
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer key-of-minimax"
    assert "sk-of-openai" not in request.text


async def test_hidden_reasoning_makes_no_block_of_its_own(provider: MockProvider, connect: Any):
    provider.say("Hi.")
    parts = await answered(await connect(SPECS["openai"]), asked("hi"))
    assert not any(isinstance(part, ReasoningStart) for part in parts)
    (end,) = [part for part in parts if isinstance(part, ReasoningEnd)]
    assert end.signature
    assert end.provider == "openai"


async def test_only_the_responses_interface_names_its_messages(provider: MockProvider, connect: Any):
    provider.say("Hi.")
    ids = {}
    for name, spec in SPECS.items():
        parts = await answered(await connect(spec), asked("hi"))
        ids[name] = next(part.id for part in parts if isinstance(part, TextStart))
    assert ids.pop("openai").startswith("msg")
    assert set(ids.values()) == {None}


def chat_chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(chunk)}\n\n".encode()


async def test_reasoning_of_chat_completions_is_told_without_its_constant_id(
    provider: MockProvider, connect: Any
):
    chunks = [chat_chunk({"reasoning_content": "Let me "}), chat_chunk({"reasoning_content": "think."})]
    provider.answer_once(200, stream=[*chunks, chat_chunk({"content": "Hi."}, "stop"), b"data: [DONE]\n\n"])
    parts = await answered(await connect("openai-chat/gpt-4o"), asked("hi"))
    assert reasoning_of(parts) == "Let me think."
    assert text_of(parts) == "Hi."
    assert [part.id for part in parts if isinstance(part, ReasoningStart)] == [None]
    assert [part.signature for part in parts if isinstance(part, ReasoningEnd)] == [None]


async def test_raw_reasoning_of_the_responses_interface_streams(provider: MockProvider, connect: Any):
    item = {"id": "rs_1", "type": "reasoning", "summary": []}
    response = {
        "id": "r",
        "object": "response",
        "created_at": 1,
        "model": "m",
        "output": [],
        "status": "completed",
    }
    response |= {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    where = {"item_id": "rs_1", "output_index": 0, "content_index": 0}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**response, "status": "in_progress"}},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.reasoning_text.delta", "delta": "Let me ", **where},
        {"type": "response.reasoning_text.delta", "delta": "think.", **where},
        {"type": "response.completed", "response": response},
    ]
    lines = [json.dumps({**event, "sequence_number": number}) for number, event in enumerate(events)]
    provider.answer_once(200, stream=[f"data: {line}\n\n".encode() for line in lines])
    parts = await answered(await connect("openai/gpt-oss-120b"), asked("hi"))
    assert reasoning_of(parts) == "Let me think."
    assert finish_of(parts).reason == "stop"


@pytest.mark.parametrize(
    ("finish", "reason"), [("length", "length"), ("content_filter", "content_filter"), ("stop", "stop")]
)
async def test_the_reason_of_the_end_is_told(finish: str, reason: str, provider: MockProvider, connect: Any):
    provider.answer_once(200, stream=[chat_chunk({"content": "Hi."}, finish), b"data: [DONE]\n\n"])
    assert finish_of(await answered(await connect("openai-chat/gpt-4o"), asked("hi"))).reason == reason


async def test_no_end_is_invented_for_an_answer_without_end_and_output(provider: MockProvider, connect: Any):
    usage = {"input_tokens": 1, "output_tokens": 0}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage}
    start = json.dumps({"type": "message_start", "message": {**message, "stop_reason": None}})
    provider.answer_once(200, stream=[f"event: message_start\ndata: {start}\n\n".encode()])
    assert await answered(await connect(SPECS["anthropic"]), asked("hi")) == []


async def test_usage_counts_what_was_cached_and_thought(provider: MockProvider, connect: Any):
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 80},
        "completion_tokens_details": {"reasoning_tokens": 30},
    }
    last = {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [],
        "usage": usage,
    }
    stream = [chat_chunk({"content": "Hi."}, "stop"), f"data: {json.dumps(last)}\n\n".encode()]
    provider.answer_once(200, stream=[*stream, b"data: [DONE]\n\n"])
    counted = finish_of(await answered(await connect("openai-chat/gpt-4o"), asked("hi"))).usage
    assert counted is not None
    assert (counted.input_tokens, counted.output_tokens) == (100, 50)
    assert (counted.cached_input_tokens, counted.reasoning_tokens) == (80, 30)
