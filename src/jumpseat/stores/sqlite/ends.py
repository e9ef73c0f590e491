"""Ending runs: seal, and the flags of those who ask for it, each inside the writer's transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from jumpseat.stores.base import Run, Seal
from jumpseat.stores.sqlite.appends import append_one
from jumpseat.stores.sqlite.session import Session
from jumpseat.stores.sqlite.views import apply_plan, set_state

__all__ = ["request_stop", "request_stop_all", "seal"]

_pack = msgspec.msgpack.Encoder().encode

_SEAL_RUN = """
UPDATE runs SET status = ?, sealed_at = ?, last_seq = ?, holder = NULL WHERE rid = ?
"""
_OUTCOME = """
INSERT INTO outcomes (rid, pending, terminal, record, state, compacted) VALUES (?, ?, ?, ?, ?, ?)
"""
_SEALED = """
UPDATE threads SET version = version + 1, digest = ?2, head = max(head, ?3), active_at = max(active_at, ?4)
WHERE tid = ?1
"""
_NO_STATE = "DELETE FROM states WHERE tid = ?"
_OWNED = "SELECT tid FROM threads WHERE id = ? AND owner IS ?"
_STOP = """
UPDATE runs SET stop_reason = ?
WHERE tid = ? AND sealed_at IS NULL AND stop_reason IS NULL AND (?3 IS NULL OR run_id = ?3)
RETURNING run_key, epoch, ordinal
"""
_STOP_ALL = """
UPDATE runs SET stop_reason = :reason
WHERE sealed_at IS NULL AND stop_reason IS NULL AND tid IN (SELECT tid FROM threads WHERE owner IS :owner)
RETURNING run_key, epoch, ordinal, (SELECT id FROM threads t WHERE t.tid = runs.tid)
"""


def seal(run: Run, record: Seal) -> Callable[[Session], None]:
    """Return the change that ends a run and frees its thread."""
    compacted = _pack(record.compacted)

    def work(session: Session) -> None:
        held = append_one(session, run, record.first_seq, record.events)
        now = session.now()
        row = (record.status, now, held.last_seq, held.rid)
        session.execute(_SEAL_RUN, row)
        row = (held.rid, record.pending, record.terminal, record.record, record.state, compacted)
        session.execute(_OUTCOME, row)
        apply_plan(session.connection, held.tid, held.ordinal, record.plan)
        session.execute(_SEALED, (held.tid, record.plan.digest, held.ordinal, now))
        if record.state is None:
            session.execute(_NO_STATE, (held.tid,))
        else:
            set_state(session.connection, held.tid, record.state)
        del session.held[run.run_key]
        session.touched.append(run.run_key)

    return work


def request_stop(
    owner: str | None, thread_id: str, run_id: str | None, reason: str
) -> Callable[[Session], list[Run] | None]:
    """Return the change that flags what ``run_id`` covers."""

    def work(session: Session) -> list[Run] | None:
        thread = session.execute(_OWNED, (thread_id, owner)).fetchone()
        if thread is None:
            return None
        rows = session.execute(_STOP, (reason, thread[0], run_id)).fetchall()
        return _flagged(session, [(*row, thread_id) for row in rows])

    return work


def request_stop_all(owner: str | None, reason: str) -> Callable[[Session], list[Run]]:
    """Return the change that flags every live and queued run of an owner."""

    def work(session: Session) -> list[Run]:
        return _flagged(session, session.execute(_STOP_ALL, {"reason": reason, "owner": owner}).fetchall())

    return work


def _flagged(session: Session, rows: list[tuple[Any, ...]]) -> list[Run]:
    for key, *_ in rows:
        if key in session.held:
            session.held[key].stopping = True
    rows.sort(key=lambda row: (row[3], row[2]))
    return [Run(thread_id, key, epoch) for key, epoch, _, thread_id in rows]
