"""Owners that are killed in the middle of their runs, at a hundred random moments on each back end."""

from __future__ import annotations

import asyncio
import random
import time

from back_ends import Place
from fault_report import Fault
from jumpseat.errors import ThreadAlreadyRunning
from jumpseat.runners.event_log import EventLogRunner
from jumpseat.testing.requests import run_of, user
from run_workers import Notes, Worker, idle, remains_of, workers

KILLS = 100
AT_ONCE = 20
RUNS = 2
READERS = 2
LATEST = 1.5  # seconds
LEASE = {"lease_ttl": 3.0, "heartbeat": 1.0}


class Killing:
    """A hundred kills, followed by readers in processes that live on."""

    def __init__(self, place: Place, here: EventLogRunner, readers: list[Worker], figures: Fault) -> None:
        self.place = place
        self.here = here
        self.readers = readers
        self.figures = figures
        self.notes = Notes()
        self.refused_first = 0
        # On one host nobody waits for a lease whose process is gone.
        self.lease = {**LEASE, "lease_ttl": 60.0} if place.frees_at_once else LEASE

    async def kill_all(self, numbers: range, dice: random.Random) -> None:
        """Start owners, kill each at a moment of its own, and use their threads again.

        The next ones are started when that is done: an owner recovers the runs of dead ones as well, and
        when it is killed at that, its lease counts.
        """
        async with workers(self.place, len(numbers), **self.lease) as owners:
            seeds = [dice.randrange(1 << 30) for _ in numbers]
            await asyncio.gather(*map(self._kill, numbers, owners, seeds))

    async def _kill(self, number: int, owner: Worker, seed: int) -> None:
        dice = random.Random(seed)
        threads = [f"{number}-{n}" for n in range(RUNS)]
        for thread in threads:
            words, pause = dice.choice([5, 100, 2000]), dice.choice([0.001, 0.003, 0.01])
            owner.send(do="run", thread=thread, dice=dice.randrange(1 << 20), words=words, pause=pause)
        begun = asyncio.Event()
        listening = asyncio.create_task(self._listen(owner, self.readers[number % READERS], begun))
        await begun.wait()
        # No wait for anything: the moment is the point.
        await asyncio.sleep(dice.uniform(0, LATEST))
        killed_at = time.time()
        await owner.kill()
        self.figures.times += 1
        await listening
        await asyncio.gather(*(self._use(thread, killed_at) for thread in threads))

    async def _listen(self, owner: Worker, reader: Worker, begun: asyncio.Event) -> None:
        """Note what an owner shows until it is gone, and let another process follow its runs."""
        async for line in owner.lines():
            if "claimed" in line:
                begun.set()
                reader.send(do="connect", thread=line["thread"])
            self.notes.take(line)

    async def _use(self, thread: str, killed_at: float) -> None:
        """Start the next run of a thread as soon as that is possible."""
        request = run_of(idle, thread, "next", [user("u-next")])
        refused = False
        while True:
            try:
                stream = await self.here.run(request)
                break
            except ThreadAlreadyRunning:
                self.refused_first += not refused
                refused = True
                await self.notes.sealed_at(thread, 0.25)
        free = time.time() - killed_at
        async for _ in stream:
            pass
        (first, *_) = await self.here.store.runs(None, thread, 0, 2)
        # A run that was over before its process was killed did not hold its thread.
        if first.status == "lost":
            self.figures.free.append(free)

    async def check(self, thread: str) -> None:
        remains = await remains_of(self.here, thread, self.notes)
        if remains is not None:
            self.figures.seen += len(remains.seen)
            self.figures.lost += len(remains.lost)
            self.figures.terminals.append(remains.terminals)
            remains.check()


async def test_after_kills_at_random_moments_nothing_seen_is_lost_and_every_thread_is_soon_free(
    place, here, faults
):
    dice = random.Random(f"{faults.seed} {place.back_end}")
    figures = faults.fault("owner killed (-9) in mid-run", place.back_end)
    async with workers(place, READERS, **LEASE) as readers:
        killing = Killing(place, here, readers, figures)
        following = [asyncio.create_task(killing.notes.follow(reader)) for reader in readers]
        for first in range(0, KILLS, AT_ONCE):
            await killing.kill_all(range(first, first + AT_ONCE), dice)
        for reader in readers:
            reader.end()
        await asyncio.gather(*following)
    for number in range(KILLS):
        for n in range(RUNS):
            await killing.check(f"{number}-{n}")
    assert figures.times == KILLS
    # Every run that a reader saw is there.
    assert (killing.notes.contradictions, dict(killing.notes.seen)) == ([], {})
    if place.frees_at_once:
        assert killing.refused_first == 0
    assert max(figures.free) <= LEASE["lease_ttl"] + LEASE["heartbeat"]
