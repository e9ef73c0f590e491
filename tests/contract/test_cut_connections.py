"""Connections to a server that are cut in the middle of an append, and listeners that are killed."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import statistics
import time
from contextlib import suppress

import psycopg
import pytest
import redis

from back_ends import Place
from contract.worker import talk
from jumpseat.errors import StoreUnavailable
from jumpseat.protocol.events import TextMessageContent, TextMessageStart
from jumpseat.runners.event_log import EventLogRunner
from jumpseat.stores.redis.scripts import SCRIPTS
from jumpseat.testing.requests import pages_of, run_of, user
from run_workers import Notes, Worker, remains_of, worker
from tcp_proxy import Proxy, proxy_to

CUTS = 100
RUNS_AT_ONCE = 5
WORDS = 200
APPEND = {"redis": SCRIPTS["append"].sha.encode(), "postgres": b".append_group("}
LISTENERS_KILLED = 20


@pytest.fixture(params=["redis", "postgres"])
def server(request, place_on) -> Place:
    return place_on(request.param)


async def test_cutting_connections_inside_appends_loses_and_doubles_nothing(server, faults):
    dice = random.Random(f"{faults.seed} {server.back_end} cut")
    figures = faults.fault("connection cut in the middle of an append", server.back_end)
    notes = Notes()
    async with proxy_to(server.port) as proxy, worker(server, lease_ttl=15.0, heartbeat=1.0) as reader:
        runner = server.through(proxy.port).runner(lease_ttl=15.0, heartbeat=1.0)
        await runner.open()
        following = asyncio.create_task(notes.follow(reader))
        cutting = asyncio.create_task(cut_at_random(proxy, APPEND[server.back_end], dice))
        threads: list[str] = []

        async def run_on_and_on(row: int) -> None:
            for number in itertools.count():
                if cutting.done():
                    return
                # A request whose claim is cut again and again is told that the store is away.
                with suppress(StoreUnavailable):
                    threads.append(await run_once(runner, reader, notes, f"{row}-{number}"))

        await asyncio.gather(*(run_on_and_on(row) for row in range(RUNS_AT_ONCE)))
        figures.times = await cutting
        for thread in threads:
            assert await notes.sealed_at(thread, 10) is not None
        reader.end()
        await following
        for thread in threads:
            remains = await remains_of(runner, thread, notes)
            figures.add(remains)
            remains.check()
            said = "".join(event.get("delta", "") for event in remains.log)
            assert (remains.status, said) == ("finished", "".join(f"{n} " for n in range(WORDS)))
        await runner.aclose()
    assert notes.contradictions == []


async def cut_at_random(proxy: Proxy, append: bytes, dice: random.Random) -> int:
    """Cut, in turn, inside a statement, in place of its answer, and everywhere; say how often it happened."""
    while proxy.cuts < CUTS:
        cut = dice.choice([proxy.cut_inside, proxy.lose_the_answer_to, None])
        if cut is None:
            proxy.cut()
        else:
            cut(append)
        # The next one comes whenever it comes.
        await asyncio.sleep(dice.uniform(0.01, 0.1))
    return proxy.cuts


async def run_once(runner: EventLogRunner, reader: Worker, notes: Notes, thread: str) -> str:
    """One run, seen by a reader here and by one elsewhere; returns its thread."""
    props = {"words": WORDS, "pause": 0.002}
    stream = await runner.run(run_of(talk, thread, "run", [user("u-run")], forwarded_props=props))
    reader.send(do="connect", thread=thread)
    note(notes, thread, await pages_of(stream, 60))
    return thread


def note(notes: Notes, thread: str, entries: list[tuple[str | None, bytes]]) -> None:
    """Note what a reader in this process saw."""
    for cursor, data in entries:
        line = {"live": True, "thread": thread, "cursor": cursor, "event": json.loads(data)}
        notes.take(line | {"at": time.time()})


async def test_a_server_that_is_out_of_reach_for_three_seconds_costs_nothing_but_time(server, faults):
    figures = faults.fault("server out of reach for 3 s", server.back_end)
    notes, words, said = Notes(), 4000, []

    async def hurry(given, context):
        yield TextMessageStart(message_id="m")
        for number in range(words):
            said.append(number)
            await asyncio.sleep(0)
            yield TextMessageContent(message_id="m", delta=f"{number} ")

    async with proxy_to(server.port) as proxy:
        runner = server.through(proxy.port).runner(lease_ttl=30.0, heartbeat=1.0)
        stream = await runner.run(run_of(hurry, "thread", "run", [user("u-run")]))
        proxy.refusing = True
        proxy.cut()
        await asyncio.sleep(2)
        held_at = len(said)
        await asyncio.sleep(1)
        # What is unwritten is bounded, so the agent waits.
        assert len(said) == held_at < words
        proxy.refusing = False
        note(notes, "thread", await pages_of(stream, 60))
        remains = await remains_of(runner, "thread", notes)
        figures.times += 1
        figures.add(remains)
        remains.check()
        assert "".join(event.get("delta", "") for event in remains.log) == "".join(f"{n} " for n in said)
        await runner.aclose()
    assert notes.contradictions == []


async def test_readers_whose_listener_is_killed_again_and_again_miss_nothing(server, faults):
    figures = faults.fault("listeners of all processes killed", server.back_end)
    notes = Notes()
    here = server.runner(lease_ttl=15.0, heartbeat=1.0)
    async with worker(server, lease_ttl=15.0, heartbeat=1.0) as reader:
        following = asyncio.create_task(notes.follow(reader))
        killing = asyncio.create_task(kill_listeners(server))
        threads: list[str] = []
        while not killing.done():
            threads.append(await run_once(here, reader, notes, f"t{len(threads)}"))
        delays = await killing
        figures.times = len(delays)
        for thread in threads:
            assert await notes.sealed_at(thread, 10) is not None
        reader.end()
        await following
        for thread in threads:
            remains = await remains_of(here, thread, notes)
            figures.add(remains)
            remains.check()
            assert (remains.status, len(remains.seen)) == ("finished", len(remains.log))
    await here.aclose()
    assert notes.contradictions == []
    faults.delay("a listener, from killed to listening again", server.back_end, delays)
    assert statistics.median(delays) < 2


async def kill_listeners(place: Place) -> list[float]:
    """Kill the connections that wait for notifications; return after how long there was one again."""
    kill = {"redis": kill_subscribers, "postgres": kill_listening_backends}[place.back_end]
    killed_at = []
    while len(killed_at) <= LISTENERS_KILLED:
        async with asyncio.timeout(20):
            while not await asyncio.to_thread(kill, place):
                await asyncio.sleep(0.02)
        killed_at.append(time.monotonic())
    return [after - before for before, after in itertools.pairwise(killed_at)]


def kill_subscribers(place: Place) -> int:
    with redis.Redis.from_url(place.where) as client:
        return client.client_kill_filter(_type="pubsub")


def kill_listening_backends(place: Place) -> int:
    killed = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    with psycopg.connect(place.where, autocommit=True) as connection:
        return len(connection.execute(killed).fetchall())
