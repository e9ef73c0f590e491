"""The thread records of a Redis store: each with its thread, listed by an index per owner."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from jumpseat.errors import StoreUnavailable
from jumpseat.stores.base import ThreadChange, ThreadRecord
from jumpseat.stores.redis.database import Call, Database
from jumpseat.stores.redis.indexes import Indexes
from jumpseat.stores.redis.keys import Keys
from jumpseat.stores.redis.options import Lifetimes
from jumpseat.stores.redis.values import record_of, text

__all__ = ["RedisThreads"]

# An index that turned out to be out of date is put right and asked again, so often at most.
TRIES = 3
DELETED_AT_ONCE = 100


class RedisThreads:
    """The verbs for thread records; ``wake`` lets the readers of a run in this process look again."""

    def __init__(
        self,
        database: Database,
        keys: Keys,
        indexes: Indexes,
        wake: Callable[[str], None],
        lifetimes: Lifetimes,
    ) -> None:
        self._database = database
        self._keys = keys
        self._indexes = indexes
        self._wake = wake
        self._lifetimes = lifetimes

    async def list(
        self,
        owner: str | None,
        *,
        agent_id: str | None = None,
        archived: bool = False,
        limit: int = 200,
        after: tuple[int, str] | None = None,
    ) -> list[ThreadRecord]:
        """Return up to ``limit`` records, newest first, strictly behind ``after``."""
        await self._indexes.repair(owner)
        time, last = after or (None, None)
        records: list[ThreadRecord] = []
        for _ in range(TRIES):
            ids = await self._database.call(
                "owner_page",
                self._keys.owner(owner),
                agent_id=agent_id,
                archived=archived,
                limit=limit,
                time=time,
                id=last,
            )
            found = await self._records(owner, ids)
            records = [one for one in found.values() if one is not None and (archived or not one.archived)]
            if len(records) == len(ids):
                break
            await asyncio.gather(
                *(
                    self._indexes.refresh(owner, thread_id)
                    for thread_id, record in found.items()
                    if record is None or (record.archived and not archived)
                )
            )
        return records

    async def get(self, owner: str | None, thread_id: str) -> ThreadRecord | None:
        """Return one record."""
        return record_of(await self._database.call("record", self._keys.thread(thread_id), owner=owner))

    async def update(self, owner: str | None, thread_id: str, change: ThreadChange) -> ThreadRecord | None:
        """Apply a change and return the record."""
        args = {"owner": owner, "change": msgspec.structs.asdict(change), "used": self._lifetimes.thread}
        if change.archived is None:
            return record_of(await self._database.call("record", self._keys.thread(thread_id), **args))
        marked = await self._indexes.begin(owner, thread_id)
        record = record_of(await self._database.call("record", self._keys.thread(thread_id), **args))
        indexed = None
        if record is not None:
            whose = None if owner is None else owner.encode("utf-8", "surrogatepass")
            indexed = (record.last_run_at, record.agent_id.encode(), record.archived, None, None, whose)
        await self._indexes.end(marked, indexed)
        return record

    async def delete(self, owner: str | None, thread_id: str) -> bool:
        """Revoke claims and remove all of the thread at once."""
        marked = await self._indexes.begin(owner, thread_id)
        deleted, run_keys = await self._database.call("delete", self._keys.thread(thread_id), owner=owner)
        for run_key in run_keys:
            self._wake(text(run_key))
        if deleted:
            await self._indexes.removed(thread_id, run_keys, owner)
        # Another owner's thread of that id is no business of this owner's index.
        await self._indexes.end(marked, None)
        return bool(deleted)

    async def clear(self, owner: str | None) -> list[str]:
        """Delete every thread of the owner, each at once, and return their ids."""
        await self._indexes.repair(owner)
        cleared: dict[str, None] = {}
        while True:
            ids = await self._database.call(
                "owner_page", self._keys.owner(owner), archived=True, limit=DELETED_AT_ONCE
            )
            fresh = [thread_id for thread_id in map(text, ids) if thread_id not in cleared]
            if not fresh:
                return list(cleared)
            deleted = await asyncio.gather(*(self.delete(owner, thread_id) for thread_id in fresh))
            cleared |= {thread_id: None for thread_id, gone in zip(fresh, deleted, strict=True) if gone}
            if not any(deleted):
                return list(cleared)

    async def _records(self, owner: str | None, ids: Sequence[bytes]) -> dict[str, ThreadRecord | None]:
        names = [text(thread_id) for thread_id in ids]
        replies = await self._database.many(
            [Call("record", self._keys.thread(thread_id), {"owner": owner}) for thread_id in names]
        )
        records: dict[str, ThreadRecord | None] = {}
        for thread_id, reply in zip(names, replies, strict=True):
            if isinstance(reply, StoreUnavailable):
                raise reply
            records[thread_id] = record_of(reply)
        return records
