"""The newest stored events of a run in this process, and the waking of those who read them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

__all__ = ["Tail"]

MAX_EVENTS: Final = 2_000
MAX_BYTES: Final = 1024 * 1024
PAGE_EVENTS: Final = 256


class Tail:
    """Stored events of one run, at most the newest 2,000 or 1 MiB of them.

    Only what the store has acknowledged gets in, so a reader never sees an event that could be lost.

    Attributes:
        last_seq: Number of the newest event.
        ended: The run is sealed and its terminal is the last event.
        detached: This process no longer owns the run; read the store instead.
    """

    __slots__ = ("_bytes", "_events", "_first", "_loop", "_waiters", "detached", "ended", "last_seq")

    def __init__(self, last_seq: int) -> None:
        self._events: list[bytes] = []
        self._first = last_seq + 1
        self._bytes = 0
        self._waiters: list[asyncio.Future[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self.last_seq = last_seq
        self.ended = False
        self.detached = False

    def extend(self, events: Sequence[bytes]) -> None:
        """Make stored events visible, drop what is beyond the bounds, wake the readers."""
        if len(events) == 1:
            (event,) = events
            self._events.append(event)
            self._bytes += len(event)
            self.last_seq += 1
        else:
            self._events += events
            self._bytes += sum(map(len, events))
            self.last_seq += len(events)
        if len(self._events) > MAX_EVENTS or self._bytes > MAX_BYTES:
            self._shrink()
        if self._waiters:
            self._wake()

    def end(self) -> None:
        """Say that nothing follows."""
        self.ended = True
        self._wake()

    def detach(self) -> None:
        """Send the readers to the store."""
        self.detached = True
        self._wake()

    def after(self, seq: int) -> list[bytes] | None:
        """Return up to 256 events behind number ``seq``; ``None`` when the buffer no longer has them."""
        start = seq + 1 - self._first
        if start < 0:
            return None
        return self._events[start : start + PAGE_EVENTS]

    def changed(self) -> asyncio.Future[None]:
        """Return what the next ``extend``, ``end`` or ``detach`` resolves; ``forget`` it when cancelled."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        return waiter

    def forget(self, waiter: asyncio.Future[None]) -> None:
        """Wake ``waiter`` no more."""
        self._waiters = [one for one in self._waiters if one is not waiter]

    def _shrink(self) -> None:
        # Half at a time: dropping one event per new one would cost more than storing it.
        while len(self._events) > MAX_EVENTS or (self._bytes > MAX_BYTES and len(self._events) > 1):
            drop = (len(self._events) + 1) // 2
            self._bytes -= sum(map(len, self._events[:drop]))
            del self._events[:drop]
            self._first += drop

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
