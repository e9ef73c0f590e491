"""A LangGraph graph of your own behind the stock front end: factory mode."""

from collections.abc import AsyncIterator
from functools import cache
from typing import Any

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from jumpseat import BuiltInAgent, CopilotRuntime, SqliteAgentRunner
from jumpseat.agents.builtin import FactoryContext, to_langchain_messages


@tool
def word_count(text: str) -> int:
    """Count the words of a text."""
    return len(text.split())


@cache
def graph() -> Any:
    """Build the graph at its first use: the model wants its key by then."""
    model = ChatOpenAI(model="gpt-4o", streaming=True).bind_tools([word_count])

    async def think(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("think", think)
    builder.add_node("tools", ToolNode([word_count]))
    builder.add_edge(START, "think")
    builder.add_conditional_edges("think", tools_condition)
    builder.add_edge("tools", "think")
    return builder.compile()


def run_graph(context: FactoryContext) -> AsyncIterator[Any]:
    """Call the graph; Jumpseat turns what it streams into events."""
    messages = to_langchain_messages(context.input.messages, system=context.system_prompt("Count well."))
    return graph().astream({"messages": messages}, stream_mode=["messages", "updates"])


runtime = CopilotRuntime(
    agents={"default": BuiltInAgent(factory=run_graph, type="langchain", name="counter")},
    runner=SqliteAgentRunner(db_path="threads.db"),
)
app = runtime.app(base_path="/api/copilotkit")
