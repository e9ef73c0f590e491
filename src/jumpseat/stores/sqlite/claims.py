"""Changing who runs: claim, take and extend, each inside the writer's transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

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
)
from jumpseat.stores.sqlite.appends import append_one
from jumpseat.stores.sqlite.session import Held, Session, is_expired
from jumpseat.stores.sqlite.views import apply_plan, last_position, set_state

__all__ = ["claim", "extend", "take"]

# All that decides about a new run, in one statement: a process that is short of time feels each of them.
# The stored state is read only for a run that gets it.
_SITUATION = """
SELECT t.tid, t.owner, t.version, t.run_count, r.rid, v.run_id, v.epoch, m.version, b.rid,
       CASE WHEN ?3 AND b.rid IS NULL THEN s.state END, o.pending,
       (SELECT max(position) FROM entries WHERE tid = t.tid AND hidden_at IS NULL)
FROM (SELECT ?1 AS id, ?2 AS run_key) new
LEFT JOIN threads t ON t.id = new.id
LEFT JOIN runs r ON r.run_key = new.run_key AND EXISTS (SELECT 1 FROM threads WHERE tid = r.tid)
LEFT JOIN revoked v ON v.run_key = new.run_key
LEFT JOIN marks m ON m.thread_id = new.id
LEFT JOIN runs b ON b.rid = (SELECT rid FROM runs WHERE tid = t.tid AND sealed_at IS NULL LIMIT 1)
LEFT JOIN states s ON s.tid = t.tid
LEFT JOIN runs h ON h.tid = t.tid AND h.ordinal = t.head
LEFT JOIN outcomes o ON o.rid = h.rid
"""
_VERSION = "SELECT version FROM threads WHERE id = ?"
_KNOWN = """
SELECT r.rid, r.tid, t.id, r.status, r.epoch, r.run_id, r.holder, r.expires, r.ordinal, r.stop_reason,
       r.sealed_at
FROM runs r JOIN threads t ON t.tid = r.tid WHERE r.run_key = ?
"""
_OPEN = """
SELECT run_key, run_id, epoch, holder, expires, status FROM runs
WHERE tid = ? AND sealed_at IS NULL ORDER BY ordinal LIMIT ?
"""
_AHEAD = "SELECT count(*) FROM runs WHERE tid = ? AND sealed_at IS NULL AND ordinal < ?"
_NEW_THREAD = """
INSERT INTO threads (id, owner, agent_id, created_at, updated_at, last_run_at, active_at, version, digest,
                     name, run_count)
VALUES (?1, ?2, ?3, ?4, ?4, ?4, ?4, ?5, ?6, ?7, 1)
"""
_UNMARK = "DELETE FROM marks WHERE thread_id = ?"
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
    name = CASE WHEN name IS NULL AND renamed = 0 THEN ?4 ELSE name END, run_count = run_count + ?5
WHERE tid = ?1
"""
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


def claim(new: NewRun, lease: float, plan: Plan, first: bytes) -> Callable[[Session], ClaimResult]:
    """Return the change that makes ``new`` live, or queued."""

    def work(session: Session) -> ClaimResult:
        asked = (new.thread_id, new.run_key, new.state is None)
        found = _Situation(*session.execute(_SITUATION, asked).fetchone())
        if found.tid is not None and found.owner != new.owner:
            return Foreign()
        if found.known is not None:
            return _promote(session, new, plan, first=first, lease=lease)
        if found.revoked_epoch is not None:
            run = Run(new.thread_id, new.run_key, found.revoked_epoch)
            return Busy(run=run, run_id=found.revoked_run_id or "", expired=False)
        if found.open is not None and found.tid is not None:
            return _enqueue(session, found.tid, found.runs or 0, new, lease)
        version = found.version or 0
        if plan.version is not None and plan.version != version:
            return Moved(version)
        return _start_new(session, found, new, plan, first=first, lease=lease)

    return work


class _Situation(NamedTuple):
    """What a claim finds: a row of ``_SITUATION``."""

    tid: int | None
    owner: str | None
    version: int | None
    runs: int | None
    known: int | None
    revoked_run_id: str | None
    revoked_epoch: int | None
    marked: int | None
    open: int | None
    state: bytes | None
    pending: bytes | None
    last: int | None


def _start_new(
    session: Session, found: _Situation, new: NewRun, plan: Plan, *, first: bytes, lease: float
) -> Claimed:
    """Begin a run at once, on a thread that is free or new."""
    ordinal = (found.runs or 0) + 1
    if found.tid is None:
        tid = _new_thread(session, new, plan, found.marked)
    else:
        tid = found.tid
        session.execute(_STARTED, (tid, plan.digest, session.now(), new.name, 1))
    rid = _new_run(session, new, tid=tid, ordinal=ordinal, status="live", lease=lease)
    held = Held(rid, new.thread_id, 1, False, True, 0, tid, ordinal)
    return Claimed(
        run=Run(new.thread_id, new.run_key, 1),
        run_id=new.run_id,
        agent_id=new.agent_id,
        owner=new.owner,
        ordinal=ordinal,
        last_seq=1,
        last_position=_begin(session, held, new, plan, first=first, last=found.last or 0),
        stop_reason=None,
        state=found.state if new.state is None else new.state,
        pending=found.pending,
        input=None,
        created=found.tid is None,
    )


def _new_thread(session: Session, new: NewRun, plan: Plan, marked: int | None) -> int:
    if marked is not None:
        session.execute(_UNMARK, (new.thread_id,))
    now = session.now()
    # Begins behind the clock, so that a plan for a deleted thread never fits its successor.
    version = max(now, (marked or 0) + 1) + 1
    row = (new.thread_id, new.owner, new.agent_id, now, version, plan.digest, new.name)
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
    return session.execute(_NEW_RUN, row).lastrowid or 0


def _expiry(now: int, lease: float) -> int:
    return now + int(lease * 1000)


def _enqueue(session: Session, tid: int, runs: int, new: NewRun, lease: float) -> ClaimResult:
    unsealed = session.execute(_OPEN, (tid, new.max_queued + 2)).fetchall()
    waiting = sum(row[5] == "queued" for row in unsealed)
    if not new.queue or waiting >= new.max_queued:
        key, run_id, epoch, held_by, expires, _ = unsealed[0]
        expired = is_expired(session.holder, expires, held_by, session.now())
        return Busy(run=Run(new.thread_id, key, epoch), run_id=run_id, expired=expired)
    session.execute(_COUNT_RUN, (tid,))
    rid = _new_run(session, new, tid=tid, ordinal=runs + 1, status="queued", lease=lease)
    if new.input is not None:
        session.execute(_KEEP_INPUT, (rid, new.input))
    return Queued(run=Run(new.thread_id, new.run_key, 1), ahead=len(unsealed))


def _promote(session: Session, new: NewRun, plan: Plan, *, first: bytes, lease: float) -> ClaimResult:
    known = session.execute(_KNOWN, (new.run_key,)).fetchone()
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
    version = session.execute(_VERSION, (thread_id,)).fetchone()[0]
    if plan.version is not None and plan.version != version:
        return Moved(version)
    session.execute(_PROMOTE, (session.holder_text, _expiry(now, lease), rid))
    session.execute(_STARTED, (tid, plan.digest, now, new.name, 0))
    held = Held(rid, thread_id, epoch, stop_reason is not None, True, 0, tid, ordinal)
    _begin(session, held, new, plan, first=first, last=last_position(session.connection, tid))
    return _claimed(session, held, new.run_key)


def _begin(session: Session, held: Held, new: NewRun, plan: Plan, *, first: bytes, last: int) -> int:
    """Store the first event and the view of a run; return the last position of the view, ``last`` before."""
    session.held[new.run_key] = held
    append_one(session, Run(new.thread_id, new.run_key, held.epoch), 1, [first])
    last = apply_plan(session.connection, held.tid, held.ordinal, plan, last)
    if new.state is not None:
        set_state(session.connection, held.tid, new.state)
    session.touched.append(new.run_key)
    return last


def _claimed(session: Session, held: Held, run_key: str) -> Claimed:
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
        created=False,
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
