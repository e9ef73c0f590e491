"""The debug feed: every event of every run, for whoever watches during development."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from jumpseat.protocol import codec

__all__ = ["DebugFeed", "Subscription"]

MAX_FRAMES: Final = 1000
MAX_BYTES: Final = 32 * 1024 * 1024


class DebugFeed:
    """Hands each event to the subscribers that may see its thread. Nobody who watches slows a run."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()

    def tap(
        self, *, agent_id: str, thread_id: str, run_id: str, owner: str | None
    ) -> Callable[[bytes], None]:
        """Return the function that takes the encoded events of one run."""
        # An event is JSON already, so the envelope is written around it.
        head = codec.encode_json({"agentId": agent_id, "threadId": thread_id, "runId": run_id})[1:-1]

        def publish(event: bytes) -> None:
            if self._subscriptions:
                now = time.time_ns() // 1_000_000
                self._publish(owner, b'data: {"timestamp":%d,%b,"event":%b}\n\n' % (now, head, event))

        return publish

    def subscribe(self, owner: str | None, *, until: Callable[[], Awaitable[object]]) -> Subscription:
        """Return the events of this owner's runs from now on, until ``until`` returns."""
        subscription = Subscription(owner, until, self._subscriptions.discard)
        self._subscriptions.add(subscription)
        return subscription

    def _publish(self, owner: str | None, frame: bytes) -> None:
        for subscription in self._subscriptions:
            if subscription.owner == owner:
                subscription.put(frame)


class Subscription:
    """One watcher's frames. The oldest go when it falls 1000 frames, or 32 MiB, behind.

    Iterating gives pieces of an event stream. ``__anext__`` may be cancelled without losing a frame.
    """

    def __init__(
        self,
        owner: str | None,
        until: Callable[[], Awaitable[object]],
        leave: Callable[[Subscription], None],
    ) -> None:
        self.owner = owner
        self._until = until
        self._leave = leave
        self._frames: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._ended = False
        self._wake = asyncio.Event()
        self._end_watch: asyncio.Task[None] | None = None

    def put(self, frame: bytes) -> None:
        """Queue a frame; never waits."""
        self._frames.append(frame)
        self._size += len(frame)
        while len(self._frames) > MAX_FRAMES or (self._size > MAX_BYTES and len(self._frames) > 1):
            self._size -= len(self._frames.popleft())
            self._dropped += 1
        self._wake.set()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> bytes:
        """Return everything that waits; what was dropped before it is told by a comment."""
        if self._end_watch is None:
            self._end_watch = asyncio.create_task(self._watch_end(), name="jumpseat debug feed")
        await self._wake.wait()
        if self._ended:
            await self.aclose()
            raise StopAsyncIteration
        self._wake.clear()
        lead = b": dropped %d\n\n" % self._dropped if self._dropped else b""
        data = lead + b"".join(self._frames)
        self._frames.clear()
        self._size = self._dropped = 0
        return data

    async def aclose(self) -> None:
        """Take no more frames. Idempotent."""
        self._leave(self)
        self._end()
        watch, self._end_watch = self._end_watch, None
        if watch is not None:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def _watch_end(self) -> None:
        await self._until()
        self._end()

    def _end(self) -> None:
        self._ended = True
        self._wake.set()
