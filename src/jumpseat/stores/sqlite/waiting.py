"""Readers that wait for a run: woken after a commit of this process, or when another one has committed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from jumpseat.stores.sqlite.writer import Group, Item
from jumpseat.stores.waiting import Waiters

__all__ = ["FileWaiters"]

POLL_SECONDS = 0.1


class FileWaiters(Waiters):
    """Calls ``poll`` every 100 ms while somebody waits, to look for other writers."""

    def __init__(self, poll: Callable[[], None]) -> None:
        super().__init__()
        self._poll = poll
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, run_key: str, after: int) -> asyncio.Future[None]:
        """Begin to wait; whatever happens from now on resolves the future."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(POLL_SECONDS, self._tick, loop)
        return super().enter(run_key, after)

    def committed(self, items: Sequence[Item], touched: Sequence[str], foreign: bool) -> None:
        """Wake those a commit concerns: all of them when another connection has committed too."""
        if not self:
            return
        if foreign:
            self.wake_all()
            return
        for item in items:
            if type(item) is Group:
                for append in item.appends:
                    self.wake(append.run.run_key)
        for run_key in touched:
            self.wake(run_key)

    def close(self) -> None:
        """Wake everyone and stop polling."""
        self.wake_all()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self:
            self._poll()
            self._timer = loop.call_later(POLL_SECONDS, self._tick, loop)
