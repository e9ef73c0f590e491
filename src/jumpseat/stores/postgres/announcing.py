"""When appends are announced to other processes: at most once per run and 20 ms, and the last one always."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

__all__ = ["Announcements"]

NOTIFY_SECONDS: Final = 0.02
FORGET_SECONDS: Final = 1.0


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
