"""The indexes in other slots than the threads: threads and open runs by owner, leases, logs, idle threads.

They are written around the change of a thread, not with it. What a crash in between leaves out of date is
noticed by a mark or an entry that is there before the change, and put right by whoever meets it: the thread
itself decides.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from jumpseat.errors import StoreUnavailable
from jumpseat.stores.base import Run
from jumpseat.stores.redis.database import Call, Database, Reply
from jumpseat.stores.redis.keys import Keys
from jumpseat.stores.redis.values import entry_of, run_entry, text

__all__ = ["Change", "Indexes"]

# A change that takes longer than that between its mark and its end is taken for a crash.
ABANDONED_MS = 60_000
# Marks of changes that are probably still on their way are left to them.
FRESH_MS = 1_000
TRIES = 5
SOME = 200

_log = logging.getLogger(__name__)
_mark = msgspec.msgpack.Decoder(tuple[int, str]).decode


class Change(NamedTuple):
    """A marked change of a thread."""

    owner: str | None
    thread_id: str
    number: int


class Indexes:
    """Keeps the indexes of one database."""

    def __init__(self, database: Database, keys: Keys) -> None:
        self._database = database
        self._keys = keys

    async def begin(self, owner: str | None, thread_id: str) -> Change:
        """Announce a change of a thread's record."""
        number = await self._database.call("owner_mark", self._keys.owner(owner), thread_id=thread_id)
        return Change(owner, thread_id, number)

    async def begin_claim(self, owner: str | None, run: Run, lease: int) -> Change:
        """Announce a claim, so that its run is found whatever happens. Raises ``ValueError``."""
        entry = run_entry(run.run_key, run.thread_id)
        names = {"thread_id": run.thread_id, "run_key": run.run_key, "entry": entry, "lease": lease}
        mark, placed = await self._all(
            Call("owner_mark", self._keys.owner(owner), {"thread_id": run.thread_id, "busy": entry}),
            Call("index_claim", self._keys.index, names),
        )
        change = Change(owner, run.thread_id, mark)
        if not placed:
            await self.end(change, await self._indexed(run.thread_id), idle=entry)
            raise ValueError(f"run key {run.run_key!r} is used on another thread")
        return change

    async def end_claim(self, change: Change, run: Run, lease: int, *, kept: bool, indexed: Reply) -> None:
        """Note the outcome of a claim; a failure is left to whoever meets it."""
        entry = run_entry(run.run_key, run.thread_id)
        names = {"thread_id": run.thread_id, "run_key": run.run_key, "entry": entry}
        if kept and indexed:
            names |= {"lease": lease, "active": indexed[3], "runs": indexed[4], "only_known": False}
            call = Call("index_open", self._keys.index, names)
        else:
            call = Call("index_close", self._keys.index, names)
        await asyncio.gather(self._try(call), self.end(change, indexed, idle=None if kept else entry))

    async def end(self, change: Change, indexed: Reply, *, idle: bytes | None = None) -> None:
        """Write what the thread is now. Never raises ``StoreUnavailable``: the mark stays then."""
        own = [change.number]
        try:
            for _ in range(TRIES):
                if await self._apply(change, indexed, own, idle):
                    return
                change = await self.begin(change.owner, change.thread_id)
                own.append(change.number)
                indexed = await self._indexed(change.thread_id)
        except StoreUnavailable as error:
            _log.info("an index is repaired later: %s", error)

    async def sealed(self, run: Run, owner: str | None, moment: int) -> None:
        """Note that a run is no longer open and that its log is kept."""
        entry = run_entry(run.run_key, run.thread_id)
        names = {"run_key": run.run_key, "entry": entry}
        await self._try(
            Call("index_close", self._keys.index, names | {"sealed": moment}),
            Call("owner_idle", self._keys.owner(owner), {"idle": entry, "age": 0}),
        )

    async def begin_load(
        self, owners: Iterable[str | None], thread_id: str, run_keys: Sequence[str], active: int
    ) -> list[Change]:
        """Announce a thread of one of ``owners`` and those of its runs that have logs.

        Raises ``ValueError`` when a run key belongs to another thread.
        """
        changes = [await self.begin(owner, thread_id) for owner in owners]
        await self._database.call("index_thread", self._keys.index, thread_id=thread_id, active=active)
        for run_key in run_keys:
            names = {"run_key": run_key, "thread_id": thread_id, "entry": run_entry(run_key, thread_id)}
            if not await self._database.call("index_claim", self._keys.index, **names, lease=ABANDONED_MS):
                await self.end_load(changes, thread_id, run_keys)
                raise ValueError(f"run key {run_key!r} is used on another thread")
        return changes

    async def end_load(self, changes: Sequence[Change], thread_id: str, run_keys: Sequence[str]) -> None:
        """Write what the thread and these runs are now; a failure is left to whoever meets it."""
        with contextlib.suppress(StoreUnavailable):
            indexed = await self._indexed(thread_id)
            if indexed:
                known = {"active": indexed[3], "runs": indexed[4]}
                await self._database.call("index_thread", self._keys.index, thread_id=thread_id, **known)
            else:
                await self._all(self.gone(thread_id))
            key = self._keys.thread(thread_id)
            for run_key in run_keys:
                reply = await self._database.call("indexed", key, run_key=run_key)
                await self._all(self._correction(run_key, thread_id, reply))
            for change in changes:
                await self.end(change, indexed)

    async def removed(self, thread_id: str, run_keys: Sequence[bytes], owner: str | None) -> None:
        """Note that a thread is gone, with these runs."""
        calls: list[Call] = []
        for run_key in map(text, run_keys):
            entry = run_entry(run_key, thread_id)
            calls.append(Call("index_close", self._keys.index, {"run_key": run_key, "entry": entry}))
            calls.append(Call("owner_idle", self._keys.owner(owner), {"idle": entry, "age": 0}))
        calls.append(self.gone(thread_id))
        await self._try(*calls)

    def gone(self, thread_id: str) -> Call:
        """Return the call that notes that a thread is gone."""
        return Call(
            "index_thread", self._keys.index, {"thread_id": thread_id, "gone": True, "age": ABANDONED_MS}
        )

    async def shortened(self, run: Run, lease: int) -> None:
        """Note a lease that ends before the index would look at it."""
        entry = run_entry(run.run_key, run.thread_id)
        names = {"run_key": run.run_key, "thread_id": run.thread_id, "entry": entry}
        await self._try(
            Call("index_open", self._keys.index, names | {"lease": lease, "only_known": True}),
        )

    async def repair(self, owner: str | None) -> None:
        """Put right what changes that were never ended left behind in an owner's index."""
        key = self._keys.owner(owner)
        marks = await self._database.call("owner_marked", key, age=FRESH_MS, limit=SOME)
        for thread_id in {_mark(mark)[1] for mark in marks}:
            await self.refresh(owner, thread_id)
        for mark in marks:
            await self._database.call("owner_unmark", key, mark=mark, age=ABANDONED_MS)

    async def refresh(self, owner: str | None, thread_id: str) -> None:
        """Write anew what an owner's index holds of a thread."""
        change = await self.begin(owner, thread_id)
        await self.end(change, await self._indexed(thread_id))

    async def busy(self, owner: str | None) -> list[tuple[str, str]]:
        """Return run key and thread id of the runs of an owner that may be open."""
        return [entry_of(entry) for entry in await self._database.call("owner_busy", self._keys.owner(owner))]

    async def idle(self, owner: str | None, runs: Sequence[tuple[str, str]]) -> None:
        """Forget those of these runs that are not open."""
        replies = await self._database.many(
            [Call("indexed", self._keys.thread(thread), {"run_key": key}) for key, thread in runs]
        )
        key = self._keys.owner(owner)
        for run, reply in zip(runs, replies, strict=True):
            if not isinstance(reply, StoreUnavailable) and reply[1] != b"open":
                await self._try(Call("owner_idle", key, {"idle": run_entry(*run), "age": ABANDONED_MS}))

    async def expired(self, limit: int) -> list[Run]:
        """Return open runs whose lease has run out, and put right the entries of others."""
        found: list[Run] = []
        for _ in range(2 + limit // SOME):
            entries = await self._database.call(
                "index_leases", self._keys.index, offset=len(found), limit=max(limit - len(found), SOME)
            )
            if not entries or len(found) >= limit:
                break
            named = [entry_of(entry) for entry in entries]
            replies = await self._all(
                *(Call("indexed", self._keys.thread(thread), {"run_key": key}) for key, thread in named)
            )
            corrections: list[Call] = []
            for (key, thread_id), reply in zip(named, replies, strict=True):
                if reply[1] == b"open" and reply[3] <= 0:
                    found.append(Run(thread_id, key, reply[2]))
                else:
                    corrections.append(self._correction(key, thread_id, reply))
            if not corrections:
                break
            await self._all(*corrections)
        return found[:limit]

    def _correction(self, run_key: str, thread_id: str, reply: Reply) -> Call:
        names: dict[str, Any] = {"run_key": run_key, "entry": run_entry(run_key, thread_id)}
        if reply[1] == b"open":
            names |= {"thread_id": thread_id, "lease": reply[3], "only_known": True}
            return Call("index_open", self._keys.index, names)
        return Call("index_close", self._keys.index, names | {"sealed": reply[2] if len(reply) > 2 else None})

    async def _apply(self, change: Change, indexed: Reply, own: list[int], idle: bytes | None) -> bool:
        args: dict[str, Any] = {"thread_id": change.thread_id, "number": change.number, "own": own}
        theirs = indexed and (None if indexed[5] is None else text(indexed[5])) == change.owner
        if theirs:
            last_run, agent_id, archived = indexed[:3]
            args |= {"last_run": last_run, "agent_id": text(agent_id), "archived": bool(archived)}
        return bool(
            await self._database.call("owner_apply", self._keys.owner(change.owner), **args, idle=idle)
        )

    async def _indexed(self, thread_id: str) -> Reply:
        return (await self._database.call("indexed", self._keys.thread(thread_id)))[0]

    async def _all(self, *calls: Call) -> list[Reply]:
        replies = await self._database.many(calls)
        for reply in replies:
            if isinstance(reply, StoreUnavailable):
                raise reply
        return replies

    async def _try(self, *calls: Call) -> None:
        with contextlib.suppress(StoreUnavailable):
            await self._database.many(calls)
