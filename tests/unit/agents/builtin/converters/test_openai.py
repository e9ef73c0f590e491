"""Streams of OpenAI's SDK, Responses and Chat Completions, from the SDK itself and as recorded dicts."""

import asyncio
from typing import Any

import openai
import pytest

from converting import in_camel_case, kinds, only, parts_of, said
from jumpseat.agents.builtin.converters.openai import open_openai
from jumpseat.agents.builtin.parts import (
    ApprovalRequest,
    Finish,
    ModelError,
    ReasoningDelta,
    ReasoningEnd,
    StepBreak,
    TextDelta,
    TextEnd,
    ToolCall,
    ToolFailure,
    ToolInputDelta,
    ToolInputEnd,
    ToolInputStart,
    ToolResult,
    Usage,
    UsageReport,
)
from jumpseat.protocol.events import ToolCallResult
from mock_provider import TEST_KEY, MockProvider
from provider_answers import HELLO, WEATHER

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"name": "weather", "description": "The weather", "parameters": PARAMETERS}


@pytest.fixture
async def client(provider: MockProvider):
    provider.add(*WEATHER, HELLO)
    async with openai.AsyncOpenAI(base_url=provider.openai_url, api_key=TEST_KEY, max_retries=0) as client:
        yield client


def text(parts: list[Any]) -> str:
    return "".join(part.delta for part in only(TextDelta, parts))


# --- the SDK


async def test_responses_reason_and_speak(client: openai.AsyncOpenAI):
    stream = await client.responses.create(model="gpt-5", input="hello", stream=True)
    parts = await parts_of(open_openai, stream)
    assert kinds(parts) == ["ReasoningDelta", "ReasoningEnd", "TextDelta", "TextDelta", "TextEnd", "Finish"]
    assert text(parts) == "Hello there, my good friend."
    assert parts[0].id == parts[1].id != parts[2].id == parts[3].id
    assert parts[-1].reason == "stop"
    assert (parts[-1].usage.provider, parts[-1].usage.model) == ("openai", "gpt-5")


async def test_responses_call_tools(client: openai.AsyncOpenAI):
    tools: Any = [{"type": "function", **FUNCTION}]
    stream = await client.responses.create(model="gpt-5", input="weather", stream=True, tools=tools)
    parts = await parts_of(open_openai, stream)
    assert parts[2:-1] == [
        ToolInputStart(id="call_1", name="weather"),
        ToolInputDelta(id="call_1", delta='{"city":"Rome"}'),
        ToolCall(id="call_1", name="weather", input='{"city":"Rome"}'),
        ToolInputStart(id="call_2", name="weather"),
        ToolInputDelta(id="call_2", delta='{"city":"Oslo"}'),
        ToolCall(id="call_2", name="weather", input='{"city":"Oslo"}'),
    ]
    assert parts[-1].reason == "tool_call"
    assert (parts[-1].usage.input_tokens, parts[-1].usage.total_tokens) == (10, 15)


async def test_the_responses_helper_says_nothing_twice(client: openai.AsyncOpenAI):
    async with client.responses.stream(model="gpt-5", input="hello") as stream:
        assert text(await parts_of(open_openai, stream)) == "Hello there, my good friend."


async def test_chat_speaks_and_counts(client: openai.AsyncOpenAI):
    stream = await client.chat.completions.create(
        model="gpt-4o",
        messages=[{"role": "user", "content": "hello"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    parts = await parts_of(open_openai, stream)
    assert text(parts) == "Hello there, my good friend."
    assert kinds(parts)[-2:] == ["Finish", "UsageReport"]
    assert parts[-1].usage.output_tokens > 0


async def test_chat_calls_tools(client: openai.AsyncOpenAI):
    stream = await client.chat.completions.create(
        model="gpt-4o",
        messages=[{"role": "user", "content": "weather"}],
        stream=True,
        tools=[{"type": "function", "function": FUNCTION}],  # type: ignore[list-item]
    )
    assert await parts_of(open_openai, stream) == [
        ToolInputStart(id="call_1", name="weather"),
        ToolInputDelta(id="call_1", delta='{"city":"Rome"}'),
        ToolInputStart(id="call_2", name="weather"),
        ToolInputDelta(id="call_2", delta='{"city":"Oslo"}'),
        ToolInputEnd(id="call_1"),
        ToolInputEnd(id="call_2"),
        Finish(reason="tool_call"),
    ]


async def test_the_chat_helper_says_nothing_twice(client: openai.AsyncOpenAI):
    messages: Any = [{"role": "user", "content": "hello"}]
    async with client.chat.completions.stream(model="gpt-4o", messages=messages) as stream:
        assert text(await parts_of(open_openai, stream)) == "Hello there, my good friend."


@pytest.mark.parametrize("api", ["responses", "chat"])
async def test_leaving_a_stream_closes_its_connection(
    client: openai.AsyncOpenAI, provider: MockProvider, api: str
):
    event = (
        b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"a"}\n\n'
        if api == "responses"
        else b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    )
    provider.answer_once(200, stream=[event], end="hang")
    messages: Any = [{"role": "user", "content": "hello"}]
    stream: Any = (
        await client.responses.create(model="m", input="hello", stream=True)
        if api == "responses"
        else await client.chat.completions.create(model="m", messages=messages, stream=True)
    )
    converter = open_openai(stream, None)  # type: ignore[arg-type]
    chunks: Any = aiter(converter.stream)
    assert next(iter(converter.feed(await anext(chunks)))).delta == "a"  # type: ignore[union-attr]
    await chunks.aclose()
    (request,) = await provider.seen()
    assert await asyncio.to_thread(request.hung_up.wait, 2.0)


@pytest.mark.parametrize("question", ["hello", "weather"])
@pytest.mark.parametrize("api", ["responses", "chat"])
async def test_chunks_as_dicts_say_the_same(client: openai.AsyncOpenAI, api: str, question: str):
    messages: Any = [{"role": "user", "content": question}]
    stream: Any = (
        await client.responses.create(model="gpt-5", input=question, stream=True)
        if api == "responses"
        else await client.chat.completions.create(model="gpt-4o", messages=messages, stream=True)
    )
    chunks = [chunk async for chunk in stream]
    parts, dicts = await said(open_openai, chunks), [chunk.to_dict() for chunk in chunks]
    assert len(parts) > 2
    assert await said(open_openai, dicts) == parts
    assert await said(open_openai, in_camel_case(dicts)) == parts


# --- recorded events of the Responses API


def item(kind: str, place: int = 0, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.output_item.{kind}", "output_index": place, "item": fields}


async def test_a_refusal_is_text():
    events = [{"type": "response.refusal.delta", "item_id": "msg_1", "output_index": 0, "delta": "I cannot"}]
    assert await said(open_openai, events) == [TextDelta(delta="I cannot", id="msg_1")]


async def test_a_new_part_of_a_summary_begins_with_a_blank_line():
    def delta(place: int, index: int, words: str, kind: str = "summary") -> dict[str, Any]:
        name = "reasoning_summary_text" if kind == "summary" else "reasoning_text"
        return {
            "type": f"response.{name}.delta",
            "item_id": f"rs_{place}",
            "output_index": place,
            f"{kind}_index": index,
            "delta": words,
        }

    events = [
        delta(0, 0, "First"),
        delta(0, 0, ""),
        delta(0, 0, " part"),
        delta(0, 1, "Second"),
        item("done", 0, type="reasoning", id="rs_0"),
        delta(1, 0, "Another", "content"),
    ]
    assert await said(open_openai, events) == [
        ReasoningDelta(delta="First", id="rs_0"),
        ReasoningDelta(delta=" part", id="rs_0"),
        ReasoningDelta(delta="\n\nSecond", id="rs_0"),
        ReasoningEnd(id="rs_0", provider="openai"),
        ReasoningDelta(delta="Another", id="rs_1"),
    ]


async def test_encrypted_reasoning_is_a_signature_without_a_block():
    events = [
        item("added", 0, type="reasoning", id="rs_0", summary=[]),
        item("done", 0, type="reasoning", id="rs_0", summary=[], encrypted_content="secret"),
        item("done", 1, type="reasoning", id="rs_1", summary=[]),
    ]
    assert await said(open_openai, events) == [ReasoningEnd(id="rs_0", signature="secret", provider="openai")]


async def test_arguments_that_come_only_whole_are_the_calls_input():
    events = [
        item("added", 0, type="function_call", id="fc_1", call_id="c1", name="f", arguments=""),
        {"type": "response.function_call_arguments.done", "output_index": 0, "arguments": '{"a":1}'},
        item("done", 0, type="function_call", id="fc_1", call_id="c1", name="f", arguments='{"a":1}'),
        # An imitation that sends nothing but the complete item.
        item("done", 1, type="function_call", id="fc_2", call_id="c2", name="f", arguments="{}"),
    ]
    assert await said(open_openai, events) == [
        ToolInputStart(id="c1", name="f"),
        ToolCall(id="c1", name="f", input='{"a":1}'),
        ToolCall(id="c2", name="f", input="{}"),
    ]


@pytest.mark.parametrize(
    ("hosted", "name", "given", "output"),
    [
        (
            {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "rome"}},
            "web_search",
            {"action": {"type": "search", "query": "rome"}},
            {"status": "completed"},
        ),
        (
            {"type": "file_search_call", "status": "completed", "queries": ["a"], "results": [{"text": "b"}]},
            "file_search",
            {"queries": ["a"]},
            {"status": "completed", "results": [{"text": "b"}]},
        ),
        (
            {"type": "code_interpreter_call", "status": "completed", "code": "1+1", "outputs": None},
            "code_interpreter",
            {"code": "1+1"},
            {"status": "completed"},
        ),
        (
            {
                "type": "image_generation_call",
                "status": "completed",
                "result": "aGk=",
                "revised_prompt": "cat",
            },
            "image_generation",
            {"revised_prompt": "cat"},
            {"status": "completed"},
        ),
    ],
)
async def test_hosted_tools_are_calls_with_results(
    hosted: dict[str, Any], name: str, given: dict[str, Any], output: dict[str, Any]
):
    events = [
        item("added", 0, id="ws_1", type=hosted["type"], status="in_progress"),
        item("done", 0, id="ws_1", **hosted),
    ]
    assert await said(open_openai, events) == [
        ToolInputStart(id="ws_1", name=name),
        ToolCall(id="ws_1", name=name, input=given, provider_executed=True),
        ToolResult(id="ws_1", name=name, output=output),
    ]


async def test_hosted_mcp_calls_stream_their_arguments_and_report():
    def call(kind: str, place: int, **fields: Any) -> dict[str, Any]:
        known = {"id": f"mcp_{place}", "type": "mcp_call", "name": "ask", "server_label": "wiki"}
        return item(kind, place, **known, **fields)

    events = [
        call("added", 0, arguments=""),
        {"type": "response.mcp_call_arguments.delta", "output_index": 0, "delta": '{"q":1}'},
        call("done", 0, arguments='{"q":1}', output="42", error=None),
        call("added", 1, arguments=""),
        call("done", 1, arguments="{}", output=None, error={"type": "protocol", "message": "no such page"}),
    ]
    assert await said(open_openai, events) == [
        ToolInputStart(id="mcp_0", name="ask"),
        ToolInputDelta(id="mcp_0", delta='{"q":1}'),
        ToolCall(id="mcp_0", name="ask", input='{"q":1}', provider_executed=True),
        ToolResult(id="mcp_0", name="ask", output="42"),
        ToolInputStart(id="mcp_1", name="ask"),
        ToolCall(id="mcp_1", name="ask", input="{}", provider_executed=True),
        ToolFailure(id="mcp_1", error="no such page"),
    ]


async def test_a_hosted_mcp_tool_that_waits_for_approval_is_asked_for():
    request = item("done", 0, id="mcpr_1", type="mcp_approval_request", name="ask", server_label="wiki")
    assert await said(open_openai, [request]) == [
        ApprovalRequest(
            id="mcpr_1", message='Approve "ask"?', metadata={"toolName": "ask", "serverLabel": "wiki"}
        )
    ]


async def test_calls_that_the_developer_answers_are_calls():
    events = [
        item("done", 0, id="ctc_1", call_id="c1", type="custom_tool_call", name="sql", input="select 1"),
        item("done", 1, id="lsh_1", call_id="c2", type="local_shell_call", action={"command": ["ls"]}),
    ]
    assert await said(open_openai, events) == [
        ToolCall(id="c1", name="sql", input={"input": "select 1"}),
        ToolCall(id="c2", name="local_shell", input={"action": {"command": ["ls"]}}),
    ]


@pytest.mark.parametrize(
    ("details", "reason"),
    [({"reason": "max_output_tokens"}, "length"), ({"reason": "content_filter"}, "content_filter")],
)
async def test_an_incomplete_response_says_why(details: dict[str, str], reason: str):
    response = {"id": "resp_1", "model": "m", "incomplete_details": details}
    assert await said(open_openai, [{"type": "response.incomplete", "response": response}]) == [
        Finish(reason=reason, response_id="resp_1", response_model="m")
    ]


async def test_all_counts_of_a_response_are_reported():
    counts = {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 15,
    }
    event = {"type": "response.completed", "response": {"model": "m", "usage": counts}}
    (finish,) = await said(open_openai, [event])
    assert finish.usage == Usage(  # type: ignore[union-attr]
        input_tokens=10,
        output_tokens=5,
        total_tokens=15,
        reasoning_tokens=3,
        cached_input_tokens=4,
        cache_write_input_tokens=1,
        provider="openai",
        model="m",
    )


@pytest.mark.parametrize(
    ("event", "message", "code"),
    [
        ({"type": "error", "message": "Slow down", "code": "rate_limit_exceeded"}, "Slow down", "rate_limit"),
        ({"type": "error", "error": {"message": "Busy", "code": None}}, "Busy", "provider_error"),
        (
            {"type": "response.failed", "response": {"error": {"code": "invalid_prompt", "message": "Bad"}}},
            "Bad",
            "invalid_request",
        ),
        ({"type": "response.failed", "response": {}}, "The model's stream failed", "provider_error"),
    ],
)
async def test_a_failure_is_an_error(event: dict[str, Any], message: str, code: str):
    assert await said(open_openai, [event]) == [ModelError(error=message, code=code)]


async def test_a_failed_response_counts_too():
    usage = {"input_tokens": 3, "output_tokens": 0, "total_tokens": 3}
    event = {"type": "response.failed", "response": {"error": {"message": "Bad"}, "usage": usage}}
    assert kinds(await said(open_openai, [event])) == ["UsageReport", "ModelError"]


async def test_a_second_response_begins_a_step():
    def delta(words: str) -> dict[str, Any]:
        return {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "delta": words}

    created = {"type": "response.created", "response": {"id": "resp_1"}}
    result = ToolCallResult(message_id="m", tool_call_id="c1", content="42", role="tool")
    parts = await said(open_openai, [created, delta("a"), result, created, delta("b")])
    assert parts == [TextDelta(delta="a", id="msg_1"), result, StepBreak(), TextDelta(delta="b", id="msg_1")]


# --- recorded chunks of Chat Completions


def chunk(delta: dict[str, Any] | None = None, reason: str | None = None, **fields: Any) -> dict[str, Any]:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": reason}]
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": choices, **fields}


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_reasoning_of_imitations_is_reasoning(name: str):
    chunks = [chunk({name: "Hm"}), chunk({"content": "Yes"}), chunk({"refusal": " no"})]
    assert await said(open_openai, chunks) == [
        ReasoningDelta(delta="Hm"),
        TextDelta(delta="Yes"),
        TextDelta(delta=" no"),
    ]


def call(index: int, arguments: str, **fields: Any) -> dict[str, Any]:
    name = fields.pop("name", None)
    return {"index": index, "function": {"name": name, "arguments": arguments}, **fields}


async def test_calls_that_all_have_the_index_0_are_told_apart_by_id():
    chunks = [
        chunk({"tool_calls": [call(0, '{"a":', id="c1", name="f")]}),
        # Some repeat the id with every piece.
        chunk({"tool_calls": [call(0, "1}", id="c1", name="f")]}),
        chunk({"tool_calls": [call(0, "{}", id="c2", name="f")]}),
        chunk({}, "tool_calls"),
    ]
    assert await said(open_openai, chunks) == [
        ToolInputStart(id="c1", name="f"),
        ToolInputDelta(id="c1", delta='{"a":'),
        ToolInputDelta(id="c1", delta="1}"),
        ToolInputStart(id="c2", name="f"),
        ToolInputDelta(id="c2", delta="{}"),
        ToolInputEnd(id="c1"),
        ToolInputEnd(id="c2"),
        Finish(reason="tool_call"),
    ]


async def test_a_call_without_an_id_gets_one():
    parts = await said(open_openai, [chunk({"tool_calls": [call(0, "{}", name="f")]})])
    assert only(ToolInputStart, parts)[0].id.startswith("call_")


async def test_all_counts_of_a_completion_are_reported():
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    assert await said(open_openai, [chunk(None, usage=usage, model="m")]) == [
        UsageReport(
            usage=Usage(
                input_tokens=10,
                output_tokens=5,
                total_tokens=15,
                reasoning_tokens=3,
                cached_input_tokens=4,
                provider="openai",
                model="m",
            )
        )
    ]


async def test_a_second_completion_begins_a_step():
    chunks = [chunk({"content": "a"}, "stop"), chunk({"content": "b"}) | {"id": "chatcmpl-2"}]
    parts = await said(open_openai, chunks)
    assert kinds(parts) == ["TextDelta", "Finish", "StepBreak", "TextDelta"]


async def test_a_filter_ends_a_completion():
    assert await said(open_openai, [chunk({}, "content_filter")]) == [Finish(reason="content_filter")]


async def test_an_error_among_the_chunks_is_an_error():
    assert await said(open_openai, [chunk({}), {"error": {"message": "Busy"}}]) == [
        ModelError(error="Busy", code="provider_error")
    ]


async def test_chunks_of_neither_api_say_nothing():
    assert await said(open_openai, [{"type": "ping"}, {"x": 1}, "text", chunk({"content": "a"})]) == [
        TextDelta(delta="a")
    ]


async def test_no_stream_is_refused():
    with pytest.raises(TypeError, match=r"responses\.create"):
        await parts_of(open_openai, {"choices": []})


async def test_the_end_of_a_message_ends_its_text():
    assert await said(open_openai, [item("done", 0, type="message", id="msg_1")]) == [TextEnd()]
