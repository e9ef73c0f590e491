"""Runs whose owners something is done to: what readers saw of them, and how soon their threads were free."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import asynccontextmanager

from back_ends import Place
from fault_report import Fault
from jumpseat.errors import ThreadAlreadyRunning
from jumpseat.runners.event_log import EventLogRunner
from jumpseat.testing.requests import run_of, user
from run_workers import Notes, Worker, idle, remains_of, workers

LEASE = {"lease_ttl": 3.0, "heartbeat": 1.0}
READERS = 2
RUNS = 2
TICK = 0.02
LINE_SECONDS = 60.0


class OwnTime:
    """Seconds in which this process got its turns: what other work on the machine took does not count."""

    def __init__(self) -> None:
        self.seconds = 0.0

    async def keep(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(TICK)
            now = time.monotonic()
            self.seconds += min(now - last, 2 * TICK)
            last = now


class Owner:
    """A process with live runs that all readers tell of."""

    def __init__(self, worker: Worker, threads: list[str]) -> None:
        self.worker = worker
        self.threads = threads
        self.begun = asyncio.Event()
        self.all_begun = asyncio.Event()
        self.over = asyncio.Event()


class StruckRuns:
    """The runs of one test, followed by their owners and by processes that live on."""

    def __init__(self, place: Place, here: EventLogRunner, readers: list[Worker], figures: Fault) -> None:
        self.here = here
        self.figures = figures
        self.notes = Notes()
        # How many threads were not free when they were first asked for.
        self.refused = 0
        self.own_time = OwnTime()
        self._longest = 0.0
        self._readers = readers
        self._threads: list[str] = []
        self._listening: list[asyncio.Task[None]] = []

    def begin(self, number: int, worker: Worker, dice: random.Random) -> Owner:
        """Let a process start runs that are long or short, fast or slow."""
        owner = Owner(worker, [f"{number}-{n}" for n in range(RUNS)])
        for thread in owner.threads:
            words, pause = dice.choice([5, 100, 2000]), dice.choice([0.001, 0.003, 0.01])
            worker.send(do="run", thread=thread, dice=dice.randrange(1 << 20), words=words, pause=pause)
        self._threads += owner.threads
        self._listening.append(asyncio.create_task(self._listen(owner, self._readers[number % READERS])))
        return owner

    async def _listen(self, owner: Owner, reader: Worker) -> None:
        """Note what an owner shows until it is gone, and let another process follow its runs."""
        claimed = ended = 0
        async for line in owner.worker.lines(LINE_SECONDS):
            if "claimed" in line:
                owner.begun.set()
                claimed += 1
                reader.send(do="connect", thread=line["thread"])
            ended += "end" in line
            self.notes.take(line)
            if claimed == len(owner.threads):
                owner.all_begun.set()
            if ended == len(owner.threads):
                owner.over.set()

    async def use(self, owner: Owner) -> None:
        """Something was just done to an owner: start the next run of its threads as soon as possible."""
        self.figures.times += 1
        await asyncio.gather(*map(self._use, owner.threads))

    async def _use(self, thread: str) -> None:
        began, own_began = time.monotonic(), self.own_time.seconds
        request = run_of(idle, thread, "next", [user("u-next")])
        attempts = 0
        while True:
            attempts += 1
            try:
                stream = await self.here.run(request)
                break
            except ThreadAlreadyRunning:
                self.refused += attempts == 1
                await self.notes.sealed_at(thread, 0.25)
        free, own = time.monotonic() - began, self.own_time.seconds - own_began
        async for _ in stream:
            pass
        (first, *_) = await self.here.store.runs(None, thread, 0, 2)
        # A run that was over before that did not hold its thread.
        if first.status == "lost":
            self.figures.free.append(free)
            self._longest = max(self._longest, own)

    async def check(self) -> None:
        """Nothing that anybody saw is lost, and every run has one terminal behind legal closers."""
        await asyncio.gather(*self._listening)
        for thread in self._threads:
            remains = await remains_of(self.here, thread, self.notes)
            if remains is not None:
                self.figures.add(remains)
                remains.check()
        # Every run that a reader saw is there.
        assert (self.notes.contradictions, dict(self.notes.seen)) == ([], {})

    def check_free_in_time(self) -> None:
        assert self._longest <= LEASE["lease_ttl"] + LEASE["heartbeat"]


@asynccontextmanager
async def struck_runs(place: Place, here: EventLogRunner, figures: Fault):
    """Followed runs on this place; what was seen is complete at the end of the block."""
    async with workers(place, READERS, **LEASE) as readers:
        struck = StruckRuns(place, here, readers, figures)
        following = [asyncio.create_task(struck.notes.follow(reader, LINE_SECONDS)) for reader in readers]
        ticking = asyncio.create_task(struck.own_time.keep())
        yield struck
        ticking.cancel()
        for reader in readers:
            reader.end()
        await asyncio.gather(*following)
