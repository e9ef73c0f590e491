"""Appends of many runs put together into few rows of the log, each of one run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, final

import msgspec

__all__ = ["Arrived"]

# What one row holds at most, its last append aside: a page of a reader needs few of them.
ROW_BYTES: Final = 64 * 1024

_pack = msgspec.msgpack.Encoder().encode


@final
class _Row:
    __slots__ = ("events", "last", "size")

    def __init__(self, last: int, events: Sequence[bytes], size: int) -> None:
        self.last = last
        self.events = list(events)
        self.size = size


@final
class Arrived:
    """What has arrived since the last merge, by run and in order."""

    __slots__ = ("_full", "_open")

    def __init__(self) -> None:
        self._open: dict[int, _Row] = {}
        self._full: list[tuple[int, int, bytes]] = []

    def __bool__(self) -> bool:
        """Something has arrived."""
        return bool(self._open)

    @property
    def runs(self) -> int:
        """How many runs it is of."""
        return len(self._open)

    def add(self, run: int, last: int, events: Sequence[bytes], size: int) -> None:
        """Take an append: the events up to number ``last``, of ``size`` bytes together."""
        row = self._open.get(run)
        if row is None:
            self._open[run] = _Row(last, events, size)
        elif row.last + len(events) == last and row.size < ROW_BYTES:
            row.last = last
            row.events += events
            row.size += size
        else:
            # Larger appends may have gone into the log between the two.
            self._full.append((run, row.last, _pack(row.events)))
            self._open[run] = _Row(last, events, size)

    def rows(self) -> Iterable[tuple[int, int, bytes]]:
        """Return run, last number and MessagePack list of each row, in the order of the log's index."""
        rows = self._full + [(run, row.last, _pack(row.events)) for run, row in self._open.items()]
        rows.sort(key=_place)
        return rows


def _place(row: tuple[int, int, bytes]) -> tuple[int, int]:
    return row[:2]
