"""Storing events: all appends that wait become one statement, which is its own transaction when it can be."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final, cast

import msgspec

from jumpseat.stores.base import Append, Hold, Run
from jumpseat.stores.refusals import claim_lost, gap
from jumpseat.stores.sqlite.session import Held, Session

__all__ = ["append_alone", "append_in_transaction", "append_one"]

_pack = msgspec.msgpack.Encoder().encode
# Rows that are larger on the average go into the log at once: what they would be spared is less than what
# writing them twice would cost.
SMALL_BYTES: Final = 2048
_SIZES = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
LARGEST = _SIZES[-1]


@cache
def _insert(table: str, rows: int) -> str:
    # A SELECT with a guard instead of plain VALUES: nothing is stored when another connection committed
    # since the claims were looked at, so one statement without BEGIN and COMMIT is enough.
    values = ", ".join(["(?, ?, ?)"] * rows)
    return (
        f"INSERT INTO {table} (run, last, data) SELECT column1, column2, column3 FROM (VALUES {values}) "  # noqa: S608
        "WHERE column1 IS NOT NULL AND (SELECT data_version FROM pragma_data_version) = ?"
    )


def _store(session: Session, rows: Sequence[int | bytes], events: Sequence[Sequence[bytes]]) -> bool:
    """Store rows of run, last number and packed ``events``, one behind the other."""
    count = len(events)
    size = next(size for size in _SIZES if size >= count)
    arrived = sum(map(len, cast("list[bytes]", rows[2::3])))
    small = arrived <= SMALL_BYTES * count
    table = "arrivals" if small else "log"
    values = [*rows, *[None] * (3 * (size - count)), session.version]
    if session.execute(_insert(table, size), values).rowcount != count:
        return False
    if small:
        session.note_arrivals(rows, events, arrived)
    return True


def _fresh(held: Held, first_seq: int, events: Sequence[bytes]) -> Sequence[bytes]:
    """Return the events that are not stored yet and count them. Raises ``ValueError`` for a gap."""
    stored = held.last_seq - first_seq + 1
    if stored < 0 or first_seq < 1:
        raise gap(first_seq, held.last_seq)
    last = first_seq + len(events) - 1
    if last <= held.last_seq:
        return ()
    held.last_seq = last
    return events[stored:] if stored else events


def append_alone(session: Session, appends: Sequence[Append]) -> bool:
    """Store all of them in one statement; false, with nothing stored, when that needs a transaction."""
    if len(appends) > LARGEST:
        return False
    rows: list[int | bytes] = []
    counted: list[tuple[Held, int]] = []
    remembered = session.held
    for item in appends:
        run = item.run
        events = item.events
        held = remembered.get(run.run_key)
        if (
            held is None
            or held.epoch != run.epoch
            or held.thread_id != run.thread_id
            or not held.live
            or held.last_seq + 1 != item.first_seq
            or not events
        ):
            break
        rows += (held.rid, held.last_seq + len(events), _pack(events))
        held.last_seq += len(events)
        counted.append((held, len(events)))
        item.result = Hold.STOPPING if held.stopping else Hold.HELD
    else:
        if _store(session, rows, [item.events for item in appends]):
            return True
    for held, count in counted:
        held.last_seq -= count
    return False


def append_in_transaction(session: Session, appends: Sequence[Append]) -> None:
    """Store what may be stored and note for each its result or error."""
    rows: list[int | bytes] = []
    stored: list[Sequence[bytes]] = []
    for item in appends:
        item.result = item.error = None
        held = session.lookup(item.run)
        if held is None or not held.live:
            item.error = claim_lost(item.run)
            continue
        try:
            events = _fresh(held, item.first_seq, item.events)
        except ValueError as error:
            item.error = error
            continue
        if events:
            rows += (held.rid, held.last_seq, _pack(events))
            stored.append(events)
        item.result = Hold.STOPPING if held.stopping else Hold.HELD
    for start in range(0, len(stored), LARGEST):
        _store(session, rows[3 * start : 3 * (start + LARGEST)], stored[start : start + LARGEST])


def append_one(session: Session, run: Run, first_seq: int, events: Sequence[bytes]) -> Held:
    """Store events as part of a larger change. Raises ``ClaimLost`` and ``ValueError``."""
    held = session.writable(run)
    fresh = _fresh(held, first_seq, events)
    if fresh:
        _store(session, (held.rid, held.last_seq, _pack(fresh)), (fresh,))
    return held
