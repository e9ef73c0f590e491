"""Calls that nobody waits for: bounded in number, owned, and given a last chance at shutdown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from jumpseat.calling import is_failure

__all__ = ["BackgroundCalls"]

_logger = logging.getLogger("jumpseat")


class BackgroundCalls:
    """A set of running calls; the one over ``limit`` is not made."""

    def __init__(self, what: str, limit: int) -> None:
        self._what = what
        self._limit = limit
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, call: Callable[[], Awaitable[object]]) -> bool:
        """Start ``call`` and return true, or log a warning and return false when too many are pending."""
        if len(self._tasks) >= self._limit:
            _logger.warning("%s: %d calls are pending, this one is dropped", self._what, self._limit)
            return False
        task = asyncio.create_task(self._guarded(call), name=f"jumpseat {self._what}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def finish(self, seconds: float) -> None:
        """Give pending calls ``seconds``, then cancel what is left."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(set(self._tasks), timeout=seconds)
        for task in late:
            task.cancel()
        if late:
            _logger.warning("%s: %d calls were cancelled at shutdown", self._what, len(late))
            await asyncio.wait(late, timeout=1.0)

    async def _guarded(self, call: Callable[[], Awaitable[object]]) -> None:
        try:
            await call()
        except BaseException as error:  # What calls sys.exit() here ends its call, not the server.
            if not is_failure(error):
                raise
            _logger.exception("%s failed", self._what)
