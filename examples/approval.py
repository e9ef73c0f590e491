"""Approval: the run ends with a question to a person, and goes on with the answer, after a reload too."""

from typing import Any

from jumpseat import BuiltInAgent, CopilotRuntime, SqliteAgentRunner, define_tool

SENT: list[tuple[str, float]] = []

# No function: the call itself is the question, and what the page answers is its result.
approve_refund = define_tool(
    name="approve_refund",
    description="Ask a colleague whether a refund may be paid. Always ask before you pay.",
    parameters={
        "type": "object",
        "properties": {"customer": {"type": "string"}, "amount": {"type": "number"}},
        "required": ["customer", "amount"],
    },
    interrupt=True,
    interrupt_message="A refund wants to be approved.",
)


@define_tool
def pay_refund(customer: str, amount: float) -> dict[str, Any]:
    """Pay a refund that was approved."""
    SENT.append((customer, amount))
    return {"paid": amount, "to": customer}


agent = BuiltInAgent(
    model="openai/gpt-5",
    prompt="You handle refunds. Ask for approval first; pay only what was approved.",
    tools=[approve_refund, pay_refund],
    max_steps=4,
)
runtime = CopilotRuntime(agents={"default": agent}, runner=SqliteAgentRunner(db_path="threads.db"))
app = runtime.app(base_path="/api/copilotkit")
