"""Turns at the connections of a store: in order of arrival, and given up only when the server is away."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, NamedTuple

__all__ = ["LONGEST_SECONDS", "Turns"]

# What a burst may take to be worked off while the server answers.
LONGEST_SECONDS: Final = 30.0
# A timer that is late by this share of the patience says that the event loop stood still.
LATE_SHARE: Final = 0.1


class _Place(NamedTuple):
    turn: asyncio.Future[None]
    since: float


class Turns:
    """At most ``count`` turns at a time.

    Who waits gives up when the server has answered nobody for ``patience`` seconds: a burst that it works off
    is waited for, at most ``longest`` seconds. Urgent turns come first, but only every other time while
    somebody else waits, so that neither kind can keep the other out.
    """

    def __init__(self, count: int, *, patience: float, longest: float = LONGEST_SECONDS) -> None:
        self._free = count
        self._patience = patience
        self._longest = longest
        self._urgent: deque[_Place] = deque()
        self._patient: deque[_Place] = deque()
        self._was_urgent = False
        self._answered_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._due_at = 0.0

    async def take(self, *, urgent: bool = False) -> None:
        """Wait for a turn. Raises ``TimeoutError``; after that, and when cancelled, none was taken."""
        if self._free:
            self._free -= 1
            return
        loop = asyncio.get_running_loop()
        place = _Place(loop.create_future(), loop.time())
        (self._urgent if urgent else self._patient).append(place)
        if self._timer is None:
            self._watch_from(place.since + min(self._patience, self._longest))
        try:
            await place.turn
        except asyncio.CancelledError:
            if place.turn.done() and not place.turn.cancelled() and place.turn.exception() is None:
                self.give_back()
            raise

    def answered(self) -> None:
        """Note that the server answers: those who wait may go on waiting."""
        self._answered_at = asyncio.get_running_loop().time()

    def give_back(self) -> None:
        """End a turn; the next one begins."""
        while (place := self._next()) is not None:
            if not place.turn.done():
                place.turn.set_result(None)
                return
        self._free += 1

    def _next(self) -> _Place | None:
        urgent = bool(self._urgent) and not (self._was_urgent and self._patient)
        line = self._urgent if urgent else self._patient
        self._was_urgent = urgent
        return line.popleft() if line else None

    def _watch_from(self, moment: float) -> None:
        self._due_at = moment
        self._timer = asyncio.get_running_loop().call_at(moment, self._watch)

    def _watch(self) -> None:
        """Dismiss those whose time is over, and look again when that of the next one may be."""
        self._timer = None
        loop = asyncio.get_running_loop()
        if loop.time() - self._due_at > self._patience * LATE_SHARE:
            # The event loop stood still: the answers of that time have not been read yet.
            self._answered_at = loop.time()
        ends: list[float] = []
        for line in (self._urgent, self._patient):
            # They stand in the order of their arrival, so the first one's time is over first.
            while line:
                until = self._until(line[0])
                if line[0].turn.done():
                    line.popleft()
                elif until <= loop.time():
                    line.popleft().turn.set_exception(TimeoutError())
                else:
                    ends.append(until)
                    break
        if ends:
            self._watch_from(min(ends))

    def _until(self, place: _Place) -> float:
        return min(max(place.since, self._answered_at) + self._patience, place.since + self._longest)
