"""Storing events: one run's, or those of many runs in one round trip; what was acknowledged is remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from jumpseat.errors import ClaimLost, StoreUnavailable
from jumpseat.stores.acknowledged import Acknowledged
from jumpseat.stores.base import Append, Hold, Run
from jumpseat.stores.batches import bounded
from jumpseat.stores.redis.database import Call, Database, Reply
from jumpseat.stores.redis.keys import Keys
from jumpseat.stores.redis.values import hold_of
from jumpseat.stores.refusals import claim_lost

__all__ = ["Appender"]

# What is beyond this goes in a round trip of its own: both sides hold what is on its way in memory.
ROUND_TRIP_BYTES: Final = 4 << 20

Done = Callable[[Sequence[Append]], None]


class Appender:
    """Appends for one store; ``wake`` lets the readers of a run in this process look again."""

    def __init__(self, database: Database, keys: Keys, wake: Callable[[str], None]) -> None:
        self._database = database
        self._keys = keys
        self._wake = wake
        self.acknowledged = Acknowledged()
        self._tasks: set[asyncio.Task[None]] = set()

    async def append(self, run: Run, first_seq: int, events: Sequence[bytes]) -> Hold:
        """Store consecutive events. Raises ``ClaimLost`` and ``ValueError``."""
        append = Append(run, first_seq, events)
        self._settle(append, await self._database.run(self._call(append)))
        if append.result is None:
            raise append.error or claim_lost(run)
        return append.result

    def group(self, appends: Sequence[Append], done: Done) -> None:
        """Store the events of several runs, on one server in one round trip, and tell ``done``."""
        task = asyncio.get_running_loop().create_task(self._store(appends, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def hold(self, run: Run, first_seq: int, reply: Reply) -> Hold:
        """Return what a writer is told. Raises ``ClaimLost`` and ``ValueError``."""
        try:
            return hold_of(run, first_seq, reply)
        except (ClaimLost, ValueError) as error:
            raise self.acknowledged.refusal(run, first_seq, error) from None

    async def aclose(self) -> None:
        """Wait for the groups on their way."""
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _store(self, appends: Sequence[Append], done: Done) -> None:
        try:
            for some in bounded(appends, ROUND_TRIP_BYTES):
                calls = [self._call(append) for append in some]
                replies = await self._database.together("append_group", calls)
                for append, reply in zip(some, replies, strict=True):
                    self._settle(append, reply)
        except Exception as error:
            for append in appends:
                append.error = error
        finally:
            for append in appends:
                if append.result is None and append.error is None:
                    append.error = StoreUnavailable("the append was cancelled")
            done(appends)

    def _settle(self, append: Append, reply: Reply) -> None:
        run = append.run
        try:
            if isinstance(reply, StoreUnavailable):
                raise reply
            append.result = self.hold(run, append.first_seq, reply)
        except Exception as error:
            append.error = error
            return
        self.acknowledged.stored(append)
        self._wake(run.run_key)

    def _call(self, append: Append) -> Call:
        run = append.run
        args = {"run_key": run.run_key, "epoch": run.epoch, "first_seq": append.first_seq}
        return Call("append", self._keys.thread(run.thread_id), args, append.events)
