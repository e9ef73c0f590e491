"""Runners on a Redis cluster of three."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest

from jumpseat.protocol.events import TextMessageContent, TextMessageStart
from jumpseat.runners.base import StopRequest
from jumpseat.runners.redis import RedisAgentRunner
from jumpseat.testing import ScriptedAgent
from jumpseat.testing.requests import collect, connect_to, run_of, take, types, user

OPTIONS = {"stop_grace": 0.5, "lease_ttl": 30.0, "heartbeat": 10.0}


@pytest.fixture
async def make(redis_cluster_url):
    prefix = f"test-{uuid4().hex}"
    async with AsyncExitStack() as stack:

        def make(**options) -> RedisAgentRunner:
            runner = RedisAgentRunner(redis_cluster_url, prefix=prefix, **(OPTIONS | options))
            stack.push_async_callback(runner.aclose)
            return runner

        yield make


async def test_runs_on_all_nodes_are_followed_and_stopped_by_another_process(make):
    owner, other = make(), make()
    await other.open()
    names = [f"thread{number}" for number in range(12)]
    gate = asyncio.Event()
    words = [TextMessageContent(message_id="m", delta=f"{number} ") for number in range(20)]
    script = (TextMessageStart(message_id="m"), gate, *words)
    for name in names:
        await owner.run(run_of(ScriptedAgent(*script, asyncio.Event()), name, messages=[user("u")]))
    streams = [await other.connect(connect_to(name)) for name in names]
    for stream in streams:
        await take(stream, 4)
    gate.set()
    following = [asyncio.create_task(collect(stream)) for stream in streams]
    async with asyncio.timeout(10):
        for name in names:
            while (await other.store.live(None, name)).last_seq < 2 + len(words):
                await asyncio.sleep(0.01)
            assert await other.stop(StopRequest(thread_id=name)) is True
    for events in await asyncio.gather(*following):
        assert [event["delta"] for event in events if "delta" in event] == [word.delta for word in words]
        assert types(events)[-1] == "RUN_FINISHED"
    assert {record.id for record in await other.store.threads.list(None)} == set(names)
    await other.threads.clear(owner=None)
    assert await owner.store.threads.list(None) == []
