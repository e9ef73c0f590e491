"""Reading runs and threads on a read-only connection, each answer from one snapshot."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from jumpseat.stores.base import History, Live, Located, LogPage, Run, RunEvents, RunHeader
from jumpseat.stores.sqlite.holder import Holder
from jumpseat.stores.sqlite.records import ROWS
from jumpseat.stores.sqlite.session import is_expired
from jumpseat.stores.sqlite.views import find_entries, last_position, shown_entries

__all__ = ["Look", "events", "expired", "find", "header", "headers", "history", "live", "locate", "look"]

PAGE_EVENTS = 256
PAGE_BYTES = 1 << 20
PROCESS_CHECK_SECONDS = 1.0

_events = msgspec.msgpack.Decoder(list[bytes]).decode

_RUN = """
SELECT r.rid, r.sealed_at IS NOT NULL, r.raw, r.last_seq, r.holder, r.expires
FROM runs r JOIN threads t ON t.tid = r.tid WHERE r.run_key = ? AND t.id = ?
"""
_LOG = """
SELECT last, data FROM log WHERE run = ?1 AND last > ?2
UNION ALL SELECT last, data FROM arrivals WHERE run = ?1 AND last > ?2 ORDER BY last
"""
_LAST_SEQ = """
max(coalesce((SELECT max(last) FROM log WHERE run = r.rid), 0),
    coalesce((SELECT max(last) FROM arrivals WHERE run = r.rid), 0))
"""
_LIVE = f"""
SELECT r.run_key, r.epoch, r.run_id, r.agent_id, r.ordinal, {_LAST_SEQ}, r.stop_reason, r.holder, r.expires
FROM runs r WHERE r.tid = ? AND r.status = 'live'
"""  # noqa: S608
_HEADER = f"""
SELECT r.run_key, r.run_id, r.agent_id, r.ordinal, r.status, r.parent,
       CASE WHEN r.sealed_at IS NULL THEN {_LAST_SEQ} ELSE r.last_seq END,
       r.raw, r.created_at, r.sealed_at, o.terminal, o.record, o.pending
FROM runs r LEFT JOIN outcomes o ON o.rid = r.rid
"""  # noqa: S608
_HEADER_AT = _HEADER + "WHERE r.tid = ? AND r.ordinal = ?"
_HEADER_OF = _HEADER + "WHERE r.tid = ? AND r.run_key = ?"
_HEADER_FOUND = _HEADER + "WHERE r.tid = ? AND r.run_id = ? ORDER BY r.ordinal DESC LIMIT 1"
_HEADERS = _HEADER + "WHERE r.tid = ? AND r.ordinal > ? ORDER BY r.ordinal LIMIT ?"
_THREAD = "SELECT tid, owner, version, digest, run_count, head FROM threads WHERE id = ?"
_STATE = "SELECT state FROM states WHERE tid = ?"
_STATE_AT = """
SELECT o.state FROM runs r JOIN outcomes o ON o.rid = r.rid WHERE r.tid = ? AND r.ordinal = ?
"""
_EVENTS = """
SELECT r.run_key, r.ordinal, o.compacted FROM runs r JOIN outcomes o ON o.rid = r.rid
WHERE r.tid = ? AND r.ordinal > ? AND o.compacted IS NOT NULL ORDER BY r.ordinal
"""
_EVENTS_NEWEST = """
SELECT r.run_key, r.ordinal, o.compacted FROM runs r JOIN outcomes o ON o.rid = r.rid
WHERE r.tid = ? AND r.ordinal < ? AND o.compacted IS NOT NULL ORDER BY r.ordinal DESC
"""
_HOLDERS = "SELECT DISTINCT holder FROM runs WHERE sealed_at IS NULL"
_EXPIRED = """
SELECT t.id, r.run_key, r.epoch FROM runs r JOIN threads t ON t.tid = r.tid
WHERE r.sealed_at IS NULL AND r.expires <= ? ORDER BY r.expires LIMIT ?
"""
_ABANDONED = """
SELECT t.id, r.run_key, r.epoch FROM runs r JOIN threads t ON t.tid = r.tid
WHERE r.sealed_at IS NULL AND r.holder = ? AND r.expires > ? LIMIT ?
"""


def _now() -> int:
    return int(time.time() * 1000)


@contextmanager
def _snapshot(connection: sqlite3.Connection) -> Generator[None]:
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.rollback()


def _owned(connection: sqlite3.Connection, owner: str | None, thread_id: str) -> tuple[Any, ...] | None:
    row = connection.execute(_THREAD, (thread_id,)).fetchone()
    return row if row is not None and row[1] == owner else None


@dataclass(frozen=True, slots=True)
class Look:
    """A page, and in how many seconds an empty one may be outdated without any commit (``None``: never)."""

    page: LogPage
    recheck: float | None = None


def look(connection: sqlite3.Connection, holder: Holder, thread_id: str, run_key: str, after: int) -> Look:
    """Return what the log holds behind ``after`` now."""
    with _snapshot(connection):
        row = connection.execute(_RUN, (run_key, thread_id)).fetchone()
        if row is None:
            return Look(LogPage(events=[], gone=True))
        rid, sealed, raw, last_seq, held_by, expires = row
        if sealed and after >= last_seq:
            return Look(LogPage(events=[], ended=True))
        if raw != 1:
            return Look(LogPage(events=[], gone=True))
        stored = _page(connection, rid, after)
    if stored:
        return Look(LogPage(events=stored, ended=bool(sealed) and after + len(stored) >= last_seq))
    now = _now()
    if is_expired(holder, expires, held_by, now):
        return Look(LogPage(events=[], expired=True))
    recheck = (expires - now) / 1000 + 0.001
    if held_by != str(holder):
        recheck = min(recheck, PROCESS_CHECK_SECONDS)
    return Look(LogPage(events=[]), recheck)


def _page(connection: sqlite3.Connection, rid: int, after: int) -> list[bytes]:
    """Return what fits on one page of the events behind ``after``."""
    page: list[bytes] = []
    size = 0
    cursor = connection.execute(_LOG, (rid, after))
    for last, data in cursor:
        batch = _events(data)
        stored = last - len(batch)
        expected = after + len(page)
        for event in batch[expected - stored :] if stored < expected else batch:
            size += len(event)
            if page and (size > PAGE_BYTES or len(page) >= PAGE_EVENTS):
                cursor.close()
                return page
            page.append(event)
    return page


def _live(connection: sqlite3.Connection, holder: Holder, thread_id: str, tid: int) -> Live | None:
    row = connection.execute(_LIVE, (tid,)).fetchone()
    if row is None:
        return None
    return Live(
        run=Run(thread_id, row[0], row[1]),
        run_id=row[2],
        agent_id=row[3],
        ordinal=row[4],
        last_seq=row[5],
        stopping=row[6] is not None,
        expired=is_expired(holder, row[8], row[7], _now()),
        stop_reason=row[6],
    )


def run_header(row: tuple[Any, ...] | None) -> RunHeader | None:
    """Read the columns of a run's header."""
    return None if row is None else ROWS.header(row)


def live(connection: sqlite3.Connection, holder: Holder, owner: str | None, thread_id: str) -> Live | None:
    """Return the thread's live run."""
    with _snapshot(connection):
        thread = _owned(connection, owner, thread_id)
        return _live(connection, holder, thread_id, thread[0]) if thread else None


def locate(connection: sqlite3.Connection, owner: str | None, thread_id: str, keys: Sequence[str]) -> Located:
    """Find visible entries by key or alias."""
    with _snapshot(connection):
        thread = connection.execute(_THREAD, (thread_id,)).fetchone()
        if thread is None or thread[1] != owner:
            return Located(foreign=thread is not None)
        return Located(
            version=thread[2],
            digest=thread[3],
            last_position=last_position(connection, thread[0]),
            runs=thread[4],
            found=find_entries(connection, thread[0], keys),
        )


def history(
    connection: sqlite3.Connection, holder: Holder, owner: str | None, thread_id: str, at: int | None
) -> History | None:
    """Return one consistent picture of a thread."""
    with _snapshot(connection):
        thread = _owned(connection, owner, thread_id)
        if thread is None:
            return None
        tid, _, version, _, _, newest = thread
        if at is None:
            state = connection.execute(_STATE, (tid,)).fetchone()
        else:
            state = connection.execute(_STATE_AT, (tid, at)).fetchone()
        head = connection.execute(_HEADER_AT, (tid, newest if at is None else at)).fetchone()
        return History(
            entries=shown_entries(connection, tid, at),
            state=state[0] if state else None,
            head=run_header(head),
            live=_live(connection, holder, thread_id, tid) if at is None else None,
            version=version,
        )


def header(
    connection: sqlite3.Connection, owner: str | None, thread_id: str, run_key: str
) -> RunHeader | None:
    """Return the header of one run."""
    with _snapshot(connection):
        thread = _owned(connection, owner, thread_id)
        return run_header(connection.execute(_HEADER_OF, (thread[0], run_key)).fetchone()) if thread else None


def find(connection: sqlite3.Connection, owner: str | None, thread_id: str, run_id: str) -> RunHeader | None:
    """Return the newest run that has this id."""
    with _snapshot(connection):
        thread = _owned(connection, owner, thread_id)
        if thread is None:
            return None
        return run_header(connection.execute(_HEADER_FOUND, (thread[0], run_id)).fetchone())


def headers(
    connection: sqlite3.Connection, owner: str | None, thread_id: str, after: int, limit: int
) -> list[RunHeader]:
    """Return run headers above an ordinal, oldest first."""
    with _snapshot(connection):
        thread = _owned(connection, owner, thread_id)
        rows = connection.execute(_HEADERS, (thread[0], after, limit)).fetchall() if thread else []
    return [header for header in map(run_header, rows) if header is not None]


def events(
    connection: sqlite3.Connection,
    owner: str | None,
    thread_id: str,
    after: int,
    limit: int,
    *,
    newest: bool,
) -> list[RunEvents]:
    """Return compacted events of whole runs until ``limit`` is reached."""
    found: list[RunEvents] = []
    count = 0
    with _snapshot(connection):
        thread = _owned(connection, owner, thread_id)
        if thread is None:
            return []
        bound = thread[4] + 1 if newest and after <= 0 else after
        cursor = connection.execute(_EVENTS_NEWEST if newest else _EVENTS, (thread[0], bound))
        while count < limit and (row := cursor.fetchone()) is not None:
            found.append(RunEvents(run_key=row[0], ordinal=row[1], events=_events(row[2])))
            count += len(found[-1].events)
        cursor.close()
    return found


def expired(connection: sqlite3.Connection, holder: Holder, limit: int) -> list[Run]:
    """Return unsealed runs past their lease, or whose process is gone."""
    now = _now()
    with _snapshot(connection):
        rows = connection.execute(_EXPIRED, (now, limit)).fetchall()
        for (held_by,) in connection.execute(_HOLDERS).fetchall():
            if len(rows) < limit and holder.is_gone(held_by):
                rows += connection.execute(_ABANDONED, (held_by, now, limit - len(rows))).fetchall()
    return [Run(*row) for row in rows]
