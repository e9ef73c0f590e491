"""MCP tools in a run, without a model: contexts, calls, and the agent's part in one line each."""

from collections.abc import Callable
from typing import Any

from jumpseat.agents.builtin.mcp_tools import MCPForRun, MCPTools
from jumpseat.agents.builtin.server_tools import Invocation, ToolAnswer
from jumpseat.agents.builtin.state import SharedState
from jumpseat.context import RunContext, User
from jumpseat.protocol.inputs import RunAgentInput

TOKEN = "token-of-somebody"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


def run_context(run_id: str = "r1", user: str | None = None) -> RunContext:
    return RunContext(
        thread_id="t1", run_id=run_id, run_key="k", agent_id="a", user=User(user) if user else None
    )


async def _nothing(_: object) -> None:
    return None


def invocation(
    arguments: str = "", *, name: str = "tool", redact: Callable[[str], str] = lambda text: text
) -> Invocation:
    return Invocation(
        id="c1",
        name=name,
        arguments=arguments,
        step=1,
        input=RunAgentInput(thread_id="t1", run_id="r1", messages=[]),
        context=run_context(),
        state=SharedState(None),
        emit=_nothing,
        redact=redact,
    )


def mcp_tools(*servers: Any, clients: Any = (), pool: Any = None, on_failure: str = "log") -> MCPTools:
    return MCPTools(servers=list(servers), clients=list(clients), pool=pool, on_failure=on_failure)


async def call(run: MCPForRun, name: str, arguments: str = "", **more: Any) -> ToolAnswer:
    tool = next(tool for tool in run.tools if tool.name == name)
    return await tool.call(invocation(arguments, name=name, **more))


def names(run: MCPForRun) -> list[str]:
    return [tool.name for tool in run.tools]


def reasons(run: MCPForRun) -> list[tuple[str, str]]:
    return [(one.server, one.reason) for one in run.unavailable]
