"""Reads a library's stream in a task of its own, so that leaving it early reaches its connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Final, Generic, TypeVar

__all__ = ["read"]

T = TypeVar("T")

_ROOM: Final = 16
_TICKS: Final = 1_000
_UNWIND_SECONDS: Final = 5.0


async def read(
    opened: AbstractAsyncContextManager[AsyncIterator[T]], seconds: float | None = None
) -> AsyncGenerator[T]:
    """Yield what the stream of ``opened`` yields; at most 16 items are read ahead.

    Closing a chain of generators from outside leaves the inner ones to the garbage collector, and a request
    open. Here the read that waits for the connection is cancelled, which unwinds them from the inside.

    Args:
        opened: Entered by the reading task, and left by it.
        seconds: For the whole stream.

    Raises:
        TimeoutError: The time has passed.
    """
    reader = _Reader(opened)
    clock = asyncio.get_running_loop()
    deadline = None if seconds is None else clock.time() + seconds
    task = asyncio.create_task(reader.run())
    try:
        while True:
            async with asyncio.timeout_at(deadline):
                item = await reader.items.get()
            if item is None:
                break
            yield item[0]
        await task
    finally:
        await reader.leave(task)


class _Reader(Generic[T]):
    def __init__(self, opened: AbstractAsyncContextManager[AsyncIterator[T]]) -> None:
        # None is the end.
        self.items: asyncio.Queue[tuple[T] | None] = asyncio.Queue(_ROOM)
        self._opened = opened
        self._is_waiting = False
        self._is_left = False

    async def run(self) -> None:
        try:
            async with self._opened as stream:
                while True:
                    self._is_waiting = True
                    try:
                        item = await anext(stream)
                    except StopAsyncIteration:
                        break
                    finally:
                        self._is_waiting = False
                    if not self._is_left:
                        await self.items.put((item,))
        finally:
            if not self._is_left:
                await self.items.put(None)

    async def leave(self, task: asyncio.Task[None]) -> None:
        """End the reading: only where it waits for the upstream does cancelling it close the connection."""
        self._is_left = True
        for _ in range(_TICKS):
            while not self.items.empty():
                self.items.get_nowait()
            if task.done() or self._is_waiting:
                break
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task}, timeout=_UNWIND_SECONDS)
        if task.done() and not task.cancelled():
            task.exception()
