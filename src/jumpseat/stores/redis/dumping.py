"""Reading threads of all owners for a dump: the index says which there are, each thread what it holds."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from jumpseat.errors import StoreUnavailable
from jumpseat.stores.base import DumpedRun, DumpedThread, Entry, RunEvents
from jumpseat.stores.dumping import PAGE_BYTES, PAGE_PARTS, NextThread, ThreadAt, as_of
from jumpseat.stores.redis.database import Database
from jumpseat.stores.redis.keys import Keys
from jumpseat.stores.redis.values import ROWS, run_events_of, text

__all__ = ["RedisDump"]

SCANNED: Final = 64


class _Place(msgspec.Struct, array_like=True):
    """Where the scan of the index stands (``None``: not begun), on which server, and what it found last."""

    server: str = ""
    at: str | None = None
    ids: list[bytes] = []


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Place).decode


class RedisDump:
    """Answers what a dump asks. Which server a scan of the index belongs to is part of its place."""

    def __init__(self, database: Database, keys: Keys) -> None:
        self._database = database
        self._keys = keys

    async def next_thread(self, place: bytes) -> NextThread | None:
        """Return a thread of the index. Raises ``StoreUnavailable`` when another server has taken over."""
        at = _decode(place) if place else _Place()
        while True:
            while at.ids:
                thread_id = text(at.ids.pop(0))
                reply = await self._database.call("dump_thread", self._keys.thread(thread_id))
                if reply is not None:
                    return _found(reply, _encode(at))
            if at.at == "0":
                return None
            await self._scan(at)

    async def _scan(self, place: _Place) -> None:
        reply = await self._database.call("index_scan", self._keys.index, at=place.at or "0", limit=SCANNED)
        server = text(reply[0])
        if place.at is not None and server != place.server:
            raise StoreUnavailable(
                f"{self._database.where}: another server has taken over, and some threads may be missing: "
                "begin again"
            )
        place.server, place.at, place.ids = server, text(reply[1]), reply[2]

    async def dumped_runs(self, thread: ThreadAt, after: int) -> list[DumpedRun]:
        """Return sealed runs."""
        replies = await self._ask("dump_runs", thread, after, last=thread.runs)
        return [DumpedRun(header=ROWS.header(header), state=state) for header, state in replies]

    async def dumped_entries(self, thread: ThreadAt, after: int) -> tuple[list[Entry], int | None]:
        """Return entries by their ids, in which order they were added."""
        replies, *following = await self._ask("dump_entries", thread, after)
        entries = as_of(map(ROWS.entry, replies), thread.runs)
        return entries, following[0] if following else None

    async def dumped_events(self, thread: ThreadAt, after: int) -> list[RunEvents]:
        """Return runs with compacted events."""
        replies = await self._ask("dump_events", thread, after, last=thread.runs)
        return [run_events_of(reply) for reply in replies]

    async def next_log(self, thread: ThreadAt, after: int) -> tuple[int, str] | None:
        """Return the next run with a log."""
        reply = await self._ask("dump_log", thread, after, last=thread.runs)
        return None if reply is None else (reply[0], text(reply[1]))

    async def _ask(self, script: str, thread: ThreadAt, after: int, **args: int) -> Any:
        limits = {"limit": PAGE_PARTS, "bytes": PAGE_BYTES}
        return await self._database.call(script, self._keys.thread(thread.id), after=after, **limits, **args)


def _found(reply: Any, place: bytes) -> NextThread:
    row, active_at, runs, trimmed, digest, head_key, left_out, live = reply
    record = ROWS.record(row)
    thread = DumpedThread(
        record=record,
        active_at=active_at,
        runs=runs,
        trimmed=trimmed,
        digest=None if live else digest,
        left_out=tuple(map(text, left_out)),
    )
    at = ThreadAt(record.id, record.owner, runs, text(head_key)) if head_key is not None else None
    return NextThread(thread, at, place)
