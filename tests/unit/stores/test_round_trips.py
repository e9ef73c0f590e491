"""However many runs a group of appends is for, it takes one round trip to a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest

from jumpseat.runners.group_commit import LARGEST_GROUP
from jumpseat.stores.base import Append, AppendsGroups, Hold
from jumpseat.stores.postgres import PostgresStore
from jumpseat.stores.redis import RedisStore
from jumpseat.testing.store_cases.material import claimed, within
from postgres_server import lent_schema, shared_server
from tcp_proxy import Proxy, proxy_to


@asynccontextmanager
async def opened(store: PostgresStore | RedisStore) -> AsyncIterator[AppendsGroups]:
    await store.open()
    try:
        yield store
    finally:
        await store.aclose()


@pytest.fixture(params=["postgres", "redis"])
async def distant(request: pytest.FixtureRequest) -> AsyncIterator[tuple[AppendsGroups, Proxy]]:
    """A store, and the proxy that stands before its server."""
    if request.param == "postgres":
        port = shared_server().port
        async with proxy_to(port) as proxy:
            with lent_schema() as schema:
                dsn = shared_server().dsn().replace(str(port), str(proxy.port))
                async with opened(PostgresStore(dsn, schema=schema)) as store:
                    yield store, proxy
    else:
        url: str = request.getfixturevalue("redis_url")
        port = int(url.rpartition(":")[2].partition("/")[0])
        async with proxy_to(port) as proxy:
            there = url.replace(str(port), str(proxy.port))
            async with opened(RedisStore(there, prefix=f"test-{uuid4().hex}")) as store:
                yield store, proxy


async def test_the_largest_group_is_sent_before_the_first_answer_is_read(distant):
    store, proxy = distant
    runs = [(await claimed(store, f"t{number}")).run for number in range(LARGEST_GROUP)]
    appends = [Append(run, 2, [b"event of " + run.run_key.encode()]) for run in runs]
    done = asyncio.get_running_loop().create_future()
    proxy.hold_answers()
    store.append_group(appends, done.set_result)

    async def all_sent() -> None:
        while not all(append.events[0] in proxy.asked for append in appends):
            assert not done.done()
            await asyncio.sleep(0.01)

    await within(all_sent())
    assert not done.done()
    proxy.release_answers()
    await within(done)
    assert [append.error or append.result for append in appends] == [Hold.HELD] * LARGEST_GROUP
    last = await store.read("t255", runs[-1].run_key, 1, 0)
    assert last.events == appends[-1].events
