"""HttpAgent under a runner: what a client sees when the server behind it misbehaves, and stops."""

import json

import pytest

from jumpseat.agents.http import HttpAgent
from jumpseat.runners.base import RunOptions, StopRequest
from jumpseat.runners.in_memory import InMemoryAgentRunner
from jumpseat.testing.requests import collect, run_of, take
from upstream import Exchange, upstream


def frame(**event) -> bytes:
    return b"data: " + json.dumps(event).encode() + b"\n\n"


STARTED = frame(type="RUN_STARTED", threadId="other", runId="other")
TEXT = frame(type="TEXT_MESSAGE_CHUNK", messageId="m", delta="Hello")
FINISHED = frame(type="RUN_FINISHED", threadId="other", runId="other", result={"a": 1})


async def run_against(script) -> list[dict]:
    """The events that a reader of a run of this server gets."""
    async with upstream(script) as server:
        agent, runner = HttpAgent(server.url), InMemoryAgentRunner()
        options = RunOptions(requires_terminal=agent.requires_terminal)
        try:
            return await collect(await runner.run(run_of(agent, options=options)))
        finally:
            await runner.aclose()
            await agent.aclose()


def sending(*pieces: bytes, then=None):
    async def script(exchange: Exchange) -> None:
        await exchange.open_stream()
        for piece in pieces:
            await exchange.chunk(piece)
        if then is None:
            await exchange.chunk(b"")
        else:
            then(exchange)

    return script


async def test_a_complete_stream_ends_the_run_under_the_clients_own_ids():
    events = await run_against(sending(STARTED, TEXT, FINISHED))
    assert [event["type"] for event in events] == [
        "RUN_STARTED",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "RUN_FINISHED",
    ]
    assert (events[0]["threadId"], events[0]["runId"]) == ("thread", "run")
    assert (events[-1]["threadId"], events[-1]["runId"], events[-1]["result"]) == ("thread", "run", {"a": 1})


@pytest.mark.parametrize("then", [None, lambda exchange: exchange.writer.transport.abort()])
async def test_a_stream_that_ends_early_is_an_incomplete_run(then):
    events = await run_against(sending(STARTED, TEXT, then=then))
    assert events[-1] == {
        "type": "RUN_ERROR",
        "message": "Run ended without emitting a terminal event",
        "code": "INCOMPLETE_STREAM",
    }
    assert [event["type"] for event in events[-2:]] == ["TEXT_MESSAGE_END", "RUN_ERROR"]


async def test_a_refusal_is_told_with_its_status():
    async def script(exchange: Exchange) -> None:
        await exchange.answer(503, b"no model today")

    error = (await run_against(script))[-1]
    assert error["type"] == "RUN_ERROR"
    assert error["message"] == "The agent server answered HTTP 503: no model today"


async def test_an_event_that_is_too_large_ends_the_run_by_its_name():
    events = await run_against(sending(STARTED, *[b"data: " + b"x" * (1 << 20)] * 9))
    assert (events[-1]["type"], events[-1]["code"]) == ("RUN_ERROR", "EVENT_TOO_LARGE")


async def test_stopping_the_run_closes_the_request_and_finishes_what_was_open():
    async def script(exchange: Exchange) -> None:
        await exchange.open_stream()
        await exchange.chunk(TEXT)
        await exchange.wait_closed()

    async with upstream(script) as server:
        agent, runner = HttpAgent(server.url), InMemoryAgentRunner()
        stream = await runner.run(run_of(agent, options=RunOptions(requires_terminal=True)))
        await take(stream, 3)
        assert await runner.stop(StopRequest(thread_id="thread"))
        await server.closed.wait()
        events = await collect(stream)
        assert [event["type"] for event in events] == ["TEXT_MESSAGE_END", "RUN_FINISHED"]
        await runner.aclose()
        await agent.aclose()
