"""Runs of the OpenAI Agents SDK, over both of its OpenAI models."""

import asyncio
from types import SimpleNamespace
from typing import Any

import agents
import openai
import pytest

from converting import only, parts_of, said
from jumpseat.agents.builtin.converters.openai_agents import open_openai_agents
from jumpseat.agents.builtin.parts import (
    ApprovalRequest,
    Finish,
    ReasoningDelta,
    StepBreak,
    TextDelta,
    ToolCall,
    ToolInputDelta,
    ToolInputStart,
    ToolResult,
)
from mock_provider import TEST_KEY, MockProvider
from provider_answers import HELLO, WEATHER

MODELS = {"responses": agents.OpenAIResponsesModel, "chat": agents.OpenAIChatCompletionsModel}


def single_call(question: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    called = {"id": "call_9", "name": name, "arguments": arguments}
    match = {"userMessage": question, "hasToolResult": False}
    return {"match": match, "response": {"toolCalls": [called]}}


@pytest.fixture(params=MODELS)
async def model(request: pytest.FixtureRequest, provider: MockProvider):
    provider.add(
        single_call("erase", "erase", {"number": 1}),
        single_call("transfer", "transfer_to_other", {}),
        {"match": {"userMessage": "transfer"}, "response": {"content": "Other here."}},
        *WEATHER,
        HELLO,
    )
    agents.set_tracing_disabled(True)
    async with openai.AsyncOpenAI(base_url=provider.openai_url, api_key=TEST_KEY, max_retries=0) as client:
        yield MODELS[request.param]("gpt-4o", client)


@agents.function_tool
def weather(city: str) -> dict[str, str]:
    """The weather."""
    return {"city": city}


@agents.function_tool(needs_approval=True)
def erase(number: int) -> str:
    """Erase one."""
    raise AssertionError("it must not run")


@agents.function_tool
async def hang(number: int) -> str:
    """Never answer."""
    await asyncio.Event().wait()
    return ""


def agent(model: Any, *tools: Any, **options: Any) -> Any:
    return agents.Agent(
        name="first",
        model=model,
        tools=list(tools),
        model_settings=agents.ModelSettings(include_usage=True),
        **options,
    )


def text(parts: list[Any]) -> str:
    return "".join(part.delta for part in only(TextDelta, parts))


async def test_an_agent_calls_its_tools_and_then_speaks(model: Any):
    run = agents.Runner.run_streamed(agent(model, weather), "weather")
    parts = await parts_of(open_openai_agents, run)
    assert [(call.id, call.input) for call in only(ToolCall, parts)] == [
        ("call_1", '{"city":"Rome"}'),
        ("call_2", '{"city":"Oslo"}'),
    ]
    assert [(result.id, result.value) for result in only(ToolResult, parts)] == [
        ("call_1", {"city": "Rome"}),
        ("call_2", {"city": "Oslo"}),
    ]
    assert text(parts) == "Sunny in Rome, cold in Oslo."
    assert len(only(StepBreak, parts)) == 1
    counted = [finish.usage for finish in only(Finish, parts)]
    assert len(counted) == 2
    assert counted[0].input_tokens == 10


async def test_no_made_up_id_is_passed_on(model: Any):
    run = agents.Runner.run_streamed(agent(model), "hello")
    parts = await parts_of(open_openai_agents, run)
    assert text(parts) == "Hello there, my good friend."
    assert "__fake_id__" not in repr(parts)
    ids = {part.id for part in [*only(TextDelta, parts), *only(ReasoningDelta, parts)]}
    assert ids == {None} or isinstance(model, agents.OpenAIResponsesModel)


async def test_a_tool_that_needs_approval_is_asked_for_at_the_end(model: Any):
    run = agents.Runner.run_streamed(agent(model, erase), "erase")
    parts = await parts_of(open_openai_agents, run)
    assert only(ApprovalRequest, parts) == [
        ApprovalRequest(
            id="call_9", tool_call_id="call_9", message='Approve "erase"?', metadata={"toolName": "erase"}
        )
    ]
    assert parts[-1] == only(ApprovalRequest, parts)[0]
    assert not only(ToolResult, parts)


async def test_the_call_that_hands_over_has_its_result(model: Any):
    other = agents.Agent(name="other", model=model)
    run = agents.Runner.run_streamed(agent(model, handoffs=[other]), "transfer")
    parts = await parts_of(open_openai_agents, run)
    assert [call.name for call in only(ToolCall, parts)] == ["transfer_to_other"]
    assert [result.id for result in only(ToolResult, parts)] == ["call_9"]
    assert text(parts) == "Other here."


async def test_the_events_alone_will_do(model: Any):
    run = agents.Runner.run_streamed(agent(model), "hello")
    assert text(await parts_of(open_openai_agents, run.stream_events())) == "Hello there, my good friend."


async def test_a_turn_limit_is_raised(model: Any):
    run = agents.Runner.run_streamed(agent(model, weather), "weather", max_turns=1)
    with pytest.raises(agents.MaxTurnsExceeded):
        await parts_of(open_openai_agents, run)


async def test_leaving_a_run_ends_it_though_a_tool_hangs(model: Any, provider: MockProvider):
    provider.reset()
    provider.add(single_call("hang", "hang", {"number": 1}))
    run = agents.Runner.run_streamed(agent(model, hang), "hang")
    converter = open_openai_agents(run, None)  # type: ignore[arg-type]
    chunks: Any = aiter(converter.stream)
    async for chunk in chunks:
        if any(type(part) is ToolCall for part in converter.feed(chunk)):
            break
    async with asyncio.timeout(5):
        await chunks.aclose()
    assert run.is_complete


# --- recorded events


def raw(kind: str, **fields: Any) -> SimpleNamespace:
    return SimpleNamespace(type="raw_response_event", data={"type": kind, **fields})


async def test_items_that_share_the_made_up_id_are_told_apart_by_place():
    def item(kind: str, place: int, call_id: str, arguments: str) -> SimpleNamespace:
        known = {"type": "function_call", "id": "__fake_id__", "call_id": call_id, "name": "f"}
        return raw(f"response.output_item.{kind}", output_index=place, item={**known, "arguments": arguments})

    def piece(place: int, delta: str) -> SimpleNamespace:
        kind = "response.function_call_arguments.delta"
        return raw(kind, output_index=place, item_id="__fake_id__", delta=delta)

    events = [
        item("added", 0, "c1", ""),
        item("added", 1, "c2", ""),
        piece(0, "{}"),
        piece(1, "[]"),
        item("done", 0, "c1", "{}"),
        item("done", 1, "c2", "[]"),
    ]
    assert await said(open_openai_agents, events) == [
        ToolInputStart(id="c1", name="f"),
        ToolInputStart(id="c2", name="f"),
        ToolInputDelta(id="c1", delta="{}"),
        ToolInputDelta(id="c2", delta="[]"),
        ToolCall(id="c1", name="f", input="{}"),
        ToolCall(id="c2", name="f", input="[]"),
    ]


async def test_requests_of_hosted_tools_wait_for_the_runs_own_list():
    request = {"type": "mcp_approval_request", "id": "mcpr_1", "name": "ask", "server_label": "wiki"}
    done = raw("response.output_item.done", output_index=0, item=request)
    assert await said(open_openai_agents, [done]) == []

    class Run:
        is_complete = True
        interruptions = (SimpleNamespace(tool_name="ask", raw_item=request),)

        async def stream_events(self):
            yield done

    assert await parts_of(open_openai_agents, Run()) == [
        ApprovalRequest(id="mcpr_1", message='Approve "ask"?', metadata={"toolName": "ask"})
    ]


async def test_other_items_say_nothing():
    events = [
        SimpleNamespace(type="agent_updated_stream_event", new_agent=None),
        SimpleNamespace(type="run_item_stream_event", name="message_output_created", item=None),
    ]
    assert await said(open_openai_agents, events) == []


async def test_no_run_is_refused():
    with pytest.raises(TypeError, match="run_streamed"):
        await parts_of(open_openai_agents, {"final_output": ""})
