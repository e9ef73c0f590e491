"""Storing events: the appends of many runs in one statement, and telling other processes of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Final, Protocol

from jumpseat.errors import ClaimLost, StoreUnavailable
from jumpseat.stores.acknowledged import Acknowledged
from jumpseat.stores.base import Append, Hold, Run
from jumpseat.stores.batches import bounded
from jumpseat.stores.postgres import values
from jumpseat.stores.postgres.announcing import Announcements
from jumpseat.stores.refusals import claim_lost, gap
from jumpseat.stores.waiting import Waiters

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


Done = Callable[[Sequence[Append]], None]


class Appends:
    """Stores appends with ``fetch`` and wakes those in this process who wait for their runs.

    One statement is under way at a time, and what comes meanwhile goes into the next one: appends to a run
    arrive in the order in which they were handed over. ``spawn`` runs a coroutine as a task that the store
    owns; ``notify`` announces run keys elsewhere.
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
        self._queue: list[tuple[Sequence[Append], Done]] = []
        self._writing = False
        self.announcements = Announcements(self._announce)
        self.acknowledged = Acknowledged()

    def put(self, appends: Sequence[Append], done: Done) -> None:
        """Store them and call ``done`` exactly once. Raises ``StoreUnavailable``: then it is not called."""
        if not self._writing:
            self._start(self._write())
            self._writing = True
        self._queue.append((appends, done))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            self._spawn(work)
        except StoreUnavailable:
            work.close()
            raise

    async def _write(self) -> None:
        taken: list[tuple[Sequence[Append], Done]] = []
        try:
            while self._queue:
                taken, self._queue = self._queue, []
                await self._write_group([append for appends, _ in taken for append in appends])
                _tell(taken)
        finally:
            self._writing = False
            # Nobody waits here unless the store was closed meanwhile.
            left = [*taken, *self._queue]
            self._queue.clear()
            for appends, _ in left:
                _fail(appends, StoreUnavailable("the PostgreSQL store was closed"))
            _tell(left)

    async def _write_group(self, appends: Sequence[Append]) -> None:
        for some in _statements(appends):
            try:
                await self._store(some)
            except StoreUnavailable as error:
                _fail(some, error)
            except Exception as error:
                if len(some) == 1:
                    _fail(some, error)
                else:
                    # One of them cannot be sent at all; it must not take the others with it.
                    for append in some:
                        await self._write_group([append])

    async def _store(self, appends: Sequence[Append]) -> None:
        # In the order of the keys: statements that lock the same runs then never wait in a ring.
        ordered = sorted(appends, key=lambda append: append.run.run_key)
        wakes = [self.announcements.due(append.run.run_key) for append in ordered]
        ((told,),) = await self._fetch("append", {}, **values.append_values(ordered, wakes))
        for append, answer in zip(ordered, told, strict=True):
            try:
                append.result = hold(append.run, append.first_seq, answer)
                self.acknowledged.stored(append)
            except (ClaimLost, ValueError) as error:
                append.error = self.acknowledged.refusal(append.run, append.first_seq, error)
            self._waiters.wake(append.run.run_key)

    def _announce(self, run_keys: list[str]) -> None:
        with contextlib.suppress(StoreUnavailable):
            self._start(self._announce_quietly(run_keys))

    async def _announce_quietly(self, run_keys: list[str]) -> None:
        # Readers elsewhere look for themselves now and then: a lost announcement costs them that long.
        with contextlib.suppress(StoreUnavailable):
            await self._notify("", run_keys)


def _statements(appends: Sequence[Append]) -> Iterator[list[Append]]:
    """Yield what goes into one statement each: a run once, and no more than the server can hold."""
    rounds: list[dict[str, Append]] = []
    for append in appends:
        key = append.run.run_key
        for one in rounds:
            if key not in one:
                one[key] = append
                break
        else:
            rounds.append({key: append})
    for one in rounds:
        yield from bounded(list(one.values()), STATEMENT_BYTES)


def _tell(groups: list[tuple[Sequence[Append], Done]]) -> None:
    while groups:
        appends, done = groups.pop(0)
        done(appends)


def _fail(appends: Sequence[Append], error: Exception) -> None:
    for append in appends:
        if append.result is None and append.error is None:
            append.error = error


def hold(run: Run, first_seq: int, told: str) -> Hold:
    """Read the answer to a write. Raises ``ClaimLost``, and ``ValueError`` for a gap."""
    if told == "lost":
        raise claim_lost(run)
    if told.isdigit():
        raise gap(first_seq, told)
    return Hold(told)
