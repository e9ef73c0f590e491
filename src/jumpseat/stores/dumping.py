"""Dumping page by page: what a thread is made of, in order, whatever happens to it between two pages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from jumpseat.stores.base import (
    DumpedEvents,
    DumpedGone,
    DumpedRun,
    DumpedThread,
    DumpPage,
    DumpPart,
    Entry,
    LogPage,
    RunEvents,
    RunHeader,
)

__all__ = [
    "PAGE_BYTES",
    "PAGE_PARTS",
    "DumpSource",
    "NextThread",
    "ThreadAt",
    "Verbs",
    "as_of",
    "dump_page",
    "place_behind",
    "place_id",
]

PAGE_PARTS: Final = 256
PAGE_BYTES: Final = 1 << 20

Phase: TypeAlias = Literal["runs", "entries", "events", "logs"]
_FOLLOWING: Final[dict[Phase, Phase]] = {"runs": "entries", "entries": "events", "events": "logs"}


class ThreadAt(msgspec.Struct, frozen=True, array_like=True):
    """A thread as its run with ordinal ``runs`` left it. That run's key tells it from a later one of its id.

    ``row`` is what a store finds it by, if that is not the id.
    """

    id: str
    owner: str | None
    runs: int
    head_key: str
    row: int = 0


class NextThread(msgspec.Struct, frozen=True):
    """A thread, and the place behind it. ``at`` is ``None`` when it has no sealed run."""

    thread: DumpedThread
    at: ThreadAt | None
    place: bytes


def place_behind(thread_id: str) -> bytes:
    """Return the place behind a thread where threads come by their ids."""
    return b":" + thread_id.encode("utf-8", "surrogatepass")


def place_id(place: bytes) -> str | None:
    """Return the id that a place is behind, ``None`` at the beginning."""
    return place[1:].decode("utf-8", "surrogatepass") if place else None


def as_of(entries: Iterable[Entry], runs: int) -> list[Entry]:
    """Return the entries of the runs up to an ordinal; what later ones have hidden is shown again."""
    return [
        msgspec.structs.replace(entry, hidden_at=None) if (entry.hidden_at or 0) > runs else entry
        for entry in entries
        if entry.shown_from <= runs
    ]


class DumpSource(Protocol):
    """What a store has to answer; up to 256 things or 1 MiB at a time, or one larger thing."""

    async def next_thread(self, place: bytes) -> NextThread | None:
        """Return the first thread behind a place, ``b""`` being the beginning. Raises ``ValueError``."""
        ...

    async def dumped_runs(self, thread: ThreadAt, after: int) -> list[DumpedRun]:
        """Return runs with an ordinal above ``after`` and up to ``thread.runs``, oldest first."""
        ...

    async def dumped_entries(self, thread: ThreadAt, after: int) -> tuple[list[Entry], int | None]:
        """Return entries shown up to ``thread.runs``, and where the next ones begin (``None``: no more).

        Hidings by later runs are undone.
        """
        ...

    async def dumped_events(self, thread: ThreadAt, after: int) -> list[RunEvents]:
        """Return runs with compacted events, as ``dumped_runs`` and whole."""
        ...

    async def next_log(self, thread: ThreadAt, after: int) -> tuple[int, str] | None:
        """Return ordinal and key of the next run whose log is kept."""
        ...


class Verbs(Protocol):
    """What a dump needs of the store itself."""

    async def run(self, owner: str | None, thread_id: str, run_key: str) -> RunHeader | None:
        """As in ``Store``."""
        ...

    async def read(self, thread_id: str, run_key: str, after: int, wait: float) -> LogPage:
        """As in ``Store``."""
        ...


class _Cursor(msgspec.Struct, array_like=True):
    """Where a dump stands: behind a place, or in the middle of a thread."""

    place: bytes
    thread: ThreadAt | None = None
    phase: Phase = "runs"
    after: int = 0
    log: tuple[int, str] | None = None

    def move_on(self) -> None:
        """Go to the next kind of thing of the thread, or leave it."""
        self.after = 0
        if self.phase in _FOLLOWING:
            self.phase = _FOLLOWING[self.phase]
        else:
            self.thread, self.phase = None, "runs"


@dataclass(slots=True)
class _Page:
    """What was dumped so far, and of the thread at hand what is not yet known to belong together."""

    parts: list[DumpPart] = field(default_factory=list[DumpPart])
    fresh: list[DumpPart] = field(default_factory=list[DumpPart])
    count: int = 0
    size: int = 0

    @property
    def full(self) -> bool:
        return self.count >= PAGE_PARTS or self.size >= PAGE_BYTES

    def add(self, part: DumpPart, *payloads: bytes | None) -> None:
        self.fresh.append(part)
        self.count += 1
        self.size += sum(len(payload) for payload in payloads if payload is not None)

    def settle(self, *, gone: str | None = None) -> None:
        """Keep what is fresh, or say that the thread it is from is gone."""
        begun_before = not any(isinstance(part, DumpedThread) for part in self.fresh)
        if gone is None:
            self.parts += self.fresh
        elif begun_before:
            self.parts.append(DumpedGone(gone))
        self.fresh.clear()


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Cursor).decode


async def dump_page(store: Verbs, source: DumpSource, after: bytes | None) -> DumpPage:
    """Return the page of ``store`` behind ``after``; see ``Store.dump``."""
    try:
        cursor = _Cursor(b"") if after is None else _decode(after)
    except msgspec.MsgspecError:
        raise ValueError("this is no place in a dump") from None
    page = _Page()
    while not page.full:
        if cursor.thread is None:
            found = await source.next_thread(cursor.place)
            if found is None:
                return DumpPage(parts=page.parts, next=None)
            page.add(found.thread, found.thread.digest)
            cursor = _Cursor(found.place, found.at)
        thread = cursor.thread
        while cursor.thread is not None and not page.full:
            await _step(store, source, cursor, page)
        await _settle(store, thread, cursor, page)
    return DumpPage(parts=page.parts, next=_encode(cursor))


async def _settle(store: Verbs, thread: ThreadAt | None, cursor: _Cursor, page: _Page) -> None:
    # Keys of runs are never used again: if the thread is there now, it was there all the time.
    if thread is None or await store.run(thread.owner, thread.id, thread.head_key) is not None:
        page.settle()
    else:
        page.settle(gone=thread.id)
        cursor.thread, cursor.phase, cursor.after, cursor.log = None, "runs", 0, None


async def _step(store: Verbs, source: DumpSource, cursor: _Cursor, page: _Page) -> None:
    """Add the next few things of the thread at hand to the page."""
    thread = cursor.thread
    if thread is None:
        return
    match cursor.phase:
        case "runs":
            runs = await source.dumped_runs(thread, cursor.after)
            for run in runs:
                header = run.header
                page.add(run, header.terminal, header.record, header.pending, run.state)
                cursor.after = header.ordinal
            if not runs or cursor.after >= thread.runs:
                cursor.move_on()
        case "entries":
            entries, following = await source.dumped_entries(thread, cursor.after)
            for entry in entries:
                page.add(entry, entry.data)
            if following is None:
                cursor.move_on()
            else:
                cursor.after = following
        case "events":
            await _events_step(source, cursor, thread, page)
        case "logs":
            await _log_step(store, source, cursor, page)


async def _events_step(source: DumpSource, cursor: _Cursor, thread: ThreadAt, page: _Page) -> None:
    found = await source.dumped_events(thread, cursor.after)
    for one in found:
        part = DumpedEvents(run_key=one.run_key, raw=False, first=1, events=one.events)
        page.add(part, *one.events)
        cursor.after = one.ordinal
    if not found or cursor.after >= thread.runs:
        cursor.move_on()


async def _log_step(store: Verbs, source: DumpSource, cursor: _Cursor, page: _Page) -> None:
    thread = cursor.thread
    if thread is None:
        return
    if cursor.log is None:
        cursor.log = await source.next_log(thread, cursor.after)
        cursor.after = 0
        if cursor.log is None:
            cursor.move_on()
            return
    ordinal, run_key = cursor.log
    log = await store.read(thread.id, run_key, cursor.after, 0)
    if log.events:
        part = DumpedEvents(run_key=run_key, raw=True, first=cursor.after + 1, events=log.events)
        page.add(part, *log.events)
        cursor.after += len(log.events)
    if log.ended or not log.events:
        cursor.after, cursor.log = ordinal, None
