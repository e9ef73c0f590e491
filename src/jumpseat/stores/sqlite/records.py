"""Thread records: listing and reading them, and the changes and deletions the writer makes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Final

from jumpseat.stores.base import ThreadChange, ThreadRecord
from jumpseat.stores.rows import Row, Rows
from jumpseat.stores.sqlite.session import Session

__all__ = ["ROWS", "clear", "delete", "get", "page", "update"]

MARK_MILLISECONDS = 3_600_000

_COLUMNS = "id, name, agent_id, owner, archived, created_at, updated_at, last_run_at, renamed"
_GET = f"SELECT {_COLUMNS} FROM threads WHERE id = ? AND owner IS ?"  # noqa: S608
_LIST = f"SELECT {_COLUMNS} FROM threads WHERE owner IS :owner"  # noqa: S608
_OF_AGENT = " AND agent_id = :agent_id"
_ACTIVE = " AND archived = 0"
_BEHIND = " AND (last_run_at, id) < (:time, :id)"
_ORDER = " ORDER BY last_run_at DESC, id DESC LIMIT :limit"
_UPDATE = """
UPDATE threads SET name = ?, renamed = ?, archived = ?,
    updated_at = CASE WHEN ?4 THEN max(updated_at, ?5) ELSE updated_at END,
    active_at = CASE WHEN ?4 THEN max(active_at, ?5) ELSE active_at END
WHERE id = ?6 AND owner IS ?7
"""
# The threads that a deletion is about, for statements that must not cost more by the thread.
_ONE = "(SELECT tid FROM threads WHERE id = :id AND owner IS :owner)"
_ALL = "(SELECT tid FROM threads WHERE owner IS :owner)"
_IDS = "SELECT id FROM threads WHERE tid IN {threads}"
_MARKED = "SELECT 1 FROM marks WHERE thread_id = ? AND owner IS ? AND expires > ?"
_FORGET_MARKS = "DELETE FROM marks WHERE expires <= ?"
_FORGET_REVOKED = "DELETE FROM revoked WHERE expires <= ?"
_WITH_READERS = "SELECT run_key FROM runs WHERE tid IN {threads} AND raw > 0"
_DELETIONS = (
    """INSERT OR REPLACE INTO revoked (run_key, thread_id, run_id, epoch, expires)
       SELECT r.run_key, t.id, r.run_id, r.epoch + 1, :until FROM runs r JOIN threads t ON t.tid = r.tid
       WHERE r.tid IN {threads} AND r.sealed_at IS NULL""",
    """INSERT OR REPLACE INTO marks (thread_id, owner, version, expires)
       SELECT id, owner, version, :until FROM threads WHERE tid IN {threads}""",
    "DELETE FROM log WHERE run IN (SELECT rid FROM runs WHERE tid IN {threads} AND raw > 0)",
    "DELETE FROM arrivals WHERE run IN (SELECT rid FROM runs WHERE tid IN {threads} AND raw > 0)",
    "DELETE FROM inputs WHERE rid IN (SELECT rid FROM runs WHERE tid IN {threads} AND sealed_at IS NULL)",
    "DELETE FROM outcomes WHERE rid IN (SELECT rid FROM runs WHERE tid IN {threads})",
    "DELETE FROM runs WHERE tid IN {threads}",
    "DELETE FROM entries WHERE tid IN {threads} AND hidden_at IS NULL",
    "DELETE FROM entries WHERE tid IN {threads} AND hidden_at IS NOT NULL",
    "DELETE FROM states WHERE tid IN {threads}",
    "DELETE FROM threads WHERE tid IN {threads}",
)


def _same(kept: Any) -> Any:
    return kept


ROWS: Final = Rows(text=_same, owner=_same)


def _record(row: Row | None) -> ThreadRecord | None:
    return None if row is None else ROWS.record(row)


def get(connection: sqlite3.Connection, owner: str | None, thread_id: str) -> ThreadRecord | None:
    """Return one record."""
    return _record(connection.execute(_GET, (thread_id, owner)).fetchone())


def page(
    connection: sqlite3.Connection,
    owner: str | None,
    *,
    agent_id: str | None,
    archived: bool,
    limit: int,
    after: tuple[int, str] | None,
) -> list[ThreadRecord]:
    """Return up to ``limit`` records, newest first, strictly behind ``after``."""
    query = _LIST
    values: dict[str, Any] = {"owner": owner, "limit": limit}
    if agent_id is not None:
        query += _OF_AGENT
        values["agent_id"] = agent_id
    if not archived:
        query += _ACTIVE
    if after is not None:
        query += _BEHIND
        values["time"], values["id"] = after
    rows = connection.execute(query + _ORDER, values).fetchall()
    return [record for record in map(_record, rows) if record is not None]


def update(
    owner: str | None, thread_id: str, change: ThreadChange
) -> Callable[[Session], ThreadRecord | None]:
    """Return the change of a record."""

    def work(session: Session) -> ThreadRecord | None:
        old = get(session.connection, owner, thread_id)
        if old is None:
            return None
        name, renamed = old.name, old.renamed
        if change.set_name and not (change.automatic and old.renamed):
            name, renamed = change.name, old.renamed or not change.automatic
        archived = old.archived if change.archived is None else change.archived
        moved = (name, archived) != (old.name, old.archived)
        if not moved and renamed == old.renamed:
            return old
        row = (name, renamed, archived, moved, session.now(), thread_id, owner)
        session.execute(_UPDATE, row)
        return get(session.connection, owner, thread_id)

    return work


def delete(owner: str | None, thread_id: str) -> Callable[[Session], bool]:
    """Return the change that removes a thread."""

    def work(session: Session) -> bool:
        if _delete(session, _ONE, {"id": thread_id, "owner": owner}):
            return True
        return session.execute(_MARKED, (thread_id, owner, session.now())).fetchone() is not None

    return work


def clear(owner: str | None) -> Callable[[Session], list[str]]:
    """Return the change that removes all threads of an owner."""
    return lambda session: _delete(session, _ALL, {"owner": owner})


def _delete(session: Session, threads: str, values: dict[str, Any]) -> list[str]:
    """Remove the threads that a query selects, with all that is theirs, and return their ids."""
    ids = [thread_id for (thread_id,) in session.execute(_IDS.format(threads=threads), values)]
    if not ids:
        return ids
    now = session.now()
    session.execute(_FORGET_MARKS, (now,))
    session.execute(_FORGET_REVOKED, (now,))
    for (run_key,) in session.execute(_WITH_READERS.format(threads=threads), values):
        session.held.pop(run_key, None)
        session.touched.append(run_key)
    session.note_removal()
    for statement in _DELETIONS:
        session.execute(statement.format(threads=threads), values | {"until": now + MARK_MILLISECONDS})
    return ids
