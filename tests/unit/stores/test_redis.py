"""What is particular to Redis: cost by commands, indexes in other slots, wake-ups, the schema."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import pytest
import redis.asyncio

from jumpseat.errors import (
    ClaimLost,
    ConfigurationError,
    MissingDependencyError,
    SchemaTooNew,
    StoreUnavailable,
)
from jumpseat.runners.redis import RedisAgentRunner
from jumpseat.stores.base import Append, Claimed, Hold, LogPage, Plan, Retention, ThreadChange
from jumpseat.stores.redis import RedisStore, clients, indexes, retention
from jumpseat.stores.redis.indexes import Indexes
from jumpseat.stores.redis.packing import packed
from jumpseat.testing.store_cases.material import (
    FIRST,
    LEASE,
    add,
    claimed,
    finish,
    gather,
    new_run,
    queued,
    seal_of,
    within,
)
from redis_server import Server, free_port


@pytest.fixture
def own_server():
    server = Server()
    yield server
    server.stop()


def commands(server: Server) -> dict[str, int]:
    """How often each command was executed, those of scripts included."""
    stats = [
        line for line in server.command("INFO", "commandstats").splitlines() if line.startswith("cmdstat_")
    ]
    counted = {}
    for line in stats:
        name, _, rest = line.removeprefix("cmdstat_").partition(":calls=")
        counted[name] = int(rest.partition(",")[0])
    return counted


async def cost(server: Server, work):
    """What a verb answers, and the commands that it took."""
    before = await asyncio.to_thread(commands, server)
    answer = await work
    after = await asyncio.to_thread(commands, server)
    # Not what a new connection says first, and not that a script is sent whole at its first use.
    executed = {name: count - before.get(name, 0) for name, count in after.items() if name not in ASIDE}
    return answer, {name: count for name, count in executed.items() if count}


ASIDE = {"info", "hello", "select"}
OLD_RUNS = """
local a = cmsgpack.unpack(ARGV[1])
local name = KEYS[1]
for ordinal = a.first, a.last do
    local key, entry = 'OLD' .. ordinal, 'old' .. ordinal
    redis.call('HSET', name .. ':keys', key, ordinal)
    redis.call('HSET', name .. ':newest', 'r' .. ordinal, key)
    redis.call('HSET', name .. ':heads', ordinal, cmsgpack.pack({ key = key, run_id = 'r' .. ordinal,
        agent_id = 'a', ordinal = ordinal, status = 'finished', last = 2, created = 1, sealed = 1,
        epoch = 1 }))
    redis.call('HSET', name .. ':outcomes', ordinal .. ':terminal', 'end',
        ordinal .. ':compacted', a.compacted, ordinal .. ':count', 0)
    redis.call('ZADD', name .. ':shown', ordinal * 1000, entry)
    redis.call('HSET', name .. ':meta', entry,
        cmsgpack.pack({ ordinal * 1000, ordinal, 'm' .. ordinal, '#' }))
    redis.call('HSET', name .. ':data', entry, '{}')
    redis.call('HSET', name .. ':names', 'm' .. ordinal, cmsgpack.pack({ entry }))
end
redis.call('HSET', name .. ':thread', 'runs', a.last, 'head', a.last)
"""


async def test_claim_append_and_seal_take_as_many_commands_after_ten_thousand_runs_as_after_ten(
    own_server, make_redis, prefix
):
    store = await make_redis(own_server.url)
    await finish(store, await claimed(store))
    claim = await claimed(store)
    await store.append(claim.run, 2, [b"x"])
    await store.seal(claim.run, seal_of(3))
    client = redis.asyncio.Redis.from_url(own_server.url, protocol=2, driver_info=None)
    costs = []
    for first, last in ((3, 10), (12, 10_000)):
        old = packed({"first": first, "last": last, "compacted": b"\x90"})
        (key,) = [key async for key in client.scan_iter(f"{prefix}:*:thread")]
        await client.eval(OLD_RUNS, 1, key.removesuffix(b":thread"), old)
        question = Plan(add=(add((last + 1) * 1000, f"u{last}"),))
        answer = Plan(add=(add((last + 1) * 1000 + 1, f"a{last}"),))
        claim, claiming = await cost(own_server, claimed(store, plan=question))
        _, appending = await cost(own_server, store.append(claim.run, 2, [b"x"]))
        _, sealing = await cost(own_server, store.seal(claim.run, seal_of(3, plan=answer)))
        costs.append([claiming, appending, sealing])
    await client.aclose()
    assert costs[0] == costs[1]
    assert costs[0][1]["evalsha"] == 1
    assert len(await store.runs(None, "thread", 9_990, 100)) == 11


async def test_a_thousand_hidden_branches_cost_a_connect_nothing(own_server, make_redis):
    store = await make_redis(own_server.url)
    await finish(store, await claimed(store, plan=Plan(add=(add(10, "u"),))))
    # A script is sent whole at its first use.
    await store.history(None, "thread")
    costs = []
    for branches in (range(10), range(10, 1010)):
        for number in branches:
            other = Plan(hide_after=10, add=(add(20 + number, f"m{number}", b"x" * 100),))
            claim = await claimed(store, plan=other)
            await store.seal(claim.run, seal_of(2))
        before = sent_bytes(own_server)
        history, executed = await cost(own_server, store.history(None, "thread"))
        costs.append(executed)
        assert [entry.key for entry in history.entries] == ["u", f"m{branches[-1]}"]
        # What is told of commands goes over the wire, too.
        assert sent_bytes(own_server) - before < 20_000
    assert costs[0] == costs[1]


def sent_bytes(server: Server) -> int:
    """How much the server has sent so far."""
    (line,) = [line for line in server.command("INFO", "stats").splitlines() if "net_output_bytes" in line]
    return int(line.partition(":")[2])


async def test_a_group_of_appends_fails_one_by_one(redis_store):
    claims = [await claimed(redis_store, f"t{number}") for number in range(5)]
    await redis_store.take(claims[1].run, 60, force=True)
    appends = [Append(claim.run, 2, [claim.run.run_key.encode()]) for claim in claims]
    appends[2].first_seq = 7
    done = asyncio.get_running_loop().create_future()
    redis_store.append_group(appends, done.set_result)
    await within(done)
    errors = [append.error for append in appends]
    assert isinstance(errors.pop(1), ClaimLost)
    assert isinstance(errors.pop(1), ValueError)
    assert errors == [None, None, None]
    assert {append.result for append in (appends[0], *appends[3:])} == {Hold.HELD}
    assert (await redis_store.read("t4", claims[4].run.run_key, 1, 0)).events == appends[4].events


async def test_a_message_with_more_calls_than_lua_holds_at_once_is_stored_and_found(redis_store):
    calls = tuple(f"call{number}" for number in range(20_000))
    claim = await claimed(redis_store, plan=Plan(add=(add(10, "m", aliases=calls),)))
    (entry,) = (await redis_store.history(None, "thread")).entries
    assert entry.aliases == calls
    assert (await redis_store.locate(None, "thread", ["call19999"])).found["call19999"].key == "m"
    await redis_store.seal(claim.run, seal_of(2, plan=Plan(hide=(10,))))
    assert (await redis_store.locate(None, "thread", ["call19999"])).found == {}


async def test_a_group_is_stored_although_the_server_forgot_the_scripts_and_one_log_is_no_log(
    own_server, make_redis, prefix
):
    store = await make_redis(own_server.url)
    claims = [await claimed(store, f"t{number}") for number in range(40)]
    client = redis.asyncio.Redis.from_url(own_server.url, protocol=2, driver_info=None)
    (log,) = [key async for key in client.scan_iter(f"{prefix}:*:log:{claims[3].run.run_key}")]
    await client.set(log, "no log")
    await client.script_flush()
    await client.aclose()
    appends = [Append(claim.run, 2, [claim.run.run_key.encode()]) for claim in claims]
    done = asyncio.get_running_loop().create_future()
    store.append_group(appends, done.set_result)
    await within(done)
    assert isinstance(appends.pop(3).error, StoreUnavailable)
    for append in appends:
        assert append.result is Hold.HELD
        page = await store.read(append.run.thread_id, append.run.run_key, 1, 0)
        assert page.events == append.events


async def forgotten(*_args, **_options) -> None:
    """A process that died before it wrote the index."""


async def test_a_thread_is_listed_although_its_process_died_before_the_index_was_written(
    redis_store, make_redis, monkeypatch
):
    monkeypatch.setattr(indexes, "FRESH_MS", 0)
    with monkeypatch.context() as dying:
        dying.setattr(Indexes, "end_claim", forgotten)
        claim = await claimed(redis_store, owner="ann")
        await redis_store.extend(claim.run, 0)
    other = await make_redis()
    assert [record.id for record in await other.threads.list("ann")] == ["thread"]
    assert await other.expired(10) == [claim.run]
    assert await other.request_stop_all("ann", "enough") == [claim.run]
    assert await other.threads.clear("ann") == ["thread"]
    assert await other.threads.list("ann") == []
    assert await other.expired(10) == []


async def test_archived_and_deleted_threads_leave_the_list_although_the_process_died(
    redis_store, monkeypatch
):
    monkeypatch.setattr(indexes, "FRESH_MS", 0)
    for thread_id in ("archived", "deleted", "kept"):
        await finish(redis_store, await claimed(redis_store, thread_id))
    with monkeypatch.context() as dying:
        dying.setattr(Indexes, "end", forgotten)
        await redis_store.threads.update(None, "archived", ThreadChange(archived=True))
        assert await redis_store.threads.delete(None, "deleted")
    assert [record.id for record in await redis_store.threads.list(None)] == ["kept"]
    everything = await redis_store.threads.list(None, archived=True)
    assert {record.id for record in everything} == {"archived", "kept"}


async def test_the_log_of_a_run_goes_although_its_process_died_right_after_the_seal(redis_store, monkeypatch):
    claim = await claimed(redis_store)
    await redis_store.extend(claim.run, 0)
    with monkeypatch.context() as dying:
        dying.setattr(Indexes, "sealed", forgotten)
        await finish(redis_store, claim)
    assert await redis_store.expired(10) == []
    assert await redis_store.prune(Retention(events_after=0), 100) == 1
    assert await redis_store.read("thread", claim.run.run_key, 0, 0) == LogPage(events=[], gone=True)


async def test_changes_at_the_same_time_leave_the_list_as_the_threads_are(redis_store, make_redis):
    other = await make_redis()

    async def churn(store, thread_id):
        for _ in range(5):
            await store.threads.delete(None, thread_id)
            result = await store.claim(new_run(thread_id), LEASE, Plan(), FIRST)
            if isinstance(result, Claimed):
                # The other one may be deleting it right now.
                with contextlib.suppress(ClaimLost):
                    await finish(store, result)

    await within(gather(churn(store, f"t{number}") for store in (redis_store, other) for number in range(4)))
    there = {f"t{number}" for number in range(4) if await redis_store.threads.get(None, f"t{number}")}
    assert {record.id for record in await other.threads.list(None)} == there


async def test_an_abandoned_mark_is_forgotten(redis_store, monkeypatch):
    with monkeypatch.context() as dying:
        dying.setattr(Indexes, "end_claim", forgotten)
        await claimed(redis_store)
    monkeypatch.setattr(indexes, "FRESH_MS", 0)
    monkeypatch.setattr(indexes, "ABANDONED_MS", 0)
    assert len(await redis_store.threads.list(None)) == 1
    key = redis_store._keys.owner(None)
    assert await redis_store._database.call("owner_marked", key, age=0, limit=10) == []
    assert len(await redis_store.threads.list(None)) == 1


async def test_nothing_of_a_deleted_thread_stays(redis_store, redis_url, prefix, monkeypatch):
    monkeypatch.setattr(retention, "ABANDONED_MS", 0)
    await redis_store.request_stop_all("ann", "before")
    async with redis.asyncio.Redis.from_url(redis_url, protocol=2, driver_info=None) as client:
        before = {key async for key in client.scan_iter(f"{prefix}:*")}
        claim = await claimed(redis_store, owner="ann", plan=Plan(add=(add(10, "u"),)), state=b"s")
        await redis_store.append(claim.run, 2, [b"x"])
        await redis_store.seal(claim.run, seal_of(3))
        await claimed(redis_store, owner="ann")
        await queued(redis_store, owner="ann")
        assert await redis_store.threads.clear("ann") == ["thread"]
        for _ in range(2):
            await redis_store.prune(Retention(), 100)
        left = {key.decode() async for key in client.scan_iter(f"{prefix}:*") if key not in before}
    # The marks of the deletion, which go within an hour, and the number of the owner's last change.
    assert sorted(key.rpartition(":")[2] for key in left) == ["mark", "number", "revoked"]


async def listens(store: RedisStore) -> None:
    async with asyncio.timeout(10):
        while not store.listening:
            await asyncio.sleep(0.01)


async def test_a_reader_whose_process_lost_its_subscription_misses_nothing(own_server, make_redis):
    writer, reading = await make_redis(own_server.url), await make_redis(own_server.url)
    claim = await claimed(writer)
    await listens(reading)
    reader = asyncio.create_task(reading.read("thread", claim.run.run_key, 1, 60))
    await asyncio.sleep(0.1)
    await asyncio.to_thread(own_server.command, "CLIENT", "KILL", "TYPE", "pubsub")
    await writer.append(claim.run, 2, [b"x"])
    async with asyncio.timeout(3):
        assert await reader == LogPage(events=[b"x"])
    await listens(reading)


async def test_a_wake_up_that_gets_lost_costs_only_time(redis_store, make_redis):
    reading = await make_redis()
    claim = await claimed(redis_store)
    await listens(reading)
    reading._listener._told = lambda data: None
    reader = asyncio.create_task(reading.read("thread", claim.run.run_key, 1, 60))
    await asyncio.sleep(0.05)
    await redis_store.append(claim.run, 2, [b"x"])
    async with asyncio.timeout(5):
        assert await reader == LogPage(events=[b"x"])


async def test_a_hundred_readers_share_few_connections(own_server, make_redis):
    writer = await make_redis(own_server.url)
    reading = await make_redis(own_server.url, max_connections=4)
    claim = await claimed(writer)
    readers = [asyncio.create_task(reading.read("thread", claim.run.run_key, 1, 60)) for _ in range(100)]
    await asyncio.sleep(0.3)
    clients = await asyncio.to_thread(own_server.command, "CLIENT", "LIST")
    assert len(clients.splitlines()) <= 4 + 1 + 17 + 1 + 1
    await writer.append(claim.run, 2, [b"x"])
    assert await within(gather(readers)) == [LogPage(events=[b"x"])] * 100


async def test_everything_is_closed_at_the_end(own_server, prefix):
    store = RedisStore(own_server.url, prefix=prefix)
    await store.open()
    await claimed(store)
    await queued(store)
    await store.aclose()
    async with asyncio.timeout(5):
        while len((await asyncio.to_thread(own_server.command, "CLIENT", "LIST")).splitlines()) > 1:
            await asyncio.sleep(0.01)


async def test_data_of_a_newer_schema_is_refused_and_not_touched(own_server, prefix):
    own_server.command("SET", f"{prefix}:{{index}}:schema", "99")
    with pytest.raises(SchemaTooNew, match="99"):
        await RedisStore(own_server.url, prefix=prefix).open()
    assert own_server.command("GET", f"{prefix}:{{index}}:schema") == "99"
    assert own_server.command("DBSIZE") == "1"


async def test_the_schema_is_noted_once(own_server, make_redis, prefix):
    await gather(make_redis(own_server.url) for _ in range(3))
    assert own_server.command("GET", f"{prefix}:{{index}}:schema") == "1"


async def test_a_server_that_may_drop_keys_is_warned_of(own_server, make_redis, caplog):
    own_server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    with caplog.at_level(logging.WARNING):
        await make_redis(own_server.url)
    assert "allkeys-lru" in caplog.text


async def test_a_server_that_is_not_there_is_unavailable():
    port = free_port()
    store = RedisStore(f"redis://user:secret@127.0.0.1:{port}/0")
    with pytest.raises(StoreUnavailable, match=str(port)) as caught:
        await within(store.open())
    assert "secret" not in str(caught.value)
    with pytest.raises(StoreUnavailable):
        await store.live(None, "thread")
    await store.aclose()


@pytest.mark.parametrize(
    "options",
    [{"url": "localhost"}, {"url": ""}, {"prefix": ""}, {"prefix": "{a}"}, {"max_connections": 0}],
)
def test_wrong_options_are_refused(options):
    with pytest.raises(ConfigurationError):
        RedisStore(**options)
    with pytest.raises(ConfigurationError):
        RedisAgentRunner(**options)


def test_without_the_package_the_line_that_installs_it_is_named(monkeypatch):
    monkeypatch.setattr(clients, "_redis", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "jumpseat\[redis\]"'):
        RedisAgentRunner()
