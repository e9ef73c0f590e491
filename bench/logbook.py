"""Compares what clients saw of runs with what the store has of them."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

from fleet import Fleet
from visitors import Seen

from jumpseat.stores.base import RunHeader, Store

# A lease, the heartbeat after it, and what a loaded machine adds.
SEAL_SECONDS = 60.0
AT_ONCE = 16
_TERMINALS = ("RUN_FINISHED", "RUN_ERROR")


class Logbook:
    """Checks each run when it is over, and all threads at the end; ``faults`` is what was wrong."""

    def __init__(self, store: Store, fleet: Fleet, tally: Counter[str]) -> None:
        self._store = store
        self._fleet = fleet
        self._tally = tally
        self._threads: set[str] = set()
        self._room = asyncio.Semaphore(AT_ONCE)
        self.faults: list[str] = []

    async def check(self, seen: Seen) -> None:
        """Waits until the run is sealed, then compares."""
        self._threads.add(seen.thread)
        faults = [*seen.faults]
        header = await self._sealed(seen)
        if header is None:
            if seen.events:
                faults.append("events were seen of a run that the store does not have")
            self._tally["never begun"] += 1
        elif header.status in ("live", "queued"):
            faults.append(f"still {header.status} after {SEAL_SECONDS:.0f} s")
        else:
            faults += self._compare(seen, header, await self._log(seen.thread, header))
        self.faults += [f"run {seen.run_id}: {fault}" for fault in faults]

    async def check_threads(self) -> None:
        """Looks whether every thread is free and nothing is left to be recovered."""

        async def look(thread: str) -> None:
            async with self._room:
                if await self._store.live(None, thread) is not None:
                    self.faults.append(f"thread {thread} is not free")

        await asyncio.gather(*map(look, self._threads))
        for run in await self._store.expired(100):
            self.faults.append(f"run {run.run_key} of thread {run.thread_id} was left to be recovered")
        self._tally["threads"] = len(self._threads)

    async def _sealed(self, seen: Seen) -> RunHeader | None:
        deadline = self._fleet.now() + SEAL_SECONDS
        while True:
            async with self._room:
                header = await self._store.find(None, seen.thread, seen.run_id)
            if header is None or header.status not in ("live", "queued") or self._fleet.now() > deadline:
                return header
            await asyncio.sleep(0.5)

    async def _log(self, thread: str, header: RunHeader) -> list[bytes]:
        log: list[bytes] = []
        while True:
            async with self._room:
                page = await self._store.read(thread, header.run_key, len(log), 0)
            log += page.events
            if page.ended or page.gone or not page.events:
                return log

    def _compare(self, seen: Seen, header: RunHeader, log: list[bytes]) -> list[str]:
        faults: list[str] = []
        if len(log) != header.last_seq:
            faults.append(f"the log has {len(log)} events of {header.last_seq}")
        for key, events in seen.events.items():
            if key != header.run_key:
                faults.append(f"{len(events)} events of another run, {key}, came with it")
                continue
            self._tally["events seen"] += len(events)
            lost = [seq for seq, told in events.items() if seq > len(log) or hash(log[seq - 1]) != told]
            if lost:
                faults.append(f"{len(lost)} events that were seen are not in the log, such as {min(lost)}")
        self._tally["events stored"] += len(log)
        return faults + self._compare_with_script(seen, [json.loads(data) for data in log])

    def _compare_with_script(self, seen: Seen, events: list[dict[str, str]]) -> list[str]:
        """The log as the agent's script and the run's end would have it."""
        kinds = [event["type"] for event in events]
        ends = [kind for kind in kinds if kind in _TERMINALS]
        if len(ends) != 1 or kinds[-1] != ends[0] or kinds[0] != "RUN_STARTED":
            return [f"the log is not one run: {Counter(kinds)}, the last is {kinds[-1:]}"]
        numbers = [int(event["delta"]) for event in events if event["type"] == "TEXT_MESSAGE_CONTENT"]
        if numbers != list(range(len(numbers))):
            return [f"the agent's events are not in a row: {numbers}"]
        self._tally[f"ended in {ends[0]}"] += 1
        if seen.stopped or (seen.owner and self._fleet.killed_since(seen.owner, seen.began)):
            return []
        if ends[0] == "RUN_ERROR":
            return [f"nobody stopped it, and it ended in {events[-1]}"]
        return [] if len(numbers) == seen.length else [f"{len(numbers)} of the agent's {seen.length} events"]
