"""Reading threads of all owners for a dump, on a read-only connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

import msgspec

from jumpseat.stores.base import DumpedRun, DumpedThread, Entry, RunEvents
from jumpseat.stores.dumping import (
    PAGE_BYTES,
    PAGE_PARTS,
    NextThread,
    ThreadAt,
    as_of,
    place_behind,
    place_id,
)
from jumpseat.stores.sqlite.records import ROWS

__all__ = ["SqliteDump"]

_aliases = msgspec.msgpack.Decoder(tuple[str, ...]).decode
_events = msgspec.msgpack.Decoder(list[bytes]).decode
T = TypeVar("T")

_RECORD: Final = """
SELECT id, name, agent_id, owner, archived, created_at, updated_at, last_run_at, renamed,
       tid, active_at, head, trimmed, digest,
       (SELECT run_key FROM runs r WHERE r.tid = t.tid AND ordinal = head)
FROM threads t
"""
_FIRST: Final = _RECORD + "ORDER BY id LIMIT 1"
_NEXT: Final = _RECORD + "WHERE id > ? ORDER BY id LIMIT 1"
_OPEN: Final = "SELECT run_id, status FROM runs WHERE tid = ? AND sealed_at IS NULL ORDER BY ordinal"
_RUNS: Final = """
SELECT r.run_key, r.run_id, r.agent_id, r.ordinal, r.status, r.parent, r.last_seq, r.raw, r.created_at,
       r.sealed_at, o.terminal, o.record, o.pending, o.state
FROM runs r LEFT JOIN outcomes o ON o.rid = r.rid
WHERE r.tid = ? AND r.ordinal > ? AND r.ordinal <= ? ORDER BY r.ordinal
"""
# Either half reads an index alone: the rows are fetched for those that are taken.
_ENTRIES: Final = """
SELECT position, key, aliases, digest, data, shown_from, hidden_at, eid FROM entries WHERE eid IN (
    SELECT eid FROM entries WHERE tid = ?1 AND hidden_at IS NULL AND eid > ?2
    UNION ALL
    SELECT eid FROM entries WHERE tid = ?1 AND hidden_at IS NOT NULL AND eid > ?2
    ORDER BY 1 LIMIT ?3
) ORDER BY eid
"""
_EVENTS: Final = """
SELECT r.run_key, r.ordinal, o.compacted FROM runs r JOIN outcomes o ON o.rid = r.rid
WHERE r.tid = ? AND r.ordinal > ? AND r.ordinal <= ? AND o.compacted IS NOT NULL ORDER BY r.ordinal
"""
_LOG: Final = """
SELECT ordinal, run_key FROM runs WHERE tid = ? AND ordinal > ? AND ordinal <= ? AND raw = 1
ORDER BY ordinal LIMIT 1
"""


class SqliteDump:
    """Answers what a dump asks; ``query`` runs a function on a connection."""

    def __init__(self, query: Callable[..., Awaitable[Any]]) -> None:
        self._query = query

    async def next_thread(self, place: bytes) -> NextThread | None:
        """Return the thread with the next id."""
        return await self._query(_next_thread, place_id(place))

    async def dumped_runs(self, thread: ThreadAt, after: int) -> list[DumpedRun]:
        """Return sealed runs."""
        return await self._query(_runs, thread, after)

    async def dumped_entries(self, thread: ThreadAt, after: int) -> tuple[list[Entry], int | None]:
        """Return entries by row id, in which order they were added."""
        return await self._query(_entries, thread, after)

    async def dumped_events(self, thread: ThreadAt, after: int) -> list[RunEvents]:
        """Return runs with compacted events."""
        return await self._query(_compacted, thread, after)

    async def next_log(self, thread: ThreadAt, after: int) -> tuple[int, str] | None:
        """Return the next run with a log."""
        return await self._query(_next_log, thread, after)


def _next_thread(connection: sqlite3.Connection, last: str | None) -> NextThread | None:
    connection.execute("BEGIN")
    try:
        found = connection.execute(_FIRST) if last is None else connection.execute(_NEXT, (last,))
        row = found.fetchone()
        if row is None:
            return None
        record = ROWS.record(row)
        tid, active_at, head, trimmed, digest, head_key = row[9:]
        unsealed = connection.execute(_OPEN, (tid,)).fetchall()
    finally:
        connection.rollback()
    thread = DumpedThread(
        record=record,
        active_at=active_at,
        runs=head,
        trimmed=trimmed,
        digest=None if any(status == "live" for _, status in unsealed) else digest,
        left_out=tuple(run_id for run_id, _ in unsealed),
    )
    at = ThreadAt(record.id, record.owner, head, head_key, tid) if head else None
    return NextThread(thread, at, place_behind(record.id))


def _fitting(rows: Iterator[Sequence[Any]]) -> Iterator[Sequence[Any]]:
    """Yield rows as long as they fit on a page, at least one."""
    size = 0
    for count, row in enumerate(rows):
        size += sum(len(value) for value in row if isinstance(value, bytes))
        if count and (size > PAGE_BYTES or count >= PAGE_PARTS):
            return
        yield row


def _runs(connection: sqlite3.Connection, thread: ThreadAt, after: int) -> list[DumpedRun]:
    rows = connection.execute(_RUNS, (thread.row, after, thread.runs))
    found = [DumpedRun(header=ROWS.header(row), state=row[13]) for row in _fitting(rows)]
    rows.close()
    return found


def _entries(connection: sqlite3.Connection, thread: ThreadAt, after: int) -> tuple[list[Entry], int | None]:
    rows = connection.execute(_ENTRIES, (thread.row, after, PAGE_PARTS))
    entries: list[Entry] = []
    following: int | None = None
    for row in _fitting(rows):
        following = row[7]
        entries.append(ROWS.entry((*row[:2], _aliases(row[2]), *row[3:])))
    rows.close()
    return as_of(entries, thread.runs), following


def _compacted(connection: sqlite3.Connection, thread: ThreadAt, after: int) -> list[RunEvents]:
    rows = connection.execute(_EVENTS, (thread.row, after, thread.runs))
    found = [RunEvents(run_key=row[0], ordinal=row[1], events=_events(row[2])) for row in _fitting(rows)]
    rows.close()
    return found


def _next_log(connection: sqlite3.Connection, thread: ThreadAt, after: int) -> tuple[int, str] | None:
    return connection.execute(_LOG, (thread.row, after, thread.runs)).fetchone()
