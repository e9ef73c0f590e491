"""One subscription per process: wakes readers that wait for a run, and tells of runs that are to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from jumpseat.stores.redis.database import Database
from jumpseat.stores.waiting import Waiters

__all__ = ["Listener"]

# Readers look again after that long although nobody woke them: a wake-up may get lost.
CALM_SECONDS = 2.0
DEAF_SECONDS = 0.25
SILENCE_SECONDS = 5.0
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 2.0

_log = logging.getLogger(__name__)
_message = msgspec.msgpack.Decoder(list[str]).decode

Stopped = Callable[[str], None]


class Listener:
    """Wakes ``waiters`` by what comes over ``channel``.

    ``stopped`` is called with the key of a run of this process that is to stop.
    """

    def __init__(self, database: Database, waiters: Waiters, channel: str, stopped: Stopped) -> None:
        self._database = database
        self.channel = channel
        self.stopped = stopped
        self.waiters = waiters
        self._listening = False
        self._closing = False
        self._task = asyncio.create_task(self._listen(), name="jumpseat-redis-listener")

    @property
    def recheck_seconds(self) -> float:
        """After how long a reader has to look again by itself."""
        return CALM_SECONDS if self._listening else DEAF_SECONDS

    @property
    def listening(self) -> bool:
        """Whether wake-ups of other processes arrive."""
        return self._listening

    async def aclose(self) -> None:
        """Stop listening and let everyone look once more."""
        self._closing = True
        while not self._task.done():
            # The client may swallow a cancellation.
            self._task.cancel()
            await asyncio.wait((self._task,), timeout=1.0)
        self.waiters.wake_all()

    async def _listen(self) -> None:
        pause = SHORTEST_PAUSE_SECONDS
        while not self._closing:
            try:
                await self._subscribe()
            except self._database.failures as error:
                _log.info("%s: wake-ups do not arrive: %s", self._database.where, error)
            except Exception:
                _log.exception("%s: listening failed; it is tried again", self._database.where)
            if self._listening:
                pause = SHORTEST_PAUSE_SECONDS
                self._listening = False
                # Whoever waits now looks again sooner.
                self.waiters.wake_all()
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _subscribe(self) -> None:
        subscriber = self._database.subscriber()
        try:
            await subscriber.subscription.subscribe(self.channel)
            await self._hear(subscriber.subscription)
        finally:
            with contextlib.suppress(*self._database.failures):
                await subscriber.aclose()

    async def _hear(self, subscription: Any) -> None:
        silent = False
        while not self._closing:
            message = await subscription.get_message(timeout=SILENCE_SECONDS)
            if message is None:
                if silent:
                    raise TimeoutError("the subscription does not answer")
                silent = True
                await subscription.ping()
                continue
            silent = False
            if message["type"] == "subscribe":
                self._listening = True
                # What happened while nobody listened.
                self.waiters.wake_all()
            elif message["type"] == "message":
                self._told(message["data"])

    def _told(self, data: bytes) -> None:
        match _message(data):
            case ["wake", str(run_key)]:
                self.waiters.wake(run_key)
            case ["stop", str(run_key)]:
                self.stopped(run_key)
            case other:
                _log.debug("not understood: %r", other)
