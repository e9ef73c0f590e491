"""Removing what retention no longer keeps, a bounded number of rows at a time."""

from __future__ import annotations

from collections.abc import Callable

from jumpseat.stores.base import Retention
from jumpseat.stores.sqlite.merging import merge
from jumpseat.stores.sqlite.session import Session

__all__ = ["prune"]

_IDLE = """
SELECT tid FROM threads t WHERE active_at < ?
AND NOT EXISTS (SELECT 1 FROM runs WHERE tid = t.tid AND sealed_at IS NULL) ORDER BY active_at LIMIT ?
"""
_DROP_THREAD = "DELETE FROM threads WHERE tid = ?"
_DISCARD = "INSERT INTO garbage (tid) VALUES (?)"
_DISCARDED = "SELECT tid FROM garbage LIMIT 1"
_COLLECTED = "DELETE FROM garbage WHERE tid = ?"
_DROPS = (
    """DELETE FROM log WHERE id IN
       (SELECT l.id FROM runs r JOIN log l ON l.run = r.rid WHERE r.tid = ? AND r.raw > 0 LIMIT ?)""",
    """DELETE FROM outcomes WHERE rid IN
       (SELECT o.rid FROM runs r JOIN outcomes o ON o.rid = r.rid WHERE r.tid = ? LIMIT ?)""",
    "DELETE FROM runs WHERE rid IN (SELECT rid FROM runs WHERE tid = ? LIMIT ?)",
    """DELETE FROM entries WHERE eid IN
       (SELECT eid FROM entries WHERE tid = ? AND hidden_at IS NULL LIMIT ?)""",
    """DELETE FROM entries WHERE eid IN
       (SELECT eid FROM entries WHERE tid = ? AND hidden_at IS NOT NULL LIMIT ?)""",
    "DELETE FROM states WHERE tid IN (SELECT tid FROM states WHERE tid = ? LIMIT ?)",
)
_OLD_LOG = """
SELECT rid, run_key FROM runs WHERE raw > 0 AND sealed_at IS NOT NULL AND sealed_at <= ?
ORDER BY sealed_at LIMIT 1
"""
_LOG_GOING = "UPDATE runs SET raw = 2 WHERE rid = ?"
_DROP_LOG = "DELETE FROM log WHERE id IN (SELECT id FROM log WHERE run = ? LIMIT ?)"
_LOG_GONE = "UPDATE runs SET raw = 0 WHERE rid = ?"
_LONG = """
SELECT tid, min(run_count - ?1, head - 1), trimmed FROM threads
WHERE run_count - trimmed > ?1 AND min(run_count - ?1, head - 1) > trimmed LIMIT 1
"""
_OLD_RUNS = """
SELECT rid, ordinal FROM runs WHERE tid = ? AND ordinal > ? AND ordinal <= ? ORDER BY ordinal LIMIT ?
"""
_DROP_OUTCOME = "DELETE FROM outcomes WHERE rid = ?"
_TRIMMED = "UPDATE threads SET trimmed = ? WHERE tid = ?"
_DROP_HIDDEN = """
DELETE FROM entries WHERE eid IN
    (SELECT eid FROM entries WHERE tid = ? AND hidden_at IS NOT NULL AND hidden_at <= ? LIMIT ?)
"""
_FORGET_MARKS = (
    "DELETE FROM marks WHERE thread_id IN (SELECT thread_id FROM marks WHERE expires <= ? LIMIT ?)"
)
_FORGET_REVOKED = (
    "DELETE FROM revoked WHERE run_key IN (SELECT run_key FROM revoked WHERE expires <= ? LIMIT ?)"
)


def prune(retention: Retention, limit: int) -> Callable[[Session], int]:
    """Return the change that removes up to ``limit`` rows."""

    def work(session: Session) -> int:
        now = session.now()
        # What is removed below is then in the log alone.
        merge(session)
        left = limit
        if retention.max_age is not None:
            left -= _discard_idle(session, _moment(now, retention.max_age), left)
        left -= _collect(session, left)
        left -= _drop_logs(session, _moment(now, retention.events_after), left)
        if retention.max_runs is not None:
            left -= _trim(session, retention.max_runs, left)
        for statement in (_FORGET_MARKS, _FORGET_REVOKED):
            left -= session.execute(statement, (now, left)).rowcount
        return limit - left

    return work


def _moment(now: int, seconds: float) -> int:
    """Return the moment that many seconds ago; an infinite time ago is before everything."""
    return int(max(now - seconds * 1000, -1))


def _discard_idle(session: Session, before: int, limit: int) -> int:
    """Make idle threads unknown at once; their rows go by and by."""
    idle = session.execute(_IDLE, (before, limit)).fetchall()
    for row in idle:
        session.execute(_DROP_THREAD, row)
        session.execute(_DISCARD, row)
    return len(idle)


def _collect(session: Session, limit: int) -> int:
    left = limit
    while left > 0:
        row = session.execute(_DISCARDED).fetchone()
        if row is None:
            break
        for statement in _DROPS:
            left -= session.execute(statement, (row[0], left)).rowcount
        if left > 0:
            session.execute(_COLLECTED, row)
    return limit - left


def _drop_logs(session: Session, before: int, limit: int) -> int:
    left = limit
    while left > 0:
        row = session.execute(_OLD_LOG, (before,)).fetchone()
        if row is None:
            break
        rid, run_key = row
        session.execute(_LOG_GOING, (rid,))
        left -= session.execute(_DROP_LOG, (rid, left)).rowcount
        if left > 0:
            session.execute(_LOG_GONE, (rid,))
        session.touched.append(run_key)
    return limit - left


def _trim(session: Session, keep: int, limit: int) -> int:
    left = limit
    while left > 0:
        row = session.execute(_LONG, (keep,)).fetchone()
        if row is None:
            break
        tid, last, trimmed = row
        # Hidden entries first: they are found by the ordinal that the counter then leaves behind.
        left -= session.execute(_DROP_HIDDEN, (tid, last + 1, left)).rowcount
        for rid, ordinal in session.execute(_OLD_RUNS, (tid, trimmed, last, max(left, 0))).fetchall():
            left -= _empty(session, rid, left)
            if left <= 0:
                break
            trimmed = ordinal
        session.execute(_TRIMMED, (trimmed, tid))
    return limit - left


def _empty(session: Session, rid: int, limit: int) -> int:
    """Take events and payload from a run."""
    session.execute(_LOG_GOING, (rid,))
    dropped = session.execute(_DROP_LOG, (rid, limit)).rowcount
    if dropped < limit:
        session.execute(_LOG_GONE, (rid,))
        dropped += session.execute(_DROP_OUTCOME, (rid,)).rowcount
    return dropped
