"""Owners that are killed in the middle of their runs, at a hundred random moments on each back end.

Behind a pooler and on a cluster, where only the way to the data is another one, at twenty.
"""

from __future__ import annotations

import asyncio
import random

import pytest

from back_ends import EVERYWHERE, SHARED
from run_workers import Worker, workers
from struck_runs import LEASE, StruckRuns, struck_runs

KILLS = 100
AT_ONCE = 20
LATEST = 1.5  # seconds


@pytest.mark.parametrize(
    ("place", "kills"),
    [(name, KILLS if name in SHARED else AT_ONCE) for name in EVERYWHERE],
    indirect=["place"],
)
async def test_after_kills_at_random_moments_nothing_seen_is_lost_and_every_thread_is_soon_free(
    place, here, faults, kills
):
    dice = random.Random(f"{faults.seed} {place.back_end}")
    figures = faults.fault("owner killed (-9) in mid-run", place.back_end)
    # On one host nobody waits for a lease whose process is gone.
    lease = {**LEASE, "lease_ttl": 60.0} if place.frees_at_once else LEASE
    async with struck_runs(place, here, figures) as struck:
        for first in range(0, kills, AT_ONCE):
            # One group after the other: an owner recovers the runs of dead ones as well, and when it is
            # killed at that, its own lease counts.
            async with workers(place, AT_ONCE, **lease) as owners:
                numbers = range(first, first + AT_ONCE)
                seeds = [dice.randrange(1 << 30) for _ in numbers]
                async with asyncio.TaskGroup() as group:
                    for number, owner, seed in zip(numbers, owners, seeds, strict=True):
                        group.create_task(kill(struck, number, owner, random.Random(seed)))
    await struck.check()
    assert figures.times == kills
    struck.check_free_in_time()
    if place.frees_at_once:
        assert struck.refused == 0


async def kill(struck: StruckRuns, number: int, worker: Worker, dice: random.Random) -> None:
    owner = struck.begin(number, worker, dice)
    await owner.begun.wait()
    # No wait for anything: the moment is the point.
    await asyncio.sleep(dice.uniform(0, LATEST))
    await worker.kill()
    await struck.use(owner)
