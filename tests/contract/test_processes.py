"""Several processes on one SQLite file, some of them killed or frozen."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from pathlib import Path

import pytest

from freezing import freeze
from jumpseat.runners.base import IsRunningRequest
from jumpseat.runners.sqlite import SqliteAgentRunner
from jumpseat.testing.requests import collect, connect_to, run_of, types, user
from long_watches import watches
from run_workers import OPTIONS, TERMINALS, answers_of_fifty_runs, check_lost_run, idle, worker


@pytest.fixture
def path(tmp_path):
    return tmp_path / "threads.db"


@pytest.fixture
async def here(path):
    runner = SqliteAgentRunner(path, **OPTIONS)
    yield runner
    await runner.aclose()


async def test_of_fifty_runs_in_four_processes_exactly_one_gets_the_thread(path):
    async with worker(path) as a, worker(path) as b, worker(path) as c, worker(path) as d:
        found = await answers_of_fifty_runs([a, b, c, d])
    assert (found.count("claimed"), found.count("refused")) == (1, 49)


async def test_the_user_message_survives_a_kill_right_after_the_claim(path, here):
    async with worker(path) as owner:
        owner.send(do="run", words=1, pause=30)
        while "claimed" not in (await owner.line()):
            pass
        await owner.kill()
    events = await collect(await here.connect(connect_to()))
    # The agent may have begun to speak before the process was gone.
    assert events[1]["messages"][0]["id"] == "u-run"
    (run,) = await here.store.runs(None, "thread", 0, 10)
    assert run.status == "lost"
    assert await here.is_running(IsRunningRequest(thread_id="thread")) is False


THREADS = 5


@pytest.mark.parametrize("seed", range(20))
async def test_after_a_kill_in_the_middle_nothing_seen_is_lost_and_the_thread_is_free_at_once(
    path, here, seed
):
    dice = random.Random(seed)
    seen: dict[str, list[dict]] = {f"t{n}": [] for n in range(THREADS)}
    async with worker(path, lease_ttl=60.0) as owner:
        for thread in seen:
            owner.send(do="run", thread=thread, words=5000, pause=dice.choice([0, 0.001, 0.01]))
        wanted = dice.randrange(1, 1000)
        while sum(map(len, seen.values())) < wanted and (line := await owner.line()):
            if "event" in line:
                seen[line["thread"]].append(line["event"])
        await owner.kill()
        async for line in owner.lines():
            if "event" in line:
                seen[line["thread"]].append(line["event"])
    for thread, events in seen.items():
        async with asyncio.timeout(5):
            await collect(await here.run(run_of(lambda *_: idle(), thread, "next", [user("u2")])))
        await check_lost_run(here, thread, events)


async def test_readers_in_other_processes_get_the_terminal_of_a_killed_run(path, here):
    async with worker(path) as owner, worker(path) as reader:
        owner.send(do="run", words=1000, pause=0.01)
        while "event" not in (await owner.line()):
            pass
        reader.send(do="connect")
        stream = await here.connect(connect_to())
        collecting = asyncio.create_task(collect(stream, 20))
        for _ in range(8):
            await reader.line()
        await owner.kill()
        events = await collecting
        others = await reader.events()
    assert types(events)[-2:] == ["TEXT_MESSAGE_END", "RUN_ERROR"]
    assert events[-1]["code"] == "RUN_LOST"
    assert others[-1] == events[-1]


async def test_ten_processes_that_find_a_dead_run_write_one_terminal(path, here):
    async with worker(path) as owner:
        owner.send(do="run", words=1000, pause=0.01)
        while "event" not in (await owner.line()):
            pass
        await owner.kill()
    others = [SqliteAgentRunner(path, **OPTIONS) for _ in range(9)]
    streams = [await runner.connect(connect_to()) for runner in [here, *others]]
    for events in [await collect(stream) for stream in streams]:
        # Whoever came after the seal reads of it in the history, the others in the log.
        told = [
            event.get("value", event).get("code") for event in events if event["type"] != "STATE_SNAPSHOT"
        ]
        assert told.count("RUN_LOST") == 1
    (run,) = await here.store.runs(None, "thread", 0, 10)
    log = []
    while len(log) < run.last_seq:
        log += (await here.store.read("thread", run.run_key, len(log), 0)).events
    assert sum(json.loads(data)["type"] in TERMINALS for data in log) == 1
    for runner in others:
        await runner.aclose()


async def test_a_stop_from_another_process_ends_a_silent_agent_within_a_heartbeat(path, here):
    async with worker(path) as owner:
        owner.send(do="run", words=1, pause=60)
        while "event" not in (await owner.line()):
            pass
        loop = asyncio.get_running_loop()
        before = loop.time()
        from jumpseat.runners.base import StopRequest

        assert await here.stop(StopRequest(thread_id="thread")) is True
        assert loop.time() - before < OPTIONS["heartbeat"] + 2
        assert (await owner.events())[-1]["type"] == "RUN_FINISHED"


async def test_a_frozen_owner_is_overruled_and_stores_nothing_more(path, here):
    async with worker(path) as owner:
        owner.send(do="run", words=100_000, pause=0.005)
        while "event" not in (await owner.line()):
            pass
        freeze(owner.process, path)
        events = await collect(await here.connect(connect_to()), 20)
        assert events[-1]["code"] == "RUN_LOST"
        (run,) = await here.store.runs(None, "thread", 0, 10)
        owner.process.send_signal(signal.SIGCONT)
        rest = await owner.events()
        assert rest[-1]["code"] == "RUN_LOST"
        (again,) = await here.store.runs(None, "thread", 0, 10)
        assert (again.status, again.last_seq) == (run.status, run.last_seq)


@watches(Path(__file__).with_name("blocked_loop.py"))
def test_an_owner_whose_event_loop_is_blocked_for_a_minute_is_overruled_and_stores_nothing_more(seen):
    lease, heartbeat = 20.0, 5.0
    assert lease - heartbeat - 1 < seen["sealedAfter"] < lease + heartbeat + 2
    assert seen["wokenAfter"] > 59
    assert seen["events"][-1]["code"] == "RUN_LOST"
    assert seen["status"] == ["lost", "lost"]
    assert seen["lastSeq"][0] == seen["lastSeq"][1]
    assert seen["ownEvents"][-1]["code"] == "RUN_LOST"


async def test_a_clean_exit_leaves_no_lock_behind(path, here):
    async with worker(path, lease_ttl=60.0) as owner:
        owner.send(do="run", words=1, pause=60)
        while "event" not in (await owner.line()):
            pass
        owner.process.stdin.close()
        assert (await owner.events())[-1]["code"] == "SERVER_SHUTDOWN"
        async with asyncio.timeout(10):
            await owner.process.wait()
    async with asyncio.timeout(5):
        await collect(await here.run(run_of(lambda *_: idle(), run_id="next")))


async def test_a_queued_run_whose_process_dies_keeps_its_message(path):
    options = {**OPTIONS, "on_concurrent_run": "enqueue"}
    runner = SqliteAgentRunner(path, **options)
    gate = asyncio.Event()

    async def hold(given, context):
        await gate.wait()
        return
        yield

    stream = await runner.run(run_of(hold, run_id="first", messages=[user("u1")]))
    async with worker(path, on_concurrent_run="enqueue") as waiting:
        waiting.send(do="run", run="queued", words=1)
        while "claimed" not in (await waiting.line()):
            pass
        await waiting.kill()
    gate.set()
    await collect(stream)
    async with asyncio.timeout(15):
        while [run.status for run in await runner.store.runs(None, "thread", 0, 10)] != ["finished", "lost"]:
            await asyncio.sleep(0.05)
    shown = await runner.threads.messages("thread", owner=None)
    assert [message["id"] for message in shown] == ["u1", "u-queued"]
    await runner.aclose()
