"""The verbs of a PostgreSQL store that read: each is one statement, or one for a page."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from jumpseat.stores.base import History, Live, Located, LogPage, RunEvents, RunHeader
from jumpseat.stores.postgres import values
from jumpseat.stores.postgres.values import text
from jumpseat.stores.waiting import Waiters

__all__ = ["ReadingVerbs"]

EVENT_RUNS: Final = 16

_unpack = msgspec.msgpack.Decoder(list[bytes]).decode


class ReadingVerbs(ABC):
    """What the store contract says of reading."""

    waiters: Waiters

    @abstractmethod
    async def fetch(
        self, verb: str, again: dict[str, Any] | None, /, **parameters: Any
    ) -> list[tuple[Any, ...]]:
        """Execute the statement of ``verb``; ``again`` as in ``Connections.fetch``."""

    async def read(self, thread_id: str, run_key: str, after: int, wait: float) -> LogPage:
        """Return the events behind ``after``, waiting up to ``wait`` seconds for one."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        asked = {"thread": text(thread_id), "run_key": text(run_key), "after": after}
        while True:
            waiter = self.waiters.enter(run_key, after)
            try:
                rows = await self.fetch("look", {}, **asked)
                page, outdated = values.log_page(rows[0] if rows else None, after)
                left = deadline - loop.time()
                if page.events or page.ended or page.gone or page.expired or left <= 0:
                    return page
                await asyncio.wait((waiter,), timeout=min(left, outdated))
            finally:
                self.waiters.leave(run_key, waiter)

    async def live(self, owner: str | None, thread_id: str) -> Live | None:
        """Return the thread's live run."""
        rows = await self.fetch("live", {}, **values.thread_values(owner, thread_id))
        return values.ROWS.live(thread_id, rows[0]) if rows else None

    async def locate(self, owner: str | None, thread_id: str, keys: Sequence[str]) -> Located:
        """Find the visible entries with one of these keys or aliases."""
        asked = values.thread_values(owner, thread_id)
        return values.located(await self.fetch("locate", {}, **asked, keys=[text(key) for key in keys]))

    async def history(self, owner: str | None, thread_id: str, at: int | None = None) -> History | None:
        """Return what the thread shows now, or showed after the run with ordinal ``at``."""
        asked = values.thread_values(owner, thread_id)
        if at is None:
            rows = await self.fetch("history", {}, **asked)
        else:
            rows = await self.fetch("history_at", {}, **asked, at=at)
        return values.history_of(thread_id, rows[0]) if rows else None

    async def run(self, owner: str | None, thread_id: str, run_key: str) -> RunHeader | None:
        """Return the header of one run of this thread."""
        rows = await self.fetch("run", {}, **values.thread_values(owner, thread_id), run_key=text(run_key))
        return values.ROWS.header(rows[0]) if rows else None

    async def find(self, owner: str | None, thread_id: str, run_id: str) -> RunHeader | None:
        """Return the header of the newest run of this thread that has this ``run_id``."""
        rows = await self.fetch("find", {}, **values.thread_values(owner, thread_id), run_id=text(run_id))
        return values.ROWS.header(rows[0]) if rows else None

    async def runs(self, owner: str | None, thread_id: str, after: int, limit: int) -> list[RunHeader]:
        """Return run headers with an ordinal above ``after``, oldest first."""
        asked = values.thread_values(owner, thread_id)
        rows = await self.fetch("runs", {}, **asked, after=after, limit=limit)
        return [values.ROWS.header(row) for row in rows]

    async def events(
        self, owner: str | None, thread_id: str, after: int, limit: int, *, newest: bool = False
    ) -> list[RunEvents]:
        """Return sealed runs with their compacted events, whole runs until ``limit`` events are reached."""
        asked = values.thread_values(owner, thread_id)
        verb = "newest_events" if newest else "events"
        found: list[RunEvents] = []
        count = 0
        while count < limit:
            rows = await self.fetch(verb, {}, **asked, after=after, limit=EVENT_RUNS)
            for run_key, ordinal, compacted in rows:
                if count >= limit:
                    break
                found.append(RunEvents(run_key=run_key, ordinal=ordinal, events=_unpack(compacted)))
                count += len(found[-1].events)
                after = ordinal
            if len(rows) < EVENT_RUNS:
                break
        return found
