"""Changing who runs: claim, take, extend, seal and stop, each inside the writer's transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from jumpseat.stores.base import (
    Busy,
    Claimed,
    ClaimResult,
    Foreign,
    Hold,
    Moved,
    NewRun,
    Plan,
    Queued,
    Run,
    Seal,
)
from jumpseat.stores.sqlite.appends import append_one
from jumpseat.stores.sqlite.session import Held, Session, is_expired
from jumpseat.stores.sqlite.views import apply_plan, last_position

__all__ = ["claim", "extend", "request_stop", "request_stop_all", "seal", "take"]

_pack = msgspec.msgpack.Encoder().encode

_THREAD = "SELECT tid, owner, version, run_count FROM threads WHERE id = ?"
_KNOWN = """
SELECT r.rid, r.tid, t.id, r.status, r.epoch, r.run_id, r.holder, r.expires, r.ordinal, r.stop_reason,
       r.sealed_at
FROM runs r JOIN threads t ON t.tid = r.tid WHERE r.run_key = ?
"""
_REVOKED = "SELECT run_id, epoch FROM revoked WHERE run_key = ?"
_OPEN = """
SELECT run_key, run_id, epoch, holder, expires, status FROM runs
WHERE tid = ? AND sealed_at IS NULL ORDER BY ordinal LIMIT ?
"""
_AHEAD = "SELECT count(*) FROM runs WHERE tid = ? AND sealed_at IS NULL AND ordinal < ?"
_NEW_THREAD = """
INSERT INTO threads (id, owner, agent_id, created_at, updated_at, last_run_at, active_at, version)
VALUES (?1, ?2, ?3, ?4, ?4, ?4, ?4, ?5)
"""
_UNMARK = "DELETE FROM marks WHERE thread_id = ? RETURNING version"
_NEW_RUN = """
INSERT INTO runs (tid, ordinal, run_key, run_id, agent_id, parent, status, epoch, holder, expires, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_COUNT_RUN = "UPDATE threads SET run_count = run_count + 1 WHERE tid = ?"
_KEEP_INPUT = "INSERT INTO inputs (rid, input) VALUES (?, ?)"
_PROMOTE = "UPDATE runs SET status = 'live', holder = ?, expires = ? WHERE rid = ?"
_STARTED = """
UPDATE threads SET version = version + 1, digest = ?2, last_run_at = max(last_run_at, ?3),
    updated_at = max(updated_at, ?3), active_at = max(active_at, ?3),
    name = CASE WHEN name IS NULL AND renamed = 0 THEN ?4 ELSE name END
WHERE tid = ?1
"""
_SET_STATE = """
INSERT INTO states (tid, state) VALUES (?, ?)
ON CONFLICT (tid) DO UPDATE SET state = excluded.state WHERE state <> excluded.state
"""
_NO_STATE = "DELETE FROM states WHERE tid = ?"
_CLAIMED = """
SELECT r.run_id, r.agent_id, t.owner, r.ordinal, r.stop_reason, s.state, o.pending, i.input
FROM runs r JOIN threads t ON t.tid = r.tid LEFT JOIN states s ON s.tid = r.tid
LEFT JOIN runs h ON h.tid = r.tid AND h.ordinal = t.head LEFT JOIN outcomes o ON o.rid = h.rid
LEFT JOIN inputs i ON i.rid = r.rid
WHERE r.rid = ?
"""
_LEASE = "SELECT holder, expires FROM runs WHERE rid = ?"
_TAKE = "UPDATE runs SET epoch = epoch + 1, holder = ?, expires = ? WHERE rid = ?"
_EXTEND = "UPDATE runs SET expires = ? WHERE rid = ?"
_SEAL_RUN = """
UPDATE runs SET status = ?, sealed_at = ?, last_seq = ?, holder = NULL WHERE rid = ?
"""
_OUTCOME = """
INSERT INTO outcomes (rid, pending, terminal, record, state, compacted) VALUES (?, ?, ?, ?, ?, ?)
"""
_DROP_INPUT = "DELETE FROM inputs WHERE rid = ?"
_SEALED = """
UPDATE threads SET version = version + 1, digest = ?2, head = max(head, ?3), active_at = max(active_at, ?4)
WHERE tid = ?1
"""
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


def claim(new: NewRun, lease: float, plan: Plan, first: bytes) -> Callable[[Session], ClaimResult]:
    """Return the change that makes ``new`` live, or queued."""

    def work(session: Session) -> ClaimResult:
        thread = session.execute(_THREAD, (new.thread_id,)).fetchone()
        if thread is not None and thread[1] != new.owner:
            return Foreign()
        known = session.execute(_KNOWN, (new.run_key,)).fetchone()
        if known is not None:
            return _promote(session, known, new, plan, first=first, lease=lease)
        revoked = session.execute(_REVOKED, (new.run_key,)).fetchone()
        if revoked is not None:
            return Busy(run=Run(new.thread_id, new.run_key, revoked[1]), run_id=revoked[0], expired=False)
        if thread is not None:
            waiting = session.execute(_OPEN, (thread[0], new.max_queued + 2)).fetchall()
            if waiting:
                return _enqueue(session, thread, waiting, new, lease)
        version = thread[2] if thread is not None else 0
        if plan.version is not None and plan.version != version:
            return Moved(version)
        created = thread is None
        if thread is None:
            tid, count = _new_thread(session, new), 0
        else:
            tid, count = thread[0], thread[3]
        rid = _new_run(session, new, tid=tid, ordinal=count + 1, status="live", lease=lease)
        held = Held(rid, new.thread_id, 1, False, True, 0, tid, count + 1)
        return _start(session, held, new, plan, first, created=created)

    return work


def _new_thread(session: Session, new: NewRun) -> int:
    marks = session.execute(_UNMARK, (new.thread_id,)).fetchall()
    now = session.now()
    # Begins at the clock or later, so that a plan for a deleted thread never fits its successor.
    version = max([now, *(version + 1 for (version,) in marks)])
    row = (new.thread_id, new.owner, new.agent_id, now, version)
    return session.execute(_NEW_THREAD, row).lastrowid or 0


def _new_run(session: Session, new: NewRun, *, tid: int, ordinal: int, status: str, lease: float) -> int:
    now = session.now()
    row = (
        tid,
        ordinal,
        new.run_key,
        new.run_id,
        new.agent_id,
        new.parent,
        status,
        1,
        session.holder_text,
        _expiry(now, lease),
        now,
    )
    session.execute(_COUNT_RUN, (tid,))
    return session.execute(_NEW_RUN, row).lastrowid or 0


def _expiry(now: int, lease: float) -> int:
    return now + int(lease * 1000)


def _enqueue(
    session: Session, thread: tuple[Any, ...], unsealed: list[tuple[Any, ...]], new: NewRun, lease: float
) -> ClaimResult:
    waiting = sum(row[5] == "queued" for row in unsealed)
    if not new.queue or waiting >= new.max_queued:
        key, run_id, epoch, held_by, expires, _ = unsealed[0]
        expired = is_expired(session.holder, expires, held_by, session.now())
        return Busy(run=Run(new.thread_id, key, epoch), run_id=run_id, expired=expired)
    rid = _new_run(session, new, tid=thread[0], ordinal=thread[3] + 1, status="queued", lease=lease)
    if new.input is not None:
        session.execute(_KEEP_INPUT, (rid, new.input))
    return Queued(run=Run(new.thread_id, new.run_key, 1), ahead=len(unsealed))


def _promote(
    session: Session, known: tuple[Any, ...], new: NewRun, plan: Plan, *, first: bytes, lease: float
) -> ClaimResult:
    rid, tid, thread_id, status, epoch, run_id, held_by, expires, ordinal, stop_reason, sealed_at = known
    if thread_id != new.thread_id:
        raise ValueError(f"run key {new.run_key!r} is used on another thread")
    run = Run(thread_id, new.run_key, epoch)
    now = session.now()
    if status != "queued" or epoch != new.epoch:
        expired = sealed_at is None and is_expired(session.holder, expires, held_by, now)
        return Busy(run=run, run_id=run_id, expired=expired)
    ahead = session.execute(_AHEAD, (tid, ordinal)).fetchone()[0]
    if ahead:
        return Queued(run=run, ahead=ahead, stop_reason=stop_reason)
    version = session.execute(_THREAD, (thread_id,)).fetchone()[2]
    if plan.version is not None and plan.version != version:
        return Moved(version)
    session.execute(_PROMOTE, (session.holder_text, _expiry(now, lease), rid))
    held = Held(rid, thread_id, epoch, stop_reason is not None, True, 0, tid, ordinal)
    return _start(session, held, new, plan, first, created=False)


def _start(session: Session, held: Held, new: NewRun, plan: Plan, first: bytes, *, created: bool) -> Claimed:
    """Begin a run that has no event yet."""
    session.held[new.run_key] = held
    tid = held.tid
    append_one(session, Run(new.thread_id, new.run_key, held.epoch), 1, [first])
    apply_plan(session.connection, tid, held.ordinal, plan)
    # A thread that was made for this run has all its times, and they are equal.
    moved_to = 0 if created else session.now()
    session.execute(_STARTED, (tid, plan.digest, moved_to, new.name))
    if new.state is not None:
        session.execute(_SET_STATE, (tid, new.state))
    session.touched.append(new.run_key)
    return _claimed(session, held, new.run_key, created=created)


def _claimed(session: Session, held: Held, run_key: str, *, created: bool = False) -> Claimed:
    row = session.execute(_CLAIMED, (held.rid,)).fetchone()
    return Claimed(
        run=Run(held.thread_id, run_key, held.epoch),
        run_id=row[0],
        agent_id=row[1],
        owner=row[2],
        ordinal=row[3],
        last_seq=held.last_seq,
        last_position=last_position(session.connection, held.tid),
        stop_reason=row[4],
        state=row[5],
        pending=row[6],
        input=row[7],
        created=created,
    )


def take(run: Run, lease: float, *, force: bool) -> Callable[[Session], Claimed | None]:
    """Return the change that takes a run over."""

    def work(session: Session) -> Claimed | None:
        held = session.lookup(run)
        if held is None:
            return None
        now = session.now()
        held_by, expires = session.execute(_LEASE, (held.rid,)).fetchone()
        if not force and not is_expired(session.holder, expires, held_by, now):
            return None
        session.execute(_TAKE, (session.holder_text, _expiry(now, lease), held.rid))
        held.epoch += 1
        session.touched.append(run.run_key)
        return _claimed(session, held, run.run_key)

    return work


def extend(run: Run, lease: float) -> Callable[[Session], Hold]:
    """Return the change that renews a lease."""

    def work(session: Session) -> Hold:
        held = session.lookup(run)
        if held is None:
            return Hold.LOST
        session.execute(_EXTEND, (_expiry(session.now(), lease), held.rid))
        return Hold.STOPPING if held.stopping else Hold.HELD

    return work


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
        session.execute(_DROP_INPUT, (held.rid,))
        apply_plan(session.connection, held.tid, held.ordinal, record.plan)
        session.execute(_SEALED, (held.tid, record.plan.digest, held.ordinal, now))
        if record.state is None:
            session.execute(_NO_STATE, (held.tid,))
        else:
            session.execute(_SET_STATE, (held.tid, record.state))
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
