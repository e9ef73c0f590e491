"""What Redis forgets by itself, and what it never does; and deletions that are large."""

from __future__ import annotations

import asyncio

import pytest
import redis.asyncio

from jumpseat.runners.redis import RedisAgentRunner
from jumpseat.stores.base import Hold, LogPage, Plan, Retention, ThreadChange
from jumpseat.stores.redis import options
from jumpseat.testing.store_cases.material import add, claimed, finish, queued, seal_of
from redis_server import Server

# What a busy machine may take for a run of two statements.
SLOW_MS = 20_000
LONGEST_MICROSECONDS = 400_000


@pytest.fixture
def soon(monkeypatch):
    """Let the server itself be in time instead of an hour late."""
    monkeypatch.setattr(options, "SLACK_SECONDS", 0.0)
    monkeypatch.setattr(options, "LEAST_LOG_SECONDS", 0.0)


async def lifetimes(store, redis_url: str, thread_id: str) -> dict[str, int]:
    """The rest of the life of every key of a thread in milliseconds, -1 for ever."""
    async with redis.asyncio.Redis.from_url(redis_url, protocol=2, driver_info=None) as client:
        name = store._keys.thread(thread_id)
        return {
            key.decode().removeprefix(f"{name}:"): await client.pttl(key)
            async for key in client.scan_iter(f"{name}:*")
        }


async def moments(store, redis_url: str, thread_id: str) -> set[int]:
    """When the keys of a thread go."""
    async with redis.asyncio.Redis.from_url(redis_url, protocol=2, driver_info=None) as client:
        name = store._keys.thread(thread_id)
        return {await client.pexpiretime(key) async for key in client.scan_iter(f"{name}:*")}


async def until_it_is_gone(store, owner: str | None, thread_id: str) -> None:
    async with asyncio.timeout(10):
        while await store.threads.get(owner, thread_id) is not None:
            await asyncio.sleep(0.05)


async def test_a_thread_that_nobody_uses_goes_as_a_whole_and_one_in_use_stays(soon, make_redis, redis_url):
    store = await make_redis(thread_ttl=1.5)
    await finish(store, await claimed(store, "idle", owner="ann", plan=Plan(add=(add(10, "u"),))))
    live = await claimed(store, "live", owner="ann")
    (end,) = await moments(store, redis_url, "idle")
    assert end - (await store.threads.get("ann", "idle")).last_run_at <= 1500 + SLOW_MS
    assert set((await lifetimes(store, redis_url, "live")).values()) == {-1}
    await until_it_is_gone(store, "ann", "idle")
    assert await lifetimes(store, redis_url, "idle") == {}
    assert [record.id for record in await store.threads.list("ann")] == ["live"]
    assert await store.append(live.run, 2, [b"x"]) is Hold.HELD
    assert (await store.history("ann", "idle")) is None
    assert (await claimed(store, "idle", owner="bob")).created


async def test_a_thread_that_is_used_again_or_renamed_begins_anew(soon, make_redis, redis_url):
    store = await make_redis(thread_ttl=60)
    await finish(store, await claimed(store))
    claim = await claimed(store)
    await queued(store)
    # The log of the first run keeps its own end.
    kept = {name: end for name, end in (await lifetimes(store, redis_url, "thread")).items() if end != -1}
    assert [name.partition(":")[0] for name in kept] == ["log"]
    await store.seal(claim.run, seal_of(2))
    assert -1 in (await lifetimes(store, redis_url, "thread")).values()
    await store.threads.delete(None, "thread")
    await finish(store, await claimed(store))
    await asyncio.sleep(0.3)
    before = min((await lifetimes(store, redis_url, "thread")).values())
    await store.threads.update(None, "thread", ThreadChange(set_name=True, name="new"))
    ends = await lifetimes(store, redis_url, "thread")
    assert min(end for name, end in ends.items() if not name.startswith("log:")) > before


async def test_processes_without_a_lifetime_keep_what_others_would_let_go(make_redis, redis_url):
    passing, keeping = await make_redis(thread_ttl=60), await make_redis()
    await finish(passing, await claimed(passing))
    await finish(keeping, await claimed(keeping))
    ends = await lifetimes(keeping, redis_url, "thread")
    assert {end for name, end in ends.items() if not name.startswith("log:")} == {-1}


async def test_a_log_goes_by_itself_after_its_run_and_its_readers_are_told(soon, make_redis):
    store = await make_redis(log_ttl=0.5)
    claim = await claimed(store)
    await finish(store, claim)
    async with asyncio.timeout(10):
        while (await store.run(None, "thread", claim.run.run_key)).raw:
            await asyncio.sleep(0.05)
    assert await store.read("thread", claim.run.run_key, 0, 0) == LogPage(events=[], gone=True)
    assert await store.read("thread", claim.run.run_key, 2, 0) == LogPage(events=[], ended=True)
    assert len((await store.events(None, "thread", 0, 10))[0].events) == len(seal_of(2).compacted)
    await store.prune(Retention(events_after=0), 100)
    assert await store.expired(10) == []


async def test_a_runner_tells_the_server_how_long_its_logs_are_kept(redis_url, prefix):
    runner = RedisAgentRunner(redis_url, prefix=prefix, retention=Retention(events_after=7200))
    store = runner.store
    await store.open()
    claim = await claimed(store)
    await finish(store, claim)
    ends = await lifetimes(store, redis_url, "thread")
    assert 7_200_000 < ends[f"log:{claim.run.run_key}"] <= 7_260_000
    await runner.aclose()


async def test_pruning_removes_idle_threads_with_all_that_indexes_hold_of_them(make_redis, monkeypatch):
    store = await make_redis(thread_ttl=1.0)
    await finish(store, await claimed(store, owner="ann"))
    async with asyncio.timeout(10):
        while not await store.prune(Retention(events_after=3600), 100):
            await asyncio.sleep(0.1)
    assert await store.threads.get("ann", "thread") is None
    assert await store.threads.list("ann") == []


async def test_large_deletions_hold_up_nobody(make_redis):
    server = Server()
    try:
        store = await make_redis(server.url, max_connections=16)
        claim = await claimed(store, "long")
        for first in range(2, 100_002, 5_000):
            await store.append(claim.run, first, [b"x" * 50] * 5_000)
        assert server.command("CONFIG", "SET", "slowlog-log-slower-than", str(LONGEST_MICROSECONDS)) == "OK"
        server.command("SLOWLOG", "RESET")
        assert await store.threads.delete(None, "long") is True
        many = [f"t{number}" for number in range(2_000)]
        for start in range(0, len(many), 100):
            await asyncio.gather(*(claimed(store, name, owner="ann") for name in many[start : start + 100]))
        assert set(await store.threads.clear("ann")) == set(many)
        assert await store.threads.list("ann", archived=True) == []
        # As the server saw it: no command of all these kept the others waiting.
        assert server.command("SLOWLOG", "LEN") == "0"
    finally:
        server.stop()
