"""Putting an imported thread together: its lines must fit each other before a store gets any of them."""

from __future__ import annotations

from jumpseat.stores.base import DumpedThread, ThreadContents
from jumpseat.stores.contents import SpooledContents
from jumpseat.stores.lines import CompleteLine, EntryLine, EventsLine, RunLine

__all__ = ["Assembly"]


class Assembly:
    """One thread whose lines are being read; every method raises ``ValueError`` for what does not fit."""

    def __init__(self, thread: DumpedThread) -> None:
        if thread.trimmed >= thread.runs:
            raise ValueError("trimmed must be less than runs: the newest run is never emptied")
        self.thread_id = thread.record.id
        self._runs = thread.runs
        self._contents = SpooledContents(thread)
        self._headers: dict[str, RunLine] = {}
        self._entries: set[tuple[int, int]] = set()
        self._shown: set[int] = set()
        self._events = 0
        # Events come by run, those of logs after all others: which came last, and what number comes next.
        self._last = (False, 0)
        self._next = 1
        self._in_entries = self._in_events = False

    async def add(self, line: RunLine | EntryLine | EventsLine) -> None:
        """Take the next line."""
        match line:
            case RunLine():
                self._check_run(line)
                await self._contents.add(line.run())
            case EntryLine():
                self._check_entry(line)
                await self._contents.add(line.entry())
            case EventsLine():
                part = line.part()
                self._check_events(line)
                await self._contents.add(part)

    def complete(self, line: CompleteLine) -> ThreadContents:
        """Return all of it when that is what its last line says."""
        if line.thread != self.thread_id:
            raise ValueError(f"thread {line.thread!r} ends, and {self.thread_id!r} began")
        self._check_all_runs()
        for what, count, came in (
            ("entries", line.entries, len(self._entries)),
            ("lines of events", line.events, self._events),
        ):
            if count != came:
                raise ValueError(f"thread {self.thread_id!r} has {count} {what}, and {came} came")
        return self._contents

    async def aclose(self) -> None:
        """Forget everything."""
        await self._contents.aclose()

    def _check_run(self, run: RunLine) -> None:
        if self._in_entries or self._in_events:
            raise ValueError("runs come before entries and events")
        if run.ordinal != len(self._headers) + 1:
            raise ValueError(f"run {run.ordinal} does not follow run {len(self._headers)}")
        if run.ordinal > self._runs:
            raise ValueError(f"the thread has {self._runs} runs, and more came")
        if run.run_key in self._headers:
            raise ValueError(f"run_key {run.run_key!r} came before")
        self._headers[run.run_key] = run

    def _check_all_runs(self) -> None:
        if len(self._headers) < self._runs:
            raise ValueError(
                f"thread {self.thread_id!r} has {self._runs} runs, and {len(self._headers)} came"
            )

    def _check_entry(self, entry: EntryLine) -> None:
        self._check_all_runs()
        if self._in_events:
            raise ValueError("entries come before events")
        self._in_entries = True
        place = (entry.position, entry.shown_from)
        if place in self._entries:
            raise ValueError(f"the entry at position {entry.position} of run {entry.shown_from} came before")
        self._entries.add(place)
        if entry.hidden_at is None:
            if entry.position in self._shown:
                raise ValueError(f"position {entry.position} shows two messages")
            self._shown.add(entry.position)
        elif not entry.shown_from < entry.hidden_at <= self._runs:
            raise ValueError("hidden_at is the ordinal of a run after shown_from")
        if entry.shown_from > self._runs:
            raise ValueError("shown_from is the ordinal of a run")

    def _check_events(self, events: EventsLine) -> None:
        self._check_all_runs()
        self._in_events = True
        self._events += 1
        run = self._headers.get(events.run_key)
        if run is None:
            raise ValueError(f"there is no run with run_key {events.run_key!r} above")
        place = (events.raw, run.ordinal)
        if place < self._last:
            raise ValueError("events come by run, those of logs after all compacted ones")
        if place != self._last:
            self._last, self._next = place, 1
        if events.first != self._next:
            raise ValueError(f"event {events.first} does not follow event {self._next - 1}")
        self._next += len(events.events)
        if events.raw and (not run.raw or self._next - 1 > run.last_seq):
            raise ValueError(f"run {run.run_key!r} has no such events in its log")
