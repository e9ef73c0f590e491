"""Readers that wait for a run, and what wakes them: this process, a notification, or looking again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

__all__ = ["Announcements", "Waiters"]

NOTIFY_SECONDS: Final = 0.02
FORGET_SECONDS: Final = 1.0


class Waiters:
    """Futures by run key, each with the number of the last event its reader has."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[asyncio.Future[None], int]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def enter(self, run_key: str, after: int) -> asyncio.Future[None]:
        """Begin to wait; whatever happens from now on resolves the future."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(run_key, {})[waiter] = after
        return waiter

    def leave(self, run_key: str, waiter: asyncio.Future[None]) -> None:
        """End waiting."""
        waiters = self._waiting.get(run_key)
        if waiters is not None:
            waiters.pop(waiter, None)
            if not waiters:
                del self._waiting[run_key]

    def positions(self) -> tuple[list[str], list[int]]:
        """Return the runs that are waited for, and for each the lowest number that a reader has."""
        return list(self._waiting), [min(waiters.values()) for waiters in self._waiting.values()]

    def wake(self, run_key: str) -> None:
        """Let those who wait for a run look again."""
        for waiter in self._waiting.pop(run_key, ()):
            if not waiter.done():
                waiter.set_result(None)

    def wake_all(self) -> None:
        """Let everyone look again."""
        for run_key in list(self._waiting):
            self.wake(run_key)


class Announcements:
    """Says which appends tell other processes of themselves: at most one per run and 20 ms.

    What an append kept to itself is announced when those are over, through ``announce``.
    """

    def __init__(self, announce: Callable[[list[str]], None]) -> None:
        self._announce = announce
        self._told_at: dict[str, float] = {}
        self._owed: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None

    def due(self, run_key: str) -> bool:
        """Say whether the append that comes now is to wake the readers of its run."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now - self._told_at.get(run_key, -1.0) >= NOTIFY_SECONDS:
            self._told_at[run_key] = now
            self._owed.discard(run_key)
            return True
        self._owed.add(run_key)
        if self._timer is None:
            self._timer = loop.call_later(NOTIFY_SECONDS, self._settle)
        return False

    def forget(self, run_keys: Iterable[str]) -> None:
        """These runs are sealed: nothing is owed for them."""
        for run_key in run_keys:
            self._told_at.pop(run_key, None)
            self._owed.discard(run_key)

    def close(self) -> None:
        """Announce nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._owed.clear()

    def _settle(self) -> None:
        now = asyncio.get_running_loop().time()
        self._timer = None
        owed, self._owed = list(self._owed), set()
        self._told_at = {key: at for key, at in self._told_at.items() if now - at < FORGET_SECONDS}
        if owed:
            self._told_at.update(dict.fromkeys(owed, now))
            self._announce(owed)
