"""The hand-over of a run's events from the task that makes them to the one that reads them."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from jumpseat.protocol.events import Event

__all__ = ["EventChannel"]

CAPACITY: Final = 256


class EventChannel:
    """A bounded queue with any number of writers and one reader.

    A full channel holds its writers back; what was put is read in order, also after ``close``.
    """

    __slots__ = ("_closed", "_dropped", "_events", "_reader", "_room")

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._closed = self._dropped = False
        self._reader: asyncio.Future[None] | None = None
        self._room: deque[asyncio.Future[None]] = deque()

    async def put(self, event: Event) -> None:
        """Add an event, waiting while 256 are unread. Cancelling leaves the event out.

        Raises:
            CancelledError: The events were dropped; it ends writers that a library keeps from noticing.
        """
        while len(self._events) >= CAPACITY and not self._closed:
            waiter = asyncio.get_running_loop().create_future()
            self._room.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._room:
                    self._room.remove(waiter)
        if self._dropped:
            raise asyncio.CancelledError
        if self._closed:
            return
        self._events.append(event)
        if self._reader is not None:
            _wake(self._reader)

    def close(self, *, drop: bool = False) -> None:
        """Take no further events; with ``drop`` also forget the unread ones."""
        self._closed = True
        if drop:
            self._dropped = True
            self._events.clear()
        if self._reader is not None:
            _wake(self._reader)
        for waiter in self._room:
            _wake(waiter)

    def __aiter__(self) -> EventChannel:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        event = self._events.popleft()
        if self._room and len(self._events) < CAPACITY:
            _wake(self._room.popleft())
        return event


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
