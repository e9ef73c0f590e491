"""Readers that wait for a run: what they hold while they wait, and how they are woken."""

from __future__ import annotations

import asyncio

__all__ = ["Waiters"]


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
