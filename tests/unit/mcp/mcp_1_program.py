"""Runs where the 1.x of the ``mcp`` package is installed: serves with it, or uses MCP tools through it."""

import asyncio
import json
import sys
import time

from jumpseat.agents.builtin.mcp_tools import MCPTools
from jumpseat.agents.builtin.server_tools import Invocation
from jumpseat.agents.builtin.state import SharedState
from jumpseat.context import RunContext
from jumpseat.mcp import MCPPool
from jumpseat.protocol.inputs import RunAgentInput

HEADERS = {"Authorization": "Bearer abc-token"}
CONTEXT = RunContext(thread_id="t1", run_id="r1", run_key="k", agent_id="a")


def serve(port: int, transport: str) -> None:
    from mcp.server.fastmcp import Context, FastMCP
    from mcp.types import CallToolResult, ImageContent, TextContent

    server = FastMCP("old", host="127.0.0.1", port=port, log_level="ERROR")

    @server.tool()
    def echo(text: str) -> str:
        """Says it again."""
        return text

    @server.tool()
    def whoami(ctx: Context) -> str:
        return ctx.request_context.request.headers.get("authorization", "nobody")[::-1]

    @server.tool()
    def fails() -> str:
        raise RuntimeError("broken inside")

    @server.tool(name="dotted.name")
    def dotted() -> CallToolResult:
        picture = ImageContent(type="image", data="iVBORw0KGgo=", mimeType="image/png")
        return CallToolResult(content=[TextContent(type="text", text="a picture"), picture])

    @server.tool()
    async def wait() -> str:
        await asyncio.Event().wait()
        return "never"

    server.run(transport=transport)


async def emit(_: object) -> None:
    return None


async def call(run, name: str, arguments: str = "") -> dict:
    tool = next(tool for tool in run.tools if tool.name == name)
    answer = await tool.call(
        Invocation(
            id="c1",
            name=name,
            arguments=arguments,
            step=1,
            input=RunAgentInput(thread_id="t1", run_id="r1", messages=[]),
            context=CONTEXT,
            state=SharedState(None),
            emit=emit,
            redact=lambda text: text,
        )
    )
    return json.loads(answer.content)


async def use(kind: str, url: str) -> dict:
    """What MCP tools do with a server, as data."""
    given = {"type": kind, "url": url, "headers": HEADERS, "timeout": 0.5}
    nowhere = {"type": kind, "url": "http://127.0.0.1:9/x", "name": "nowhere"}
    tools = MCPTools(servers=[nowhere, given], clients=[], pool=None, on_failure="log")
    await tools.warmup()
    seen: dict = {}
    async with tools.for_run(CONTEXT, taken=()) as run:
        seen["tools"] = sorted(tool.name for tool in run.tools)
        seen["unavailable"] = [[one.server, one.reason] for one in run.unavailable]
        seen["echo"] = await call(run, "echo", '{"text":"hé"}')
        seen["whoami"] = (await call(run, "whoami"))["content"][0]["text"]
        seen["fails"] = (await call(run, "fails"))["isError"]
        seen["wait"] = await call(run, "wait")
    seen["abort"] = await abort(given | {"timeout": 30})
    pool = MCPPool()
    pooled = MCPTools(servers=[given], clients=[], pool=pool, on_failure="log")
    for _ in range(2):
        async with pooled.for_run(CONTEXT, taken=()) as run:
            seen["pooled"] = (await call(run, "echo", '{"text":"x"}'))["content"][0]["text"]
    await pool.aclose()
    left = [task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}]
    return seen | {"left": [name for name in left if name.startswith("mcp-")]}


async def abort(given: dict) -> float:
    """How long it takes to end a run in which a tool hangs."""
    tools = MCPTools(servers=[given], clients=[], pool=None, on_failure="log")

    async def hang() -> None:
        async with tools.for_run(CONTEXT, taken=()) as run:
            hanging = asyncio.create_task(call(run, "wait"))
            await asyncio.sleep(0.3)
            started.set()
            await hanging

    started = asyncio.Event()
    task = asyncio.create_task(hang())
    await started.wait()
    began = time.monotonic()
    task.cancel()
    await asyncio.wait({task})
    return time.monotonic() - began


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]), sys.argv[3])
    else:
        print(json.dumps(asyncio.run(use(sys.argv[2], sys.argv[3]))))
