"""Connecting to a thread by POST and by EventSource, with and without a cursor."""

import asyncio
from typing import Any

import pytest

from jumpseat import AgentRunner
from jumpseat.testing.scripted import ScriptedAgent
from serving import said, serve

OPENING = b": connected\n\n"


async def test_an_unknown_thread_is_the_opening_comment_and_the_end(runner: AgentRunner):
    async with serve(runner=runner) as served:
        answer = await served.connect("none")
        assert (answer.status, answer.body) == (200, OPENING)
        assert answer.headers["content-type"] == "text/event-stream"


async def test_the_stream_ends_with_the_run_and_waits_for_no_other(runner: AgentRunner):
    async with serve(runner=runner) as served:
        await served.run("t1", "r1")
        events = (await served.connect()).events
    assert [event["type"] for event in events] == ["RUN_STARTED", "MESSAGES_SNAPSHOT", "RUN_FINISHED"]


@pytest.mark.parametrize("by", ["header", "body", "query"])
async def test_a_cursor_gives_exactly_what_comes_after_it(runner: AgentRunner, by: str):
    go = asyncio.Event()
    agent = ScriptedAgent(*said("one", "m1"), go, *said("two", "m2"))
    async with serve({"default": agent}, runner=runner) as served, served.running() as stream:
        frames = [await stream.next_frame() for _ in range(5)]
        frames = [frame for frame in frames if frame and frame.id]
        cursor = frames[1].id
        assert cursor
        headers = {"last-event-id": cursor} if by == "header" else {}
        if by == "query":
            target = f"/agent/default/connect?threadId=t1&lastSeenEventId={cursor}"
            request = served.client.stream("GET", target)
        else:
            from serving import run_body

            more = {"lastSeenEventId": cursor} if by == "body" else {}
            request = served.client.stream(
                "POST", "/agent/default/connect", json=run_body(messages=[], **more), headers=headers
            )
        async with request as reader:
            go.set()
            resumed = await reader.rest()
        rest = await stream.rest()
    everything = [frame.event for frame in frames] + rest
    assert resumed == everything[2:]


@pytest.mark.parametrize("cursor", ["garbage", "x:y:z", "", 5, None, {"a": 1}, "0" * 26 + ":1", "a" * 5000])
async def test_an_unusable_cursor_is_as_none(runner: AgentRunner, cursor: Any):
    async with serve(runner=runner) as served:
        await served.run()
        plain = (await served.connect()).events
        assert (await served.connect(lastSeenEventId=cursor)).events == plain


async def test_a_cursor_of_another_thread_gives_this_threads_history(runner: AgentRunner):
    async with serve(runner=runner) as served:
        other = (await served.run("other", text="private")).frames[2].id
        await served.run("mine")
        plain = await served.connect("mine")
        answer = await served.connect("mine", lastSeenEventId=other)
        assert answer.body == plain.body
        assert "private" not in answer.text


async def test_event_source_gets_the_same_stream_and_a_retry(runner: AgentRunner):
    async with serve(runner=runner) as served:
        await served.run()
        posted = await served.connect()
        got = await served.client.get("/agent/default/connect?threadId=t1")
        assert got.status == 200
        assert got.body == posted.body.replace(OPENING, OPENING + b"retry: 2000\n")
        assert [frame.retry for frame in got.frames][1:3] == [2000, None]


async def test_event_source_is_stopped_by_204_when_there_is_nothing_to_send(runner: AgentRunner):
    async with serve(runner=runner) as served:
        last = (await served.run()).frames[-1].id
        for target in (
            "/agent/default/connect?threadId=none",
            f"/agent/default/connect?threadId=t1&lastSeenEventId={last}",
        ):
            answer = await served.client.get(target)
            assert (answer.status, answer.body) == (204, b"")
            assert "content-type" not in answer.headers
        by_header = await served.client.get(
            "/agent/default/connect?threadId=t1", headers={"last-event-id": str(last)}
        )
        assert by_header.status == 204


async def test_event_source_at_the_end_of_a_live_run_waits_for_more(runner: AgentRunner):
    go = asyncio.Event()
    agent = ScriptedAgent(*said(), go, {"type": "CUSTOM", "name": "more", "value": 1})
    async with serve({"default": agent}, runner=runner) as served, served.running() as stream:
        cursor = None
        while (frame := await stream.next_frame()) is not None:
            cursor = frame.id
            if frame.event and frame.event["type"] == "TEXT_MESSAGE_END":
                break
        target = f"/agent/default/connect?threadId=t1&lastSeenEventId={cursor}"
        async with served.client.stream("GET", target) as reader:
            assert reader.status == 200
            opening = await reader.next_frame()
            assert opening is not None
            assert opening.comment == "connected"
            go.set()
            assert [event["type"] for event in await reader.rest()] == ["CUSTOM", "RUN_FINISHED"]


@pytest.mark.parametrize("target", ["/agent/default/connect", "/agent/default/connect?threadId="])
async def test_event_source_without_a_thread_is_400(target: str):
    async with serve() as served:
        answer = await served.client.get(target)
        assert (answer.status, answer.json()) == (
            400,
            {"error": "Invalid request", "message": "Query parameter 'threadId' is required"},
        )


async def test_connecting_runs_no_agent_and_makes_no_thread():
    agent = ScriptedAgent()
    async with serve({"default": agent}) as served:
        await served.connect("t1")
        assert agent.inputs == []
        assert (await served.client.get("/threads")).json()["threads"] == []
