"""What the writer thread knows: its connection, and the claims it has seen while no one else wrote."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from jumpseat.stores.base import Run
from jumpseat.stores.refusals import claim_lost
from jumpseat.stores.sqlite.arrived import Arrived
from jumpseat.stores.sqlite.holder import Holder

__all__ = ["Held", "Session", "is_expired"]

# What has arrived since the last merge before it is merged: enough rows of each run to be worth it, but never
# so many that looking through them is felt.
MERGE_ROWS_PER_RUN: Final = 8
FEWEST_ROWS: Final = 512
MOST_ROWS: Final = 4096
MOST_BYTES: Final = 4 << 20

_LOAD = """
SELECT r.rid, t.id, r.epoch, r.stop_reason IS NOT NULL, r.status = 'live',
       coalesce((SELECT max(last) FROM log WHERE run = r.rid), 0), r.tid, r.ordinal
FROM runs r JOIN threads t ON t.tid = r.tid
WHERE r.run_key = ? AND r.sealed_at IS NULL
"""
_DATA_VERSION = "PRAGMA data_version"
_ARRIVED = "SELECT id, run, last FROM arrivals WHERE id > ? ORDER BY id"
_WAITING = "SELECT count(*), coalesce(sum(length(data)), 0) FROM arrivals WHERE run > 0"


def is_expired(holder: Holder, expires: int, held_by: str | None, now: int) -> bool:
    """Say whether a lease ran out, or its process is gone."""
    return expires <= now or holder.is_gone(held_by)


@dataclass(slots=True)
class Held:
    """An unsealed run as this connection last saw it."""

    rid: int
    thread_id: str
    epoch: int
    stopping: bool
    live: bool
    last_seq: int
    tid: int
    ordinal: int


class Session:
    """The writer's connection with its memory of open runs.

    ``PRAGMA data_version`` changes when, and only when, another connection has committed; as long as it
    stands still inside a transaction, what is remembered is what the file holds.
    """

    def __init__(self, connection: sqlite3.Connection, holder: Holder) -> None:
        self.connection = connection
        self.execute = connection.execute
        self.holder = holder
        self.holder_text = str(holder)
        self.held: dict[str, Held] = {}
        self.version = self._data_version()
        self.foreign_commits = 0
        self.touched: list[str] = []
        self._now = 0
        # By run, the number of its last arrived event, as far as the arrivals were looked through.
        self._arrived: dict[int, int] = {}
        self._arrived_to = 0
        # What waits to be merged, as far as this connection knows.
        self._rows, self._bytes = self.execute(_WAITING).fetchone()
        self._arrivals = Arrived()
        # They are all that the file holds, and all of it is still there.
        self._complete = not self._rows

    def tick(self) -> None:
        """Read the host's clock for the change that begins."""
        self._now = int(time.time() * 1000)

    def now(self) -> int:
        """Return the moment of this change, in milliseconds: the same wherever the change asks."""
        return self._now

    def refresh(self) -> None:
        """Forget what another connection may have changed."""
        version = self._data_version()
        if version != self.version:
            self.version = version
            self.foreign_commits += 1
            self.held.clear()
            self._complete = False
            if len(self._arrived) > MOST_ROWS:
                self.forget()

    def forget(self) -> None:
        """Forget everything: what is remembered may have been undone."""
        self.held.clear()
        self._arrived.clear()
        self._arrived_to = 0
        self._complete = False

    def note_arrivals(self, rows: Sequence[Any], events: Sequence[Sequence[bytes]], size: int) -> None:
        """Count appends that arrived: run, last number and data of each, one behind the other."""
        self._rows += len(events)
        self._bytes += size
        add = self._arrivals.add
        for run, last, data, own in zip(rows[::3], rows[1::3], rows[2::3], events, strict=True):
            add(run, last, own, len(data))

    def note_removal(self) -> None:
        """Arrived appends were removed by something else than a merge."""
        self._complete = False

    def take_arrivals(self) -> Arrived | None:
        """Begin to count anew; return what has arrived, ``None`` when only the file tells."""
        arrivals = self._arrivals if self._complete else None
        self._arrivals, self._complete = Arrived(), True
        self._rows = self._bytes = 0
        return arrivals

    @property
    def merge_due(self) -> bool:
        """Enough has arrived to be merged into the log."""
        rows = self._rows
        if rows < FEWEST_ROWS:
            return self._bytes >= MOST_BYTES
        each = MERGE_ROWS_PER_RUN * self._arrivals.runs
        return rows >= MOST_ROWS or rows >= each or self._bytes >= MOST_BYTES

    def _last_arrived(self, rid: int) -> int:
        """Return the number of a run's last arrived event; 0 if there is none."""
        for row_id, run, last in self.execute(_ARRIVED, (self._arrived_to,)):
            self._arrived[run] = last
            self._arrived_to = row_id
        return self._arrived.get(rid, 0)

    def _data_version(self) -> int:
        version: int = self.connection.execute(_DATA_VERSION).fetchone()[0]
        return version

    def lookup(self, run: Run) -> Held | None:
        """Return the open run if this claim on it still stands; needs a transaction."""
        held = self.held.get(run.run_key)
        if held is None:
            row: tuple[Any, ...] | None = self.execute(_LOAD, (run.run_key,)).fetchone()
            if row is None:
                return None
            last_seq = max(row[5], self._last_arrived(row[0]))
            held = Held(row[0], row[1], row[2], bool(row[3]), bool(row[4]), last_seq, row[6], row[7])
            self.held[run.run_key] = held
        return held if held.epoch == run.epoch and held.thread_id == run.thread_id else None

    def writable(self, run: Run) -> Held:
        """Return the live run held by this claim. Raises ``ClaimLost``."""
        held = self.lookup(run)
        if held is None or not held.live:
            raise claim_lost(run)
        return held
