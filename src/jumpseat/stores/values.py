"""The values of the store contract: claims and what they are answered with, runs, entries, threads."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Literal, TypeAlias, final

import msgspec

__all__ = [
    "Addition",
    "Append",
    "Busy",
    "ClaimResult",
    "Claimed",
    "Entry",
    "Foreign",
    "Found",
    "History",
    "Hold",
    "Live",
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
    "ThreadChange",
    "ThreadRecord",
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
