"""Redis when answers get lost, servers are full, frozen, restarted or replaced, and scripts are forgotten."""

from __future__ import annotations

import asyncio
import re
import signal

import pytest

from jumpseat.errors import ClaimLost, StoreUnavailable
from jumpseat.protocol.events import TextMessageContent, TextMessageStart
from jumpseat.runners.redis import RedisAgentRunner
from jumpseat.stores.base import Append, Claimed, Hold, LogPage, Plan, Queued, Retention
from jumpseat.stores.redis import database
from jumpseat.stores.redis.scripts import SCRIPTS
from jumpseat.testing import ScriptedAgent
from jumpseat.testing.requests import collect, run_of, take, types, user
from jumpseat.testing.store_cases.material import (
    FIRST,
    LEASE,
    add,
    claimed,
    finish,
    new_run,
    seal_of,
    within,
)
from redis_server import Server
from tcp_proxy import Proxy

MEBIBYTE = 1 << 20


@pytest.fixture
async def store(make_redis, cable_url):
    return await make_redis(cable_url)


def lose_answer(cable: Proxy, script: str) -> None:
    """Cut the connection in place of the next answer to a script that the server then has executed."""
    cable.lose_the_answer_to(SCRIPTS[script].sha.encode())


async def log_of(store, claim, thread_id="thread") -> list[bytes]:
    return (await within(store.read(thread_id, claim.run.run_key, 0, 0))).events


async def test_every_verb_whose_answer_gets_lost_is_done_once_and_answered(store, cable):
    warm = await claimed(store, "warm", plan=Plan(add=(add(10, "u"),)))
    await store.append(warm.run, 2, [b"x"])
    warm_again = await store.take(warm.run, LEASE, force=True)
    await store.request_stop(None, "warm", None, "x")
    await store.seal(warm_again.run, seal_of(3))

    lose_answer(cable, "claim")
    claim = await store.claim(new_run(owner="ann"), LEASE, Plan(add=(add(10, "u"),)), FIRST)
    assert isinstance(claim, Claimed)
    assert (claim.created, claim.ordinal) == (True, 1)
    lose_answer(cable, "append")
    assert await store.append(claim.run, 2, [b"x"]) is Hold.HELD
    lose_answer(cable, "claim")
    queued = await store.claim(new_run(owner="ann", queue=True, max_queued=8), LEASE, Plan(), FIRST)
    assert isinstance(queued, Queued)
    lose_answer(cable, "take")
    taken = await store.take(claim.run, LEASE, force=True)
    assert taken is not None
    assert taken.run.epoch == 2
    lose_answer(cable, "stop")
    assert await store.request_stop("ann", "thread", None, "enough") == [taken.run, queued.run]
    lose_answer(cable, "extend")
    assert await store.extend(taken.run, LEASE) is Hold.STOPPING
    lose_answer(cable, "seal")
    await store.seal(taken.run, seal_of(3))
    with pytest.raises(ClaimLost):
        await store.seal(taken.run, seal_of(3))
    assert await log_of(store, claim) == [FIRST, b"x", b"end"]
    assert len(await store.runs("ann", "thread", 0, 10)) == 2
    lose_answer(cable, "delete")
    assert await store.threads.delete("ann", "thread") is True
    assert [record.id for record in await store.threads.list("ann")] == []
    assert cable.cuts == 8


async def test_a_group_whose_answer_gets_lost_is_stored_once(store, cable):
    claims = [await claimed(store, f"t{number}") for number in range(3)]
    for seq in (2, 3):
        appends = [Append(claim.run, seq, [str(seq).encode()]) for claim in claims]
        done = asyncio.get_running_loop().create_future()
        if seq == 3:
            lose_answer(cable, "append")
        store.append_group(appends, done.set_result)
        await within(done)
        assert [append.result for append in appends] == [Hold.HELD] * 3
    for number, claim in enumerate(claims):
        assert await log_of(store, claim, f"t{number}") == [FIRST, b"2", b"3"]


async def test_without_a_connection_verbs_fail_soon_and_the_same_append_works_afterwards(store, cable):
    claim = await claimed(store)
    cable.refusing = True
    cable.cut()
    with pytest.raises(StoreUnavailable):
        await within(store.append(claim.run, 2, [b"x"]))
    with pytest.raises(StoreUnavailable):
        await within(store.claim(new_run("other"), LEASE, Plan(), FIRST))
    cable.refusing = False
    assert await store.append(claim.run, 2, [b"x"]) is Hold.HELD
    assert await log_of(store, claim) == [FIRST, b"x"]


async def test_connections_cut_all_the_time_lose_and_repeat_nothing_of_a_run(cable, cable_url, prefix):
    runner = RedisAgentRunner(cable_url, prefix=prefix, lease_ttl=10.0, heartbeat=0.5)
    words = [TextMessageContent(message_id="m", delta=f"{number} ") for number in range(600)]

    async def talk(given, context):
        yield TextMessageStart(message_id="m")
        for word in words:
            await asyncio.sleep(0.002)
            yield word

    async def disturb():
        while True:
            await asyncio.sleep(0.15)
            cable.cut()

    stream = await runner.run(run_of(talk, messages=[user("u")]))
    disturbing = asyncio.create_task(disturb())
    events = await collect(stream)
    disturbing.cancel()
    assert [event["delta"] for event in events if "delta" in event] == [word.delta for word in words]
    assert types(events)[-1] == "RUN_FINISHED"
    (run,) = await runner.store.runs(None, "thread", 0, 10)
    assert (run.status, run.last_seq) == ("finished", len(events))
    await runner.aclose()


async def test_scripts_that_the_server_forgot_are_sent_again(store, server):
    claim = await claimed(store)
    other = await claimed(store, "other")
    server.command("SCRIPT", "FLUSH")
    assert await store.append(claim.run, 2, [b"x"]) is Hold.HELD
    server.command("SCRIPT", "FLUSH")
    appends = [Append(claim.run, 3, [b"y"]), Append(other.run, 2, [b"z"])]
    done = asyncio.get_running_loop().create_future()
    store.append_group(appends, done.set_result)
    await within(done)
    assert [append.result for append in appends] == [Hold.HELD] * 2
    server.command("SCRIPT", "FLUSH")
    await store.seal(claim.run, seal_of(4))
    assert await log_of(store, claim) == [FIRST, b"x", b"y", b"end"]


def fill(server: Server) -> None:
    """Leave no memory for anything."""
    server.command("SET", "ballast", "x" * MEBIBYTE)
    server.command("CONFIG", "SET", "maxmemory", "1mb")


async def test_a_full_server_refuses_what_needs_memory_whole_and_does_the_rest(store, server):
    claim = await claimed(store, plan=Plan(add=(add(10, "u"),)))
    idle = await claimed(store, "idle")
    await finish(store, idle)
    before = await store.history(None, "thread")
    fill(server)
    with pytest.raises(StoreUnavailable, match="maxmemory"):
        await store.append(claim.run, 2, [b"x"])
    with pytest.raises(StoreUnavailable, match="maxmemory"):
        await store.seal(claim.run, seal_of(2, plan=Plan(hide=(10,), add=(add(20, "a"),))))
    with pytest.raises(StoreUnavailable, match="maxmemory"):
        await store.claim(new_run("new"), LEASE, Plan(), FIRST)
    assert await store.history(None, "thread") == before
    assert await log_of(store, claim) == [FIRST]
    reader = asyncio.create_task(store.read("thread", claim.run.run_key, 1, 60))
    assert await store.extend(claim.run, LEASE) is Hold.HELD
    assert await store.request_stop(None, "thread", None, "enough") == [claim.run]
    server.command("CONFIG", "SET", "maxmemory", "0")
    assert await store.append(claim.run, 2, [b"x"]) is Hold.STOPPING
    assert await within(reader) == LogPage(events=[b"x"])
    fill(server)
    taken = await store.take(claim.run, LEASE, force=True)
    assert taken is not None
    server.command("CONFIG", "SET", "maxmemory", "0")
    await store.seal(taken.run, seal_of(3))
    assert await log_of(store, claim) == [FIRST, b"x", b"end"]


async def test_a_full_server_can_be_emptied(store, server):
    for number in range(4):
        await finish(store, await claimed(store, f"t{number}", owner="ann"))
    await claimed(store, "live", owner="ann")
    fill(server)
    with pytest.raises(StoreUnavailable, match="maxmemory"):
        await store.claim(new_run("new", owner="ann"), LEASE, Plan(), FIRST)
    assert await store.threads.delete("ann", "t0") is True
    assert {record.id for record in await store.threads.list("ann")} == {"t1", "t2", "t3", "live"}
    assert await store.prune(Retention(events_after=0), 100) == 3
    assert await store.prune(Retention(max_age=-1), 2) == 2
    assert len(await store.threads.list("ann")) == 2
    assert len(await store.threads.clear("ann")) == 2
    assert await store.threads.list("ann") == []
    server.command("CONFIG", "SET", "maxmemory", "0")
    assert isinstance(await store.claim(new_run("new", owner="ann"), LEASE, Plan(), FIRST), Claimed)
    assert [record.id for record in await store.threads.list("ann")] == ["new"]


async def test_a_run_on_a_server_that_is_full_for_a_while_goes_on_afterwards(server, prefix):
    runner = RedisAgentRunner(server.url, prefix=prefix, lease_ttl=10.0, heartbeat=0.5)
    gate = asyncio.Event()
    words = [TextMessageContent(message_id="m", delta=f"{number} ") for number in range(50)]
    stream = await runner.run(run_of(ScriptedAgent(TextMessageStart(message_id="m"), gate, *words)))
    await take(stream, 2)
    fill(server)
    gate.set()
    await asyncio.sleep(1)
    assert (await runner.store.live(None, "thread")).last_seq == 2
    server.command("CONFIG", "SET", "maxmemory", "0")
    events = await collect(stream)
    assert [event["delta"] for event in events if "delta" in event] == [word.delta for word in words]
    await runner.aclose()


async def test_a_server_that_came_back_empty_costs_the_claim(store, server, cable, make_redis):
    claim = await claimed(store)
    server.kill()
    with pytest.raises(StoreUnavailable):
        await within(store.append(claim.run, 2, [b"x"]))
    again = Server(port=server.port)
    try:
        with pytest.raises(ClaimLost):
            await within(store.append(claim.run, 2, [b"x"]))
        assert await store.extend(claim.run, LEASE) is Hold.LOST
        assert await store.read("thread", claim.run.run_key, 0, 0) == LogPage(events=[], gone=True)
        assert isinstance(await store.claim(new_run(), LEASE, Plan(), FIRST), Claimed)
    finally:
        again.stop()


async def test_a_server_that_syncs_its_file_always_loses_nothing_acknowledged_when_it_is_killed(make_redis):
    durable = ("--appendonly", "yes", "--appendfsync", "always")
    server = Server(*durable)
    store = await make_redis(server.url)
    claim = await claimed(store, plan=Plan(add=(add(10, "u"),)))
    for seq in range(2, 40):
        await store.append(claim.run, seq, [str(seq).encode()])
    server.kill()
    again = Server(*durable, port=server.port, folder=server.folder)
    try:
        assert (await log_of(store, claim))[1:] == [str(seq).encode() for seq in range(2, 40)]
        assert await store.append(claim.run, 40, [b"40"]) is Hold.HELD
        await store.seal(claim.run, seal_of(41))
        assert [record.id for record in await store.threads.list(None)] == ["thread"]
    finally:
        again.stop()


def offset(server: Server) -> str:
    """How far its data goes."""
    told = server.command("INFO", "replication")
    if "role:slave" in told and "master_link_status:up" not in told:
        return "unknown"
    return re.search(r"master_repl_offset:(\d+)", told).group(1)


async def test_a_promoted_replica_goes_on_without_a_gap_or_tells_that_the_claim_is_lost(
    store, server, cable, make_redis
):
    server.command("CONFIG", "SET", "repl-diskless-sync-delay", "0")
    replica = Server("--replicaof", "127.0.0.1", str(server.port))
    try:
        kept = await claimed(store)
        for seq in range(2, 50):
            await store.append(kept.run, seq, [str(seq).encode()])
        async with asyncio.timeout(20):
            while await asyncio.to_thread(offset, server) != await asyncio.to_thread(offset, replica):
                await asyncio.sleep(0.02)
        # What the old server takes from now on the new one does not know.
        server.command("CLIENT", "KILL", "TYPE", "replica")
        replica.command("REPLICAOF", "127.0.0.1", "1")
        late = await claimed(store, "late")
        await store.append(kept.run, 50, [b"50"])
        # Behind the address is another server now, at first one that only reads.
        cable.target = replica.port
        cable.cut()
        for run in (kept.run, late.run):
            with pytest.raises(StoreUnavailable):
                await within(store.append(run, 51, [b"51"]))
        with pytest.raises(StoreUnavailable):
            await within(store.read("late", late.run.run_key, 0, 0))
        replica.command("REPLICAOF", "NO", "ONE")
        with pytest.raises(ClaimLost):
            await within(store.append(late.run, 2, [b"2"]))
        # Nothing is stored behind a gap; that it is there is not the writer's doing.
        with pytest.raises(ClaimLost):
            await within(store.append(kept.run, 51, [b"51"]))
        assert await store.append(kept.run, 50, [b"50", b"51"]) is Hold.HELD
        assert (await log_of(store, kept))[1:] == [str(seq).encode() for seq in range(2, 52)]
    finally:
        replica.stop()


async def test_a_server_that_does_not_answer_is_not_waited_for_for_ever(store, server, monkeypatch):
    claim = await claimed(store)
    monkeypatch.setattr(database, "CALL_SECONDS", 0.5)
    server.process.send_signal(signal.SIGSTOP)
    try:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(StoreUnavailable):
            await store.append(claim.run, 2, [b"x"])
        assert loop.time() - began < 3
    finally:
        server.process.send_signal(signal.SIGCONT)
    monkeypatch.undo()
    assert await within(store.append(claim.run, 2, [b"x"])) is Hold.HELD
    assert await log_of(store, claim) == [FIRST, b"x"]
