"""Shared state: a shopping list that the model, a tool and the page edit together."""

from jumpseat import BuiltInAgent, CopilotRuntime, SqliteAgentRunner, ToolContext, define_tool


@define_tool
async def clear_bought(context: ToolContext) -> int:
    """Take everything that was bought off the list."""
    items = context.state.get("items", [])
    left = [item for item in items if not item.get("bought")]
    await context.set_state({**context.state, "items": left})
    return len(items) - len(left)


agent = BuiltInAgent(
    model="openai/gpt-5",
    # The model sees the state in its system prompt and edits it with the two state tools it always has.
    prompt="You keep a shopping list in the application state: "
    '{"items": [{"name": "...", "bought": false}]}. Change it when you are asked to.',
    tools=[clear_bought],
    max_steps=4,
)
runtime = CopilotRuntime(agents={"default": agent}, runner=SqliteAgentRunner(db_path="threads.db"))
app = runtime.app(base_path="/api/copilotkit")
