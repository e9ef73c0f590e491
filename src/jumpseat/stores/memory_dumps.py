"""Dumping threads out of memory, and making them again from what was dumped."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping

from jumpseat.stores.base import (
    DumpedEvents,
    DumpedRun,
    DumpedThread,
    Entry,
    NewRun,
    RunEvents,
    ThreadContents,
)
from jumpseat.stores.dumping import PAGE_PARTS, NextThread, ThreadAt, as_of, place_behind, place_id
from jumpseat.stores.memory_model import RunState, ThreadState, weight

__all__ = ["MemoryDump", "made_again"]


class MemoryDump:
    """Answers what a dump asks; ``threads`` returns all of them by id."""

    def __init__(self, threads: Callable[[], Mapping[str, ThreadState]]) -> None:
        self._threads = threads
        # All ids as of the beginning of the newest dump; of threads that came since none needs to be dumped.
        self._ids: list[str] = []

    async def next_thread(self, place: bytes) -> NextThread | None:
        """Return the thread with the next id."""
        threads = self._threads()
        last = place_id(place)
        if last is None or not self._ids:
            self._ids = sorted(threads)
        for index in range(bisect_right(self._ids, last) if last is not None else 0, len(self._ids)):
            thread = threads.get(self._ids[index])
            if thread is not None:
                return _found(thread)
        return None

    async def dumped_runs(self, thread: ThreadAt, after: int) -> list[DumpedRun]:
        """Return sealed runs."""
        return [DumpedRun(header=run.header(), state=run.state) for run in self._runs(thread, after)]

    async def dumped_entries(self, thread: ThreadAt, after: int) -> tuple[list[Entry], int | None]:
        """Return all entries at once: they are in memory anyway."""
        found = self._threads().get(thread.id)
        return ([] if found is None else as_of(found.view.everything(), thread.runs)), None

    async def dumped_events(self, thread: ThreadAt, after: int) -> list[RunEvents]:
        """Return runs with compacted events."""
        # Those that have none may fill whole pages.
        for start in range(after, thread.runs, PAGE_PARTS):
            events = [
                RunEvents(run_key=run.key, ordinal=run.ordinal, events=list(run.compacted))
                for run in self._runs(thread, start)
                if run.compacted is not None
            ]
            if events:
                return events
        return []

    async def next_log(self, thread: ThreadAt, after: int) -> tuple[int, str] | None:
        """Return the next run with a log."""
        found = self._threads().get(thread.id)
        runs = [] if found is None else found.runs[after : thread.runs]
        return next(((run.ordinal, run.key) for run in runs if run.raw), None)

    def _runs(self, thread: ThreadAt, after: int) -> list[RunState]:
        found = self._threads().get(thread.id)
        return [] if found is None else found.runs[after : min(after + PAGE_PARTS, thread.runs)]


def _found(thread: ThreadState) -> NextThread:
    head = thread.head
    runs = head.ordinal if head is not None else 0
    dumped = DumpedThread(
        record=thread.record(),
        active_at=thread.active_at,
        runs=runs,
        trimmed=thread.trimmed,
        digest=None if thread.live else thread.digest,
        left_out=tuple(run.run_id for run in thread.open_runs()),
    )
    at = ThreadAt(thread.id, thread.owner, runs, head.key) if head is not None else None
    return NextThread(dumped, at, place_behind(thread.id))


def made_again(contents: ThreadContents) -> ThreadState:
    """Return a thread that was dumped, without a version; called in a thread."""
    thread = _empty(contents.thread)
    runs: dict[str, RunState] = {}
    for part in contents.parts():
        match part:
            case DumpedRun():
                run = runs[part.header.run_key] = _run(thread, part)
                thread.runs.append(run)
                thread.newest[run.run_id] = run
            case Entry():
                thread.view.restore(part)
            case DumpedEvents():
                _add_events(runs[part.run_key], part)
    for run in thread.runs:
        run.size = weight(run.terminal, run.record, run.pending, run.state, *run.log, *(run.compacted or ()))
    thread.head = thread.runs[-1] if thread.runs else None
    thread.state = thread.head.state if thread.head is not None else None
    return thread


def _empty(dumped: DumpedThread) -> ThreadState:
    record = dumped.record
    new = NewRun(thread_id=record.id, run_key="", run_id="", agent_id=record.agent_id, owner=record.owner)
    thread = ThreadState(new, record.created_at)
    thread.name, thread.renamed, thread.archived = record.name, record.renamed, record.archived
    thread.updated_at, thread.last_run_at = record.updated_at, record.last_run_at
    thread.active_at = dumped.active_at
    thread.trimmed, thread.digest = dumped.trimmed, dumped.digest
    return thread


def _run(thread: ThreadState, dumped: DumpedRun) -> RunState:
    header = dumped.header
    return RunState(
        thread=thread,
        key=header.run_key,
        run_id=header.run_id,
        agent_id=header.agent_id,
        parent=header.parent,
        ordinal=header.ordinal,
        created_at=header.created_at,
        status=header.status,
        last_seq=header.last_seq,
        raw=header.raw,
        sealed_at=header.sealed_at,
        terminal=header.terminal,
        record=header.record,
        pending=header.pending,
        state=dumped.state,
    )


def _add_events(run: RunState, part: DumpedEvents) -> None:
    if part.raw:
        run.log += part.events
    else:
        run.compacted = [*(run.compacted or ()), *part.events]
