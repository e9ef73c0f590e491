"""Redis with replicas: a primary that sentinels name, and claims and seals that wait for replicas."""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import AsyncExitStack

import pytest

from jumpseat.errors import ClaimLost, StoreUnavailable
from jumpseat.protocol.events import TextMessageContent, TextMessageStart
from jumpseat.runners.redis import RedisAgentRunner
from jumpseat.stores.base import Claimed, Hold, Plan
from jumpseat.testing.requests import collect, connect_to, run_of, take, types, user
from jumpseat.testing.store_cases.material import FIRST, LEASE, claimed, new_run, seal_of, within
from redis_server import Sentinel, Server

QUICK = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")


@pytest.fixture
def primary():
    server = Server(*QUICK)
    yield server
    server.stop()


@pytest.fixture
async def replica(primary):
    server = Server(*QUICK, "--replicaof", "127.0.0.1", str(primary.port))
    async with asyncio.timeout(20):
        while "master_link_status:up" not in await asyncio.to_thread(server.command, "INFO", "replication"):
            await asyncio.sleep(0.02)
    yield server
    server.stop()


@pytest.fixture
async def sentinel(primary, replica):
    sentinel = await asyncio.to_thread(Sentinel, primary.port)
    await asyncio.to_thread(sentinel.until_it_knows, 1)
    yield sentinel
    sentinel.stop()


async def until_it_is_primary(server: Server) -> None:
    async with asyncio.timeout(30):
        while "role:master" not in await asyncio.to_thread(server.command, "INFO", "replication"):
            await asyncio.sleep(0.05)


async def test_a_store_finds_the_primary_through_its_sentinel(sentinel, primary, make_redis, prefix):
    store = await make_redis(sentinel.url)
    claim = await claimed(store)
    assert await store.append(claim.run, 2, [b"x"]) is Hold.HELD
    assert primary.command("EXISTS", f"{prefix}:{{index}}:schema") == "1"
    async with asyncio.timeout(10):
        while not store.listening:
            await asyncio.sleep(0.01)


async def test_a_sentinel_that_is_gone_is_passed_over(sentinel, make_redis):
    gone = sentinel.url.replace("redis+sentinel://", "redis+sentinel://127.0.0.1:1,")
    assert isinstance(await claimed(await make_redis(gone)), Claimed)


async def test_a_service_that_no_sentinel_knows_is_named(sentinel, make_redis):
    with pytest.raises(StoreUnavailable, match="others"):
        await make_redis(sentinel.url.replace("/threads", "/others"))


async def test_sentinels_and_servers_may_ask_for_different_passwords(primary, replica, make_redis):
    for server in (primary, replica):
        server.command("CONFIG", "SET", "masterauth", "data/p@ss")
    sentinel = await asyncio.to_thread(Sentinel, primary.port, "auth-pass threads data/p@ss")
    try:
        await asyncio.to_thread(sentinel.until_it_knows, 1)
        primary.command("CONFIG", "SET", "requirepass", "data/p@ss")
        sentinel.command("ACL", "SETUSER", "watcher", "on", ">look&see", "+@all", "allchannels")
        sentinel.command("ACL", "SETUSER", "default", "off")
        address = f"127.0.0.1:{sentinel.port}/threads/0"
        good = f"redis+sentinel://:data%2Fp%40ss@{address}?sentinel_username=watcher&sentinel_password="
        store = await make_redis(good + "look%26see")
        assert isinstance(await claimed(store), Claimed)
        with pytest.raises(StoreUnavailable) as refused:
            await make_redis(good + "wrong")
        assert "wrong" not in str(refused.value)
    finally:
        sentinel.stop()


async def test_a_run_goes_on_or_is_given_up_but_never_has_a_gap_when_the_primary_dies(
    sentinel, primary, replica, prefix
):
    options = {"prefix": prefix, "lease_ttl": 30.0, "heartbeat": 0.5, "wait_replicas": 1}
    words = [TextMessageContent(message_id="m", delta=f"{number} ") for number in range(400)]

    async def talk(given, context):
        yield TextMessageStart(message_id="m")
        for word in words:
            await asyncio.sleep(0.005)
            yield word

    async with AsyncExitStack() as stack:
        runner, other = (RedisAgentRunner(sentinel.url, **options) for _ in range(2))
        for one in (runner, other):
            stack.push_async_callback(one.aclose)
        stream = await runner.run(run_of(talk, messages=[user("u")]))
        following = await other.connect(connect_to("thread"))
        seen = [*(await take(stream, 40))]
        reader = asyncio.create_task(collect(following))
        primary.kill()
        await until_it_is_primary(replica)
        seen += await within(collect(stream))
        # Whatever only the old primary acknowledged: what is stored begins with event 1 and lacks none.
        (run,) = await other.store.runs(None, "thread", 0, 10)
        log: list[bytes] = []
        while page := (await other.store.read("thread", run.run_key, len(log), 0)).events:
            log += page
        assert len(log) == run.last_seq
        deltas = [event["delta"] for event in seen if "delta" in event]
        assert deltas == [word.delta for word in words][: len(deltas)]
        assert types(seen)[-1] == ("RUN_FINISHED" if run.status == "finished" else "RUN_ERROR")
        assert types(await within(reader))[-1] in ("RUN_FINISHED", "RUN_ERROR")
        # The thread is free, and a run on it works.
        again = await within(runner.run(run_of(talk, run_id="second", messages=[user("v")])))
        assert types(await within(collect(again)))[-1] == "RUN_FINISHED"


async def test_a_claim_that_the_new_primary_lacks_is_lost(sentinel, primary, replica, make_redis):
    store = await make_redis(sentinel.url, wait_replicas=1, wait_replicas_timeout=4.0)
    kept = await claimed(store, "kept")
    # What the primary takes from now on nobody else gets.
    replica.command("REPLICAOF", "127.0.0.1", "1")
    assert await store.append(kept.run, 2, [b"2"]) is Hold.HELD
    alone = await make_redis(sentinel.url)
    late = await claimed(alone, "late")
    primary.kill()
    await until_it_is_primary(replica)
    with pytest.raises(ClaimLost):
        await once_it_is_there(alone.append, late.run, 2, [b"2"])
    # Nothing is stored behind a gap; that it is there is not the writer's doing.
    with pytest.raises(ClaimLost):
        await once_it_is_there(store.append, kept.run, 3, [b"3"])
    assert await once_it_is_there(store.append, kept.run, 2, [b"2", b"3"]) is Hold.HELD


async def once_it_is_there(verb, *args):
    """What a verb answers as soon as the sentinel has named the new primary."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await verb(*args)
            except StoreUnavailable:
                await asyncio.sleep(0.1)


async def test_a_claim_and_a_seal_return_when_the_replica_has_them(primary, replica, make_redis, caplog):
    store = await make_redis(primary.url, wait_replicas=1, wait_replicas_timeout=4.0)
    await claimed(store, "warm")
    replica.process.send_signal(signal.SIGSTOP)
    claiming = asyncio.create_task(claimed(store))
    await asyncio.sleep(0.3)
    assert not claiming.done()
    replica.process.send_signal(signal.SIGCONT)
    claim = await within(claiming)
    key = f"{store._keys.thread('thread')}:run:{claim.run.run_key}"
    assert await asyncio.to_thread(replica.command, "EXISTS", key) == "1"
    await store.seal(claim.run, seal_of(2))
    assert await asyncio.to_thread(replica.command, "EXISTS", key) == "0"
    assert caplog.records == []


async def test_without_them_runs_go_on_and_one_warning_says_so(primary, replica, make_redis, caplog):
    store = await make_redis(primary.url, wait_replicas=1, wait_replicas_timeout=1.0)
    with caplog.at_level(logging.WARNING):
        claim = await claimed(store)
        assert caplog.records == []
        replica.command("REPLICAOF", "NO", "ONE")
        await within(store.seal(claim.run, seal_of(2)))
        began = asyncio.get_running_loop().time()
        assert isinstance(await store.claim(new_run(), LEASE, Plan(), FIRST), Claimed)
        assert asyncio.get_running_loop().time() - began < 3
        (warning,) = caplog.messages
        assert "0 of 1 replicas" in warning
        replica.command("REPLICAOF", "127.0.0.1", str(primary.port))
        async with asyncio.timeout(20):
            while len(caplog.messages) == 1:
                await claimed(store, f"t{asyncio.get_running_loop().time()}")
    assert "acknowledge runs again" in caplog.messages[1]


async def test_a_server_that_wants_replicas_itself_refuses_whole(primary, replica, make_redis):
    store = await make_redis(primary.url, wait_replicas=1)
    claim = await claimed(store)
    replica.command("REPLICAOF", "NO", "ONE")
    primary.command("CONFIG", "SET", "min-replicas-to-write", "1")
    for work in (
        store.append(claim.run, 2, [b"x"]),
        store.claim(new_run("other"), LEASE, Plan(), FIRST),
        store.seal(claim.run, seal_of(2)),
    ):
        with pytest.raises(StoreUnavailable, match=r"(?i)replicas"):
            await within(work)
    primary.command("CONFIG", "SET", "min-replicas-to-write", "0")
    assert await store.append(claim.run, 2, [b"x"]) is Hold.HELD


async def test_scripts_that_wait_are_sent_whole_when_the_server_forgot_them(primary, replica, make_redis):
    store = await make_redis(primary.url, wait_replicas=1)
    claim = await claimed(store)
    primary.command("SCRIPT", "FLUSH")
    await store.seal(claim.run, seal_of(2))
    assert await store.live(None, "thread") is None


async def test_in_a_cluster_the_node_of_the_thread_is_asked(redis_cluster_url, make_redis, caplog):
    store = await make_redis(redis_cluster_url, wait_replicas=1, wait_replicas_timeout=0.05)
    with caplog.at_level(logging.WARNING):
        for number in range(6):
            claim = await claimed(store, f"t{number}")
            await store.seal(claim.run, seal_of(2))
    assert [message for message in caplog.messages if "0 of 1 replicas" in message]
