"""The debug feed: who may watch, what a watcher sees, and that watching slows nobody."""

import asyncio
import json
import time
from contextlib import asynccontextmanager

import pytest

from jumpseat.runtime import CopilotRuntime
from jumpseat.runtime.debug_feed import MAX_BYTES, MAX_FRAMES, DebugFeed
from web.live import client_of, connection


async def talker(given, context):
    yield {"type": "TEXT_MESSAGE_CHUNK", "messageId": "m", "delta": "Hello"}


@asynccontextmanager
async def served(agent=talker, **options):
    runtime = CopilotRuntime(agents={"a": agent}, **options)
    try:
        yield runtime
    finally:
        await runtime.aclose()


async def run(app, thread_id: str = "t", **headers: str) -> None:
    body = {"threadId": thread_id, "runId": "r", "messages": []}
    async with client_of(app, **headers) as client:
        assert (await client.post("/agent/a/run", json=body)).status_code == 200


def watch(app, **headers: str):
    return connection(app, "GET", "/cpk-debug-events", **headers)


def envelopes(received: bytes) -> list[dict]:
    return [json.loads(line[6:]) for line in received.splitlines() if line.startswith(b"data: ")]


async def test_outside_of_development_there_is_no_feed():
    async with served() as runtime, client_of(runtime.app()) as client:
        answer = await client.get("/cpk-debug-events")
        assert (answer.status_code, answer.text) == (404, "Not Found")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("options", [{"debug": True}, {"dev": True}])
async def test_a_watcher_sees_each_event_once_however_many_read_the_run(options):
    gate = asyncio.Event()

    async def agent(given, context):
        await gate.wait()
        yield {"type": "TEXT_MESSAGE_CHUNK", "messageId": "m", "delta": "Hello"}

    async with served(agent, **options) as runtime:
        app = runtime.app()
        body = json.dumps({"threadId": "t", "runId": "r", "messages": []}).encode()
        before = time.time() * 1000
        async with (
            watch(app) as watcher,
            connection(app, "POST", "/agent/a/run", body=body) as reader,
            connection(app, "POST", "/agent/a/connect", body=body) as second,
        ):
            await watcher.until(b": connected\n\n")
            assert watcher.status == 200
            assert watcher.headers["content-type"] == "text/event-stream"
            await second.until(b": connected\n\n")
            gate.set()
            await reader.to_end()
            await second.to_end()
            seen = envelopes(await watcher.until(b"RUN_FINISHED"))
        assert [list(envelope) for envelope in seen] == [
            ["timestamp", "agentId", "threadId", "runId", "event"]
        ] * 5
        assert [envelope["event"]["type"] for envelope in seen] == [
            "RUN_STARTED",
            "TEXT_MESSAGE_START",
            "TEXT_MESSAGE_CONTENT",
            "TEXT_MESSAGE_END",
            "RUN_FINISHED",
        ]
        assert {(e["agentId"], e["threadId"], e["runId"]) for e in seen} == {("a", "t", "r")}
        assert all(before - 1 <= e["timestamp"] <= time.time() * 1000 for e in seen)


async def test_two_watchers_see_the_same():
    async with served(dev=True) as runtime:
        app = runtime.app()
        async with watch(app) as one, watch(app) as two:
            await one.until(b": connected")
            await two.until(b": connected")
            await run(app)
            assert await one.until(b"RUN_FINISHED") == await two.until(b"RUN_FINISHED")


async def test_a_user_sees_only_runs_on_their_own_threads():
    async with served(dev=True, identify_user=lambda request: request.headers.get("x-user")) as runtime:
        app = runtime.app()
        async with watch(app, x_user="alice") as alice, watch(app, x_user="bob") as bob:
            await alice.until(b": connected")
            await bob.until(b": connected")
            await run(app, "ta", x_user="alice")
            await run(app, "tb", x_user="bob")
            assert {e["threadId"] for e in envelopes(await alice.until(b"RUN_FINISHED"))} == {"ta"}
            assert {e["threadId"] for e in envelopes(await bob.until(b"RUN_FINISHED"))} == {"tb"}
        async with watch(app) as nobody:
            await nobody.to_end()
            assert nobody.status == 401


async def test_a_watcher_that_stalls_is_told_how_much_it_missed_and_slows_nobody():
    async def agent(given, context):
        for number in range(MAX_FRAMES + 500):
            yield {"type": "CUSTOM", "name": "n", "value": number}

    async with served(agent, dev=True) as runtime:
        app = runtime.app()
        async with watch(app) as stalled, watch(app) as awake:
            await stalled.until(b": connected")
            await awake.until(b": connected")
            stalled.reading.clear()
            await run(app)
            await awake.until(b"RUN_FINISHED")
            stalled.reading.set()
            received = await stalled.until(b"RUN_FINISHED")
        assert b"\n\n: dropped " in received
        dropped = int(received.partition(b": dropped ")[2].partition(b"\n")[0])
        assert dropped + len(envelopes(received)) == MAX_FRAMES + 502
        assert dropped >= 500 - 2


async def test_an_idle_feed_is_kept_alive():
    async with (
        served(dev=True, sse_keep_alive_interval_seconds=0.05) as runtime,
        watch(runtime.app()) as watcher,
    ):
        await watcher.until(b": keep-alive\n\n: keep-alive\n\n")


async def test_a_feed_ends_at_once_when_the_runtime_drains():
    async with served(dev=True) as runtime, watch(runtime.app()) as watcher:
        await watcher.until(b": connected")
        runtime.begin_drain()
        assert await watcher.to_end() == b": connected\n\n"


async def test_a_watcher_that_leaves_leaves_nothing_behind():
    async with served(dev=True) as runtime:
        app = runtime.app()
        await run(app)
        before = asyncio.all_tasks()
        for _ in range(3):
            async with watch(app) as watcher:
                await watcher.until(b": connected")
        assert asyncio.all_tasks() == before
        await run(app, "t2")


async def test_a_suggestion_is_not_shown():
    async with served(dev=True) as runtime:
        app = runtime.app()
        async with watch(app) as watcher, client_of(app) as client:
            await watcher.until(b": connected")
            await client.post("/agent/a/suggest", json={"threadId": "s", "runId": "r", "messages": []})
            await run(app)
            seen = envelopes(await watcher.until(b"RUN_FINISHED"))
        assert {envelope["threadId"] for envelope in seen} == {"t"}


async def test_what_waits_for_a_watcher_is_bounded_in_bytes_too():
    feed = DebugFeed()
    forever = asyncio.Event()
    subscription = feed.subscribe(None, until=forever.wait)
    tap = feed.tap(agent_id="a", thread_id="t", run_id="r", owner=None)
    for _ in range(20):
        tap(b'"' + b"x" * (MAX_BYTES // 8) + b'"')
    data = await anext(subscription)
    assert len(data) <= MAX_BYTES + 200
    assert data.startswith(b": dropped 13\n\n")
    await subscription.aclose()


async def test_ids_of_every_kind_make_valid_json():
    feed = DebugFeed()
    subscription = feed.subscribe("o", until=asyncio.Event().wait)
    feed.tap(agent_id='a"\n', thread_id="ü\u2028", run_id="%d", owner="o")(b'{"type":"X"}')
    (envelope,) = envelopes(await anext(subscription))
    assert (envelope["agentId"], envelope["threadId"], envelope["runId"]) == ('a"\n', "ü\u2028", "%d")
    await subscription.aclose()
