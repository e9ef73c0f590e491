"""Server tools: plain functions that the model may call, and what it makes of their results."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from jumpseat import BuiltInAgent, CopilotRuntime, SqliteAgentRunner, ToolError, define_tool

ORDERS = {"1001": "in the mail", "1002": "waiting for payment"}


@define_tool
def order_status(order_id: Annotated[str, "The number on the receipt"]) -> dict[str, str]:
    """Look up where an order is."""
    if order_id not in ORDERS:
        raise ToolError(f"There is no order {order_id}")
    return {"order": order_id, "status": ORDERS[order_id]}


@define_tool(timeout=30)
async def search_catalogue(words: str) -> AsyncIterator[Any]:
    """Search the catalogue."""
    for shelf in ("garden", "kitchen", "workshop"):
        yield {"searching": shelf}  # progress, for pages that show it
        await asyncio.sleep(0.1)
    yield [{"name": f"A {words} for the garden", "price": 12.5}]  # the last value is the result


agent = BuiltInAgent(
    model="openai/gpt-5",
    prompt="You work at the help desk of a small shop. Be brief.",
    tools=[order_status, search_catalogue],
    max_steps=5,
)
runtime = CopilotRuntime(agents={"default": agent}, runner=SqliteAgentRunner(db_path="threads.db"))
app = runtime.app(base_path="/api/copilotkit")
