"""Streams of Anthropic's SDK, from the SDK itself and as recorded dicts."""

import asyncio
from typing import Any

import anthropic
import pytest

from converting import in_camel_case, kinds, only, parts_of, said
from jumpseat.agents.builtin.converters.anthropic import open_anthropic
from jumpseat.agents.builtin.parts import (
    Finish,
    ModelError,
    ReasoningDelta,
    ReasoningEnd,
    StepBreak,
    TextDelta,
    ToolCall,
    ToolInputDelta,
    ToolInputStart,
    ToolResult,
    Usage,
    UsageReport,
)
from mock_provider import TEST_KEY, MockProvider
from provider_answers import HELLO, WEATHER

REQUEST: dict[str, Any] = {
    "model": "claude-of-the-tests",
    "max_tokens": 2000,
    "thinking": {"type": "enabled", "budget_tokens": 1024},
}


@pytest.fixture
async def client(provider: MockProvider):
    provider.add(*WEATHER, HELLO)
    async with anthropic.AsyncAnthropic(base_url=provider.origin, api_key=TEST_KEY, max_retries=0) as client:
        yield client


def asked(question: str) -> dict[str, Any]:
    return REQUEST | {"messages": [{"role": "user", "content": question}]}


# --- the SDK


async def test_it_reasons_and_speaks(client: anthropic.AsyncAnthropic):
    stream = await client.messages.create(**asked("hello"), stream=True)
    parts = await parts_of(open_anthropic, stream)
    assert kinds(parts) == ["ReasoningDelta", "ReasoningEnd", "TextDelta", "TextDelta", "Finish"]
    assert parts[1] == ReasoningEnd(signature="aimock-placeholder-signature", provider="anthropic")
    assert "".join(part.delta for part in only(TextDelta, parts)) == "Hello there, my good friend."
    assert parts[-1].reason == "stop"
    assert (parts[-1].usage.provider, parts[-1].usage.model) == ("anthropic", "claude-of-the-tests")


async def test_the_helper_says_nothing_twice(client: anthropic.AsyncAnthropic):
    raw = await parts_of(open_anthropic, await client.messages.create(**asked("weather"), stream=True))
    async with client.messages.stream(**asked("weather")) as stream:
        derived = await parts_of(open_anthropic, stream)
    assert raw[:-1] == derived[:-1]
    assert derived[2:-1] == [
        ToolInputStart(id="call_1", name="weather"),
        ToolInputDelta(id="call_1", delta='{"city":"Rome"}'),
        ToolCall(id="call_1", name="weather"),
        ToolInputStart(id="call_2", name="weather"),
        ToolInputDelta(id="call_2", delta='{"city":"Oslo"}'),
        ToolCall(id="call_2", name="weather"),
    ]
    assert derived[-1].reason == "tool_call"
    assert (derived[-1].usage.input_tokens, derived[-1].usage.output_tokens) == (10, 5)


async def test_events_as_dicts_say_the_same(client: anthropic.AsyncAnthropic):
    async with client.messages.stream(**asked("weather")) as stream:
        events = [event async for event in stream]
    parts, dicts = await said(open_anthropic, events), [event.to_dict() for event in events]
    assert await said(open_anthropic, dicts) == parts
    assert await said(open_anthropic, in_camel_case(dicts)) == parts


async def test_leaving_a_stream_closes_its_connection(
    client: anthropic.AsyncAnthropic, provider: MockProvider
):
    start = b'event: message_start\ndata: {"type":"message_start","message":{"usage":{}}}\n\n'
    provider.answer_once(200, stream=[start], end="hang")
    stream = await client.messages.create(**asked("hello"), stream=True)
    chunks: Any = aiter(open_anthropic(stream, None).stream)  # type: ignore[arg-type]
    await anext(chunks)
    await chunks.aclose()
    (request,) = await provider.seen()
    assert await asyncio.to_thread(request.hung_up.wait, 2.0)


# --- recorded events


def start(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **fields}}


def delta(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


async def test_thinking_that_is_not_shown_is_a_signature():
    events = [
        start(0, "thinking", thinking="", signature=""),
        delta(0, "signature_delta", signature="abc"),
        stop(0),
        start(1, "redacted_thinking", data="secret"),
        stop(1),
        start(2, "thinking", thinking="", signature=""),
        stop(2),
    ]
    assert await said(open_anthropic, events) == [
        ReasoningEnd(signature="abc", provider="anthropic"),
        ReasoningEnd(id="redacted_thinking", signature="secret", provider="anthropic"),
    ]


async def test_what_is_in_a_blocks_start_counts():
    events = [
        start(0, "thinking", thinking="Hm", signature="abc"),
        stop(0),
        start(1, "text", text="Yes"),
        delta(1, "text_delta", text=""),
        stop(1),
        start(2, "tool_use", id="toolu_1", name="f", input={"a": 1}),
        stop(2),
    ]
    assert await said(open_anthropic, events) == [
        ReasoningDelta(delta="Hm"),
        ReasoningEnd(signature="abc", provider="anthropic"),
        TextDelta(delta="Yes"),
        ToolInputStart(id="toolu_1", name="f"),
        ToolCall(id="toolu_1", name="f", input={"a": 1}),
    ]


async def test_tools_of_the_server_are_calls_with_results():
    found = [{"type": "web_search_result", "title": "Rome", "url": "https://example.com"}]
    failed = {"type": "web_search_tool_result_error", "error_code": "unavailable"}
    events = [
        start(0, "server_tool_use", id="srvtoolu_1", name="web_search", input={}),
        delta(0, "input_json_delta", partial_json='{"query":"rome"}'),
        stop(0),
        start(1, "web_search_tool_result", tool_use_id="srvtoolu_1", content=found),
        stop(1),
        start(2, "mcp_tool_use", id="mcptoolu_1", name="ask", server_name="wiki", input={"q": 1}),
        stop(2),
        start(3, "mcp_tool_result", tool_use_id="mcptoolu_1", is_error=False, content=failed),
        stop(3),
    ]
    assert await said(open_anthropic, events) == [
        ToolInputStart(id="srvtoolu_1", name="web_search"),
        ToolInputDelta(id="srvtoolu_1", delta='{"query":"rome"}'),
        ToolCall(id="srvtoolu_1", name="web_search", provider_executed=True),
        ToolResult(id="srvtoolu_1", output=found),
        ToolInputStart(id="mcptoolu_1", name="ask"),
        ToolCall(id="mcptoolu_1", name="ask", input={"q": 1}, provider_executed=True),
        ToolResult(id="mcptoolu_1", output=failed),
    ]


async def test_derived_events_say_nothing():
    events = [
        {"type": "text", "text": "a", "snapshot": "a"},
        {"type": "thinking", "thinking": "a", "snapshot": "a"},
        {"type": "signature", "signature": "a"},
        {"type": "input_json", "partial_json": "{", "snapshot": {}},
        {"type": "citation", "citation": {}, "snapshot": []},
        {"type": "ping"},
        delta(0, "citations_delta", citation={}),
        delta(7, "input_json_delta", partial_json="{"),
    ]
    assert await said(open_anthropic, events) == []


async def test_the_cache_is_part_of_the_input():
    usage = {"input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20}
    events = [
        {"type": "message_start", "message": {"id": "msg_1", "model": "m", "usage": usage}},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "max_tokens"},
            "usage": {"output_tokens": 7, "output_tokens_details": {"thinking_tokens": 3}},
        },
        {"type": "message_stop"},
    ]
    assert await said(open_anthropic, events) == [
        Finish(
            reason="length",
            response_id="msg_1",
            response_model="m",
            usage=Usage(
                input_tokens=130,
                output_tokens=7,
                reasoning_tokens=3,
                cached_input_tokens=100,
                cache_write_input_tokens=20,
                provider="anthropic",
                model="m",
            ),
        )
    ]


async def test_a_stream_that_breaks_off_has_used_what_it_counted():
    events = [{"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 10}}}]
    assert await said(open_anthropic, events) == [
        UsageReport(usage=Usage(input_tokens=10, provider="anthropic", model="m"))
    ]


async def test_a_second_message_begins_a_step():
    events = [{"type": "message_start", "message": {}}, start(0, "text", text="a"), stop(0)]
    assert await said(open_anthropic, events * 2) == [
        TextDelta(delta="a"),
        StepBreak(),
        TextDelta(delta="a"),
    ]


@pytest.mark.parametrize(
    ("reason", "known"),
    [
        ("end_turn", "stop"),
        ("refusal", "content_filter"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "other"),
    ],
)
async def test_it_says_why_it_ended(reason: str, known: str):
    events = [{"type": "message_delta", "delta": {"stop_reason": reason}}, {"type": "message_stop"}]
    assert [part.reason for part in only(Finish, await said(open_anthropic, events))] == [known]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, "provider_error"),
        ({"type": "rate_limit_error", "message": "Overloaded"}, "rate_limit"),
        ({"type": "authentication_error", "message": "Overloaded"}, "authentication_error"),
        ({"type": "request_too_large", "message": "Overloaded"}, "invalid_request"),
    ],
)
async def test_a_failure_is_an_error(error: dict[str, str], code: str):
    events = [{"type": "error", "error": error}]
    assert await said(open_anthropic, events) == [ModelError(error="Overloaded", code=code)]


async def test_no_stream_is_refused():
    with pytest.raises(TypeError, match="stream=True"):
        await parts_of(open_anthropic, {"content": []})
