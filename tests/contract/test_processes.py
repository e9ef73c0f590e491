"""Several processes on the same data: they race, read, stop, wait and recover each other's runs."""

from __future__ import annotations

import asyncio
import json
import signal
import statistics
import time
from itertools import chain
from pathlib import Path

import pytest

from back_ends import EVERYWHERE, SHARED
from jumpseat.errors import ThreadAlreadyRunning
from jumpseat.protocol.events import TextMessageContent, TextMessageStart
from jumpseat.runners.base import IsRunningRequest, StopRequest
from jumpseat.stores.base import AppendsGroups
from jumpseat.testing.requests import collect, connect_to, pages_of, run_of, types, user
from long_watches import watches
from run_workers import (
    OPTIONS,
    answers_of_fifty_runs,
    check_one_terminal,
    idle,
    log_of,
    worker,
    workers,
)

everywhere = pytest.mark.parametrize("place", EVERYWHERE, indirect=True)

MINUTE_BLOCKED = Path(__file__).with_name("blocked_loop.py")


async def test_of_fifty_runs_in_four_processes_exactly_one_gets_the_thread(place, here, faults):
    figures = faults.fault("50 runs of 4 processes on one thread", place.back_end)
    async with workers(place, 4, lease_ttl=30.0) as four:
        for number in range(5):
            found = await answers_of_fifty_runs(four, f"t{number}")
            figures.times += 1
            assert (found.count("claimed"), found.count("refused")) == (1, 49)
            assert await here.stop(StopRequest(thread_id=f"t{number}")) is True
            (run,) = await here.store.runs(None, f"t{number}", 0, 10)
            await check_one_terminal(here, f"t{number}")
            figures.terminals.append(1)
            assert run.status == "stopped"


async def test_the_user_message_survives_a_kill_right_after_the_claim(place, here):
    async with worker(place) as owner:
        owner.send(do="run", words=1, pause=30)
        await owner.until("claimed")
        await owner.kill()
    events = await collect(await here.connect(connect_to()))
    # The agent may have begun to speak before the process was gone.
    assert events[1]["messages"][0]["id"] == "u-run"
    (run,) = await here.store.runs(None, "thread", 0, 10)
    assert run.status == "lost"
    assert await here.is_running(IsRunningRequest(thread_id="thread")) is False


@everywhere
async def test_readers_in_other_processes_get_the_closers_and_the_terminal_of_a_killed_run(place, here):
    async with workers(place, 2) as (owner, reader):
        owner.send(do="run", words=1000, pause=0.01)
        await owner.until("event")
        reader.send(do="connect")
        collecting = asyncio.create_task(collect(await here.connect(connect_to()), 20))
        for _ in range(8):
            await reader.line()
        await owner.kill()
        events = await collecting
        others = await reader.events()
    assert types(events)[-2:] == ["TEXT_MESSAGE_END", "RUN_ERROR"]
    assert events[-1]["code"] == "RUN_LOST"
    assert others[-1] == events[-1]


@everywhere
async def test_whoever_comes_back_to_a_dead_run_gets_exactly_what_follows_its_cursor(place, here):
    async with workers(place, 2) as (owner, other):
        owner.send(do="run", words=1000, pause=0.01)
        seen = [line for _ in range(12) if "event" in (line := await owner.line())]
        await owner.kill()
        cursors = [line["cursor"] for line in seen]
        # They all come before its lease has run out, or find the run while others seal it.
        streams = [await here.connect(connect_to(cursor=cursor)) for cursor in cursors]
        rests = await asyncio.gather(*(pages_of(stream, 20) for stream in streams))
        other.send(do="connect")
        assert [event["type"] for event in await other.events()][-1] == "RUN_FINISHED"
    (run,) = await here.store.runs(None, "thread", 0, 10)
    log = await log_of(here, "thread", run)
    for line, rest in zip(seen, rests, strict=True):
        number = int(line["cursor"].rpartition(":")[2])
        assert log[number - 1] == line["event"]
        assert [json.loads(data) for _, data in rest] == log[number:]
    assert log[-1]["code"] == "RUN_LOST"
    # Once it is sealed, and for a cursor beyond its end: the rest, and the whole thread.
    assert await pages_of(await here.connect(connect_to(cursor=cursors[0]))) == rests[0]
    whole = await pages_of(await here.connect(connect_to()))
    beyond = f"{run.run_key}:{run.last_seq + 1}"
    assert await pages_of(await here.connect(connect_to(cursor=beyond))) == whole


@everywhere
async def test_ten_processes_that_find_a_dead_run_together_write_one_terminal(place, here):
    await here.open()
    async with workers(place, 10) as ten, worker(place) as owner:
        owner.send(do="run", words=1000, pause=0.01)
        await owner.until("event")
        await owner.kill()
        for one in ten:
            one.send(do="connect")
        for events in await asyncio.gather(*(one.events() for one in ten)):
            # Whoever came after the seal reads of it in the history, the others in the log.
            told = [event.get("value", event) for event in events if event["type"] in {"CUSTOM", "RUN_ERROR"}]
            assert [event["code"] for event in told] == ["RUN_LOST"]
    await check_one_terminal(here)


async def test_a_stop_from_another_process_ends_a_silent_agent_in_time(place, here, faults):
    # Announced by the server, or seen at the next heartbeat.
    heartbeat = 0.25 if place.back_end == "sqlite" else 10.0
    delays = []
    async with worker(place, lease_ttl=40.0, heartbeat=heartbeat) as owner:
        for number in range(10):
            owner.send(do="run", thread=f"t{number}", words=1, pause=60)
            await owner.until("event")
            before = time.monotonic()
            assert await here.stop(StopRequest(thread_id=f"t{number}")) is True
            delays.append(time.monotonic() - before)
            assert (await owner.events())[-1]["type"] == "RUN_FINISHED"
    faults.delay("a stop from another process, silent agent", place.back_end, delays)
    # The lowest of several: other work on the machine only ever adds to it.
    assert min(delays) < 1.0
    assert max(delays) < heartbeat + 5.0


async def test_a_run_directly_after_a_stop_from_another_process_succeeds_two_hundred_times(place, here):
    async with worker(place, heartbeat=0.05, lease_ttl=5.0) as owner:
        for number in range(200):
            owner.send(do="run", run=f"r{number}", words=1, pause=60)
            await owner.until("claimed")
            assert await here.stop(StopRequest(thread_id="thread")) is True
            await collect(await here.run(run_of(idle, run_id="next")))
            await owner.until("end")
            assert await here.is_running(IsRunningRequest(thread_id="thread")) is False


async def test_a_reader_in_another_process_sees_events_soon_after_they_were_stored(place, here, faults):
    store = here.store
    await here.open()
    assert isinstance(store, AppendsGroups)
    stored: dict[int, float] = {}
    append = store.append_group

    def timed(appends, done):
        def told(appends):
            for one in appends:
                stored.update((one.first_seq + n, time.time()) for n in range(len(one.events)))
            done(appends)

        append(appends, told)

    store.append_group = timed
    delays: list[list[float]] = []
    async with worker(place, lease_ttl=15.0, heartbeat=5.0) as reader:
        for number in range(3):
            stored.clear()
            stream = await here.run(run_of(forty_words, f"t{number}"))
            reader.send(do="connect", thread=f"t{number}")
            collecting = asyncio.create_task(collect(stream, 20))
            seen = {}
            async for line in reader.lines():
                if "end" in line:
                    break
                if line["live"]:
                    seen[int(line["cursor"].rpartition(":")[2])] = line["at"]
            await collecting
            # What was stored before the reader came is read in one page; it follows the rest.
            delays.append([at - stored[seq] for seq, at in seen.items() if seq in stored][10:])
    faults.delay("an event, from stored to a reader elsewhere", place.back_end, list(chain(*delays)))
    # SQLite has nobody who could announce an event: the file is looked at every 100 ms.
    limit = 0.1 if place.back_end == "sqlite" else 0.05
    assert min(map(statistics.median, delays)) <= limit


async def forty_words(given, context):
    yield TextMessageStart(message_id="m")
    for word in range(40):
        await asyncio.sleep(0.025)
        yield TextMessageContent(message_id="m", delta=f"{word} ")


@watches(MINUTE_BLOCKED)
def test_an_owner_whose_event_loop_is_blocked_for_a_minute_is_overruled_and_stores_nothing_more(seen):
    lease, heartbeat = 20.0, 5.0
    assert set(seen) == set(SHARED)
    for told in seen.values():
        assert lease - heartbeat - 1 < told["sealedAfter"] < lease + heartbeat + 2
        assert told["wokenAfter"] > 59
        assert told["events"][-1]["code"] == "RUN_LOST"
        assert told["status"] == ["lost", "lost"]
        assert told["lastSeq"][0] == told["lastSeq"][1]
        assert told["ownEvents"][-1]["code"] == "RUN_LOST"


@pytest.mark.parametrize("hours", [1, -1])
@pytest.mark.parametrize("server", ["redis", "postgres"])
async def test_a_host_with_a_wrong_clock_neither_loses_its_runs_nor_takes_those_of_others(
    place_on, server, hours
):
    place = place_on(server)
    here = place.runner(**OPTIONS)
    async with worker(place, clock_ahead=hours * 3600) as wrong:
        wrong.send(do="run", thread="theirs", words=1, pause=60)
        await wrong.until("event")
        await here.run(run_of(silent, "ours"))
        # Longer than a lease that was not renewed, or not respected.
        await asyncio.sleep(OPTIONS["lease_ttl"] + 2 * OPTIONS["heartbeat"])
        for thread in ("theirs", "ours"):
            live = await here.store.live(None, thread)
            assert (live.run.epoch, live.expired) == (1, False)
            with pytest.raises(ThreadAlreadyRunning):
                await here.run(run_of(idle, thread, "next"))
    await here.aclose()


async def silent(given, context):
    await asyncio.Event().wait()
    yield


async def test_a_clean_exit_leaves_no_lock_behind(place, here):
    async with worker(place, lease_ttl=60.0) as owner:
        owner.send(do="run", words=1, pause=60)
        await owner.until("event")
        owner.end()
        assert (await owner.events())[-1]["code"] == "SERVER_SHUTDOWN"
        await owner.gone()
    async with asyncio.timeout(5):
        await collect(await here.run(run_of(idle, run_id="next")))


@everywhere
async def test_a_queued_run_whose_process_dies_keeps_its_message(place):
    runner = place.runner(**OPTIONS, on_concurrent_run="enqueue")
    gate = asyncio.Event()

    async def hold(given, context):
        await gate.wait()
        return
        yield

    stream = await runner.run(run_of(hold, run_id="first", messages=[user("u1")]))
    async with worker(place, on_concurrent_run="enqueue") as waiting:
        waiting.send(do="run", run="queued", words=1)
        await waiting.until("claimed")
        await waiting.kill()
    gate.set()
    await collect(stream)
    async with asyncio.timeout(15):
        while [run.status for run in await runner.store.runs(None, "thread", 0, 10)] != ["finished", "lost"]:
            await asyncio.sleep(0.05)
    shown = await runner.threads.messages("thread", owner=None)
    assert [message["id"] for message in shown] == ["u1", "u-queued"]
    await runner.aclose()


@everywhere
async def test_runs_of_three_processes_wait_for_each_other_and_start_in_order(place):
    runner = place.runner(**OPTIONS, on_concurrent_run="enqueue")
    gate = asyncio.Event()

    async def hold(given, context):
        await gate.wait()
        yield {"type": "TEXT_MESSAGE_CHUNK", "messageId": "m1", "delta": "first"}

    stream = await runner.run(run_of(hold, run_id="first", messages=[user("u1")]))
    async with workers(place, 2, on_concurrent_run="enqueue") as both:
        for one, name in zip(both, ("second", "third"), strict=True):
            one.send(do="run", run=name, words=1)
            await one.until("claimed")
        gate.set()
        await collect(stream)
        for one in both:
            assert (await one.events())[-1]["type"] == "RUN_FINISHED"
    runs = await runner.store.runs(None, "thread", 0, 10)
    assert [run.run_id for run in runs] == ["first", "second", "third"]
    shown = [message["id"] for message in await runner.threads.messages("thread", owner=None)]
    answers = [f"said-{run.run_key}" for run in runs[1:]]
    assert shown == ["u1", "m1", "u-second", answers[0], "u-third", answers[1]]
    await runner.aclose()


@everywhere
async def test_runs_that_wait_in_several_processes_are_counted_and_stopped_together(place):
    lease = 60.0
    runner = place.runner(**OPTIONS | {"lease_ttl": lease}, on_concurrent_run="enqueue")
    async with workers(place, 3, on_concurrent_run="enqueue", lease_ttl=lease) as three:
        three[0].send(do="run", run="live", words=1, pause=60)
        await three[0].until("event")
        names = [f"q{number}" for number in range(8)]
        for number, name in enumerate(names):
            three[number % 3].send(do="run", run=name, words=1)
            await three[number % 3].until("claimed")
        three[2].send(do="run", run="ninth", words=1)
        assert (await three[2].until("refused"))["refused"] == "Thread already running"
        # One of them, while the others go on waiting: its turn may come in hours.
        async with asyncio.timeout(lease / 2):
            assert await runner.stop(StopRequest(thread_id="thread", run_id="q4")) is True
            assert types(await three[1].events()) == ["RUN_STARTED", "RUN_FINISHED"]
            assert await runner.stop(StopRequest(thread_id="thread", run_id="q4")) is False
            runs = await runner.store.runs(None, "thread", 0, 10)
            assert [run.status for run in runs] == ["live", *["queued"] * 8]
            assert await runner.stop(StopRequest(thread_id="thread")) is True
            while {run.status for run in runs} != {"stopped"}:
                await asyncio.sleep(0.02)
                runs = await runner.store.runs(None, "thread", 0, 10)
    assert [(run.run_id, run.last_seq) for run in runs[1:]] == [(name, 2) for name in names]
    shown = [message["id"] for message in await runner.threads.messages("thread", owner=None)]
    assert shown == ["u-live", f"said-{runs[0].run_key}", *(f"u-{name}" for name in names)]
    await runner.aclose()


@everywhere
async def test_a_run_takes_the_place_of_one_in_another_process(place):
    async with worker(place) as owner:
        owner.send(do="run", run="same", words=1000, pause=0.01)
        await owner.until("event")
        newer = place.runner(**OPTIONS, on_concurrent_run="supersede")
        events = await collect(await newer.run(run_of(idle, run_id="same")))
        assert types(events) == ["RUN_STARTED", "RUN_FINISHED"]
        assert types(await owner.events())[-2:] == ["TEXT_MESSAGE_END", "RUN_FINISHED"]
        runs = await newer.store.runs(None, "thread", 0, 10)
        assert [run.status for run in runs] == ["stopped", "finished"]
        await check_one_terminal(newer)
        await newer.aclose()


async def test_a_frozen_owner_cannot_keep_its_thread_from_being_deleted(place, here):
    async with worker(place, lease_ttl=60.0) as owner:
        owner.send(do="run", words=100_000, pause=0.005)
        await owner.until("event")
        reader = await here.connect(connect_to())
        await anext(reader)
        place.freeze(owner)
        start = time.monotonic()
        assert await here.threads.delete("thread", owner=None)
        assert time.monotonic() - start < OPTIONS["stop_grace"] + 3 + 2
        assert (await collect(reader))[-1]["code"] == "THREAD_DELETED"
        await collect(await here.run(run_of(idle, run_id="new")))
        owner.send_signal(signal.SIGCONT)
        await owner.events()
        events, _ = await here.threads.events("thread", owner=None)
        assert [json.loads(event)["runId"] for event in events] == ["new", "new"]
        assert await here.threads.messages("thread", owner=None) == []
