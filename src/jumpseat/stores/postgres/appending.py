"""Storing events: the appends of many runs in one statement, and telling other processes of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Protocol

from jumpseat.errors import ClaimLost, StoreUnavailable
from jumpseat.stores.base import Append, Hold, Run
from jumpseat.stores.postgres import values
from jumpseat.stores.postgres.waking import Announcements, Waiters

__all__ = ["Appends", "Fetch", "hold"]

# Appends beyond this go in a statement of their own: a parameter must fit into the server's memory.
STATEMENT_BYTES: Final = 4 << 20


class Fetch(Protocol):
    """Executes the statement of a verb."""

    async def __call__(
        self, verb: str, again: dict[str, Any] | None, /, **parameters: Any
    ) -> list[tuple[Any, ...]]:
        """Return its rows; ``again`` as in ``Connections.fetch``."""
        ...


class Appends:
    """Stores appends with ``fetch`` and wakes those in this process who wait for their runs.

    ``spawn`` runs a coroutine as a task that the store owns; ``notify`` announces run keys elsewhere.
    """

    def __init__(
        self,
        fetch: Fetch,
        waiters: Waiters,
        *,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        notify: Callable[[str, list[str]], Coroutine[Any, Any, None]],
    ) -> None:
        self._fetch = fetch
        self._waiters = waiters
        self._spawn = spawn
        self._notify = notify
        self.announcements = Announcements(self._announce)

    async def group(self, appends: Sequence[Append], done: Callable[[Sequence[Append]], None]) -> None:
        """Store them and call ``done`` exactly once."""
        try:
            for some in values.bounded(appends, STATEMENT_BYTES):
                await self.store(some)
        except BaseException as error:
            told = error if isinstance(error, Exception) else StoreUnavailable("the store was closed")
            for append in appends:
                if append.result is None and append.error is None:
                    append.error = told
            if not isinstance(error, Exception):
                raise
        finally:
            done(appends)

    async def store(self, appends: Sequence[Append]) -> None:
        """Note for each its result or its error. Raises ``StoreUnavailable``.

        In the order of the keys: statements that lock the same runs then never wait in a ring.
        """
        ordered = sorted(appends, key=lambda append: append.run.run_key)
        wakes = [self.announcements.due(append.run.run_key) for append in ordered]
        ((told,),) = await self._fetch("append", {}, **values.append_values(ordered, wakes))
        for append, answer in zip(ordered, told, strict=True):
            try:
                append.result = hold(append.run, append.first_seq, answer)
            except (ClaimLost, ValueError) as error:
                append.error = error
            self._waiters.wake(append.run.run_key)

    def _announce(self, run_keys: list[str]) -> None:
        work = self._announce_quietly(run_keys)
        try:
            self._spawn(work)
        except StoreUnavailable:
            work.close()

    async def _announce_quietly(self, run_keys: list[str]) -> None:
        # Readers elsewhere look for themselves now and then: a lost announcement costs them that long.
        with contextlib.suppress(StoreUnavailable):
            await self._notify("", run_keys)


def hold(run: Run, first_seq: int, told: str) -> Hold:
    """Read the answer to a write. Raises ``ClaimLost``, and ``ValueError`` for a gap."""
    if told == "lost":
        raise ClaimLost(f"run {run.run_key!r} is no longer held with epoch {run.epoch}")
    if told.isdigit():
        raise ValueError(f"event {first_seq} does not follow event {told}")
    return Hold(told)
