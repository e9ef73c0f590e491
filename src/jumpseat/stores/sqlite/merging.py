"""Merging what has arrived into the log: the small appends of a run become one row that is found by run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from jumpseat.stores.sqlite.session import Session

__all__ = ["join_lists", "list_length", "merge"]

# What one row of the log holds at most when it is put together here: a page of a reader needs few of them.
ROW_BYTES: Final = 64 * 1024

_ARRIVED: Final = "SELECT run, last, data FROM arrivals WHERE run > 0 ORDER BY id"
_KEEP: Final = "INSERT INTO log (run, last, data) VALUES (?, ?, ?)"
# The newest row stays, so that the ids of later ones go on from there.
_KEEP_COUNTING: Final = "INSERT INTO arrivals (run, last, data) VALUES (0, 0, x'')"
_EMPTY: Final = "DELETE FROM arrivals WHERE id < (SELECT max(id) FROM arrivals)"

_FIX_LIST, _LIST_OF_ONE, _LIST_16, _LIST_32 = 0x90, 0x91, 0xDC, 0xDD
_HEADS: Final = {_LIST_16: 3, _LIST_32: 5}


def merge(session: Session) -> None:
    """Move every arrived append into the log; needs a transaction."""
    session.note_merge()
    # By run: the number of the last event, the size, and the lists that become one row.
    open_rows: dict[int, list[Any]] = {}
    merged: list[tuple[int, int, bytes]] = []
    for run, last, data in session.execute(_ARRIVED):
        row = open_rows.get(run)
        # One event, as most have: its list begins with this byte.
        count = 1 if data[0] == _LIST_OF_ONE else list_length(data)
        if row is not None:
            if row[0] == last - count and row[1] < ROW_BYTES:
                row[0] = last
                row[1] += len(data)
                row.append(data)
                continue
            merged.append((run, row[0], join_lists(row[2:])))
        open_rows[run] = [last, len(data), data]
    if open_rows:
        merged += [(run, row[0], join_lists(row[2:])) for run, row in open_rows.items()]
        merged.sort(key=_place)
        session.connection.executemany(_KEEP, merged)
        session.execute(_KEEP_COUNTING)
        session.execute(_EMPTY)


def _place(row: tuple[int, int, bytes]) -> tuple[int, int]:
    return row[:2]


def list_length(data: bytes) -> int:
    """Return how many items an encoded MessagePack list has."""
    kind = data[0]
    if kind == _LIST_16:
        return int.from_bytes(data[1:3], "big")
    return int.from_bytes(data[1:5], "big") if kind == _LIST_32 else kind - _FIX_LIST


def join_lists(parts: Sequence[bytes]) -> bytes:
    """Return one MessagePack list of the items of several, without decoding them."""
    if len(parts) == 1:
        return parts[0]
    count = sum(map(list_length, parts))
    if count < 16:
        head = bytes((_FIX_LIST | count,))
    elif count < 1 << 16:
        head = b"%c%b" % (_LIST_16, count.to_bytes(2, "big"))
    else:
        head = b"%c%b" % (_LIST_32, count.to_bytes(4, "big"))
    return head + b"".join([part[_HEADS.get(part[0], 1) :] for part in parts])
