"""Storing the events of all live runs of a process in groups: one hand-over and one report for many runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, Protocol

from jumpseat.stores.base import Append, AppendsGroups, Store

__all__ = ["GroupCommit", "Member", "group_commit_of"]

logger = logging.getLogger("jumpseat.runs")

LARGEST_GROUP: Final = 256


class Member(Protocol):
    """A run whose events are stored with those of others."""

    def next_append(self) -> Append | None:
        """Return what is to be stored now, ``None`` when the run no longer wants that."""
        ...

    def stored(self, append: Append) -> None:
        """Learn what became of it. May ``join`` again."""
        ...


class GroupCommit:
    """Hands what the runs of one process have produced to their store, one group at a time.

    A group is whatever piled up while the one before it was written and shown; when nothing was being
    written, it is what the present turn of the event loop brings.
    """

    def __init__(self, store: AppendsGroups) -> None:
        self._store = store
        self._loop: asyncio.AbstractEventLoop | None = None
        self._joined: list[Member] = []
        self._written: list[Member] = []
        # Something is being written, or will be handed over in this turn of the loop.
        self._busy = False

    def join(self, member: Member) -> None:
        """Take what ``member`` has into the next group; it must not join again before it is told."""
        self._joined.append(member)
        if not self._busy:
            self._busy = True
            self._schedule()

    def _schedule(self) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        joined = self._joined
        self._joined = joined[LARGEST_GROUP:]
        members: list[Member] = []
        appends: list[Append] = []
        for member in joined[:LARGEST_GROUP]:
            append = member.next_append()
            if append is not None:
                members.append(member)
                appends.append(append)
        if not appends:
            self._go_on()
            return
        self._written = members
        try:
            self._store.append_group(appends, self._done)
        except Exception as error:
            for append in appends:
                append.error = error
            self._done(appends)

    def _done(self, appends: Sequence[Append]) -> None:
        members = self._written
        self._written = []
        for member, append in zip(members, appends, strict=True):
            try:
                member.stored(append)
            except Exception:
                logger.exception("run %s could not go on", append.run.run_key)
        self._go_on()

    def _go_on(self) -> None:
        self._busy = bool(self._joined)
        if self._busy:
            # Behind the readers that were just woken: a writer in another thread would only get in their way.
            self._schedule()


def group_commit_of(store: Store) -> GroupCommit | None:
    """Return what groups the appends to ``store``, ``None`` when it takes them one by one only."""
    return GroupCommit(store) if isinstance(store, AppendsGroups) else None
