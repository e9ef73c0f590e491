"""Loading a dumped thread: all of its rows in one change of the writer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from jumpseat.stores.base import DumpedEvents, DumpedRun, DumpedThread, Entry, Loaded, ThreadContents
from jumpseat.stores.contents import whole_runs
from jumpseat.stores.sqlite import records
from jumpseat.stores.sqlite.session import Session

__all__ = ["load"]

_pack = msgspec.msgpack.Encoder().encode

_PRESENT: Final = """
SELECT owner, EXISTS (SELECT 1 FROM runs r WHERE r.tid = t.tid AND sealed_at IS NULL) FROM threads t
WHERE id = ?
"""
_UNMARK: Final = "DELETE FROM marks WHERE thread_id = ? RETURNING version"
_THREAD: Final = """
INSERT INTO threads (id, owner, agent_id, name, renamed, archived, created_at, updated_at, last_run_at,
                     active_at, version, digest, run_count, head, trimmed)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?13, ?13, ?14)
"""
_RUN: Final = """
INSERT INTO runs (tid, ordinal, run_key, run_id, agent_id, parent, status, epoch, expires, created_at,
                  sealed_at, last_seq, raw)
VALUES (?, ?, ?, ?, ?, ?, ?, 1, 0, ?, ?, ?, ?)
"""
_OUTCOME: Final = "INSERT INTO outcomes (rid, pending, terminal, record, state) VALUES (?, ?, ?, ?, ?)"
_STATE: Final = "INSERT INTO states (tid, state) VALUES (?, ?)"
_ENTRY: Final = """
INSERT INTO entries (tid, position, shown_from, hidden_at, key, aliases, digest, data)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_NAME: Final = "INSERT OR IGNORE INTO names (tid, name, eid) VALUES (?, ?, ?)"
_COMPACTED: Final = """
INSERT INTO outcomes (rid, compacted) VALUES (?, ?)
ON CONFLICT (rid) DO UPDATE SET compacted = excluded.compacted
"""
_LOG: Final = "INSERT INTO log (run, last, data) VALUES (?, ?, ?)"


def load(contents: ThreadContents, *, replace: bool) -> Callable[[Session], Loaded]:
    """Return the change that stores a thread."""

    def work(session: Session) -> Loaded:
        thread = contents.thread
        present = session.execute(_PRESENT, (thread.record.id,)).fetchone()
        if present is not None:
            owner, busy = present
            if not replace or busy:
                return Loaded.BUSY if replace else Loaded.EXISTS
            records.delete(owner, thread.record.id)(session)
        rows = _Rows(session, _thread(session, thread), thread.runs)
        for part in whole_runs(contents):
            rows.add(part)
        return Loaded.LOADED if present is None else Loaded.REPLACED

    return work


def _thread(session: Session, thread: DumpedThread) -> int:
    record = thread.record
    marks = session.execute(_UNMARK, (record.id,)).fetchall()
    # As of a new thread: a plan for one that was deleted never fits it.
    version = max([session.now(), *(version + 1 for (version,) in marks)])
    row = (
        record.id,
        record.owner,
        record.agent_id,
        record.name,
        record.renamed,
        record.archived,
        record.created_at,
        record.updated_at,
        record.last_run_at,
        thread.active_at,
        version,
        thread.digest,
        thread.runs,
        thread.trimmed,
    )
    return session.execute(_THREAD, row).lastrowid or 0


class _Rows:
    """Writes the rows of one thread."""

    def __init__(self, session: Session, tid: int, runs: int) -> None:
        self._execute = session.execute
        self._tid = tid
        self._head = runs
        self._rids: dict[str, int] = {}

    def add(self, part: DumpedRun | Entry | DumpedEvents) -> None:
        """Write one part."""
        match part:
            case DumpedRun():
                self._add_run(part)
            case Entry():
                self._add_entry(part)
            case DumpedEvents() if part.raw:
                last = part.first + len(part.events) - 1
                self._execute(_LOG, (self._rids[part.run_key], last, _pack(part.events)))
            case DumpedEvents():
                self._execute(_COMPACTED, (self._rids[part.run_key], _pack(part.events)))

    def _add_run(self, run: DumpedRun) -> None:
        one = run.header
        row = (
            self._tid,
            one.ordinal,
            one.run_key,
            one.run_id,
            one.agent_id,
            one.parent,
            one.status,
            one.created_at,
            one.sealed_at,
            one.last_seq,
            one.raw,
        )
        rid = self._execute(_RUN, row).lastrowid or 0
        self._rids[one.run_key] = rid
        if any(kept is not None for kept in (one.pending, one.terminal, one.record, run.state)):
            self._execute(_OUTCOME, (rid, one.pending, one.terminal, one.record, run.state))
        if one.ordinal == self._head and run.state is not None:
            self._execute(_STATE, (self._tid, run.state))

    def _add_entry(self, entry: Entry) -> None:
        values: tuple[Any, ...] = (
            self._tid,
            entry.position,
            entry.shown_from,
            entry.hidden_at,
            entry.key,
            _pack(entry.aliases),
            entry.digest,
            entry.data,
        )
        eid = self._execute(_ENTRY, values).lastrowid
        if entry.hidden_at is None:
            for name in entry.aliases:
                self._execute(_NAME, (self._tid, name, eid))
