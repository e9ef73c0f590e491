"""Readers that wait for a run: woken after a commit of this process, or when another one has committed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from jumpseat.stores.sqlite.writer import Group, Item

__all__ = ["Waiters"]

POLL_SECONDS = 0.1


class Waiters:
    """Futures by run key. ``poll`` is called every 100 ms while somebody waits, to look for other writers."""

    def __init__(self, poll: Callable[[], None]) -> None:
        self._poll = poll
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, run_key: str) -> asyncio.Future[None]:
        """Begin to wait; whatever happens from now on resolves the future."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault(run_key, set()).add(waiter)
        if self._timer is None:
            self._timer = loop.call_later(POLL_SECONDS, self._tick, loop)
        return waiter

    def leave(self, run_key: str, waiter: asyncio.Future[None]) -> None:
        """End waiting."""
        waiters = self._waiting.get(run_key)
        if waiters is not None:
            waiters.discard(waiter)
            if not waiters:
                del self._waiting[run_key]

    def committed(self, items: Sequence[Item], touched: Sequence[str], foreign: bool) -> None:
        """Wake those a commit concerns: all of them when another connection has committed too."""
        if not self._waiting:
            return
        if foreign:
            self.wake_all()
            return
        for item in items:
            if type(item) is Group:
                for append in item.appends:
                    self._wake(append.run.run_key)
        for run_key in touched:
            self._wake(run_key)

    def wake_all(self) -> None:
        """Let everyone look again."""
        for run_key in list(self._waiting):
            self._wake(run_key)

    def close(self) -> None:
        """Wake everyone and stop polling."""
        self.wake_all()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake(self, run_key: str) -> None:
        for waiter in self._waiting.pop(run_key, ()):
            if not waiter.done():
                waiter.set_result(None)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self._waiting:
            self._poll()
            self._timer = loop.call_later(POLL_SECONDS, self._tick, loop)
