"""The thread records of a PostgreSQL store."""

from __future__ import annotations

from jumpseat.stores.base import ThreadChange, ThreadRecord
from jumpseat.stores.postgres.appending import Fetch
from jumpseat.stores.postgres.values import ROWS, owner_name, plain, text, thread_values

__all__ = ["PostgresThreads"]


class PostgresThreads:
    """Thread records, scoped to one owner; every verb is one statement."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch

    async def list(
        self,
        owner: str | None,
        *,
        agent_id: str | None = None,
        archived: bool = False,
        limit: int = 200,
        after: tuple[int, str] | None = None,
    ) -> list[ThreadRecord]:
        """Return up to ``limit`` records, newest first, strictly behind ``after``."""
        time, thread_id = after if after is not None else (None, None)
        rows = await self._fetch(
            "threads",
            {},
            owner=owner_name(owner),
            archived=archived,
            agent=None if agent_id is None else text(agent_id),
            time=time,
            id=None if thread_id is None else text(thread_id),
            limit=limit,
        )
        return [ROWS.record(row) for row in rows]

    async def get(self, owner: str | None, thread_id: str) -> ThreadRecord | None:
        """Return one record."""
        rows = await self._fetch("thread", {}, **thread_values(owner, thread_id))
        return ROWS.record(rows[0]) if rows else None

    async def update(self, owner: str | None, thread_id: str, change: ThreadChange) -> ThreadRecord | None:
        """Apply a change and return the record."""
        rows = await self._fetch(
            "update_thread",
            {},
            **thread_values(owner, thread_id),
            set_name=change.set_name,
            name=None if change.name is None else text(change.name),
            archived=change.archived,
            automatic=change.automatic,
        )
        return ROWS.record(rows[0]) if rows else None

    async def delete(self, owner: str | None, thread_id: str) -> bool:
        """Revoke claims and remove all of the thread at once."""
        return bool(await self._fetch("delete_threads", {}, **thread_values(owner, thread_id)))

    async def clear(self, owner: str | None) -> list[str]:
        """Delete every thread of the owner and return their ids."""
        rows = await self._fetch("delete_threads", None, owner=owner_name(owner), thread=None)
        return [plain(thread_id) for (thread_id,) in rows]
