"""A store in Redis or Valkey: scripts on one slot per thread, one subscription per process for wake-ups."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from jumpseat.errors import ConfigurationError, StoreUnavailable
from jumpseat.stores.base import (
    Append,
    AppendsGroups,
    Claimed,
    ClaimResult,
    History,
    Hold,
    Live,
    Located,
    LogPage,
    NewRun,
    Plan,
    Retention,
    Run,
    RunEvents,
    RunHeader,
    Seal,
    TellsOfStops,
)
from jumpseat.stores.redis import values
from jumpseat.stores.redis.appending import Appender
from jumpseat.stores.redis.database import Database, Reply
from jumpseat.stores.redis.indexes import Indexes
from jumpseat.stores.redis.keys import Keys
from jumpseat.stores.redis.listening import Listener, Stopped
from jumpseat.stores.redis.retention import Pruner
from jumpseat.stores.redis.threads import RedisThreads

__all__ = ["RedisStore"]


class RedisStore(AppendsGroups, TellsOfStops):
    """Keeps threads in the Redis, Valkey or cluster at ``url`` under keys that begin with ``prefix``.

    Any number of processes may share it; each uses up to ``max_connections`` connections (per node of a
    cluster) and one more to be woken. Leases are measured on the server's clock. Raises
    ``ConfigurationError`` for wrong values and ``MissingDependencyError`` without the redis package; verbs
    raise ``StoreUnavailable`` unless it is open.
    """

    def __init__(
        self,
        url: str = "redis://localhost:6379/0",
        *,
        prefix: str = "jumpseat",
        max_connections: int = 16,
    ) -> None:
        if not prefix or set(prefix) & set("{}"):
            raise ConfigurationError(f"prefix must be a text without braces, not {prefix!r}")
        if isinstance(max_connections, bool) or max_connections < 1:
            raise ConfigurationError(f"max_connections must be a positive integer, not {max_connections!r}")
        self._keys = Keys(prefix)
        self._database = Database(url, self._keys, max_connections)
        self._indexes = Indexes(self._database, self._keys)
        self._pruner = Pruner(self._database, self._keys, self._indexes)
        self._process = self._keys.process(secrets.token_hex(8))
        self._stopped: Stopped = _nobody
        self._listener: Listener | None = None
        self._opening = asyncio.Lock()
        self._appender = Appender(self._database, self._keys, self._wake)
        self.threads = RedisThreads(self._database, self._keys, self._indexes, self._wake)

    @property
    def listening(self) -> bool:
        """Whether wake-ups of other processes arrive right now; otherwise readers look by themselves."""
        return self._listener is not None and self._listener.listening

    def on_stop(self, told: Callable[[str], None]) -> None:
        """Call ``told`` with the key of every run of this process that is asked to stop."""
        self._stopped = told
        if self._listener is not None:
            self._listener.stopped = told

    async def open(self) -> None:
        """Make the store ready; idempotent. Raises ``StoreUnavailable`` or ``SchemaTooNew``."""
        async with self._opening:
            if self._listener is None:
                await self._database.open()
                self._listener = Listener(self._database, self._process, self._stopped)

    async def aclose(self) -> None:
        """Release every connection and task; idempotent."""
        async with self._opening:
            listener, self._listener = self._listener, None
            if listener is not None:
                await self._appender.aclose()
                await listener.aclose()
                await self._database.aclose()

    async def claim(self, new: NewRun, lease: float, plan: Plan, first: bytes) -> ClaimResult:
        """Make ``new`` the thread's live run, or a queued one."""
        milliseconds = _milliseconds(lease)
        run = Run(new.thread_id, new.run_key, new.epoch)
        change = await self._indexes.begin_claim(new.owner, run, milliseconds)
        args = {name: getattr(new, name) for name in new.__struct_fields__}
        answer, kept, indexed = await self._on(
            "claim", run, **args, **self._mine(), lease=milliseconds, plan=values.plan_args(plan), first=first
        )
        await self._indexes.end_claim(change, run, milliseconds, kept=bool(kept), indexed=indexed)
        result = values.claim_result(new, answer)
        if isinstance(result, Claimed):
            self._appender.holds(result.run, result.last_seq)
            self._wake(new.run_key)
        return result

    async def take(self, run: Run, lease: float, *, force: bool = False) -> Claimed | None:
        """Take over an expired run, any with ``force``."""
        reply = await self._on_claim("take", run, **self._mine(), lease=_milliseconds(lease), force=force)
        if reply is None:
            return None
        self._wake(run.run_key)
        taken = values.claimed_of(run.thread_id, run.run_key, reply)
        self._appender.holds(taken.run, taken.last_seq)
        return taken

    async def extend(self, run: Run, lease: float) -> Hold:
        """Renew the lease from the server's clock."""
        milliseconds = _milliseconds(lease)
        told, shorter = await self._on_claim("extend", run, lease=milliseconds)
        if shorter:
            await self._indexes.shortened(run, milliseconds)
        return Hold(told.decode())

    async def append(self, run: Run, first_seq: int, events: Sequence[bytes]) -> Hold:
        """Store consecutive events, in one round trip."""
        self._open()
        return await self._appender.append(run, first_seq, events)

    def append_group(self, appends: Sequence[Append], done: Callable[[Sequence[Append]], None]) -> None:
        """Store the events of several runs, on one server in one round trip."""
        self._open()
        self._appender.group(appends, done)

    async def seal(self, run: Run, seal: Seal) -> None:
        """End the run and free the thread."""
        args = values.seal_args(seal) | {"token": secrets.token_hex(8)}
        reply = await self._on_claim("seal", run, **args)
        self._appender.hold(run, seal.first_seq, reply)
        self._appender.sealed(run)
        self._wake(run.run_key)
        owner = None if reply[2] is None else values.text(reply[2])
        await self._indexes.sealed(run, owner, reply[1])

    async def read(self, thread_id: str, run_key: str, after: int, wait: float) -> LogPage:
        """Return the events behind ``after``, waiting up to ``wait`` seconds for one."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        key = self._keys.thread(thread_id)
        while True:
            listener = self._open()
            waiter = listener.enter(run_key)
            try:
                process = self._process if deadline > loop.time() else None
                reply = await self._database.call("look", key, run_key=run_key, after=after, process=process)
                page = values.page_of(reply)
                left = deadline - loop.time()
                if page is not None or left <= 0:
                    return page or LogPage(events=[])
                # A lease that runs out wakes nobody.
                recheck = min(left, listener.recheck_seconds, reply[1] / 1000 + 0.001)
                await asyncio.wait((waiter,), timeout=recheck)
            finally:
                listener.leave(run_key, waiter)

    async def live(self, owner: str | None, thread_id: str) -> Live | None:
        """Return the thread's live run."""
        return values.live_of(thread_id, await self._ask("live", thread_id, owner))

    async def locate(self, owner: str | None, thread_id: str, keys: Sequence[str]) -> Located:
        """Find the visible entries with one of these keys or aliases."""
        return values.located_of(keys, await self._ask("locate", thread_id, owner, keys=keys))

    async def history(self, owner: str | None, thread_id: str, at: int | None = None) -> History | None:
        """Return what the thread shows now, or showed after the run with ordinal ``at``."""
        return values.history_of(thread_id, await self._ask("history", thread_id, owner, at=at))

    async def run(self, owner: str | None, thread_id: str, run_key: str) -> RunHeader | None:
        """Return the header of one run of this thread."""
        replies = await self._ask("headers", thread_id, owner, run_key=run_key)
        return values.header_of(replies[0]) if replies else None

    async def find(self, owner: str | None, thread_id: str, run_id: str) -> RunHeader | None:
        """Return the header of the newest run of this thread that has this ``run_id``."""
        replies = await self._ask("headers", thread_id, owner, run_id=run_id)
        return values.header_of(replies[0]) if replies else None

    async def runs(self, owner: str | None, thread_id: str, after: int, limit: int) -> list[RunHeader]:
        """Return run headers with an ordinal above ``after``, oldest first."""
        replies = await self._ask("headers", thread_id, owner, after=after, limit=limit)
        return [header for header in map(values.header_of, replies) if header is not None]

    async def events(
        self, owner: str | None, thread_id: str, after: int, limit: int, *, newest: bool = False
    ) -> list[RunEvents]:
        """Return sealed runs with their compacted events, whole runs until ``limit`` events are reached."""
        replies = await self._ask("events", thread_id, owner, after=after, limit=limit, newest=newest)
        return [values.run_events_of(reply) for reply in replies]

    async def request_stop(
        self, owner: str | None, thread_id: str, run_id: str | None, reason: str
    ) -> list[Run] | None:
        """Flag the live run and the queued ones that ``run_id`` covers, and tell their processes."""
        args = {"run_id": run_id, "reason": reason, "token": secrets.token_hex(8)}
        reply = await self._ask("stop", thread_id, owner, **args)
        if reply is None:
            return None
        return [Run(thread_id, values.text(key), epoch) for key, epoch in reply]

    async def request_stop_all(self, owner: str | None, reason: str) -> list[Run]:
        """Flag every live and queued run of the owner, each once."""
        busy = await self._indexes.busy(owner)
        flagged: list[Run] = []
        for thread_id in sorted({thread_id for _, thread_id in busy}):
            flagged += await self.request_stop(owner, thread_id, None, reason) or []
        told = {run.run_key for run in flagged}
        await self._indexes.idle(owner, [entry for entry in busy if entry[0] not in told])
        return flagged

    async def expired(self, limit: int) -> list[Run]:
        """Return live and queued runs past their lease."""
        self._open()
        return await self._indexes.expired(limit)

    async def prune(self, retention: Retention, limit: int) -> int:
        """Remove up to ``limit`` threads, logs, runs and hidden entries; return how many went."""
        self._open()
        return await self._pruner.prune(retention, limit)

    async def _on(self, script: str, run: Run, /, **args: Any) -> Reply:
        self._open()
        return await self._database.call(script, self._keys.thread(run.thread_id), **args)

    async def _on_claim(self, script: str, run: Run, /, **args: Any) -> Reply:
        return await self._on(script, run, **args, run_key=run.run_key, epoch=run.epoch)

    async def _ask(self, script: str, thread_id: str, owner: str | None, /, **args: Any) -> Reply:
        self._open()
        return await self._database.call(script, self._keys.thread(thread_id), owner=owner, **args)

    def _mine(self) -> dict[str, str]:
        """Return what makes this call's answer known again, and where its run's stops are told."""
        return {"token": secrets.token_hex(8), "process": self._process}

    def _wake(self, run_key: str) -> None:
        if self._listener is not None:
            self._listener.wake(run_key)

    def _open(self) -> Listener:
        if self._listener is None:
            raise StoreUnavailable(f"{self._database.where}: the store is not open: await its open() first")
        return self._listener


def _nobody(run_key: str) -> None:
    """Tell nobody of a stop: there is no runner yet."""


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
