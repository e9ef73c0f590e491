"""Several processes on one Redis, some of them killed or frozen."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import statistics
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import jumpseat
from jumpseat.runners.base import StopRequest
from jumpseat.runners.redis import RedisAgentRunner
from jumpseat.testing.requests import collect, connect_to, run_of, user

CHILD = Path(__file__).with_name("redis_child.py")
OPTIONS = {"lease_ttl": 1.5, "heartbeat": 0.25, "stop_grace": 0.5}
TERMINALS = {"RUN_FINISHED", "RUN_ERROR"}
THREADS = 4


class Owner:
    """Another process with a runner on the same data."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    def run(self, **command) -> None:
        self.process.stdin.write(json.dumps(command).encode() + b"\n")

    async def line(self) -> dict | None:
        async with asyncio.timeout(20):
            text = await self.process.stdout.readline()
        return json.loads(text) if text.endswith(b"\n") else None

    async def until(self, word: str) -> dict:
        """Read until a line says this."""
        while (line := await self.line()) is not None:
            if word in line:
                return line
        raise AssertionError(f"the process ended without {word}")


@asynccontextmanager
async def owner_on(url: str, prefix: str, **options):
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), url, prefix, json.dumps(OPTIONS | options),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 24,
        env={**os.environ, "PYTHONPATH": str(Path(jumpseat.__file__).parents[1])},
    )  # fmt: skip
    try:
        owner = Owner(process)
        await owner.until("ready")
        yield owner
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()


@pytest.fixture
async def here(redis_url, prefix):
    runner = RedisAgentRunner(redis_url, prefix=prefix, **OPTIONS)
    yield runner
    await runner.aclose()


async def idle():
    return
    yield


async def log_of(runner: RedisAgentRunner, thread: str, run) -> list[dict]:
    log: list[dict] = []
    while len(log) < run.last_seq:
        page = await runner.store.read(thread, run.run_key, len(log), 0)
        log += [json.loads(data) for data in page.events]
    return log


async def test_a_reader_in_another_process_sees_an_event_within_fifty_milliseconds(here, redis_url, prefix):
    async with owner_on(redis_url, prefix, lease_ttl=20.0, heartbeat=5.0) as owner:
        owner.run(words=150, pause=0.01)
        await owner.until("event")
        delays = []
        async for page in await here.connect(connect_to()):
            now = time.time()
            events = [json.loads(data) for _, data in page.events]
            delays += [now - float(event["delta"]) for event in events if "delta" in event]
    # Those that were said before the connect are history.
    assert statistics.median(delays[-100:]) <= 0.05


async def test_a_stop_from_another_process_ends_a_silent_agent_within_a_second(here, redis_url, prefix):
    async with owner_on(redis_url, prefix, lease_ttl=60.0, heartbeat=20.0) as owner:
        owner.run(words=1, pause=60)
        await owner.until("event")
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert await here.stop(StopRequest(thread_id="thread")) is True
        assert loop.time() - began < 1
        await owner.until("end")
    (run,) = await here.store.runs(None, "thread", 0, 10)
    assert run.status == "stopped"


async def kill_somewhere(here: RedisAgentRunner, redis_url: str, prefix: str, seed: int) -> None:
    """Kill a process with live runs at a random moment; what it showed must be there, and one terminal."""
    dice = random.Random(seed)
    seen: dict[str, list[dict]] = {f"{seed}-{number}": [] for number in range(THREADS)}
    async with owner_on(redis_url, prefix) as owner:
        for thread in seen:
            owner.run(thread=thread, words=5000, pause=dice.choice([0, 0.001, 0.01]))
        wanted = dice.randrange(1, 800)
        while sum(map(len, seen.values())) < wanted and (line := await owner.line()):
            if "event" in line:
                seen[line["thread"]].append(line["event"])
        owner.process.kill()
        while line := await owner.line():
            if "event" in line:
                seen[line["thread"]].append(line["event"])
    deadline = asyncio.get_running_loop().time() + OPTIONS["lease_ttl"] + 10 * OPTIONS["heartbeat"]
    for thread, events in seen.items():
        if await here.store.runs(None, thread, 0, 1):
            await check_lost_run(here, thread, events, deadline)
        else:
            # Killed before the claim: nobody can have seen anything.
            assert events == []


async def check_lost_run(here: RedisAgentRunner, thread: str, seen: list[dict], deadline: float) -> None:
    async with asyncio.timeout_at(deadline):
        while (await here.store.runs(None, thread, 0, 1))[0].status == "live":
            await asyncio.sleep(0.02)
    (run,) = await here.store.runs(None, thread, 0, 10)
    log = await log_of(here, thread, run)
    assert run.status in {"lost", "finished"}
    if run.status == "lost":
        assert log[-1]["code"] == "RUN_LOST"
    assert log[: len(seen)] == seen
    assert sum(event["type"] in TERMINALS for event in log) == 1
    await collect(await here.run(run_of(lambda *_: idle(), thread, "next", [user("u2")])))


@pytest.mark.parametrize("seeds", [range(5), range(5, 10)])
async def test_after_a_kill_in_the_middle_nothing_seen_is_lost_and_the_thread_gets_free(
    here, redis_url, prefix, seeds
):
    await here.open()
    await asyncio.gather(*(kill_somewhere(here, redis_url, prefix, seed) for seed in seeds))


async def test_an_owner_that_was_frozen_beyond_its_lease_stores_nothing_more(here, redis_url, prefix):
    async with owner_on(redis_url, prefix) as owner:
        owner.run(words=100_000, pause=0.005)
        await owner.until("event")
        owner.process.send_signal(signal.SIGSTOP)
        events = await collect(await here.connect(connect_to()), 20)
        assert events[-1]["code"] == "RUN_LOST"
        (run,) = await here.store.runs(None, "thread", 0, 10)
        owner.process.send_signal(signal.SIGCONT)
        await owner.until("end")
        (again,) = await here.store.runs(None, "thread", 0, 10)
        assert (again.status, again.last_seq) == (run.status, run.last_seq) == ("lost", run.last_seq)
        assert sum(event["type"] in TERMINALS for event in await log_of(here, "thread", run)) == 1


async def test_of_forty_runs_in_four_processes_exactly_one_gets_the_thread(redis_url, prefix):
    async with (
        owner_on(redis_url, prefix) as a,
        owner_on(redis_url, prefix) as b,
        owner_on(redis_url, prefix) as c,
        owner_on(redis_url, prefix) as d,
    ):
        owners = [a, b, c, d]
        for owner in owners * 10:
            owner.run(words=1, pause=30)

        async def answers(owner: Owner) -> list[str]:
            found: list[str] = []
            while len(found) < 10:
                line = await owner.line() or {}
                found += [word for word in ("claimed", "refused") if word in line]
            return found

        told = [word for words in await asyncio.gather(*map(answers, owners)) for word in words]
    assert (told.count("claimed"), told.count("refused")) == (1, 39)
