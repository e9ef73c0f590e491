"""Runs where FastMCP is installed: hands one of its clients to an agent's MCP tools, and prints what came."""

import asyncio
import json

from fastmcp import Client, FastMCP

from jumpseat.agents.builtin.mcp_tools import MCPTools
from jumpseat.agents.builtin.server_tools import Invocation
from jumpseat.agents.builtin.state import SharedState
from jumpseat.context import RunContext
from jumpseat.protocol.inputs import RunAgentInput

CONTEXT = RunContext(thread_id="t1", run_id="r1", run_key="k", agent_id="a")

server = FastMCP("fast")


@server.tool
def weather(city: str) -> dict[str, str]:
    """Weather of a city."""
    return {"city": city, "sky": "blue"}


@server.tool
def fails() -> str:
    raise RuntimeError("broken inside")


async def emit(_: object) -> None:
    return None


async def main() -> dict:
    seen: dict = {}
    client = Client(server)
    tools = MCPTools(servers=[], clients=[client], pool=None, on_failure="log")
    async with tools.for_run(CONTEXT, taken=()) as run:
        seen["closed"] = [one.reason for one in run.unavailable]
    async with client:
        for _ in range(2):
            async with tools.for_run(CONTEXT, taken=()) as run:
                seen["tools"] = {tool.name: [tool.description, tool.parameters["type"]] for tool in run.tools}
                for tool in run.tools:
                    answer = await tool.call(
                        Invocation(
                            id="c1",
                            name=tool.name,
                            arguments='{"city":"Oslo"}' if tool.name == "weather" else "",
                            step=1,
                            input=RunAgentInput(thread_id="t1", run_id="r1", messages=[]),
                            context=CONTEXT,
                            state=SharedState(None),
                            emit=emit,
                            redact=lambda text: text,
                        )
                    )
                    seen[tool.name] = json.loads(answer.content)
        seen["open"] = client.is_connected()
    return seen


print(json.dumps(asyncio.run(main())))
