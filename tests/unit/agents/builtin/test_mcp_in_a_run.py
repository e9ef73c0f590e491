"""MCP tools of a BuiltInAgent: what the model is offered, what the clients see, and how a run ends."""

import asyncio
import json
import time

import pytest

from builtin_agents import given, of, run, run_context, types
from jumpseat import BuiltInAgent
from jumpseat.agents.builtin import define_tool
from jumpseat.mcp.tool_lists import TOOL_LISTS
from mcp_runs import AUTHORIZED, TOKEN
from mcp_servers import nowhere, real_server
from mock_provider import started
from serving import own_tasks, until


@pytest.fixture(autouse=True)
async def nothing_is_left():
    TOOL_LISTS.clear()
    yield
    await until(lambda: not [task for task in own_tasks() if task.get_name().startswith("mcp-")])


class Model:
    """Calls one tool in its first answer, and speaks in its second."""

    def __init__(self, tool: str, arguments: str = "{}") -> None:
        self.tool = tool
        self.arguments = arguments
        self.requests = []

    async def stream(self, request):
        self.requests.append(request)
        if len(self.requests) == 1:
            yield {"type": "tool-call", "id": "call-1", "name": self.tool, "input": self.arguments}
            yield {"type": "finish", "reason": "tool_call"}
            return
        yield {"type": "text-delta", "delta": "done"}
        yield {"type": "finish"}

    @property
    def offered(self) -> list[str]:
        return [tool.name for tool in self.requests[0].tools]


def agent(model: Model, *servers, **options) -> BuiltInAgent:
    return BuiltInAgent(model=model, mcp_servers=list(servers), max_steps=2, **options)


@pytest.mark.parametrize(("kind", "legacy"), [("http", True), ("http", False), ("sse", True)])
async def test_the_model_calls_a_tool_of_a_server_and_goes_on_with_its_result(kind, legacy):
    model = Model("echo", '{"text":"hé"}')
    async with real_server(kind, legacy=legacy) as server:
        events = await run(agent(model, server.config(headers=AUTHORIZED)))
        result = of("TOOL_CALL_RESULT", events)[0]
        assert json.loads(result["content"])["content"] == [{"type": "text", "text": "hé"}]
        assert types(events)[-1] == "RUN_FINISHED"
        assert model.requests[1].messages[-1].content == "hé"
        await until(lambda: server.open == 0 and not server.sessions)


async def test_a_configured_tool_keeps_its_name_and_a_client_tool_does_not():
    def echo(text: str) -> str:
        return f"local {text}"

    model = Model("echo", '{"text":"x"}')
    client_tool = {"name": "whoami", "description": "of the page", "parameters": {}}
    async with real_server() as server:
        made = agent(model, server.config(), tools=[define_tool(echo)])
        events = await run(made, given("hi", tools=[client_tool]))
        assert of("TOOL_CALL_RESULT", events)[0]["content"] == '"local x"'
        assert server.calls == []
        assert model.offered.count("echo") == model.offered.count("whoami") == 1
        whoami = next(tool for tool in model.requests[0].tools if tool.name == "whoami")
        assert whoami.description == "Says which token came."


async def test_an_unavailable_server_is_silent_an_event_or_the_end_as_configured():
    down = {"type": "http", "url": nowhere(), "name": "down", "headers": AUTHORIZED}
    async with real_server() as server:
        for on_failure in ("log", "event", "fail"):
            model = Model("echo", '{"text":"x"}')
            events = await run(agent(model, down, server.config(), on_mcp_failure=on_failure))
            custom = [(event["name"], event["value"]) for event in of("CUSTOM", events)]
            told = ("mcp_server_unavailable", {"server": "down", "reason": "unreachable"})
            assert custom == ([told] if on_failure == "event" else [])
            if on_failure == "fail":
                assert (types(events)[-1], events[-1]["code"]) == ("RUN_ERROR", "mcp_error")
                assert model.requests == []
            else:
                assert types(events)[-1] == "RUN_FINISHED"
                assert "echo" in model.offered
            assert TOKEN not in json.dumps(events)
            assert down["url"] not in json.dumps(events)
        await until(lambda: server.open == 0 and not server.sessions)


async def test_a_header_that_a_tool_repeats_leaves_neither_to_the_client_nor_to_the_model():
    model = Model("leak")
    async with real_server() as server:
        events = await run(agent(model, server.config(headers={"Authorization": TOKEN})))
        assert "[redacted]" in of("TOOL_CALL_RESULT", events)[0]["content"]
        assert TOKEN not in json.dumps(events)
        assert TOKEN not in str(model.requests[1].messages)


async def test_an_abort_in_a_call_ends_the_call_at_the_server_and_the_run():
    model = Model("wait")
    async with real_server() as server:
        made = agent(model, server.config())
        context = run_context()
        running = asyncio.create_task(run(made, context=context))
        async with asyncio.timeout(10):
            await server.running.wait()
        began = time.monotonic()
        context.abort()
        events = await asyncio.wait_for(running, 5)
        assert time.monotonic() - began < 1
        assert of("RUN_ERROR", events) == []
        await until(lambda: server.cancelled == 1)
        await until(lambda: server.open == 0 and not server.sessions)


def test_the_mcp_endpoint_of_the_mock_of_the_providers_is_understood():
    weather = {
        "name": "weather",
        "description": "Weather.",
        "inputSchema": {"type": "object", "properties": {"city": {"type": "string"}}},
        "result": "sunny",
    }
    with started([], mcp=[weather]) as provider:
        model = Model("weather", '{"city":"Rome"}')
        events = asyncio.run(run(agent(model, {"type": "http", "url": provider.mcp_url})))
    assert model.offered[:1] == ["weather"]
    result = json.loads(of("TOOL_CALL_RESULT", events)[0]["content"])
    assert "sunny" in json.dumps(result)
    assert result["isError"] is False
