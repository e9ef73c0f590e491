"""The verbs of a Redis store that read: each asks one script on the slot of the thread."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from jumpseat.stores.base import History, Live, Located, LogPage, RunEvents, RunHeader
from jumpseat.stores.redis import values
from jumpseat.stores.redis.database import Reply
from jumpseat.stores.redis.listening import Listener

__all__ = ["ReadingVerbs"]


class ReadingVerbs(ABC):
    """What the store contract says of reading."""

    @abstractmethod
    async def ask(self, script: str, thread_id: str, /, **args: Any) -> Reply:
        """Run a script on the slot of a thread. Raises ``StoreUnavailable``."""

    @abstractmethod
    def listener(self) -> Listener:
        """Return what wakes readers. Raises ``StoreUnavailable`` unless the store is open."""

    async def read(self, thread_id: str, run_key: str, after: int, wait: float) -> LogPage:
        """Return the events behind ``after``, waiting up to ``wait`` seconds for one."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        while True:
            listener = self.listener()
            waiter = listener.waiters.enter(run_key, after)
            try:
                process = listener.channel if deadline > loop.time() else None
                reply = await self.ask("look", thread_id, run_key=run_key, after=after, process=process)
                page = values.page_of(reply)
                left = deadline - loop.time()
                if page is not None or left <= 0:
                    return page or LogPage(events=[])
                # A lease that runs out wakes nobody.
                recheck = min(left, listener.recheck_seconds, reply[1] / 1000 + 0.001)
                await asyncio.wait((waiter,), timeout=recheck)
            finally:
                listener.waiters.leave(run_key, waiter)

    async def live(self, owner: str | None, thread_id: str) -> Live | None:
        """Return the thread's live run."""
        return values.live_of(thread_id, await self.ask("live", thread_id, owner=owner))

    async def locate(self, owner: str | None, thread_id: str, keys: Sequence[str]) -> Located:
        """Find the visible entries with one of these keys or aliases."""
        return values.located_of(keys, await self.ask("locate", thread_id, owner=owner, keys=keys))

    async def history(self, owner: str | None, thread_id: str, at: int | None = None) -> History | None:
        """Return what the thread shows now, or showed after the run with ordinal ``at``."""
        return values.history_of(thread_id, await self.ask("history", thread_id, owner=owner, at=at))

    async def run(self, owner: str | None, thread_id: str, run_key: str) -> RunHeader | None:
        """Return the header of one run of this thread."""
        replies = await self.ask("headers", thread_id, owner=owner, run_key=run_key)
        return values.header_of(replies[0]) if replies else None

    async def find(self, owner: str | None, thread_id: str, run_id: str) -> RunHeader | None:
        """Return the header of the newest run of this thread that has this ``run_id``."""
        replies = await self.ask("headers", thread_id, owner=owner, run_id=run_id)
        return values.header_of(replies[0]) if replies else None

    async def runs(self, owner: str | None, thread_id: str, after: int, limit: int) -> list[RunHeader]:
        """Return run headers with an ordinal above ``after``, oldest first."""
        replies = await self.ask("headers", thread_id, owner=owner, after=after, limit=limit)
        return [header for header in map(values.header_of, replies) if header is not None]

    async def events(
        self, owner: str | None, thread_id: str, after: int, limit: int, *, newest: bool = False
    ) -> list[RunEvents]:
        """Return sealed runs with their compacted events, whole runs until ``limit`` events are reached."""
        replies = await self.ask("events", thread_id, owner=owner, after=after, limit=limit, newest=newest)
        return [values.run_events_of(reply) for reply in replies]
