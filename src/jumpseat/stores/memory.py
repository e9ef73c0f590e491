"""A store in this process's memory: bounded, gone when the process ends, never expiring a lease."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from heapq import nlargest

from jumpseat.errors import ConfigurationError, StoreUnavailable
from jumpseat.stores.base import (
    Append,
    AppendsGroups,
    Busy,
    Claimed,
    ClaimResult,
    DumpPage,
    Foreign,
    History,
    Hold,
    Live,
    Loaded,
    Located,
    LogPage,
    Moved,
    NewRun,
    Plan,
    Queued,
    Retention,
    Run,
    RunEvents,
    RunHeader,
    Seal,
    ThreadChange,
    ThreadContents,
    ThreadRecord,
)
from jumpseat.stores.dumping import dump_page
from jumpseat.stores.memory_dumps import MemoryDump, made_again
from jumpseat.stores.memory_model import RunState, ThreadState, weight
from jumpseat.stores.refusals import claim_lost

__all__ = ["MemoryStore"]

MARK_MILLISECONDS = 3_600_000

_log = logging.getLogger(__name__)


def _bound(name: str, value: float | None) -> float:
    if value is None:
        return math.inf
    number: object = value
    if isinstance(number, float) and number == math.inf:
        return math.inf
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ConfigurationError(f"{name} must be a positive integer, None or inf, not {number!r}")
    return number


class MemoryStore(AppendsGroups):
    """Keeps threads in this object.

    ``max_threads``, ``max_runs_per_thread`` and ``max_bytes`` (payload bytes) are positive integers; ``None``
    or ``inf`` lifts a bound. Above ``max_threads`` or ``max_bytes`` whole idle threads go, least recently
    used first; a thread with a live or queued run never does, an overage then stands. Above
    ``max_runs_per_thread`` the oldest runs lose their events and what only they show. Raises
    ``ConfigurationError`` for other values.
    """

    def __init__(
        self,
        max_threads: float | None = 1000,
        max_runs_per_thread: float | None = 100,
        max_bytes: float | None = 536_870_912,
    ) -> None:
        self._max_threads = _bound("max_threads", max_threads)
        self._max_runs = _bound("max_runs_per_thread", max_runs_per_thread)
        self._max_bytes = _bound("max_bytes", max_bytes)
        self._closed = False
        self._bytes = 0
        self._threads: dict[str, ThreadState] = {}
        self._idle: OrderedDict[str, ThreadState] = OrderedDict()
        self._runs: dict[str, RunState] = {}
        # Sealed runs whose log is still kept, the longest sealed first.
        self._logs: dict[str, RunState] = {}
        self._marks: OrderedDict[str, tuple[str | None, int]] = OrderedDict()
        self._revoked: OrderedDict[str, tuple[Run, str, int]] = OrderedDict()
        # One count for all threads: a plan for a deleted thread never fits its successor.
        self._versions = itertools.count(1)
        self._warned: set[str] = set()
        self._epoch_ms = time.time() * 1000 - time.monotonic() * 1000
        self._dump = MemoryDump(self.all)
        self.threads = MemoryThreads(self)

    def now(self) -> int:
        """Return the milliseconds since the epoch on a clock that never goes back."""
        return int(self._epoch_ms + time.monotonic() * 1000)

    async def open(self) -> None:
        """Make the store ready; idempotent."""
        self._closed = False

    async def aclose(self) -> None:
        """End every waiting reader and refuse verbs until ``open``; idempotent."""
        self._closed = True
        for run in self._runs.values():
            run.wake()

    async def claim(self, new: NewRun, lease: float, plan: Plan, first: bytes) -> ClaimResult:
        """Make ``new`` the thread's live run, or a queued one. ``lease`` is not used."""
        thread = self.owned(new.owner, new.thread_id)
        if thread is None and new.thread_id in self._threads:
            return Foreign()
        known = self._runs.get(new.run_key)
        if known is not None:
            return self._promote(known, new, plan, first)
        if new.run_key in self._revoked:
            revoked, run_id, _ = self._revoked[new.run_key]
            return Busy(run=revoked, run_id=run_id, expired=False)
        if thread is not None and thread.busy:
            return self._enqueue(thread, new)
        version = thread.version if thread else 0
        if plan.version is not None and plan.version != version:
            return Moved(version)
        now = self.now()
        created = thread is None
        if thread is None:
            thread = ThreadState(new, now)
        thread.view.check(plan, len(thread.runs) + 1)
        if created:
            self._threads[thread.id] = thread
            self._marks.pop(thread.id, None)
        run = thread.new_run(new, "live", now)
        self._runs[run.key] = run
        return self._start(run, new, plan, first, created=created)

    def _enqueue(self, thread: ThreadState, new: NewRun) -> ClaimResult:
        if not new.queue or len(thread.waiting) >= new.max_queued:
            blocker = thread.live or thread.waiting[0]
            return Busy(run=blocker.claim, run_id=blocker.run_id, expired=False)
        run = thread.new_run(new, "queued", self.now())
        run.input = new.input
        run.size = weight(new.input)
        self._runs[run.key] = run
        ahead = len(thread.open_runs())
        thread.waiting.append(run)
        self._account(thread, run.size)
        return Queued(run=run.claim, ahead=ahead)

    def _promote(self, run: RunState, new: NewRun, plan: Plan, first: bytes) -> ClaimResult:
        thread = run.thread
        if thread.id != new.thread_id:
            raise ValueError(f"run key {new.run_key!r} is used on another thread")
        if run.status != "queued" or run.epoch != new.epoch:
            return Busy(run=run.claim, run_id=run.run_id, expired=False)
        ahead = thread.open_runs().index(run)
        if ahead:
            return Queued(run=run.claim, ahead=ahead, stop_reason=run.stop_reason)
        if plan.version is not None and plan.version != thread.version:
            return Moved(thread.version)
        thread.view.check(plan, run.ordinal)
        thread.waiting.pop(0)
        run.status = "live"
        return self._start(run, new, plan, first, created=False)

    def _start(self, run: RunState, new: NewRun, plan: Plan, first: bytes, *, created: bool) -> Claimed:
        thread = run.thread
        before = thread.view.bytes + weight(thread.state)
        thread.live = run
        thread.view.apply(plan, run.ordinal)
        thread.digest = plan.digest
        thread.version = next(self._versions)
        if new.state is not None:
            thread.state = new.state
        if new.name is not None and thread.name is None and not thread.renamed:
            thread.name = new.name
        now = max(thread.created_at if created else self.now(), thread.last_run_at)
        thread.last_run_at = thread.active_at = now
        thread.updated_at = max(now, thread.updated_at)
        grown = run.add(1, [first]) + thread.view.bytes + weight(thread.state) - before
        self._idle.pop(thread.id, None)
        self._trim(thread)
        self._account(thread, grown)
        run.wake()
        return self._claimed(run, created=created)

    def _claimed(self, run: RunState, *, created: bool = False) -> Claimed:
        thread = run.thread
        return Claimed(
            run=run.claim,
            run_id=run.run_id,
            agent_id=run.agent_id,
            owner=thread.owner,
            ordinal=run.ordinal,
            last_seq=run.last_seq,
            last_position=thread.view.last_position,
            state=thread.state,
            pending=thread.head.pending if thread.head else None,
            stop_reason=run.stop_reason,
            created=created,
            input=run.input,
        )

    async def take(self, run: Run, lease: float, *, force: bool = False) -> Claimed | None:
        """Take a run over; only with ``force``, because no lease expires here."""
        state = self._current(run)
        if state is None or not force:
            return None
        state.epoch += 1
        state.wake()
        return self._claimed(state)

    async def extend(self, run: Run, lease: float) -> Hold:
        """Say whether the claim still stands."""
        state = self._current(run)
        if state is None:
            return Hold.LOST
        return Hold.STOPPING if state.stop_reason is not None else Hold.HELD

    async def append(self, run: Run, first_seq: int, events: Sequence[bytes]) -> Hold:
        """Store consecutive events and wake the run's readers."""
        return self._append(run, first_seq, events)

    def append_group(self, appends: Sequence[Append], done: Callable[[Sequence[Append]], None]) -> None:
        """Store the events of several runs."""
        for append in appends:
            try:
                append.result = self._append(append.run, append.first_seq, append.events)
            except Exception as error:
                append.error = error
        done(appends)

    def _append(self, run: Run, first_seq: int, events: Sequence[bytes]) -> Hold:
        state = self._writable(run)
        self._account(state.thread, state.add(first_seq, events))
        if state.waiters:
            state.wake()
        return Hold.STOPPING if state.stop_reason is not None else Hold.HELD

    async def seal(self, run: Run, seal: Seal) -> None:
        """End the run and free the thread."""
        state = self._writable(run)
        thread = state.thread
        thread.view.check(seal.plan, state.ordinal)
        before = thread.view.bytes + weight(thread.state)
        grown = state.finish(seal, self.now())
        thread.view.apply(seal.plan, state.ordinal)
        thread.digest = seal.plan.digest
        thread.version = next(self._versions)
        thread.state = seal.state
        thread.live, thread.head = None, state
        self._logs[state.key] = state
        thread.active_at = self.now()
        if not thread.busy:
            self._idle[thread.id] = thread
        self._trim(thread)
        self._account(thread, grown + thread.view.bytes + weight(thread.state) - before)
        state.wake()

    async def read(self, thread_id: str, run_key: str, after: int, wait: float) -> LogPage:
        """Return the events behind ``after``, waiting up to ``wait`` seconds for one."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        while True:
            run = self._run_of(thread_id, run_key)
            if run is None:
                return LogPage(events=[], gone=True)
            page = run.page(after)
            if page.events or page.ended or page.gone or loop.time() >= deadline:
                return page
            await _woken(run, deadline)

    async def live(self, owner: str | None, thread_id: str) -> Live | None:
        """Return the thread's live run."""
        thread = self.owned(owner, thread_id)
        return thread.live.live() if thread and thread.live else None

    async def locate(self, owner: str | None, thread_id: str, keys: Sequence[str]) -> Located:
        """Find the visible entries with one of these keys or aliases."""
        thread = self.owned(owner, thread_id)
        if thread is None:
            return Located(foreign=thread_id in self._threads)
        return Located(
            version=thread.version,
            digest=thread.digest,
            last_position=thread.view.last_position,
            runs=len(thread.runs),
            found=thread.view.find(keys),
        )

    async def history(self, owner: str | None, thread_id: str, at: int | None = None) -> History | None:
        """Return what the thread shows now, or showed after the run with ordinal ``at``."""
        thread = self.owned(owner, thread_id)
        if thread is None:
            return None
        if thread_id in self._idle:
            self._idle.move_to_end(thread_id)
        if at is None:
            head, state = thread.head, thread.state
        else:
            head = thread.runs[at - 1] if 0 < at <= len(thread.runs) else None
            state = head.state if head else None
        return History(
            entries=thread.view.shown(at),
            state=state,
            head=head.header() if head else None,
            live=thread.live.live() if thread.live and at is None else None,
            version=thread.version,
        )

    async def run(self, owner: str | None, thread_id: str, run_key: str) -> RunHeader | None:
        """Return the header of one run of this thread."""
        thread = self.owned(owner, thread_id)
        run = self._runs.get(run_key)
        return run.header() if run and run.thread is thread else None

    async def find(self, owner: str | None, thread_id: str, run_id: str) -> RunHeader | None:
        """Return the header of the newest run of this thread that has this ``run_id``."""
        thread = self.owned(owner, thread_id)
        run = thread.newest.get(run_id) if thread else None
        return run.header() if run else None

    async def runs(self, owner: str | None, thread_id: str, after: int, limit: int) -> list[RunHeader]:
        """Return run headers with an ordinal above ``after``, oldest first."""
        thread = self.owned(owner, thread_id)
        start = max(after, 0)
        return [run.header() for run in thread.runs[start : start + limit]] if thread else []

    async def events(
        self, owner: str | None, thread_id: str, after: int, limit: int, *, newest: bool = False
    ) -> list[RunEvents]:
        """Return sealed runs with their compacted events, whole runs until ``limit`` events are reached."""
        thread = self.owned(owner, thread_id)
        if thread is None:
            return []
        start = after if after > 0 else len(thread.runs) + 1
        order = reversed(thread.runs[: start - 1]) if newest else iter(thread.runs[max(after, 0) :])
        found: list[RunEvents] = []
        count = 0
        for run in order:
            if count >= limit:
                break
            if run.compacted is not None:
                found.append(RunEvents(run_key=run.key, ordinal=run.ordinal, events=list(run.compacted)))
                count += len(run.compacted)
        return found

    async def request_stop(
        self, owner: str | None, thread_id: str, run_id: str | None, reason: str
    ) -> list[Run] | None:
        """Flag the live run and the queued ones that ``run_id`` covers, each once."""
        thread = self.owned(owner, thread_id)
        if thread is None:
            return None
        return [run.claim for run in thread.open_runs() if run_id in {None, run.run_id} and run.flag(reason)]

    async def request_stop_all(self, owner: str | None, reason: str) -> list[Run]:
        """Flag every live and queued run of the owner, each once."""
        threads = [thread for thread in self.owned_by(owner) if thread.busy]
        return [run.claim for thread in threads for run in thread.open_runs() if run.flag(reason)]

    async def expired(self, limit: int) -> list[Run]:
        """Return nothing: a lease in memory lives as long as its owner."""
        self._check_open()
        return []

    async def prune(self, retention: Retention, limit: int) -> int:
        """Remove up to ``limit`` threads, logs, runs and hidden entries; return how many went."""
        self._check_open()
        now = self.now()
        removed = 0
        if retention.max_age is not None:
            old = now - retention.max_age * 1000
            stale = [thread for thread in self._idle.values() if thread.active_at < old]
            for thread in stale[:limit]:
                self.remove(thread)
            removed += min(len(stale), limit)
        removed += self._drop_logs(now - retention.events_after * 1000, limit - removed)
        if retention.max_runs is not None:
            for thread in self._threads.values():
                count, size = thread.trim(retention.max_runs, limit - removed)
                removed += count
                self._bytes -= size
        return removed

    def _drop_logs(self, before: float, limit: int) -> int:
        old: list[RunState] = []
        for run in self._logs.values():
            if len(old) >= limit or (run.sealed_at or 0) > before:
                break
            old.append(run)
        for run in old:
            del self._logs[run.key]
            self._bytes -= run.drop_log()
        return len(old)

    async def dump(self, after: bytes | None = None) -> DumpPage:
        """Return some of the threads of all owners."""
        return await dump_page(self, self._dump, after)

    async def load(self, contents: ThreadContents, *, replace: bool = False) -> Loaded:
        """Store a dumped thread; what the bounds do not hold goes as it would after a run."""
        if not replace and contents.thread.record.id in self.all():
            return Loaded.EXISTS
        thread = await asyncio.to_thread(made_again, contents)
        present = self.all().get(thread.id)
        if present is not None and (present.busy or not replace):
            return Loaded.BUSY if replace else Loaded.EXISTS
        for run in thread.runs:
            known = self._runs.get(run.key)
            if known is not None and known.thread is not present:
                raise ValueError(f"run key {run.key!r} is used on another thread")
        if present is not None:
            self.delete(present)
        self._admit(thread)
        return Loaded.LOADED if present is None else Loaded.REPLACED

    def _admit(self, thread: ThreadState) -> None:
        thread.version = next(self._versions)
        self._marks.pop(thread.id, None)
        self._threads[thread.id] = self._idle[thread.id] = thread
        self._runs.update((run.key, run) for run in thread.runs)
        kept = [*self._logs.values(), *(run for run in thread.runs if run.raw)]
        kept.sort(key=lambda run: run.sealed_at or 0)
        self._logs = {run.key: run for run in kept}
        self._bytes += thread.bytes
        self._trim(thread)
        self._account(thread, 0)

    def all(self) -> Mapping[str, ThreadState]:
        """Return all threads by id. Raises ``StoreUnavailable`` when closed."""
        self._check_open()
        return self._threads

    def owned(self, owner: str | None, thread_id: str) -> ThreadState | None:
        """Return the thread if it is this owner's. Raises ``StoreUnavailable`` when closed."""
        self._check_open()
        thread = self._threads.get(thread_id)
        return thread if thread is not None and thread.owner == owner else None

    def owned_by(self, owner: str | None) -> list[ThreadState]:
        """Return all threads of this owner."""
        self._check_open()
        return [thread for thread in self._threads.values() if thread.owner == owner]

    def remove(self, thread: ThreadState) -> None:
        """Drop the thread with all its runs and let their readers see it."""
        del self._threads[thread.id]
        self._idle.pop(thread.id, None)
        self._bytes -= thread.bytes
        for run in thread.runs:
            del self._runs[run.key]
            self._logs.pop(run.key, None)
            run.wake()

    def delete(self, thread: ThreadState) -> None:
        """Remove the thread, remember that for an hour, and fence its writers."""
        now = self.now()
        for run in thread.open_runs():
            fenced = Run(thread.id, run.key, run.epoch + 1)
            self._revoked[run.key] = (fenced, run.run_id, now + MARK_MILLISECONDS)
        self.remove(thread)
        self._marks.pop(thread.id, None)
        self._marks[thread.id] = (thread.owner, now + MARK_MILLISECONDS)
        while self._marks and next(iter(self._marks.values()))[1] <= now:
            self._marks.popitem(last=False)
        while self._revoked and next(iter(self._revoked.values()))[2] <= now:
            self._revoked.popitem(last=False)

    def deleted_by(self, owner: str | None, thread_id: str) -> bool:
        """Say whether this owner deleted the thread within the last hour."""
        mark = self._marks.get(thread_id)
        return mark is not None and mark[0] == owner and mark[1] > self.now()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the memory store is closed")

    def _current(self, run: Run) -> RunState | None:
        state = self._run_of(run.thread_id, run.run_key)
        if state is None or state.sealed or state.epoch != run.epoch:
            return None
        return state

    def _run_of(self, thread_id: str, run_key: str) -> RunState | None:
        self._check_open()
        run = self._runs.get(run_key)
        return run if run is not None and run.thread.id == thread_id else None

    def _writable(self, run: Run) -> RunState:
        state = self._current(run)
        if state is None or state.status != "live":
            raise claim_lost(run)
        return state

    def _trim(self, thread: ThreadState) -> None:
        if len(thread.runs) - thread.trimmed <= self._max_runs:
            return
        count, size = thread.trim(int(self._max_runs), len(thread.runs) + 1)
        self._bytes -= size
        if count:
            self._warn_once("max_runs_per_thread", "the oldest runs of a thread lost their events")

    def _account(self, acting: ThreadState, grown: int) -> None:
        self._bytes += grown
        while len(self._threads) > self._max_threads and self._evict(acting):
            self._warn_once("max_threads", "the least recently used threads are dropped")
        while self._bytes > self._max_bytes and self._evict(acting):
            self._warn_once("max_bytes", "the least recently used threads are dropped")

    def _evict(self, acting: ThreadState) -> bool:
        oldest = next(iter(self._idle.values()), None)
        if oldest is None or oldest is acting:
            return False
        self.remove(oldest)
        return True

    def _warn_once(self, bound: str, effect: str) -> None:
        if bound not in self._warned:
            self._warned.add(bound)
            _log.warning("the memory store reached %s: %s", bound, effect)


async def _woken(run: RunState, deadline: float) -> None:
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()
    timer = loop.call_at(deadline, _resolve, waiter)
    run.waiters.add(waiter)
    try:
        await waiter
    finally:
        timer.cancel()
        run.waiters.discard(waiter)


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class MemoryThreads:
    """The thread records of a ``MemoryStore``."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def list(
        self,
        owner: str | None,
        *,
        agent_id: str | None = None,
        archived: bool = False,
        limit: int = 200,
        after: tuple[int, str] | None = None,
    ) -> list[ThreadRecord]:
        """Return up to ``limit`` records, newest first, strictly behind ``after``."""
        matching = (
            thread
            for thread in self._store.owned_by(owner)
            if (archived or not thread.archived)
            and agent_id in {None, thread.agent_id}
            and (after is None or (thread.last_run_at, thread.id) < after)
        )
        newest = nlargest(limit, matching, key=lambda thread: (thread.last_run_at, thread.id))
        return [thread.record() for thread in newest]

    async def get(self, owner: str | None, thread_id: str) -> ThreadRecord | None:
        """Return one record."""
        thread = self._store.owned(owner, thread_id)
        return thread.record() if thread else None

    async def update(self, owner: str | None, thread_id: str, change: ThreadChange) -> ThreadRecord | None:
        """Apply a change and return the record."""
        thread = self._store.owned(owner, thread_id)
        if thread is None:
            return None
        thread.change(change, self._store.now())
        return thread.record()

    async def delete(self, owner: str | None, thread_id: str) -> bool:
        """Revoke claims and remove all of the thread at once."""
        thread = self._store.owned(owner, thread_id)
        if thread is None:
            return self._store.deleted_by(owner, thread_id)
        self._store.delete(thread)
        return True

    async def clear(self, owner: str | None) -> list[str]:
        """Delete every thread of the owner and return their ids."""
        threads = self._store.owned_by(owner)
        for thread in threads:
            self._store.delete(thread)
        return [thread.id for thread in threads]
