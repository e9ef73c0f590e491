"""Merging what has arrived into the log: the small appends of a run become one row that is found by run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from jumpseat.stores.sqlite.arrived import Arrived
from jumpseat.stores.sqlite.session import Session

__all__ = ["merge"]

_ARRIVED: Final = "SELECT run, last, data FROM arrivals WHERE run > 0 ORDER BY id"
# Many rows a statement: each statement is a turn in the competition for the interpreter.
_KEEP: Final = {
    size: f"INSERT INTO log (run, last, data) VALUES {', '.join(['(?, ?, ?)'] * size)}"  # noqa: S608
    for size in (64, 8, 1)
}
# The newest row stays, so that the ids of later ones go on from there.
_KEEP_COUNTING: Final = "INSERT INTO arrivals (run, last, data) VALUES (0, 0, x'')"
_EMPTY: Final = "DELETE FROM arrivals WHERE id < (SELECT max(id) FROM arrivals)"

_events = msgspec.msgpack.Decoder(list[bytes]).decode


def merge(session: Session) -> None:
    """Move every arrived append into the log; needs a transaction."""
    arrived = session.take_arrivals()
    if arrived is None:
        arrived = Arrived()
        for run, last, data in session.execute(_ARRIVED):
            arrived.add(run, last, _events(data), len(data))
    if arrived:
        _keep(session, [value for row in arrived.rows() for value in row])
        session.execute(_KEEP_COUNTING)
        session.execute(_EMPTY)


def _keep(session: Session, values: Sequence[Any]) -> None:
    done = 0
    for size, statement in _KEEP.items():
        while len(values) - done >= 3 * size:
            session.execute(statement, values[done : done + 3 * size])
            done += 3 * size
