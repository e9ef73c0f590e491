"""Reading threads of all owners for a dump, a statement at a time."""

from __future__ import annotations

from typing import Any

import msgspec

from jumpseat.stores.base import DumpedRun, DumpedThread, Entry, RunEvents
from jumpseat.stores.dumping import (
    PAGE_BYTES,
    PAGE_PARTS,
    NextThread,
    ThreadAt,
    as_of,
    place_behind,
    place_id,
)
from jumpseat.stores.postgres.appending import Fetch
from jumpseat.stores.postgres.values import ROWS, plain, text

__all__ = ["PostgresDump"]

_unpack = msgspec.msgpack.Decoder(list[bytes]).decode


class PostgresDump:
    """Answers what a dump asks; ``fetch`` executes the statement of a name."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch

    async def next_thread(self, place: bytes) -> NextThread | None:
        """Return the thread with the next id."""
        last = place_id(place)
        rows = await self._fetch("dump_thread", {}, after=None if last is None else text(last))
        if not rows:
            return None
        record = ROWS.record(rows[0])
        tid, active_at, head, trimmed, digest, head_key, left_out, live = rows[0][9:]
        thread = DumpedThread(
            record=record,
            active_at=active_at,
            runs=head,
            trimmed=trimmed,
            digest=None if live else digest,
            left_out=tuple(map(plain, left_out)),
        )
        at = ThreadAt(record.id, record.owner, head, plain(head_key), tid) if head else None
        return NextThread(thread, at, place_behind(record.id))

    async def dumped_runs(self, thread: ThreadAt, after: int) -> list[DumpedRun]:
        """Return sealed runs."""
        rows = await self._rows("dump_runs", thread, after, bytes=PAGE_BYTES, limit=PAGE_PARTS)
        return [DumpedRun(header=ROWS.header(row), state=row[13]) for row in rows]

    async def dumped_entries(self, thread: ThreadAt, after: int) -> tuple[list[Entry], int | None]:
        """Return entries by row id, in which order they were added."""
        asked = {"tid": thread.row, "after": after, "bytes": PAGE_BYTES, "limit": PAGE_PARTS}
        rows = await self._fetch("dump_entries", {}, **asked)
        entries = as_of(map(ROWS.entry, rows), thread.runs)
        return entries, rows[-1][7] if rows else None

    async def dumped_events(self, thread: ThreadAt, after: int) -> list[RunEvents]:
        """Return runs with compacted events."""
        rows = await self._rows("dump_events", thread, after, bytes=PAGE_BYTES, limit=PAGE_PARTS)
        return [RunEvents(run_key=plain(key), ordinal=at, events=_unpack(data)) for key, at, data in rows]

    async def next_log(self, thread: ThreadAt, after: int) -> tuple[int, str] | None:
        """Return the next run with a log."""
        rows = await self._rows("dump_log", thread, after)
        return (rows[0][0], plain(rows[0][1])) if rows else None

    async def _rows(self, name: str, thread: ThreadAt, after: int, **limits: int) -> list[tuple[Any, ...]]:
        return await self._fetch(name, {}, tid=thread.row, after=after, runs=thread.runs, **limits)
