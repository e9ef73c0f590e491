"""How runs end early with the real SDK of every provider: stopped anywhere, refused, cut off."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from event_streams import refusal
from jumpseat import BuiltInAgent, define_tool
from jumpseat.agents.builtin.failures import FAILURE_CODES
from jumpseat.protocol.codec import accept
from mcp_servers import real_server
from mock_provider import MockProvider
from serving import Served, own_tasks, serve, until

MODELS = ["openai/gpt-5", "openai-chat/gpt-5", "anthropic/claude-opus-4-8", "google/gemini-2.5-pro"]
SECONDS = 1.0
LONG = "word " * 2_000
KEY = "sk-live-0123456789abcdefghijkl"


@define_tool
def noted(text: str) -> str:
    """Note a text."""
    return text


@pytest.fixture(autouse=True)
def addresses(provider: MockProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    provider.use(monkeypatch)
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.setenv(name, KEY)


@asynccontextmanager
async def served_agent(model: str, **options: Any) -> AsyncIterator[Served]:
    """A runtime with this agent; nothing of it may be left at the end."""
    before = own_tasks()
    agent = BuiltInAgent(model=model, **{"max_retries": 0, **options})
    async with serve({"default": agent}) as served:
        yield served
    await agent.aclose()
    await until(lambda: not [task for task in own_tasks() - before if not is_of_a_server(task)])


def is_of_a_server(task: asyncio.Task[Any]) -> bool:
    """MCP servers run in this process too, and their library keeps a watch as long as the loop runs."""
    return getattr(task.get_coro(), "__qualname__", "") == "_shutdown_watcher"


def name_of(model: str) -> str:
    return model.partition("/")[0]


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def is_legal(events: list[dict[str, Any]]) -> bool:
    """Whether every client takes these events as a whole run."""
    assert kinds(events)[0] == "RUN_STARTED"
    assert kinds(events)[-1] in ("RUN_FINISHED", "RUN_ERROR")
    assert refusal([accept(event) for event in events[1:]]) is None
    return True


async def reached(answer: Any, kind: str) -> list[dict[str, Any]]:
    """The events up to the first of this type."""
    events: list[dict[str, Any]] = []
    while not events or events[-1]["type"] != kind:
        events.append(await answer.next_event())
    return events


async def stop(served: Served) -> None:
    answer = await served.client.post("/agent/default/stop/t1", json={})
    assert answer.status == 200


PLACES = {
    "in the text": ({"content": LONG}, "TEXT_MESSAGE_CONTENT"),
    "in reasoning": ({"reasoning": LONG, "content": "x"}, "REASONING_MESSAGE_CONTENT"),
    "in arguments": (
        {"toolCalls": [{"id": "call_1", "name": "noted", "arguments": {"text": LONG}}]},
        "TOOL_CALL_ARGS",
    ),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("model", MODELS)
async def test_a_stopped_run_hangs_up_at_once_and_ends_legally(
    model: str, place: str, provider: MockProvider
):
    response, place_reached = PLACES[place]
    if name_of(model) == "google" and place == "in arguments":
        # Gemini sends a call whole, and would be done with it.
        response = {"content": LONG, **response}
        place_reached = "TEXT_MESSAGE_CONTENT"
    provider.add({"match": {}, "response": response, "latency": 20})
    async with served_agent(model, tools=[noted], max_steps=3) as served:
        async with served.running() as answer:
            events = await reached(answer, place_reached)
            await stop(served)
            events += await answer.rest()
        assert await asyncio.to_thread(provider.requests[0].hung_up.wait, SECONDS)
        await served.settled()
    assert is_legal(events)
    assert "RUN_ERROR" not in kinds(events)
    assert len(provider.requests) == 1


async def test_a_run_that_is_stopped_in_a_tool_ends_it_and_asks_no_more(
    provider: MockProvider,
):
    running, ended = asyncio.Event(), asyncio.Event()

    @define_tool
    async def forever() -> None:
        """Wait."""
        running.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    provider.add({"match": {}, "response": {"toolCalls": [{"id": "c1", "name": "forever", "arguments": {}}]}})
    async with served_agent(MODELS[0], tools=[forever], max_steps=5) as served, served.running() as answer:
        events = await reached(answer, "TOOL_CALL_END")
        await running.wait()
        await stop(served)
        events += await answer.rest()
        async with asyncio.timeout(SECONDS):
            await ended.wait()
    assert is_legal(events)
    assert "RUN_ERROR" not in kinds(events)
    assert len(provider.requests) == 1


async def test_a_run_that_is_stopped_in_a_call_of_an_mcp_server_ends_the_call_there(provider: MockProvider):
    provider.add({"match": {}, "response": {"toolCalls": [{"id": "c1", "name": "wait", "arguments": {}}]}})
    async with real_server() as server:
        async with (
            served_agent(MODELS[2], mcp_servers=[server.config()], max_steps=5) as served,
            served.running() as answer,
        ):
            events = await reached(answer, "TOOL_CALL_END")
            await server.running.wait()
            await stop(served)
            events += await answer.rest()
        await until(lambda: server.cancelled == 1 and server.open == 0)
    assert is_legal(events)
    assert "RUN_ERROR" not in kinds(events)


ERRORS = {
    401: (f"Incorrect API key provided: {KEY}.", "authentication_error"),
    403: (f"The key {KEY} may not use this model.", "authentication_error"),
    429: ("Slow down, please.", "rate_limit"),
    400: ("The field 'x' is wrong.", "invalid_request"),
    500: ("Something broke.", "provider_error"),
}
TOO_LONG = {
    "openai": ("Your input exceeds the context window.", "context_length_exceeded"),
    "openai-chat": ("This model's maximum context length is 8192 tokens.", None),
    "anthropic": ("prompt is too long: 213000 tokens > 200000 maximum", None),
    "google": ("The input token count (1) exceeds the maximum number of tokens allowed (0).", None),
}


def worded(model: str, status: int, message: str, code: str | None = None) -> Any:
    """An error as the model's provider words it."""
    if name_of(model) == "anthropic":
        return {"type": "error", "error": {"type": "api_error", "message": message}}
    if name_of(model) == "google":
        return {"error": {"code": status, "message": message, "status": "INVALID_ARGUMENT"}}
    return {"error": {"message": message, "type": "some_error", "param": None, "code": code}}


async def failed(model: str, caplog: pytest.LogCaptureFixture) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Run the agent once; return its events and its error. Nothing of the key may be seen anywhere."""
    records: list[Any] = []

    class Watched(BuiltInAgent):
        async def run(self, given: Any, context: Any) -> Any:
            records.append(context.record)
            async for event in super().run(given, context):
                yield event

    agent = Watched(model=model, max_retries=0)
    with caplog.at_level(logging.DEBUG):
        async with serve({"default": agent}) as served:
            events = (await served.run()).events
            stored = (await served.connect()).events
    await agent.aclose()
    everything = json.dumps([events, stored]) + str(records)
    everything += "".join(
        record.getMessage() + (record.exc_text or "")
        for record in caplog.records
        if record.name.startswith("jumpseat")
    )
    assert KEY not in everything
    assert records[0]["model"] == model.partition("/")[2]
    assert kinds(events).count("RUN_ERROR") == 1
    assert is_legal(events)
    error = events[-1]
    assert error["code"] in FAILURE_CODES
    assert not [word for word in ("status_code", "Traceback", "{", "http") if word in error["message"]]
    return events, error


@pytest.mark.parametrize("status", ERRORS)
@pytest.mark.parametrize("model", MODELS)
async def test_a_refusal_ends_the_run_with_its_code_and_without_the_key(
    model: str, status: int, provider: MockProvider, caplog: pytest.LogCaptureFixture
):
    message, code = ERRORS[status]
    provider.answer_once(status, worded(model, status, message))
    _, error = await failed(model, caplog)
    assert (error["code"], error["message"]) == (code, message.replace(KEY, "[redacted]"))
    assert KEY in provider.requests[0].text
    logged = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(logged) == 1
    assert all(word in logged[0].getMessage() for word in ("default", "t1", "r1", code))


@pytest.mark.parametrize("model", MODELS)
async def test_too_long_a_conversation_has_a_code_of_its_own(
    model: str, provider: MockProvider, caplog: pytest.LogCaptureFixture
):
    message, code = TOO_LONG[name_of(model)]
    provider.answer_once(400, worded(model, 400, message, code))
    _, error = await failed(model, caplog)
    assert (error["code"], error["message"]) == ("context_length", message)


@pytest.mark.parametrize("model", MODELS)
async def test_an_answer_that_breaks_off_is_closed_and_then_the_error(
    model: str, provider: MockProvider, caplog: pytest.LogCaptureFixture
):
    provider.add(
        {"match": {}, "response": {"content": "One two three " * 50}, "truncateAfterChunks": 8, "latency": 5}
    )
    events, error = await failed(model, caplog)
    assert error["code"] == "provider_error"
    assert kinds(events)[-2:] == ["TEXT_MESSAGE_END", "RUN_ERROR"]


@pytest.mark.parametrize("sent", [b"<html><body>Bad gateway</body></html>", b"{broken", b"data: {broken\n\n"])
@pytest.mark.parametrize("model", MODELS)
async def test_a_malformed_answer_is_an_error(
    model: str, sent: bytes, provider: MockProvider, caplog: pytest.LogCaptureFixture
):
    provider.answer_once(200, sent, stream=[sent] if sent.startswith(b"data:") else None)
    _, error = await failed(model, caplog)
    assert error["code"] == "provider_error"
