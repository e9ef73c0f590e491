"""Owners that are frozen for longer than their leases, and wake up again."""

from __future__ import annotations

import asyncio
import random
import signal

from back_ends import Place
from run_workers import Worker, workers
from struck_runs import LEASE, StruckRuns, struck_runs

FREEZES = 20
AT_ONCE = 10
LATEST = 1.5  # seconds


async def test_owners_that_slept_through_their_leases_store_nothing_more_and_their_threads_went_on(
    place, here, faults
):
    dice = random.Random(f"{faults.seed} {place.back_end} frozen")
    figures = faults.fault("owner frozen beyond its lease, then woken", place.back_end)
    async with struck_runs(place, here, figures) as struck:
        for first in range(0, FREEZES, AT_ONCE):
            async with workers(place, AT_ONCE, **LEASE) as owners:
                numbers = range(first, first + AT_ONCE)
                seeds = [dice.randrange(1 << 30) for _ in numbers]
                async with asyncio.TaskGroup() as group:
                    for number, owner, seed in zip(numbers, owners, seeds, strict=True):
                        group.create_task(freeze(place, struck, number, owner, random.Random(seed)))
    await struck.check()
    assert figures.times == FREEZES
    struck.check_free_in_time()


async def freeze(place: Place, struck: StruckRuns, number: int, worker: Worker, dice: random.Random) -> None:
    owner = struck.begin(number, worker, dice)
    # What it would only claim when it is awake again would be a run like any other.
    await owner.all_begun.wait()
    # No wait for anything: the moment is the point.
    await asyncio.sleep(dice.uniform(0, LATEST))
    await asyncio.to_thread(place.freeze, worker)
    await struck.use(owner)
    before = [await struck.here.store.runs(None, thread, 0, 10) for thread in owner.threads]
    worker.send_signal(signal.SIGCONT)
    # It learns that it was overruled, and so do its own readers.
    async with asyncio.timeout(20):
        await owner.over.wait()
    worker.end()
    await worker.gone()
    after = [await struck.here.store.runs(None, thread, 0, 10) for thread in owner.threads]
    assert [[(run.status, run.last_seq) for run in runs] for runs in after] == [
        [(run.status, run.last_seq) for run in runs] for runs in before
    ]
