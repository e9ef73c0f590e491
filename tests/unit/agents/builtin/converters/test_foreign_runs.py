"""Foreign streams from the libraries themselves, through a run: what a client gets."""

import asyncio
from contextlib import aclosing
from typing import Any

import agents
import anthropic
import openai
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt
from pydantic_ai import Agent, DeferredToolRequests
from pydantic_ai.models.test import TestModel

from builtin_agents import given, of, types
from chat_models import calls, says, scripted
from converted_runs import events_of, text_of
from converting import streamed
from jumpseat.agents.builtin.factory.convert import convert_stream
from jumpseat.protocol.events import ToolCallResult
from jumpseat.protocol.ledger import Ledger
from mock_provider import TEST_KEY, MockProvider
from provider_answers import HELLO, WEATHER

MODEL = "model-of-the-tests"
FUNCTION = {
    "name": "weather",
    "description": "The weather",
    "parameters": {"type": "object", "properties": {}},
}
HELPER = "anthropic helper"
KINDS = ["pydantic_ai", "langchain", "langgraph", "responses", "chat", "anthropic", HELPER, "agents"]
TYPES = {
    "langgraph": "langchain",
    "responses": "openai",
    "chat": "openai",
    HELPER: "anthropic",
    "agents": "openai_agents",
}


class Sources:
    """The same question, asked through every library."""

    def __init__(self, provider: MockProvider) -> None:
        self._openai = openai.AsyncOpenAI(base_url=provider.openai_url, api_key=TEST_KEY, max_retries=0)
        self._anthropic = anthropic.AsyncAnthropic(base_url=provider.origin, api_key=TEST_KEY, max_retries=0)
        self._langchain = ChatOpenAI(
            base_url=provider.openai_url,
            api_key=TEST_KEY,  # type: ignore[arg-type]
            model=MODEL,
            stream_usage=True,
        )

    async def aclose(self) -> None:
        await self._openai.close()
        await self._anthropic.close()

    async def events(self, kind: str, question: str) -> list[dict[str, Any]]:
        return await events_of(TYPES.get(kind, kind), await self.stream(kind, question))

    async def stream(self, kind: str, question: str) -> Any:
        """What a factory would return."""
        return await getattr(self, f"_{kind.replace(' ', '_')}_stream")(question)

    async def _pydantic_ai_stream(self, question: str) -> Any:
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        model = OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=self._openai))
        return Agent(model, tools=[weather]).run_stream_events(question)

    async def _langchain_stream(self, question: str) -> Any:
        return self._langchain.bind_tools([{"type": "function", "function": FUNCTION}]).astream(question)

    async def _langgraph_stream(self, question: str) -> Any:
        bound = self._langchain.bind_tools([{"type": "function", "function": FUNCTION}])

        async def speak(state: MessagesState) -> dict[str, Any]:
            return {"messages": [await bound.ainvoke(state["messages"])]}

        async def work(state: MessagesState) -> dict[str, Any]:
            asked: Any = state["messages"][-1]
            return {"messages": [ToolMessage("sunny", tool_call_id=call["id"]) for call in asked.tool_calls]}

        built = StateGraph(MessagesState)
        built.add_node("speak", speak)
        built.add_node("work", work)
        built.add_edge(START, "speak")
        built.add_conditional_edges(
            "speak", lambda state: "work" if state["messages"][-1].tool_calls else "__end__"
        )
        built.add_edge("work", "speak")
        asked: Any = {"messages": [HumanMessage(question)]}
        return built.compile().astream(asked, stream_mode=["messages", "updates"])

    async def _responses_stream(self, question: str) -> Any:
        tools: Any = [{"type": "function", **FUNCTION}]
        return await self._openai.responses.create(model=MODEL, input=question, stream=True, tools=tools)

    async def _chat_stream(self, question: str) -> Any:
        return await self._openai.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": question}],
            stream=True,
            tools=[{"type": "function", "function": FUNCTION}],  # type: ignore[list-item]
            stream_options={"include_usage": True},
        )

    def _anthropic_request(self, question: str) -> dict[str, Any]:
        return {"model": MODEL, "max_tokens": 99, "messages": [{"role": "user", "content": question}]}

    async def _anthropic_stream(self, question: str) -> Any:
        return await self._anthropic.messages.create(**self._anthropic_request(question), stream=True)

    async def _anthropic_helper_stream(self, question: str) -> Any:
        return self._anthropic.messages.stream(**self._anthropic_request(question))

    async def _agents_stream(self, question: str) -> Any:
        agents.set_tracing_disabled(True)
        model = agents.OpenAIChatCompletionsModel(MODEL, self._openai)
        settings = agents.ModelSettings(include_usage=True)
        tools: Any = [agents.function_tool(weather)]
        agent = agents.Agent(name="a", model=model, tools=tools, model_settings=settings)
        return agents.Runner.run_streamed(agent, question)


def weather(city: str) -> str:
    """The weather."""
    return "sunny"


@pytest.fixture
async def sources(provider: MockProvider):
    provider.add(*WEATHER, HELLO)
    made = Sources(provider)
    yield made
    await made.aclose()


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_is_one_message(sources: Sources, kind: str):
    events = await sources.events(kind, "hello")
    assert text_of(events) == "Hello there, my good friend."
    assert types(events)[0] == "RUN_STARTED"
    assert types(events)[-1] == "RUN_FINISHED"
    (start,) = of("TEXT_MESSAGE_START", events)
    (end,) = of("TEXT_MESSAGE_END", events)
    assert start["messageId"] == end["messageId"] != "__fake_id__"
    for thought in of("REASONING_START", events):
        assert thought["messageId"] != start["messageId"]
    (used,) = events[-1]["usage"]
    assert used["model"]
    assert isinstance(used["outputTokens"], int)


@pytest.mark.parametrize("kind", KINDS)
async def test_two_calls_are_two_calls_and_results_are_results(sources: Sources, kind: str):
    events = await sources.events(kind, "weather")
    assert [(event["toolCallId"], event["toolCallName"]) for event in of("TOOL_CALL_START", events)] == [
        ("call_1", "weather"),
        ("call_2", "weather"),
    ]
    assert sorted(event["toolCallId"] for event in of("TOOL_CALL_END", events)) == ["call_1", "call_2"]
    arguments = {
        call: "".join(e["delta"] for e in of("TOOL_CALL_ARGS", events) if e["toolCallId"] == call)
        for call in ("call_1", "call_2")
    }
    assert arguments == {"call_1": '{"city":"Rome"}', "call_2": '{"city":"Oslo"}'}
    runs_tools = kind in ("pydantic_ai", "langgraph", "agents")
    results = {event["toolCallId"]: event["content"] for event in of("TOOL_CALL_RESULT", events)}
    # A message of LangChain is text already; what other tools return leaves as JSON.
    returned = "sunny" if kind == "langgraph" else '"sunny"'
    assert results == (dict.fromkeys(("call_1", "call_2"), returned) if runs_tools else {})
    assert text_of(events) == ("Sunny in Rome, cold in Oslo." if runs_tools else "")
    parents = {event["parentMessageId"] for event in of("TOOL_CALL_START", events)}
    assert len(parents) == 1
    assert parents.isdisjoint(event["messageId"] for event in of("TEXT_MESSAGE_START", events))
    assert types(events)[-1] == "RUN_FINISHED"


async def test_a_tool_that_needs_approval_ends_a_run_of_pydantic_ai_with_an_interrupt():
    agent: Agent[None, Any] = Agent(TestModel(), output_type=[str, DeferredToolRequests])

    @agent.tool_plain(requires_approval=True)
    def erase(number: int) -> str:
        raise AssertionError("it must not run")

    async with agent.run_stream_events("hi") as stream:
        events = await events_of("pydantic_ai", stream)
    (call,) = of("TOOL_CALL_START", events)
    assert events[-1]["outcome"] == {
        "type": "interrupt",
        "interrupts": [
            {
                "id": call["toolCallId"],
                "toolCallId": call["toolCallId"],
                "reason": "tool_approval",
                "message": 'Approve "erase"?',
                "metadata": {"toolName": "erase"},
            }
        ],
    }


async def test_an_approved_call_of_an_earlier_run_gets_its_result_and_is_not_repeated():
    call = {"id": "c1", "type": "function", "function": {"name": "erase", "arguments": "{}"}}
    earlier = {"id": "a1", "role": "assistant", "toolCalls": [call]}
    part = {"part_kind": "tool-call", "tool_name": "erase", "tool_call_id": "c1", "args": "{}"}
    result = {"part_kind": "tool-return", "tool_name": "erase", "tool_call_id": "c1", "content": "gone"}
    chunks = [
        {"event_kind": "function_tool_call", "part": part},
        {"event_kind": "function_tool_result", "part": result},
    ]
    events = await events_of("pydantic_ai", streamed(chunks), given("hi", earlier))
    assert types(events) == ["RUN_STARTED", "TOOL_CALL_RESULT", "RUN_FINISHED"]
    assert (events[1]["toolCallId"], events[1]["content"]) == ("c1", '"gone"')


async def test_a_graph_that_asks_ends_its_run_with_an_interrupt():
    async def ask(state: MessagesState) -> dict[str, Any]:
        interrupt({"question": "Go on?"})
        return {}

    built = StateGraph(MessagesState)
    built.add_node("ask", ask)
    built.add_edge(START, "ask")
    config: Any = {"configurable": {"thread_id": "t1"}}
    start: Any = {"messages": [HumanMessage("hi")]}
    stream = built.compile(checkpointer=InMemorySaver()).astream(start, config, stream_mode=["updates"])
    events = await events_of("langchain", stream)
    assert types(events) == ["RUN_STARTED", "RUN_FINISHED"]
    (waiting,) = events[-1]["outcome"]["interrupts"]
    assert waiting["reason"] == "interrupt"
    assert waiting["metadata"] == {"value": {"question": "Go on?"}}
    assert "message" not in waiting


async def test_a_state_tool_of_a_graph_changes_the_state():
    chunks = [
        calls("AGUISendStateSnapshot", '{"snapshot":{"n":1}}', "c1", id="m1"),
        ToolMessage('{"success":true,"snapshot":{"n":1}}', tool_call_id="c1", name="AGUISendStateSnapshot"),
    ]
    events = await events_of("langchain", streamed(chunks))
    assert [event["snapshot"] for event in of("STATE_SNAPSHOT", events)] == [{"n": 1}]
    assert types(events).index("STATE_SNAPSHOT") < types(events).index("TOOL_CALL_RESULT")


async def test_a_turn_limit_is_an_error_of_the_agent(sources: Sources, provider: MockProvider):
    client = openai.AsyncOpenAI(base_url=provider.openai_url, api_key=TEST_KEY)
    tools: Any = [agents.function_tool(weather)]
    agent = agents.Agent(name="a", model=agents.OpenAIResponsesModel(MODEL, client), tools=tools)
    events = await events_of("openai_agents", agents.Runner.run_streamed(agent, "weather", max_turns=1))
    await client.close()
    assert (events[-1]["type"], events[-1]["code"]) == ("RUN_ERROR", "agent_error")


async def test_a_loop_of_the_developers_own_is_one_run_of_two_steps(sources: Sources):
    async def loop():
        for question in ("weather", "hello"):
            async for event in await sources._responses_stream(question):
                yield event
            if question == "weather":
                yield ToolCallResult(message_id="m1", tool_call_id="call_1", content="sunny", role="tool")

    events = await events_of("openai", loop())
    assert [event["toolCallId"] for event in of("TOOL_CALL_RESULT", events)] == ["call_1"]
    assert text_of(events) == "Hello there, my good friend."
    (text,) = of("TEXT_MESSAGE_START", events)
    assert text["messageId"] not in {event["parentMessageId"] for event in of("TOOL_CALL_START", events)}


BROKEN: dict[str, tuple[str, list[Any]]] = {
    "responses": (
        "openai",
        [
            {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "delta": "a"},
            {"type": "response.failed", "response": {"error": {"code": "server_error", "message": "Busy"}}},
            {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "delta": "b"},
        ],
    ),
    "anthropic": (
        "anthropic",
        [
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
            {"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "b"}},
        ],
    ),
    "chat": (
        "openai",
        [
            {"id": "1", "choices": [{"index": 0, "delta": {"content": "a"}}]},
            {"error": {"message": "Busy"}},
            {"id": "1", "choices": [{"index": 0, "delta": {"content": "b"}}]},
        ],
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_an_error_of_the_upstream_ends_the_run(kind: str):
    type_, chunks = BROKEN[kind]
    events = await events_of(type_, streamed(chunks))
    assert types(events) == [
        "RUN_STARTED",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "RUN_ERROR",
    ]
    assert (events[-1]["message"], events[-1]["code"]) == ("Busy", "provider_error")


@pytest.mark.parametrize("type_", ["pydantic_ai", "langchain", "openai", "anthropic", "openai_agents"])
async def test_an_empty_stream_is_a_run_that_says_nothing(type_: str):
    assert types(await events_of(type_, streamed([]))) == ["RUN_STARTED", "RUN_FINISHED"]


@pytest.mark.parametrize("type_", ["pydantic_ai", "langchain", "openai", "anthropic", "openai_agents"])
async def test_what_is_no_stream_is_an_error_that_says_what_is(type_: str):
    events = await events_of(type_, 42)
    assert types(events) == ["RUN_STARTED", "RUN_ERROR"]
    assert events[-1]["code"] == "agent_error"
    assert "int" in events[-1]["message"]
    assert type_ in events[-1]["message"]


@pytest.mark.parametrize("kind", ["responses", "chat", "anthropic", "langchain", "agents"])
async def test_leaving_after_the_first_words_closes_the_connection(
    sources: Sources, provider: MockProvider, kind: str
):
    provider.reset()
    chat = b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    first = {
        "responses": b'data: {"type":"response.output_text.delta","output_index":0,"delta":"a"}\n\n',
        "anthropic": b"event: content_block_delta\n"
        b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}\n\n',
    }.get(kind, chat)
    provider.answer_once(200, stream=[first], end="hang")
    source = await sources.stream(kind, "hello")
    async with asyncio.timeout(20):
        converted = convert_stream(source, type=TYPES.get(kind, kind), input=given())
        async with aclosing(converted) as events:  # type: ignore[type-var]
            async for event in events:
                if event.type == "TEXT_MESSAGE_CONTENT":
                    break
    (request,) = await provider.seen()
    assert await asyncio.to_thread(request.hung_up.wait, 2.0)


async def test_a_long_answer_arrives_whole():
    long = "Ü" * 100_000
    events = await events_of("langchain", scripted([says(long), says("!")]).astream("hi"))
    assert text_of(events) == long + "!"


@pytest.mark.parametrize("kind", KINDS)
async def test_every_run_is_legal(sources: Sources, kind: str):
    ledger = Ledger("t1", "r1", warn=pytest.fail)
    source = await sources.stream(kind, "weather")
    converted = convert_stream(source, type=TYPES.get(kind, kind), input=given())
    seen = 0
    async with aclosing(converted) as events:  # type: ignore[type-var]
        async for event in events:
            seen += len(list(ledger.accept(event)))
    assert seen > 2
