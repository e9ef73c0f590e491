"""Streams of pydantic-ai: agents, models, and the rarer events as dicts."""

import dataclasses
from typing import Any

import pytest
from pydantic_ai import Agent, DeferredToolRequests, ModelRetry
from pydantic_ai.direct import model_request_stream
from pydantic_ai.messages import ModelRequest
from pydantic_ai.models.function import DeltaThinkingPart, DeltaToolCall, FunctionModel
from pydantic_ai.models.test import TestModel

from converting import in_camel_case, kinds, only, parts_of, said
from jumpseat.agents.builtin.converters.pydantic_ai import open_pydantic_ai
from jumpseat.agents.builtin.parts import (
    ApprovalRequest,
    Finish,
    ReasoningDelta,
    ReasoningEnd,
    StepBreak,
    TextDelta,
    TextEnd,
    ToolCall,
    ToolFailure,
    ToolInputDelta,
    ToolInputStart,
    ToolResult,
    UsageReport,
)
from jumpseat.protocol.events import Custom


async def everything(messages: Any, info: Any):
    yield {0: DeltaThinkingPart(content="Let ")}
    yield {0: DeltaThinkingPart(content="me see", signature="sig")}
    yield "It is "
    yield "warm"
    yield {1: DeltaToolCall(name="weather", json_args='{"ci', tool_call_id="c1")}
    yield {1: DeltaToolCall(json_args='ty":"Rome"}')}


def weather_agent(**options: Any) -> Agent[None, Any]:
    tries = 0

    def weather(city: str) -> dict[str, str]:
        nonlocal tries
        tries += 1
        if options.get("retries_first") and tries == 1:
            raise ModelRetry("Name a city")
        return {"city": city}

    return Agent(TestModel(custom_output_text="Warm and dry", call_tools=["weather"]), tools=[weather])


async def test_a_models_stream_is_reasoning_text_and_a_call():
    model = FunctionModel(stream_function=everything)
    async with model_request_stream(model, [ModelRequest.user_text_prompt("hi")]) as stream:
        parts = await parts_of(open_pydantic_ai, stream)
    assert parts[:-1] == [
        ReasoningDelta(delta="Let "),
        ReasoningDelta(delta="me see"),
        ReasoningEnd(signature="sig", provider="function"),
        TextDelta(delta="It is "),
        TextDelta(delta="warm"),
        TextEnd(),
        ToolInputStart(id="c1", name="weather"),
        ToolInputDelta(id="c1", delta='{"ci'),
        ToolInputDelta(id="c1", delta='ty":"Rome"}'),
        ToolCall(id="c1", name="weather", input='{"city":"Rome"}'),
    ]
    (finish,) = only(Finish, parts)
    assert finish.usage.model == "function::everything"
    assert finish.usage.output_tokens > 0


async def test_events_as_dicts_say_the_same():
    model = FunctionModel(stream_function=everything)
    async with model_request_stream(model, [ModelRequest.user_text_prompt("hi")]) as stream:
        events = [event async for event in stream]
    parts, dicts = await said(open_pydantic_ai, events), [dataclasses.asdict(event) for event in events]
    assert await said(open_pydantic_ai, dicts) == parts
    assert await said(open_pydantic_ai, in_camel_case(dicts)) == parts


async def test_an_agent_calls_its_tool_and_then_speaks():
    async with weather_agent().run_stream_events("hi") as events:
        parts = await parts_of(open_pydantic_ai, events)
    assert kinds(parts) == [
        "ToolInputStart", "ToolCall", "ToolResult", "StepBreak", *["TextDelta"] * 4, "TextEnd", "UsageReport"
    ]  # fmt: skip
    (call,) = only(ToolCall, parts)
    assert (call.name, call.input) == ("weather", {"city": "a"})
    (result,) = only(ToolResult, parts)
    assert (result.id, result.name, result.value) == (call.id, "weather", {"city": "a"})
    (report,) = only(UsageReport, parts)
    assert (report.usage.provider, report.usage.model) == ("test", "test")
    assert report.usage.cached_input_tokens is None


async def test_a_retry_is_an_error_of_the_call():
    async with weather_agent(retries_first=True).run_stream_events("hi") as events:
        parts = await parts_of(open_pydantic_ai, events)
    assert [failure.error for failure in only(ToolFailure, parts)] == ["Name a city"]
    assert len(only(ToolResult, parts)) == 1


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("Name a city", "Name a city"),
        ([{"loc": ["city", 0], "msg": "Field required", "type": "missing"}], "city.0: Field required"),
    ],
)
async def test_a_retry_prompt_is_an_error_of_the_call(content: Any, error: str):
    chunk = {
        "event_kind": "function_tool_result",
        "result": {"part_kind": "retry-prompt", "tool_call_id": "c1", "tool_name": "f", "content": content},
    }
    assert await said(open_pydantic_ai, [chunk]) == [ToolFailure(id="c1", error=error)]


async def test_a_structured_answer_has_its_result():
    agent = Agent(TestModel(), output_type=Answer)
    async with agent.run_stream_events("hi") as events:
        parts = await parts_of(open_pydantic_ai, events)
    (call,) = only(ToolCall, parts)
    (result,) = only(ToolResult, parts)
    assert result.id == call.id


@dataclasses.dataclass
class Answer:
    city: str


async def test_a_tool_that_needs_approval_is_asked_for_at_the_end():
    agent: Agent[None, Any] = Agent(TestModel(), output_type=[str, DeferredToolRequests])

    @agent.tool_plain(requires_approval=True)
    def erase(number: int) -> str:
        raise AssertionError("it must not run")

    async with agent.run_stream_events("hi") as events:
        parts = await parts_of(open_pydantic_ai, events)
    (call,) = only(ToolCall, parts)
    assert only(ApprovalRequest, parts) == [
        ApprovalRequest(
            id=call.id, tool_call_id=call.id, message='Approve "erase"?', metadata={"toolName": "erase"}
        )
    ]
    assert not only(ToolResult, parts)


async def test_external_calls_wait_for_the_client():
    calls = [{"part_kind": "tool-call", "tool_name": "pick", "tool_call_id": "c1", "args": "{}"}]
    requests = {"calls": calls, "approvals": []}
    chunks = [
        {"event_kind": "part_start", "index": 0, "part": calls[0]},
        {"event_kind": "part_end", "index": 0, "part": calls[0]},
        {"event_kind": "deferred_tool_requests", "requests": requests},
        {"event_kind": "agent_run_result", "result": {"output": requests}},
    ]
    assert kinds(await said(open_pydantic_ai, chunks)) == ["ToolInputStart", "ToolInputDelta", "ToolCall"]


async def test_an_approval_that_was_answered_in_the_run_is_not_asked_for():
    def call(number: int) -> dict[str, Any]:
        return {"tool_name": "f", "tool_call_id": f"c{number}"}

    chunks = [
        {"event_kind": "deferred_tool_requests", "requests": {"calls": [], "approvals": [call(1), call(2)]}},
        {"event_kind": "function_tool_result", "part": {**call(1), "content": "done"}},
    ]
    parts = await said(open_pydantic_ai, chunks)
    assert [request.id for request in only(ApprovalRequest, parts)] == ["c2"]


async def test_native_tools_are_calls_with_results():
    call = {"part_kind": "builtin-tool-call", "tool_name": "web_search", "tool_call_id": "ws1", "args": None}
    known = {**call, "args": {"query": "rome"}}
    result = {
        "part_kind": "builtin-tool-return",
        "tool_name": "web_search",
        "tool_call_id": "ws1",
        "content": {"status": "completed"},
    }
    chunks = [
        {"event_kind": "part_start", "index": 0, "part": call},
        # The part starts once more when its arguments are known.
        {"event_kind": "part_start", "index": 0, "part": known},
        {"event_kind": "part_end", "index": 0, "part": known},
        {"event_kind": "part_start", "index": 1, "part": result},
    ]
    assert await said(open_pydantic_ai, chunks) == [
        ToolInputStart(id="ws1", name="web_search"),
        ToolCall(id="ws1", name="web_search", input={"query": "rome"}, provider_executed=True),
        ToolResult(id="ws1", name="web_search", output={"status": "completed"}),
    ]


async def test_only_ids_of_items_are_kept():
    def start(own: str, kind: str) -> dict[str, Any]:
        part = {"part_kind": kind, "content": "x", "id": own}
        return {"event_kind": "part_start", "index": 0, "part": part}

    for own, kept in (("msg_0a1b", "msg_0a1b"), ("content", None), ("0", None)):
        assert await said(open_pydantic_ai, [start(own, "text")]) == [TextDelta(delta="x", id=kept)]
    for own, kept in (("rs_0a1b", "rs_0a1b"), ("reasoning_content", None)):
        assert await said(open_pydantic_ai, [start(own, "thinking")]) == [ReasoningDelta(delta="x", id=kept)]


async def test_reasoning_that_only_the_provider_can_read_is_a_signature():
    part = {
        "part_kind": "thinking",
        "content": "",
        "id": "rs_1",
        "signature": "secret",
        "provider_name": "openai",
        "provider_details": {"raw": ["x"]},
    }
    chunks = [
        {"event_kind": "part_start", "index": 0, "part": part},
        {"event_kind": "part_end", "index": 0, "part": part},
    ]
    assert await said(open_pydantic_ai, chunks) == [
        ReasoningEnd(id="rs_1", signature="secret", provider="openai", details={"raw": ["x"]})
    ]


async def test_a_signed_call_keeps_its_signature():
    part = {
        "part_kind": "tool-call",
        "tool_name": "f",
        "tool_call_id": "c1",
        "args": {"a": 1},
        "provider_name": "google",
        "provider_details": {"thought_signature": "sig"},
    }
    chunks = [
        {"event_kind": "part_start", "index": 0, "part": part},
        {"event_kind": "part_end", "index": 0, "part": part},
    ]
    (call,) = only(ToolCall, await said(open_pydantic_ai, chunks))
    assert (call.signature, call.provider, call.input) == ("sig", "google", {"a": 1})


async def test_a_text_that_a_citation_cuts_is_one_text():
    chunks = [
        {"event_kind": "part_start", "index": 0, "part": {"part_kind": "text", "content": "a"}},
        {"event_kind": "part_end", "index": 0, "part": {"part_kind": "text"}, "next_part_kind": "text"},
        {"event_kind": "part_start", "index": 1, "part": {"part_kind": "text", "content": "b"}},
        {"event_kind": "part_end", "index": 1, "part": {"part_kind": "text"}},
    ]
    assert await said(open_pydantic_ai, chunks) == [TextDelta(delta="a"), TextDelta(delta="b"), TextEnd()]


async def test_a_second_response_begins_a_step():
    start = {"event_kind": "part_start", "index": 0, "part": {"part_kind": "text", "content": "a"}}
    end = {"event_kind": "part_end", "index": 0, "part": {"part_kind": "text"}}
    parts = await said(open_pydantic_ai, [start, end, start, end])
    assert len(only(StepBreak, parts)) == 1


async def test_unknown_events_say_nothing_and_events_pass():
    own = Custom(name="mine", value=1)
    assert await said(open_pydantic_ai, [{"event_kind": "final_result"}, {"event_kind": "new"}, 5, own]) == [
        own
    ]


async def test_no_stream_is_refused():
    with pytest.raises(TypeError, match="run_stream_events"):
        await parts_of(open_pydantic_ai, 42)
