"""The values of a dump: all that a store holds of a thread, in an order in which it can be loaded again."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Protocol, TypeAlias

import msgspec

from jumpseat.stores.values import Entry, RunHeader, ThreadRecord

__all__ = [
    "DumpPage",
    "DumpPart",
    "DumpedEvents",
    "DumpedGone",
    "DumpedRun",
    "DumpedThread",
    "Loaded",
    "ThreadContents",
]


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
