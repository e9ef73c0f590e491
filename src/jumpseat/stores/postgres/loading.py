"""Loading a dumped thread: all of its rows in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import msgspec

from jumpseat.stores.base import DumpedEvents, DumpedRun, Entry, Loaded, ThreadContents
from jumpseat.stores.contents import ThreadPart, batches
from jumpseat.stores.postgres.connections import Connections, execute
from jumpseat.stores.postgres.values import optional_text, owner_name, text

if TYPE_CHECKING:
    from jumpseat.stores.postgres.connections import Connection

__all__ = ["load"]

_pack = msgspec.msgpack.Encoder().encode


async def load(
    connections: Connections, statements: Mapping[str, bytes], contents: ThreadContents, *, replace: bool
) -> Loaded:
    """Store a thread; a process that dies in the middle leaves nothing, and no lock for longer than a minute.

    Raises ``StoreUnavailable``, ``ValueError`` when one of its run keys is used.
    """
    parts = batches(contents)
    async with connections.transaction() as connection:
        loading = _Loading(connection, statements, contents)
        outcome = await loading.begin(replace=replace)
        if outcome in {Loaded.LOADED, Loaded.REPLACED}:
            while (batch := await asyncio.to_thread(next, parts, None)) is not None:
                await loading.add(batch)
            await loading.finish()
    return outcome


class _Loading:
    """One thread on its way into the tables."""

    def __init__(
        self, connection: Connection, statements: Mapping[str, bytes], contents: ThreadContents
    ) -> None:
        self._connection = connection
        self._statements = statements
        self._thread = contents.thread
        self._tid = 0

    async def begin(self, *, replace: bool) -> Loaded:
        """Make room for the thread and write its row, or say why not."""
        record = self._thread.record
        await self._execute("load_limits")
        found = await self._execute("load_present", thread=text(record.id))
        if found:
            owner, busy = found[0]
            if busy or not replace:
                return Loaded.BUSY if replace else Loaded.EXISTS
            await self._execute("delete_threads", owner=owner, thread=text(record.id))
        made = await self._execute(
            "load_thread",
            thread=text(record.id),
            owner=owner_name(record.owner),
            agent=text(record.agent_id),
            name=optional_text(record.name),
            renamed=record.renamed,
            archived=record.archived,
            created_at=record.created_at,
            updated_at=record.updated_at,
            last_run_at=record.last_run_at,
            active_at=self._thread.active_at,
            digest=self._thread.digest,
            runs=self._thread.runs,
            trimmed=self._thread.trimmed,
        )
        if not made:
            return Loaded.EXISTS
        ((self._tid,),) = made
        await self._execute("load_unmark", thread=text(record.id))
        return Loaded.REPLACED if found else Loaded.LOADED

    async def add(self, batch: Sequence[ThreadPart]) -> None:
        """Write parts of one kind."""
        entries = [part for part in batch if isinstance(part, Entry)]
        if entries:
            await self._execute("load_entries", tid=self._tid, **_entry_values(entries))
        for part in batch:
            if isinstance(part, DumpedRun):
                await self._execute("load_run", tid=self._tid, **_run_values(part))
            elif isinstance(part, DumpedEvents):
                await self._add_events(part)

    async def _add_events(self, part: DumpedEvents) -> None:
        run_key = text(part.run_key)
        if part.raw:
            await self._execute("load_log", run_key=run_key, first=part.first, events=part.events)
        else:
            compacted = await asyncio.to_thread(_pack, part.events)
            await self._execute("load_compacted", tid=self._tid, run_key=run_key, compacted=compacted)

    async def finish(self) -> None:
        """Give the thread the state of its newest run."""
        await self._execute("load_state", tid=self._tid)

    async def _execute(self, statement: str, /, **parameters: Any) -> list[tuple[Any, ...]]:
        return await execute(self._connection, self._statements[statement], parameters)


def _run_values(run: DumpedRun) -> dict[str, Any]:
    header = run.header
    return {
        "run_key": text(header.run_key),
        "ordinal": header.ordinal,
        "run_id": text(header.run_id),
        "agent": text(header.agent_id),
        "parent": header.parent,
        "status": header.status,
        "created_at": header.created_at,
        "sealed_at": header.sealed_at,
        "last_seq": header.last_seq,
        "raw": int(header.raw),
        "pending": header.pending,
        "terminal": header.terminal,
        "record": header.record,
        "state": run.state,
    }


def _entry_values(entries: list[Entry]) -> dict[str, Any]:
    counts = [len(entry.aliases) for entry in entries]
    return {
        "positions": [entry.position for entry in entries],
        "shown": [entry.shown_from for entry in entries],
        "hidden": [entry.hidden_at for entry in entries],
        "keys": [text(entry.key) for entry in entries],
        "behind": [total - count for total, count in zip(accumulate(counts), counts, strict=True)],
        "alias_counts": counts,
        "aliases": [text(alias) for entry in entries for alias in entry.aliases],
        "digests": [entry.digest for entry in entries],
        "datas": [entry.data for entry in entries],
    }
