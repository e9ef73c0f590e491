"""Loading a dumped thread: kept under a temporary name part by part, then made a thread by one script.

When the process dies in between, the server forgets the parts after an hour.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Sequence
from typing import Any

import msgspec

from jumpseat.errors import StoreUnavailable
from jumpseat.stores.base import DumpedEvents, DumpedRun, DumpedThread, Entry, Loaded, ThreadContents
from jumpseat.stores.contents import ThreadPart, batches
from jumpseat.stores.redis.database import Database
from jumpseat.stores.redis.indexes import Indexes
from jumpseat.stores.redis.keys import Keys
from jumpseat.stores.redis.options import Lifetimes
from jumpseat.stores.redis.values import ROWS, text

__all__ = ["Loader"]

_pack = msgspec.msgpack.Encoder().encode


class Loader:
    """Loads threads into one database."""

    def __init__(self, database: Database, keys: Keys, indexes: Indexes, lifetimes: Lifetimes) -> None:
        self._database = database
        self._keys = keys
        self._indexes = indexes
        self._lifetimes = lifetimes

    async def load(self, contents: ThreadContents, *, replace: bool) -> Loaded:
        """Store a thread. Raises ``StoreUnavailable``, ``ValueError`` for the key of another thread's run."""
        thread = contents.thread
        present = await self._database.call("dump_thread", self._keys.thread(thread.record.id))
        if present is not None and (present[6] or not replace):
            return Loaded.BUSY if replace else Loaded.EXISTS
        owners = {thread.record.owner}
        if present is not None:
            owners.add(ROWS.record(present[0]).owner)
        staged = _Staged(self._database, self._keys.staged(thread.record.id, secrets.token_hex(8)))
        try:
            await staged.keep(contents)
            return await self._admit(thread, staged, owners, replace=replace)
        finally:
            await staged.drop()

    async def _admit(
        self, thread: DumpedThread, staged: _Staged, owners: set[str | None], *, replace: bool
    ) -> Loaded:
        """Make a thread of what was kept; the indexes lead to it before it is there."""
        thread_id, logged = thread.record.id, [key for key, raw in staged.runs.items() if raw]
        changes = await self._indexes.begin_load(owners, thread_id, logged, thread.active_at)
        try:
            reply = await self._database.call(
                "load_end",
                self._keys.thread(thread_id),
                **_thread_args(thread),
                **self._lifetimes.of_a_seal,
                staged=staged.key,
                entries=staged.entries,
                token=staged.key,
                replace=replace,
            )
            if reply[0] == b"replaced":
                gone = [key for key in reply[1] if not staged.runs.get(text(key))]
                await self._indexes.removed(thread_id, gone, thread.record.owner)
        finally:
            await self._indexes.end_load(changes, thread_id, logged)
        match reply[0]:
            case b"lost":
                raise StoreUnavailable(f"{self._database.where}: the parts of thread {thread_id!r} are gone")
            case b"again":
                return Loaded.LOADED
            case outcome:
                return Loaded(outcome.decode())


def _thread_args(thread: DumpedThread) -> dict[str, Any]:
    record = thread.record
    return {
        "id": record.id,
        "name": record.name,
        "agent_id": record.agent_id,
        "owner": record.owner,
        "archived": record.archived,
        "renamed": record.renamed,
        "created": record.created_at,
        "updated": record.updated_at,
        "last_run": record.last_run_at,
        "active": thread.active_at,
        "runs": thread.runs,
        "trimmed": thread.trimmed,
        "digest": thread.digest,
    }


class _Staged:
    """The parts of a thread under a temporary name; ``runs`` says of each run whether it has a log."""

    def __init__(self, database: Database, key: str) -> None:
        self._database = database
        self.key = key
        self.runs: dict[str, bool] = {}
        self._ordinals: dict[str, int] = {}
        self.entries = 0

    async def keep(self, contents: ThreadContents) -> None:
        """Send everything."""
        parts = batches(contents)
        while (batch := await asyncio.to_thread(next, parts, None)) is not None:
            for args in await asyncio.to_thread(self._args, batch):
                await self._database.call("load_part", self.key, **args)

    async def drop(self) -> None:
        """Forget what is still there; what cannot be reached goes by itself."""
        with contextlib.suppress(StoreUnavailable):
            await self._database.call("load_drop", self.key)

    def _args(self, batch: Sequence[ThreadPart]) -> list[dict[str, Any]]:
        """Return what the script is given for parts of one kind."""
        runs = [self._run(part) for part in batch if isinstance(part, DumpedRun)]
        entries = [self._entry(part) for part in batch if isinstance(part, Entry)]
        events = [self._events(part) for part in batch if isinstance(part, DumpedEvents)]
        return [{"runs": runs, "entries": entries}, *events] if runs or entries else events

    def _run(self, part: DumpedRun) -> dict[str, Any]:
        header = part.header
        self.runs[header.run_key] = header.raw
        self._ordinals[header.run_key] = header.ordinal
        return {
            "key": header.run_key,
            "run_id": header.run_id,
            "agent_id": header.agent_id,
            "ordinal": header.ordinal,
            "status": header.status,
            "parent": header.parent,
            "last": header.last_seq,
            "created": header.created_at,
            "sealed": header.sealed_at,
            "raw": header.raw,
            "terminal": header.terminal,
            "record": header.record,
            "pending": header.pending,
            "state": part.state,
        }

    def _entry(self, part: Entry) -> dict[str, Any]:
        self.entries += 1
        return msgspec.structs.asdict(part) | {"id": self.entries}

    def _events(self, part: DumpedEvents) -> dict[str, Any]:
        if part.raw:
            return {"log": {"key": part.run_key, "first": part.first, "events": part.events}}
        ordinal = self._ordinals[part.run_key]
        kept = {"ordinal": ordinal, "data": _pack(part.events), "count": len(part.events)}
        return {"compacted": [kept]}
