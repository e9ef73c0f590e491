"""What a thread shows: applying plans, finding entries, reading a view."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from jumpseat.stores.base import Addition, Entry, Found, Plan

__all__ = ["apply_plan", "find_entries", "last_position", "set_state", "shown_entries"]

_SIZES = (1, 8, 64, 512)
_pack = msgspec.msgpack.Encoder().encode
_aliases = msgspec.msgpack.Decoder(tuple[str, ...]).decode
_NO_ALIASES = _pack(())

_LAST = "SELECT max(position) FROM entries WHERE tid = ? AND hidden_at IS NULL"
_FIRST_LOOSE = """
SELECT position FROM entries
WHERE tid = ? AND hidden_at IS NULL AND position > ? AND digest <> x'' ORDER BY position LIMIT 1
"""
_DROP_BEHIND = "DELETE FROM entries WHERE tid = ? AND hidden_at IS NULL AND position >= ? AND shown_from = ?"
_HIDE_BEHIND = "UPDATE entries SET hidden_at = ? WHERE tid = ? AND hidden_at IS NULL AND position >= ?"
_DROP_AT = "DELETE FROM entries WHERE tid = ? AND hidden_at IS NULL AND position = ? AND shown_from = ?"
_HIDE_AT = "UPDATE entries SET hidden_at = ? WHERE tid = ? AND hidden_at IS NULL AND position = ?"
_ADD = """
INSERT INTO entries (tid, position, shown_from, key, aliases, digest, data) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_NAME = "INSERT OR IGNORE INTO names (tid, name, eid) VALUES (?, ?, ?)"
_SET_STATE = """
INSERT INTO states (tid, state) VALUES (?, ?)
ON CONFLICT (tid) DO UPDATE SET state = excluded.state WHERE state <> excluded.state
"""
_COLUMNS = "position, key, aliases, digest, data, shown_from, hidden_at"
_SHOWN = f"SELECT {_COLUMNS} FROM entries WHERE tid = ? AND hidden_at IS NULL ORDER BY position"  # noqa: S608
_SHOWN_AT = f"""
SELECT {_COLUMNS} FROM entries WHERE tid = ?1 AND hidden_at IS NULL AND shown_from <= ?2
UNION ALL
SELECT {_COLUMNS} FROM entries WHERE tid = ?1 AND hidden_at > ?2 AND shown_from <= ?2
ORDER BY position
"""  # noqa: S608
_FIND = """
SELECT n.name, e.key, e.position, e.digest, e.shown_from,
       (SELECT max(p.position) FROM entries p
        WHERE p.tid = e.tid AND p.hidden_at IS NULL AND p.position < e.position),
       (SELECT min(p.position) FROM entries p
        WHERE p.tid = e.tid AND p.hidden_at IS NULL AND p.position > e.position)
FROM names n JOIN entries e ON e.eid = n.eid WHERE n.tid = ? AND n.name IN
"""
# Of several entries with one name the last row counts: one that has it as its key, else the one shown last.
_BEST_LAST = "ORDER BY n.name, e.key = n.name, n.eid"


def last_position(connection: sqlite3.Connection, tid: int) -> int:
    """Return the highest visible position, 0 when nothing is shown."""
    return connection.execute(_LAST, (tid,)).fetchone()[0] or 0


def apply_plan(
    connection: sqlite3.Connection, tid: int, ordinal: int, plan: Plan, last: int | None = None
) -> int:
    """Change what the thread shows from run ``ordinal`` on.

    Args:
        connection: In a transaction.
        tid: The thread.
        ordinal: The run that changes it.
        plan: The change.
        last: The highest visible position, if it is known.

    Returns the highest visible position then. Raises ``ValueError`` for a taken position.
    """
    if plan.hide_after is not None:
        _hide_behind(connection, tid, ordinal, plan.hide_after, attached_stay=plan.keep_attached)
    for position in plan.hide:
        connection.execute(_DROP_AT, (tid, position, ordinal))
        connection.execute(_HIDE_AT, (ordinal, tid, position))
    if last is None or plan.hide_after is not None or plan.hide:
        last = last_position(connection, tid)
    for addition in plan.add:
        if addition.position <= last:
            connection.execute(_DROP_AT, (tid, addition.position, ordinal))
        _add(connection, tid, ordinal, addition)
        last = max(last, addition.position)
    return last


def set_state(connection: sqlite3.Connection, tid: int, state: bytes) -> None:
    """Keep the thread's state."""
    connection.execute(_SET_STATE, (tid, state))


def _hide_behind(
    connection: sqlite3.Connection, tid: int, ordinal: int, after: int, *, attached_stay: bool
) -> None:
    first = after + 1
    if attached_stay:
        row = connection.execute(_FIRST_LOOSE, (tid, after)).fetchone()
        if row is None:
            return
        first = row[0]
    connection.execute(_DROP_BEHIND, (tid, first, ordinal))
    connection.execute(_HIDE_BEHIND, (ordinal, tid, first))


def _add(connection: sqlite3.Connection, tid: int, ordinal: int, addition: Addition) -> None:
    aliases = _pack(addition.aliases) if addition.aliases else _NO_ALIASES
    row = (tid, addition.position, ordinal, addition.key, aliases, addition.digest, addition.data)
    try:
        eid = connection.execute(_ADD, row).lastrowid
    except sqlite3.IntegrityError as error:
        raise ValueError(f"position {addition.position} already shows a message of an earlier run") from error
    for name in addition.aliases:
        connection.execute(_NAME, (tid, name, eid))


def shown_entries(connection: sqlite3.Connection, tid: int, at: int | None) -> list[Entry]:
    """Return the entries shown now, or after the run with ordinal ``at``, in order."""
    rows = connection.execute(_SHOWN, (tid,)) if at is None else connection.execute(_SHOWN_AT, (tid, at))
    return [
        Entry(
            position=row[0],
            key=row[1],
            aliases=_aliases(row[2]),
            digest=row[3],
            data=row[4],
            shown_from=row[5],
            hidden_at=row[6],
        )
        for row in rows
    ]


def find_entries(connection: sqlite3.Connection, tid: int, keys: Sequence[str]) -> dict[str, Found]:
    """Return, for each key or alias of a visible entry, that entry."""
    found: dict[str, Found] = {}
    for start in range(0, len(keys), _SIZES[-1]):
        chunk: list[Any] = list(keys[start : start + _SIZES[-1]])
        size = next(size for size in _SIZES if size >= len(chunk))
        chunk.extend([None] * (size - len(chunk)))
        for row in connection.execute(f"{_FIND} ({', '.join('?' * size)}) {_BEST_LAST}", (tid, *chunk)):
            found[row[0]] = Found(*row[1:])
    return found
