"""The store contract: what a back end keeps, what each verb promises, and the values they exchange.

A store keeps bytes, numbers and claims. It knows no event type and holds no policy: which run may
start, what a thread shows and how a run ends is decided by the runner. Thread id and owner are part of
every query that takes a thread id; ``owner=None`` is the nameless owner, never "no filter". All times
are milliseconds since the epoch on the store's one clock; all waits and leases are seconds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol

from jumpseat.errors import StoreUnavailable
from jumpseat.stores.dumped import (
    DumpedEvents,
    DumpedGone,
    DumpedRun,
    DumpedThread,
    DumpPage,
    DumpPart,
    Loaded,
    ThreadContents,
)
from jumpseat.stores.values import (
    Addition,
    Append,
    Busy,
    Claimed,
    ClaimResult,
    Entry,
    Foreign,
    Found,
    History,
    Hold,
    Live,
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
    RunStatus,
    Seal,
    ThreadChange,
    ThreadRecord,
)

__all__ = [
    "Addition",
    "Append",
    "AppendsGroups",
    "Busy",
    "ClaimResult",
    "Claimed",
    "DumpPage",
    "DumpPart",
    "DumpedEvents",
    "DumpedGone",
    "DumpedRun",
    "DumpedThread",
    "Entry",
    "Foreign",
    "Found",
    "History",
    "Hold",
    "Live",
    "Loaded",
    "Located",
    "LogPage",
    "Moved",
    "NewRun",
    "Plan",
    "Queued",
    "RenewsGroups",
    "Retention",
    "Run",
    "RunEvents",
    "RunHeader",
    "RunStatus",
    "Seal",
    "Store",
    "TellsOfStops",
    "ThreadChange",
    "ThreadContents",
    "ThreadRecord",
    "ThreadVerbs",
]


class ThreadVerbs(Protocol):
    """Thread records, scoped to one owner."""

    async def list(
        self,
        owner: str | None,
        *,
        agent_id: str | None = None,
        archived: bool = False,
        limit: int = 200,
        after: tuple[int, str] | None = None,
    ) -> list[ThreadRecord]:
        """Return up to ``limit`` records by (last_run_at, id), newest first, strictly behind ``after``.

        ``archived`` includes the archived ones. The cost does not depend on the depth of the page.
        """
        ...

    async def get(self, owner: str | None, thread_id: str) -> ThreadRecord | None:
        """Return one record."""
        ...

    async def update(self, owner: str | None, thread_id: str, change: ThreadChange) -> ThreadRecord | None:
        """Apply a change and return the record; one that changes nothing moves no time."""
        ...

    async def delete(self, owner: str | None, thread_id: str) -> bool:
        """Revoke claims and remove all of the thread at once.

        True also within an hour of a deletion by the same owner; false when the thread is unknown.
        """
        ...

    async def clear(self, owner: str | None) -> list[str]:
        """Delete every thread of the owner and return their ids."""
        ...


class Store(Protocol):
    """A place for runs and threads. All verbs are coroutines, none blocks the event loop.

    Every verb may raise ``StoreUnavailable``. A cancelled verb may or may not have happened, but never half.
    """

    @property
    def threads(self) -> ThreadVerbs:
        """The verbs for thread records."""
        ...

    async def open(self) -> None:
        """Make the store ready; idempotent. Raises ``StoreUnavailable`` or ``SchemaTooNew``."""
        ...

    async def aclose(self) -> None:
        """Release every connection, thread and file; idempotent."""
        ...

    async def claim(self, new: NewRun, lease: float, plan: Plan, first: bytes) -> ClaimResult:
        """Make ``new`` the thread's live run: run row, plan, event 1, lease and thread record in one step.

        At most one live run per thread, in any number of processes. Nothing happens unless ``Claimed`` or
        ``Queued`` is returned; a queued run gets its plan and event 1 when it is promoted.
        """
        ...

    async def take(self, run: Run, lease: float, *, force: bool = False) -> Claimed | None:
        """Take over an expired run (any live or queued run with ``force``): its epoch rises by one.

        One caller wins and the old writer is fenced; the others, and callers that name an old epoch, get
        ``None``.
        """
        ...

    async def extend(self, run: Run, lease: float) -> Hold:
        """Renew the lease from the store's clock."""
        ...

    async def append(self, run: Run, first_seq: int, events: Sequence[bytes]) -> Hold:
        """Store consecutive events; those already stored under their number are skipped.

        All or nothing. Returns ``HELD`` or ``STOPPING``. Raises ``ClaimLost`` when fenced, sealed or gone,
        ``ValueError`` for a gap.
        """
        ...

    async def seal(self, run: Run, seal: Seal) -> None:
        """End the run and free the thread in one step. Raises as ``append``; a second is ``ClaimLost``."""
        ...

    async def read(self, thread_id: str, run_key: str, after: int, wait: float) -> LogPage:
        """Return the events behind number ``after``, in order and without gaps.

        Waits up to ``wait`` seconds for one. Returns at once when the run ends, is gone or has expired; a
        lost wake-up costs latency only.
        """
        ...

    async def live(self, owner: str | None, thread_id: str) -> Live | None:
        """Return the thread's live run."""
        ...

    async def locate(self, owner: str | None, thread_id: str, keys: Sequence[str]) -> Located:
        """Find the visible entries with one of these keys or aliases; the cost goes by ``len(keys)``."""
        ...

    async def history(self, owner: str | None, thread_id: str, at: int | None = None) -> History | None:
        """Return what the thread shows now, or showed after the run with ordinal ``at``.

        ``None`` for a thread this owner does not have. With ``at``, ``head`` is that run, ``live`` ``None``.
        """
        ...

    async def run(self, owner: str | None, thread_id: str, run_key: str) -> RunHeader | None:
        """Return the header of one run of this thread."""
        ...

    async def find(self, owner: str | None, thread_id: str, run_id: str) -> RunHeader | None:
        """Return the header of the newest run of this thread that has this ``run_id``."""
        ...

    async def runs(self, owner: str | None, thread_id: str, after: int, limit: int) -> list[RunHeader]:
        """Return run headers with an ordinal above ``after``, oldest first."""
        ...

    async def events(
        self, owner: str | None, thread_id: str, after: int, limit: int, *, newest: bool = False
    ) -> list[RunEvents]:
        """Return sealed runs with their compacted events, whole runs until ``limit`` events are reached.

        Oldest first from the ordinal above ``after``; with ``newest`` the newest first from the ordinal below
        ``after`` (0: from the end).
        """
        ...

    async def request_stop(
        self, owner: str | None, thread_id: str, run_id: str | None, reason: str
    ) -> list[Run] | None:
        """Flag the live run and the queued ones that ``run_id`` covers (``None``: all), each once.

        Returns the runs this call flagged; ``None`` for a thread this owner does not have.
        """
        ...

    async def request_stop_all(self, owner: str | None, reason: str) -> list[Run]:
        """Flag every live and queued run of the owner, each once, and return those this call flagged.

        The cost does not depend on how many threads have nothing to stop.
        """
        ...

    async def expired(self, limit: int) -> list[Run]:
        """Return live and queued runs past their lease."""
        ...

    async def prune(self, retention: Retention, limit: int) -> int:
        """Remove up to ``limit`` rows that ``retention`` no longer keeps; return how many went.

        Live and queued runs and visible messages of a thread that stays are never touched.
        """
        ...

    async def dump(self, after: bytes | None = None) -> DumpPage:
        """Return some of the threads of all owners, from the beginning or behind the page with that ``next``.

        Every thread that is there from the first call to the last comes; one that is there only for some of
        them may, and one may come twice when the store is changed meanwhile. Threads without a sealed run
        come without runs. A page holds up to 256 parts or 1 MiB (one larger part alone: compacted events come
        a run at a time). Changes between the calls do not mix: a thread is shown as at its first page, except
        that retention may have taken older payloads, and that ``DumpedGone`` ends one that was deleted.
        Raises ``ValueError`` for what is no ``next`` of this store.
        """
        ...

    async def load(self, contents: ThreadContents, *, replace: bool = False) -> Loaded:
        """Store a dumped thread in one step: it is there with all that belongs to it, or not at all.

        Ids, owner, times and ordinals stay as they were; a log that is part of it can be read as before. A
        thread of that id, whoever owns it, is left alone; with ``replace`` it is deleted in the same step,
        unless it has a live or queued run. Raises ``ValueError`` when one of the run keys belongs to another
        thread.
        """
        ...


class AppendsGroups(ABC):
    """A store that takes the appends of many runs at once: one step for all of them, not a task for each."""

    @abstractmethod
    def append_group(self, appends: Sequence[Append], done: Callable[[Sequence[Append]], None]) -> None:
        """Do what ``append`` does for each of ``appends``, at most one per run; each fails by itself.

        ``done`` is called exactly once, on the event loop, when every append has its result or its error;
        it may be called before this returns. Raises ``StoreUnavailable``: then it is not called.
        """


class RenewsGroups(ABC):
    """A store that renews the leases of many runs in few round trips: a heartbeat is no burst of its own."""

    @abstractmethod
    async def extend_group(self, runs: Sequence[Run], lease: float) -> list[Hold | StoreUnavailable]:
        """Do what ``extend`` does for each of ``runs``, and answer in their order; each fails by itself."""


class TellsOfStops(ABC):
    """A store that other processes stop runs through, and that hears of it before the next heartbeat."""

    @abstractmethod
    def on_stop(self, told: Callable[[str], None]) -> None:
        """From now on call ``told`` on the event loop with the key of every run that was asked to stop.

        It may be called for runs of any process, more than once, and never when a message got lost: the flag
        in the store is the truth.
        """
