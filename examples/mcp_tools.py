"""MCP: the tools of other servers, reached with the token of the user who asks."""

import os

from jumpseat import BuiltInAgent, CopilotRuntime, RunContext, SqliteAgentRunner
from jumpseat.agents.builtin import MCPServer


def token_of(context: RunContext) -> dict[str, str]:
    """Pass the user's own authorization on; it never appears in a log or an event."""
    return {"authorization": context.headers.get("authorization", "")}


agent = BuiltInAgent(
    model="openai/gpt-5",
    prompt="Answer with the help of your tools.",
    mcp_servers=[
        MCPServer(
            type="http",
            url=os.environ.get("MCP_URL", "http://127.0.0.1:8931/mcp"),
            name="notes",
            headers=token_of,
            tool_prefix="notes_",
        )
    ],
    # A server that is away costs its tools, never the run.
    on_mcp_failure="event",
    max_steps=5,
)
runtime = CopilotRuntime(agents={"default": agent}, runner=SqliteAgentRunner(db_path="threads.db"))
app = runtime.app(base_path="/api/copilotkit")
