"""Removing what retention no longer keeps: the indexes say where to look, each thread itself decides."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any

from jumpseat.stores.base import Retention
from jumpseat.stores.redis.database import Database
from jumpseat.stores.redis.indexes import ABANDONED_MS, Indexes
from jumpseat.stores.redis.keys import Keys
from jumpseat.stores.redis.options import Lifetimes
from jumpseat.stores.redis.values import entry_of, run_entry, text

__all__ = ["Pruner"]

PAGE = 100
# Threads of which nothing can go, and that are still looked at in one call.
MOST_IN_VAIN = 1_000


class Pruner:
    """Prunes one database, a bounded number of things at a time."""

    def __init__(self, database: Database, keys: Keys, indexes: Indexes, lifetimes: Lifetimes) -> None:
        self._database = database
        self._keys = keys
        self._indexes = indexes
        self._thread_seconds = lifetimes.thread_seconds

    async def prune(self, retention: Retention, limit: int) -> int:
        """Remove up to ``limit`` things and return how many went."""
        left = limit
        ages = [age for age in (retention.max_age, self._thread_seconds) if age is not None]
        if math.isfinite(age := min(ages, default=math.inf)):
            left -= await self._drop_idle(int(age * 1000), left)
        if math.isfinite(retention.events_after):
            left -= await self._drop_logs(int(retention.events_after * 1000), left)
        if retention.max_runs is not None:
            left -= await self._trim(retention.max_runs, left)
        await self._forget_gone()
        return limit - left

    async def _drop_idle(self, age: int, limit: int) -> int:
        async def drop(thread_id: str) -> tuple[int, bool]:
            reply = await self._database.call("drop_idle", self._keys.thread(thread_id), age=age)
            match reply[0]:
                case b"removed":
                    owner = None if len(reply) < 3 or reply[2] is None else text(reply[2])
                    await self._indexes.removed(thread_id, reply[1], owner)
                    await self._indexes.refresh(owner, thread_id)
                    return 1, False
                case b"kept":
                    await self._note(thread_id, active=reply[1])
                    return 0, True
                case _:
                    await self._note(thread_id, gone=True, age=ABANDONED_MS)
                    return 0, True

        return await self._each("index_idle", {"age": age}, limit, drop)

    async def _drop_logs(self, age: int, limit: int) -> int:
        removed = 0
        while removed < limit:
            size = min(PAGE, limit - removed)
            entries = await self._database.call("index_logs", self._keys.index, age=age, limit=size)
            for entry in entries:
                key, thread_id = entry_of(entry)
                gone = await self._database.call("drop_log", self._keys.thread(thread_id), run_key=key)
                removed += gone
                await self._database.call(
                    "index_close", self._keys.index, run_key=key, entry=run_entry(key, thread_id)
                )
            if len(entries) < size:
                break
        return removed

    async def _trim(self, keep: int, limit: int) -> int:
        left = limit

        async def trim(thread_id: str) -> tuple[int, bool]:
            went, runs = await self._database.call(
                "trim", self._keys.thread(thread_id), keep=keep, limit=left
            )
            await self._note(thread_id, runs=runs)
            return went, went == 0

        while left > 0:
            went = await self._each("index_long", {"keep": keep}, 1, trim)
            left -= went
            if not went:
                break
        return limit - left

    async def _forget_gone(self) -> None:
        """Take threads out of the index that were gone a while ago and still are."""
        ids = await self._database.call("index_gone", self._keys.index, age=ABANDONED_MS, limit=PAGE)
        for thread_id in map(text, ids):
            indexed = (await self._database.call("indexed", self._keys.thread(thread_id)))[0]
            if indexed:
                await self._note(thread_id, active=indexed[3], runs=indexed[4])
            else:
                await self._note(thread_id, gone=True, age=ABANDONED_MS)

    async def _each(
        self,
        index: str,
        args: dict[str, Any],
        limit: int,
        work: Callable[[str], Awaitable[tuple[int, bool]]],
    ) -> int:
        """Do ``work`` for the threads of an index until ``limit`` went; it says what went and what stays."""
        removed = offset = 0
        while removed < limit and offset < MOST_IN_VAIN:
            ids = await self._database.call(index, self._keys.index, **args, offset=offset, limit=PAGE)
            for thread_id in map(text, ids):
                went, stays = await work(thread_id)
                removed += went
                offset += stays
                if removed >= limit:
                    return removed
            if len(ids) < PAGE:
                break
        return removed

    async def _note(self, thread_id: str, **known: Any) -> None:
        await self._database.call("index_thread", self._keys.index, thread_id=thread_id, **known)
