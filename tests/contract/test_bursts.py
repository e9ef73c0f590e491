"""A burst of starts on a slow database: none is refused, no run is lost, every stream has its terminal."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from jumpseat.runners.event_log import EventLogRunner
from jumpseat.stores.postgres import PostgresStore, connections
from jumpseat.stores.redis import RedisStore, database
from jumpseat.testing import ScriptedAgent
from jumpseat.testing.requests import collect, run_of, take, types, user
from postgres_server import lent_schema, shared_server
from shared_redis import redis_url
from tcp_proxy import Proxy, proxy_to

__all__ = ["redis_url"]

RUNS = 250
DELAY = 0.05
DEADLINE = 90.0


@pytest.fixture(params=["postgres", "redis"])
async def distant(request, monkeypatch) -> AsyncIterator[tuple[EventLogRunner, Proxy]]:
    """A runner with few connections, through a proxy, that soon gives up on a server that is away."""
    monkeypatch.setattr(connections, "POOL_SECONDS", 3.0)
    monkeypatch.setattr(database, "POOL_SECONDS", 3.0)
    with lent_schema() as schema:
        if request.param == "postgres":
            url = shared_server().dsn()
            port = shared_server().port
        else:
            url = request.getfixturevalue("redis_url")
            port = int(url.rpartition(":")[2].partition("/")[0])
        async with proxy_to(port) as proxy:
            there = url.replace(str(port), str(proxy.port))
            if request.param == "postgres":
                store = PostgresStore(there, schema=schema, pool_size=4)
            else:
                store = RedisStore(there, prefix=f"test-{uuid4().hex}", max_connections=8)
            runner = EventLogRunner(store, lease_ttl=4.0, heartbeat=0.8)
            await runner.open()
            yield runner, proxy
            proxy.delay = 0.0
            await runner.aclose()


async def test_a_burst_that_a_slow_database_works_off_refuses_no_start_and_loses_no_run(distant):
    runner, proxy = distant
    proxy.delay = DELAY

    async def one(number: int) -> str:
        async def thinks(input, context):  # noqa: A002
            yield {"type": "TEXT_MESSAGE_CHUNK", "messageId": "a", "role": "assistant", "delta": "a word"}
            await asyncio.sleep(2.0)

        request = run_of(thinks, thread_id=f"t{number}", run_id=f"r{number}", messages=[user("u")])
        last = (await collect(await runner.run(request), DEADLINE))[-1]
        return last["type"] + last.get("code", "")

    async with asyncio.timeout(DEADLINE):
        ends = await asyncio.gather(*map(one, range(RUNS)), return_exceptions=True)
    # Without a line that waits while answers come, the last starts would have been refused.
    assert Counter(map(str, ends)) == {"RUN_FINISHED": RUNS}


async def test_a_run_whose_renewal_was_late_is_not_lost_to_the_process_that_executes_it(distant):
    runner, _ = distant
    gate = asyncio.Event()
    stream = await runner.run(run_of(ScriptedAgent(gate)))
    events = await take(stream, 1)
    (live,) = runner._registry.live.values()
    for _ in range(3):
        await runner.store.extend(live.run, 0)
        async with asyncio.timeout(DEADLINE):
            while await runner.store.expired(1):
                await asyncio.sleep(0.02)
    gate.set()
    assert types(events + await collect(stream))[-1] == "RUN_FINISHED"
