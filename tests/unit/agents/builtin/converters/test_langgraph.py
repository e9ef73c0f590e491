"""Streams of LangGraph graphs in all their modes."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, Interrupt, interrupt

from builtin_agents import given
from chat_models import calls, says, scripted
from converting import kinds, only, parts_of, said
from jumpseat.agents.builtin.converters.langchain import open_langchain
from jumpseat.agents.builtin.parts import (
    ApprovalRequest,
    TextDelta,
    ToolCall,
    ToolFailure,
    ToolInputDelta,
    ToolInputStart,
    ToolResult,
    UsageReport,
)
from jumpseat.protocol.events import Custom, StateSnapshot
from mock_provider import TEST_KEY, MockProvider
from provider_answers import HELLO

THREAD: Any = {"configurable": {"thread_id": "t1"}}
USED: Any = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}


class State(MessagesState):
    mood: str


@tool
def weather(city: str) -> dict[str, str]:
    """The weather."""
    if city == "nowhere":
        raise ValueError("no such city")
    return {"city": city}


def graph(question: Any = "Go on?") -> Any:
    """A model that calls two tools, then speaks; then a node that asks a person."""
    model = scripted(
        [
            calls("weather", "", "c1", 0),
            calls(None, '{"city":"Rome"}', None, 0),
            calls("weather", '{"city":"nowhere"}', "c2", 1, usage_metadata=USED),
        ],
        [says("Sunny"), says(" there")],
        [says("Bye")],
    )

    async def speak(state: State) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])], "mood": "fine"}

    async def ask(state: State) -> dict[str, Any]:
        get_stream_writer()({"progress": 1})
        return {"messages": [AIMessage(content=f"You said {interrupt(question)}")]}

    def next_node(state: State) -> str:
        return "tools" if getattr(state["messages"][-1], "tool_calls", None) else "ask"

    built = StateGraph(State)
    built.add_node("speak", speak)
    built.add_node("tools", ToolNode([weather], handle_tool_errors=True))
    built.add_node("ask", ask)
    built.add_edge(START, "speak")
    built.add_conditional_edges("speak", next_node)
    built.add_edge("tools", "speak")
    return built.compile(checkpointer=InMemorySaver())


def asked() -> Any:
    return {"messages": [HumanMessage("hi")]}


FORMS: dict[str, dict[str, Any]] = {
    "tuples": {"stream_mode": ["messages", "updates"]},
    "dicts": {"stream_mode": ["messages", "updates"], "version": "v2"},
    "tuples of subgraphs": {"stream_mode": ["messages", "updates"], "subgraphs": True},
    "dicts of subgraphs": {"stream_mode": ["messages", "updates"], "subgraphs": True, "version": "v2"},
    "all modes": {"stream_mode": ["messages", "updates", "values", "custom", "debug", "tasks"]},
}


@pytest.mark.parametrize("form", FORMS)
async def test_a_graph_says_each_thing_once_and_asks(form: str):
    parts = await parts_of(open_langchain, graph().astream(asked(), THREAD, **FORMS[form]))
    assert [(start.id, start.name) for start in only(ToolInputStart, parts)] == [
        ("c1", "weather"),
        ("c2", "weather"),
    ]
    assert [(part.id, part.delta) for part in only(ToolInputDelta, parts)] == [
        ("c1", '{"city":"Rome"}'),
        ("c2", '{"city":"nowhere"}'),
    ]
    assert not only(ToolCall, parts)
    results = only(ToolResult, parts)
    assert {(result.id, result.value, result.verbatim) for result in results} == {
        ("c1", '{"city": "Rome"}', True)
    }
    assert {failure.id for failure in only(ToolFailure, parts)} == {"c2"}
    assert [part.delta for part in only(TextDelta, parts)] == ["Sunny", " there"]
    (request,) = only(ApprovalRequest, parts)
    assert (request.reason, request.message, request.metadata) == ("interrupt", "Go on?", {"value": "Go on?"})
    assert [report.usage.total_tokens for report in only(UsageReport, parts)] == [3]


async def test_the_messages_mode_alone_will_do():
    parts = await parts_of(open_langchain, graph().astream(asked(), THREAD, stream_mode="messages"))
    assert "".join(part.delta for part in only(TextDelta, parts)) == "Sunny there"
    assert len(only(ToolInputStart, parts)) == 2


@pytest.mark.parametrize("mode", ["updates", ["updates"]])
async def test_the_updates_mode_alone_says_whole_messages(mode: Any):
    parts = await parts_of(open_langchain, graph().astream(asked(), THREAD, stream_mode=mode))
    assert [(call.id, call.input) for call in only(ToolCall, parts)] == [
        ("c1", {"city": "Rome"}),
        ("c2", {"city": "nowhere"}),
    ]
    assert [part.delta for part in only(TextDelta, parts)] == ["Sunny there"]
    assert len(only(ApprovalRequest, parts)) == 1


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_values_and_custom_data_are_events(version: Any):
    modes = ["values", "custom"]
    parts = await parts_of(
        open_langchain, graph().astream(asked(), THREAD, stream_mode=modes, version=version)
    )
    snapshots = [part.snapshot for part in only(StateSnapshot, parts)]
    assert snapshots
    assert all(snapshot == {"mood": "fine"} for snapshot in snapshots)
    assert only(Custom, parts) == [Custom(name="langgraph", value={"progress": 1})]
    assert len(only(ApprovalRequest, parts)) == 1


async def test_a_question_that_is_no_text_is_metadata():
    question = {"tool": "erase", "items": {1}}
    stream = graph(question).astream(asked(), THREAD, stream_mode=["updates"])
    (request,) = only(ApprovalRequest, await parts_of(open_langchain, stream))
    assert request.message is None
    assert request.metadata == {"value": {"tool": "erase", "items": [1]}}


@pytest.mark.parametrize("modes", [["messages", "updates"], ["updates"], ["messages", "updates", "values"]])
async def test_a_resumed_graph_does_not_repeat_itself(modes: list[str]):
    built = graph()
    await parts_of(open_langchain, built.astream(asked(), THREAD, stream_mode=modes))
    parts = await parts_of(open_langchain, built.astream(Command(resume="yes"), THREAD, stream_mode=modes))
    assert "".join(part.delta for part in only(TextDelta, parts)) == "You said yes"
    assert not only(ToolInputStart, parts)
    assert not only(ApprovalRequest, parts)


async def test_messages_of_the_input_are_not_said_again():
    old = AIMessage(content="old", id="a1")
    chunk = ("updates", {"node": {"messages": [old, AIMessage(content="new", id="a2")]}})
    run_input = given({"id": "a1", "role": "assistant", "content": "old"}, "hi")
    parts = await said(open_langchain, [chunk], run_input)
    assert [part.delta for part in only(TextDelta, parts)] == ["new"]


async def test_a_streamed_answer_with_two_ids_is_said_once(provider: MockProvider):
    provider.add(HELLO)
    model = ChatOpenAI(
        base_url=provider.openai_url,
        api_key=TEST_KEY,  # type: ignore[arg-type]
        model="gpt-5",
        use_responses_api=True,
    )

    async def speak(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    built = StateGraph(MessagesState)
    built.add_node("speak", speak)
    built.add_edge(START, "speak")
    stream = built.compile().astream(
        {"messages": [HumanMessage("hello")]}, stream_mode=["messages", "updates"]
    )
    parts = await parts_of(open_langchain, stream)
    assert "".join(part.delta for part in only(TextDelta, parts)) == "Hello there, my good friend."


async def test_one_interrupt_in_several_modes_is_one():
    waiting = (Interrupt(value=1, id="i1"), Interrupt(value=2, id="i2"))
    chunks = [
        ("updates", {"__interrupt__": waiting}),
        ("values", {"__interrupt__": waiting}),
        {"type": "values", "ns": (), "data": {}, "interrupts": waiting},
        (("sub:1",), "updates", {"__interrupt__": waiting}),
        {"type": "updates", "ns": [], "data": {"__interrupt__": [{"id": "i3", "value": "Sure?"}]}},
    ]
    parts = await said(open_langchain, chunks)
    assert [part.id for part in only(ApprovalRequest, parts)] == ["i1", "i2", "i3"]
    assert kinds(parts) == ["ApprovalRequest"] * 3


async def test_the_state_of_a_subgraph_is_its_own():
    chunks = [
        (("sub:1",), "values", {"mood": "bad"}),
        ((), "values", {"mood": "fine", "messages": []}),
        ((), "values", {"messages": []}),
    ]
    assert await said(open_langchain, chunks) == [StateSnapshot(snapshot={"mood": "fine"})]


async def test_updates_of_every_shape_are_read():
    message = AIMessage(content="a", id="m1")
    chunks = [
        ("updates", {"one": None, "two": "text", "three": {"mood": "x"}}),
        ("updates", {"four": [{"messages": message}, {"messages": [message]}]}),
    ]
    parts = await said(open_langchain, chunks)
    assert [part.delta for part in only(TextDelta, parts)] == ["a"]


async def test_what_a_graph_hides_is_not_said():
    chunks = [
        ("messages", (says("a", id="m1"), {})),
        ("updates", {"node": {"messages": [AIMessage(content="hidden", id="m2")]}}),
    ]
    parts = await said(open_langchain, chunks)
    assert [part.delta for part in only(TextDelta, parts)] == ["a"]


async def test_what_a_graph_remembers_is_not_said_again():
    old, new = AIMessage(content="old", id="m1"), AIMessage(content="new", id="m2")
    chunks = [("values", {"messages": [old]}), ("updates", {"node": {"messages": [old, new]}})]
    parts = await said(open_langchain, chunks)
    assert [part.delta for part in only(TextDelta, parts)] == ["new"]
