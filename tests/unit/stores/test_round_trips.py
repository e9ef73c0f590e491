"""However many runs a group of appends or of renewals is for, it takes few round trips to a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest

from jumpseat.errors import StoreUnavailable
from jumpseat.runners.group_commit import LARGEST_GROUP
from jumpseat.stores.base import Append, AppendsGroups, Hold, RenewsGroups, Run
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


async def test_many_leases_are_renewed_at_once_and_each_is_told_its_own(distant):
    store, proxy = distant
    assert isinstance(store, RenewsGroups)
    runs = [(await claimed(store, f"t{number}")).run for number in range(600)]
    await store.request_stop(None, "t7", None, "stop_requested")
    taken = await store.take(runs[9], 60, force=True)
    await within(asyncio.gather(*(store.extend(run, 0) for run in runs if run is not runs[9])))
    assert len(await store.expired(1000)) == 599
    elsewhere = Run("t1", runs[2].run_key, 1)
    # With a round trip for each, this would take a minute.
    proxy.delay = 0.1
    loop = asyncio.get_running_loop()
    began = loop.time()
    told = await within(store.extend_group([*runs, taken.run, Run("t3", "nobody", 1), elsewhere], 60))
    assert loop.time() - began < 5
    proxy.delay = 0.0
    expected = [Hold.HELD] * 600 + [Hold.HELD, Hold.LOST, Hold.LOST]
    expected[7], expected[9] = Hold.STOPPING, Hold.LOST
    assert told == expected
    assert await store.expired(1000) == []


async def test_renewals_fail_each_by_itself_when_the_server_is_away(distant):
    store, proxy = distant
    runs = [(await claimed(store, f"t{number}")).run for number in range(3)]
    proxy.refusing = True
    proxy.cut()
    told = await within(store.extend_group(runs, 60))
    assert [type(one) for one in told] == [StoreUnavailable] * 3
    proxy.refusing = False
    assert await within(store.extend_group(runs, 60)) == [Hold.HELD] * 3
