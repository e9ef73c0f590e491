"""The store contract: what a back end keeps, what each verb promises, and the values they exchange.

A store keeps bytes, numbers and claims. It knows no event type and holds no policy: which run may
start, what a thread shows and how a run ends is decided by the runner. Thread id and owner are part of
every query that takes a thread id; ``owner=None`` is the nameless owner, never "no filter". All times
are milliseconds since the epoch on the store's one clock; all waits and leases are seconds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Literal, Protocol, TypeAlias, final

import msgspec

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

RunStatus: TypeAlias = Literal["queued", "live", "finished", "failed", "stopped", "lost"]


class Hold(Enum):
    """Whether a writer still owns its run."""

    HELD = "held"
    STOPPING = "stopping"
    """Held, and somebody asked the run to stop."""
    LOST = "lost"


class Run(msgspec.Struct, frozen=True):
    """A claim on a run: whoever holds the newest ``epoch`` may write."""

    thread_id: str
    run_key: str
    epoch: int


@final
class Append:
    """Consecutive events that a run wants stored and, once that was tried, the result or the error."""

    __slots__ = ("error", "events", "first_seq", "result", "run")

    def __init__(self, run: Run, first_seq: int, events: Sequence[bytes]) -> None:
        self.run = run
        self.first_seq = first_seq
        self.events = events
        self.result: Hold | None = None
        self.error: Exception | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a thread, as the runs from ordinal ``shown_from`` until ``hidden_at`` show it.

    ``key`` is the message id and ``aliases`` the ids of its tool calls; ``digest`` is a hash of what makes
    two versions of a message differ. All of them are opaque to the store.
    """

    position: int
    key: str
    aliases: tuple[str, ...]
    digest: bytes
    data: bytes
    shown_from: int = 0
    hidden_at: int | None = None


class Addition(msgspec.Struct, frozen=True, kw_only=True):
    """A message to be shown at ``position`` from the acting run on.

    It replaces an entry that the same run added at the same position.
    """

    position: int
    key: str
    aliases: tuple[str, ...]
    digest: bytes
    data: bytes


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a claim or a seal changes what a thread shows.

    Applied in this order: visible entries behind position ``hide_after`` are hidden (with ``keep_attached``
    only from the first one on whose digest is not empty: an entry with an empty digest belongs to the entry
    before it), then those at the positions ``hide``, then ``add`` is written. An entry hidden by the very run
    that added it is removed.
    ``version`` is the thread version the plan was made for, 0 for a thread that does not exist; ``None``
    (in a seal, where the claim protects the view) is not compared. ``digest`` is the rolling digest of
    the view afterwards, ``None`` when unknown.
    """

    version: int | None = None
    hide_after: int | None = None
    keep_attached: bool = False
    hide: tuple[int, ...] = ()
    add: tuple[Addition, ...] = ()
    digest: bytes | None = None


class NewRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that wants to be claimed. ``parent`` is the ordinal of the run it follows.

    ``state`` becomes the thread's state unless ``None``. ``name`` is given to a thread that has no name and
    that no user renamed. With ``queue`` a busy thread takes the run as queued, unless ``max_queued`` runs
    wait already; claiming again with the same ``run_key`` and the ``epoch`` of the queued run promotes it
    when every older run is sealed, and answers ``Queued`` until then (``Busy`` when that epoch is fenced).
    ``input`` is what a queued run must remember until then.
    """

    thread_id: str
    run_key: str
    run_id: str
    agent_id: str
    owner: str | None
    parent: int | None = None
    state: bytes | None = None
    name: str | None = None
    queue: bool = False
    max_queued: int = 0
    input: bytes | None = None
    epoch: int = 1


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """The run is live and belongs to the caller.

    ``state`` is the thread's state at its start, ``pending`` what the newest sealed run left open (opaque),
    ``last_seq`` the number of the last stored event, ``created`` whether the claim made the thread.
    ``stop_reason`` is set when a stop was requested. ``input`` is that of a run which was queued.
    """

    run: Run
    run_id: str
    agent_id: str
    owner: str | None
    ordinal: int
    last_seq: int
    last_position: int
    state: bytes | None = None
    pending: bytes | None = None
    stop_reason: str | None = None
    created: bool = False
    input: bytes | None = None


class Queued(msgspec.Struct, frozen=True, kw_only=True):
    """The run waits; ``ahead`` runs of the thread are not sealed yet. ``stop_reason`` as in ``Claimed``."""

    run: Run
    ahead: int
    stop_reason: str | None = None


class _Held(msgspec.Struct, frozen=True, kw_only=True):
    """An unsealed run and how its claim stands."""

    run: Run
    run_id: str
    expired: bool

    @property
    def over(self) -> bool:
        """Whether nobody executes the run any more: a claim is only ever taken over to be sealed."""
        return self.expired or self.run.epoch > 1


class Busy(_Held, frozen=True, kw_only=True):
    """The thread has a live run (or too many queued ones); ``expired`` says its owner is gone.

    A queued run that claims again although it was taken over, sealed or deleted is told so by its own key.
    """


class Moved(msgspec.Struct, frozen=True):
    """The thread changed after the plan was made: plan again."""

    version: int


class Foreign(msgspec.Struct, frozen=True):
    """The thread belongs to another owner."""


ClaimResult: TypeAlias = Claimed | Queued | Busy | Moved | Foreign


class Live(_Held, frozen=True, kw_only=True):
    """The live run of a thread."""

    agent_id: str
    ordinal: int
    last_seq: int
    stopping: bool
    stop_reason: str | None = None


class RunHeader(msgspec.Struct, frozen=True, kw_only=True):
    """A run without its events. ``terminal``, ``record`` and ``pending`` are set by its seal.

    ``raw`` says whether the log is still kept event by event; ``last_seq`` is its last number.
    """

    run_key: str
    run_id: str
    agent_id: str
    ordinal: int
    status: RunStatus
    parent: int | None
    last_seq: int
    raw: bool
    created_at: int
    sealed_at: int | None = None
    terminal: bytes | None = None
    record: bytes | None = None
    pending: bytes | None = None


class Found(msgspec.Struct, frozen=True):
    """A visible entry that was asked for, and the positions of its visible neighbours (``None``: none)."""

    key: str
    position: int
    digest: bytes
    shown_from: int
    previous: int | None
    next: int | None


class Located(msgspec.Struct, frozen=True, kw_only=True):
    """What planning needs to know of a thread; of a thread that does not exist: version 0 and nothing.

    ``found`` maps each asked key, or alias, to the entry that holds it: to one with that key before any with
    that alias, and of several to the one shown last. ``last_position`` is the highest visible position
    (0: none), ``runs`` the number of runs ever claimed or queued: the newest ordinal.
    """

    version: int = 0
    digest: bytes | None = None
    last_position: int = 0
    runs: int = 0
    foreign: bool = False
    found: dict[str, Found] = msgspec.field(default_factory=dict[str, Found])


class LogPage(msgspec.Struct, frozen=True, kw_only=True):
    """Consecutive events of one run, at most 256 or 1 MiB (one larger event comes alone).

    ``ended``: the run is sealed and this is its last page. ``gone``: the run or its raw log no longer
    exists. ``expired`` (only on an empty page): its owner's lease ran out and nobody has taken it over.
    """

    events: list[bytes]
    ended: bool = False
    gone: bool = False
    expired: bool = False


class History(msgspec.Struct, frozen=True, kw_only=True):
    """One consistent picture of a thread: visible entries in order, state, newest sealed run, live run."""

    entries: list[Entry]
    state: bytes | None
    head: RunHeader | None
    live: Live | None
    version: int


class RunEvents(msgspec.Struct, frozen=True, kw_only=True):
    """The compacted events of one sealed run."""

    run_key: str
    ordinal: int
    events: list[bytes]


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ends: its last events (numbered from ``first_seq``) and all that is derived from it.

    ``state`` is the thread's state afterwards (``None``: it has none), ``pending`` what the run leaves open,
    ``compacted`` its events in the form that is kept, ``terminal`` the last of them, ``record`` what the
    agent wants remembered.
    """

    status: Literal["finished", "failed", "stopped", "lost"]
    first_seq: int
    events: Sequence[bytes]
    plan: Plan
    state: bytes | None
    compacted: Sequence[bytes]
    terminal: bytes
    record: bytes | None = None
    pending: bytes | None = None


class ThreadRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a thread list shows of a thread. ``renamed``: a user set the name, so it stays."""

    id: str
    name: str | None
    agent_id: str
    owner: str | None
    archived: bool
    created_at: int
    updated_at: int
    last_run_at: int
    renamed: bool = False


class ThreadChange(msgspec.Struct, frozen=True, kw_only=True):
    """A mutation; only what ``set_name`` and ``archived`` say is changed.

    With ``automatic`` the name is written only if no user has renamed, and does not count as a rename.
    """

    set_name: bool = False
    name: str | None = None
    archived: bool | None = None
    automatic: bool = False


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """What may go, in seconds and runs: whole idle threads, old runs, raw logs of sealed runs."""

    max_age: float | None = None
    max_runs: int | None = None
    events_after: float = 3600.0


class DumpedThread(msgspec.Struct, frozen=True, kw_only=True):
    """A thread as its newest sealed run left it: ``runs`` runs follow, with the ordinals from 1, all sealed.

    Its record is that of now. ``trimmed`` of the runs, the oldest, hold no more than their headers;
    ``digest`` is the rolling digest of the view, ``None`` when unknown; ``left_out`` are the run ids of its
    live and queued runs, which are no part of what follows.
    """

    record: ThreadRecord
    active_at: int
    runs: int
    trimmed: int = 0
    digest: bytes | None = None
    left_out: tuple[str, ...] = ()


class DumpedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A sealed run with the thread's state after it."""

    header: RunHeader
    state: bytes | None = None


class DumpedEvents(msgspec.Struct, frozen=True, kw_only=True):
    """Events of a run, the first of them number ``first``: compacted ones or, with ``raw``, those of its log.

    A run has compacted events when there is such a part, be it empty.
    """

    run_key: str
    raw: bool
    first: int
    events: list[bytes]


class DumpedGone(msgspec.Struct, frozen=True):
    """The thread was deleted while it was dumped: what came of it is void."""

    thread_id: str


DumpPart: TypeAlias = DumpedThread | DumpedRun | Entry | DumpedEvents | DumpedGone


class DumpPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of what a store holds, and where the dump goes on (opaque; ``None``: that was all).

    Each thread in turn: the thread, its runs by ordinal, its entries (hidden ones too) in the order in which
    they were added, then events by run, the compacted ones of all runs before any log.
    """

    parts: list[DumpPart]
    next: bytes | None


class ThreadContents(Protocol):
    """One dumped thread, complete and sound, to be loaded."""

    @property
    def thread(self) -> DumpedThread:
        """The thread itself; ``left_out`` does not count."""
        ...

    def parts(self) -> Iterator[DumpedRun | Entry | DumpedEvents]:
        """Yield the rest in the order of a dump, from the beginning at each call.

        Compacted events of a run may come in several parts, one behind the other. May read a file: stores
        call it in a thread.
        """
        ...


class Loaded(Enum):
    """What became of a thread that was to be loaded."""

    LOADED = "loaded"
    REPLACED = "replaced"
    EXISTS = "exists"
    """Nothing was changed: a thread of that id is there."""
    BUSY = "busy"
    """Nothing was changed: the thread that was to be replaced has a live or queued run."""


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


class TellsOfStops(ABC):
    """A store that other processes stop runs through, and that hears of it before the next heartbeat."""

    @abstractmethod
    def on_stop(self, told: Callable[[str], None]) -> None:
        """From now on call ``told`` on the event loop with the key of every run that was asked to stop.

        It may be called for runs of any process, more than once, and never when a message got lost: the flag
        in the store is the truth.
        """
