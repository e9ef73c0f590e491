"""Lets hundreds of clients use three Jumpseat processes over one store, kills some, and looks for damage.

``python bench/soak.py --help``. Prints its figures and returns 1 when a check failed.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import signal
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from databases import Database
from fleet import MEBIBYTE, Fleet, Member, Sample, fleet
from load import new_event_loop
from logbook import Logbook
from servers import BenchError, keeping
from visitors import Visitor

from jumpseat.cli.databases import open_database

PROCESSES = 3
DOWN_SECONDS = 2.0
QUIET_SECONDS = 40.0
WARM_SHARE = 0.25
# Twice a run that ends at its limit and is never sealed, and two quiet moments.
SLACK_SECONDS = 600.0
SHOWN_FAULTS = 20
# Of a process: the pool as it is without options, and the connection that listens.
MOST_CONNECTIONS = {"postgres": 8 + 1, "redis": 16 + 1}
# Process 0 may keep one object and some bytes for each of its runs, as if there had been a thousand at least:
# caches fill for a while.
MOST_OBJECTS = 1000
BYTES_PER_RUN = 300
# What the allocator keeps and the cache of SQLite come on top of Python's own objects.
MOST_MEGABYTES = 32


@dataclass
class Quiet:
    """What the processes hold while nobody visits; lists have one entry per process."""

    rss: list[int]
    files: list[int]
    objects: list[Counter[str]]
    heap: list[int]
    connections: int


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", choices=("sqlite", "postgres", "redis"), default="postgres")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long clients come (default 10)")
    parser.add_argument("--streams", type=int, default=300, help="how many at a time (default 300)")
    parser.add_argument("--rate", type=float, default=5.0, help="events per second of a run (default 5)")
    parser.add_argument("--kill-every", type=float, default=40.0, metavar="SECONDS", help="0: never")
    parser.add_argument("--seed", type=int, help="repeat the dice of another soak")
    return parser.parse_args()


class Soak:
    """One soak: the load, who is killed when, and the checks."""

    def __init__(self, args: argparse.Namespace, processes: Fleet, backing: Database | None) -> None:
        self._args = args
        self._fleet = processes
        self._backing = backing
        self._idle: list[Counter[str]] = []
        self.tally: Counter[str] = Counter()
        self.faults: list[str] = []

    async def run(self, where: str) -> None:
        """Warms up, looks, goes on, looks again."""
        store = open_database(where)
        await store.open()
        try:
            logbook = Logbook(store, self._fleet, self.tally)
            self._idle = [Counter(found["tasks"]) for found in await self._probes()]
            sampler = asyncio.create_task(self._sample())
            seconds = self._args.minutes * 60
            await self._visit(seconds * WARM_SHARE, logbook, "warm")
            before, runs = await self._quiet(), self.tally["runs"]
            began = self._fleet.now()
            await self._visit(seconds * (1 - WARM_SHARE), logbook, "main")
            after, ended = await self._quiet(), self._fleet.now()
            sampler.cancel()
            await logbook.check_threads()
            self.faults += logbook.faults + self._fleet.ended() + self._fleet.traces()
            self._judge(before, after, self.tally["runs"] - runs)
            self._tell(before, after, began, ended)
        finally:
            await store.aclose()

    async def _visit(self, seconds: float, logbook: Logbook, phase: str) -> None:
        until = self._fleet.now() + seconds
        visitors = [Visitor(f"{phase}{n}", self._fleet, self.tally) for n in range(self._args.streams)]
        killer = asyncio.create_task(self._kill(until))
        try:
            async with asyncio.TaskGroup() as group:
                for visitor in visitors:
                    group.create_task(
                        visitor.live(lambda: self._fleet.now() < until, logbook.check, self._args.rate)
                    )
            await killer
        finally:
            killer.cancel()

    async def _kill(self, until: float) -> None:
        every = self._args.kill_every
        while every and self._fleet.now() + every < until:
            await asyncio.sleep(every)
            await self._fleet.kill_one(DOWN_SECONDS)

    async def _sample(self) -> None:
        while True:
            self._fleet.sample()
            await asyncio.sleep(1.0)

    async def _probes(self) -> list[dict[str, Any]]:
        return [await self._fleet.probe(member) for member in self._fleet.members]

    async def _quiet(self) -> Quiet:
        """Waits until no process does anything that it did not do before the first client came."""
        deadline = self._fleet.now() + QUIET_SECONDS
        while True:
            found = await self._probes()
            left = [Counter(one["tasks"]) - idle for one, idle in zip(found, self._idle, strict=True)]
            if not any(left) or self._fleet.now() > deadline:
                break
            await asyncio.sleep(0.5)
        self.faults += [f"process {n} has tasks left: {dict(more)}" for n, more in enumerate(left) if more]
        members = self._fleet.members
        return Quiet(
            [member.server.rss() for member in members],
            [member.files() for member in members],
            [Counter(one["objects"]) for one in found],
            [int(one["heap"]) for one in found],
            self._backing.connections() if self._backing else 0,
        )

    def _judge(self, before: Quiet, after: Quiet, runs: int) -> None:
        """Compares the two quiet moments; process 0 has lived through both."""
        # A pool that was not full before may be now.
        pool = MOST_CONNECTIONS.get(self._args.store, 0)
        if after.files[0] > before.files[0] + pool + 4:
            self.faults.append(f"open files grew from {before.files[0]} to {after.files[0]}")
        # The soak itself reads the store like one more process.
        most = pool * (PROCESSES + 1)
        if after.connections > most:
            self.faults.append(f"{after.connections} connections where {most} are the most")
        more = after.objects[0] - before.objects[0]
        own = max(runs / PROCESSES, MOST_OBJECTS)
        if more.total() > own:
            self.faults.append(f"{runs} runs left {more.total()} objects: {more.most_common(8)}")
        grown = after.heap[0] - before.heap[0]
        if grown > own * BYTES_PER_RUN:
            self.faults.append(f"{runs} runs left {grown:,} bytes in Python's objects")
        grown = (after.rss[0] - before.rss[0]) / MEBIBYTE
        if grown > MOST_MEGABYTES:
            self.faults.append(f"memory grew by {grown:.0f} MB")

    def _tell(self, before: Quiet, after: Quiet, began: float, ended: float) -> None:
        print(f"soak of {self._args.store}: {self._args.minutes:g} minutes, {self._args.streams} streams")
        for name, count in sorted(self.tally.items()):
            print(f"  {name:<24}{count:>12,}")
        print(f"  {'kills':<24}{self._fleet.kills:>12,}")
        for member in self._fleet.members:
            for line in self._told_of(member, began, ended):
                print(line)
        objects = [[one.total() for one in quiet.objects] for quiet in (before, after)]
        print(f"  files when quiet: {before.files}, then {after.files}")
        print(f"  objects when quiet: {objects[0]}, then {objects[1]}")
        print(f"  Python's objects when quiet: {megabytes(before.heap)}, then {megabytes(after.heap)} MB")
        print(f"  memory when quiet: {megabytes(before.rss)}, then {megabytes(after.rss)} MB")
        if self._backing:
            print(f"  connections when quiet: {before.connections}, then {after.connections}")

    def _told_of(self, member: Member, began: float, ended: float) -> list[str]:
        samples = [one for one in member.samples if began <= one.at <= ended]
        if not samples:
            return []
        rss = [one.rss / MEBIBYTE for one in samples]
        files = [one.files for one in samples]
        seconds = samples[-1].at - samples[0].at
        pace = f"{slope(samples):+.2f} MB a minute"
        return [
            f"  process {member.number}, started {member.lives} times, seen {seconds:.0f} s:",
            f"    memory {rss[0]:.1f} MB first, {rss[-1]:.1f} last, {max(rss):.1f} peak, {pace}",
            f"    files {files[0]} first, {files[-1]} last, {max(files)} peak",
        ]


def megabytes(sizes: list[int]) -> list[float]:
    """Bytes as megabytes with one digit."""
    return [round(size / MEBIBYTE, 1) for size in sizes]


def slope(samples: list[Sample]) -> float:
    """Megabytes a minute, by least squares."""
    count = len(samples)
    middle = sum(one.at for one in samples) / count
    level = sum(one.rss for one in samples) / count
    spread = sum((one.at - middle) ** 2 for one in samples)
    rise = sum((one.at - middle) * (one.rss - level) for one in samples)
    return rise / spread * 60 / MEBIBYTE if spread else 0.0


async def soak(args: argparse.Namespace) -> list[str]:
    """Runs it and returns what was wrong."""
    with keeping(args.store) as (where, backing), fleet(where, PROCESSES) as processes:
        one = Soak(args, processes, backing)
        try:
            # Whatever happens, it ends: a run has its limit, and so have all of them.
            async with asyncio.timeout(args.minutes * 60 + SLACK_SECONDS):
                await one.run(where)
        except TimeoutError:
            one.faults.append(f"not over {SLACK_SECONDS:.0f} s after the last client should have left")
        return one.faults


def main() -> int:
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    args = arguments()
    if args.seed is None:
        args.seed = random.randrange(1 << 32)
    random.seed(args.seed)
    print(f"seed {args.seed}", flush=True)
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            faults = runner.run(soak(args))
    except BenchError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 2
    for fault in faults[:SHOWN_FAULTS]:
        print(f"! {fault}")
    print(f"{len(faults)} faults" if faults else "no faults")
    return 1 if faults else 0


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
