"""``runtime.threads``: what the thread routes do, for code on the server."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from jumpseat.errors import JumpseatError, ThreadNotFound
from jumpseat.protocol import codec
from jumpseat.runners.base import AgentRunner, BranchStore, RunRecord, ThreadStore
from jumpseat.stores.base import ThreadChange, ThreadRecord

__all__ = ["CONTROL_CHARACTERS", "MAX_NAME_CHARACTERS", "Threads", "clean_name"]

MAX_NAME_CHARACTERS: Final = 256

CONTROL_CHARACTERS: Final = re.compile("[\x00-\x1f\x7f-\x9f]")


class Threads:
    """The threads of a runtime.

    Every verb takes the owner whose threads it is about: a user's id, or ``None`` for the one nameless owner
    of a runtime without ``identify_user``. Somebody else's thread is an unknown one. Every verb raises
    ``JumpseatError`` when the runner keeps no threads, and ``StoreUnavailable``; ``runs``, and the verbs with
    ``at``, also when it tells nothing of older branches.
    """

    def __init__(self, runner: Callable[[], Awaitable[AgentRunner]]) -> None:
        """``runner`` returns the runner, ready to be used."""
        self._runner = runner

    async def list(
        self,
        *,
        owner: str | None,
        agent_id: str | None = None,
        archived: bool = False,
        limit: int = 200,
        cursor: str | None = None,
    ) -> tuple[list[ThreadRecord], str | None]:
        """Return up to ``limit`` (1 to 200) records and the cursor of the next page, ``None`` at the end.

        The thread with the newest run comes first. ``archived`` includes archived threads. Raises
        ``InvalidCursor`` for a cursor that no list returned.
        """
        store = await self._store()
        return await store.list(owner=owner, agent_id=agent_id, archived=archived, limit=limit, cursor=cursor)

    async def get(self, thread_id: str, *, owner: str | None) -> ThreadRecord | None:
        """Return one record, ``None`` for an unknown thread."""
        return await (await self._store()).get(thread_id, owner=owner)

    async def update(self, thread_id: str, change: ThreadChange, *, owner: str | None) -> ThreadRecord:
        """Apply a change in one step and return the record. Raises ``ThreadNotFound``."""
        record = await (await self._store()).update(thread_id, change, owner=owner)
        if record is None:
            raise ThreadNotFound(thread_id)
        return record

    async def rename(self, thread_id: str, name: str | None, *, owner: str | None) -> ThreadRecord:
        """Set the name, ``None`` for none, and end automatic naming of this thread.

        Raises ``ThreadNotFound``, and ``ValueError`` for a name of more than 256 characters.
        """
        return await self.update(thread_id, ThreadChange(set_name=True, name=clean_name(name)), owner=owner)

    async def archive(self, thread_id: str, *, owner: str | None) -> ThreadRecord:
        """Leave the thread out of lists that do not ask for archived ones. Raises ``ThreadNotFound``."""
        return await self.update(thread_id, ThreadChange(archived=True), owner=owner)

    async def unarchive(self, thread_id: str, *, owner: str | None) -> ThreadRecord:
        """Undo ``archive``. Raises ``ThreadNotFound``."""
        return await self.update(thread_id, ThreadChange(archived=False), owner=owner)

    async def delete(self, thread_id: str, *, owner: str | None) -> None:
        """Stop what runs on the thread, then remove all of it.

        Raises ``ThreadNotFound``; not within an hour of a deletion by the same owner, so that it can be
        repeated.
        """
        if not await (await self._store()).delete(thread_id, owner=owner):
            raise ThreadNotFound(thread_id)

    async def clear(self, *, owner: str | None) -> None:
        """Delete every thread of the owner."""
        await (await self._store()).clear(owner=owner)

    async def runs(
        self, thread_id: str, *, owner: str | None, limit: int = 200, cursor: str | None = None
    ) -> tuple[list[RunRecord], str | None] | None:
        """Return up to ``limit`` (1 to 200) runs, oldest first, and the cursor of the next page.

        The cursor is ``None`` at the end; the whole is ``None`` for an unknown thread. Raises
        ``InvalidCursor`` for a cursor that no such list returned.
        """
        return await (await self._branches()).runs(thread_id, owner=owner, limit=limit, cursor=cursor)

    async def messages(
        self, thread_id: str, *, owner: str | None, at: str | None = None
    ) -> list[dict[str, Any]] | None:
        """Return the messages now, or after the run ``at``; ``None`` for an unknown thread.

        They are JSON objects as in AG-UI, except that tool calls are ``{"id", "name", "args"}``; with ``at``
        they are complete, without it they lack names, errors, metadata and encrypted values. What a live run
        has said so far is included. ``at`` is the key of a run, or an id: of several runs with this id
        the newest is meant; where it has not ended, the thread as it is now. Raises ``RunNotFound`` when the
        thread has no such run, or no longer keeps what it showed then.
        """
        if at is None:
            return await (await self._store()).messages(thread_id, owner=owner)
        return await (await self._branches()).messages(thread_id, owner=owner, at=at)

    async def events(self, thread_id: str, *, owner: str | None) -> tuple[list[bytes], bool] | None:
        """Return the newest 10,000 stored events as JSON, oldest first, and whether there are more.

        ``None`` for an unknown thread.
        """
        return await (await self._store()).events(thread_id, owner=owner)

    async def state(self, thread_id: str, *, owner: str | None, at: str | None = None) -> Any:
        """Return the shared state now, or after the run ``at``; ``None`` if there is none, or no thread.

        With the changes of a live run so far. ``at`` is as for ``messages``.
        """
        if at is None:
            return await (await self._store()).state(thread_id, owner=owner)
        return await (await self._branches()).state(thread_id, owner=owner, at=at)

    async def _store(self) -> ThreadStore:
        store = (await self._runner()).threads
        if store is None:
            raise JumpseatError("This runner does not support threads")
        return store

    async def _branches(self) -> BranchStore:
        store = await self._store()
        if not isinstance(store, BranchStore):
            raise JumpseatError("This runner does not support older branches")
        return store


def clean_name(name: str | None) -> str | None:
    """Return a thread's name without control characters and surrounding blanks; ``None`` if nothing is left.

    Raises ``ValueError`` if that is more than 256 characters.
    """
    cleaned = CONTROL_CHARACTERS.sub("", codec.scrub(name or "")).strip()
    if len(cleaned) > MAX_NAME_CHARACTERS:
        raise ValueError(f"a thread's name has at most {MAX_NAME_CHARACTERS} characters")
    return cleaned or None
