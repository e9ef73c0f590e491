"""A store in Redis or Valkey: scripts on one slot per thread, one subscription per process for wake-ups."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from jumpseat.errors import StoreUnavailable
from jumpseat.stores.base import (
    Append,
    AppendsGroups,
    Claimed,
    ClaimResult,
    DumpPage,
    Hold,
    Loaded,
    NewRun,
    Plan,
    RenewsGroups,
    Retention,
    Run,
    Seal,
    TellsOfStops,
    ThreadContents,
)
from jumpseat.stores.dumping import dump_page
from jumpseat.stores.redis import values
from jumpseat.stores.redis.appending import Appender
from jumpseat.stores.redis.database import Call, Database, Reply
from jumpseat.stores.redis.dumping import RedisDump
from jumpseat.stores.redis.indexes import Indexes
from jumpseat.stores.redis.keys import Keys
from jumpseat.stores.redis.listening import Listener, Stopped
from jumpseat.stores.redis.loading import Loader
from jumpseat.stores.redis.options import Lifetimes, checked_count, checked_prefix, checked_timeout
from jumpseat.stores.redis.reading import ReadingVerbs
from jumpseat.stores.redis.retention import Pruner
from jumpseat.stores.redis.threads import RedisThreads
from jumpseat.stores.waiting import Waiters

__all__ = ["RedisStore"]


class RedisStore(ReadingVerbs, AppendsGroups, RenewsGroups, TellsOfStops):
    """Keeps threads in the Redis, Valkey or cluster at ``url``; any number of processes may share it.

    Leases are measured on the server's clock. Verbs raise ``StoreUnavailable`` unless it is open.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://`` of a server or of a node of a cluster, or
            ``redis+sentinel://host:26379,host:26379/service``, ``rediss+sentinel://`` likewise.
        prefix: What the names of all keys begin with.
        max_connections: How many are used at most, in a cluster per node; one more is woken over.
        wait_replicas: How many replicas are to have a claim or a seal before it counts; a warning when they
            have not after ``wait_replicas_timeout`` seconds.
        thread_ttl: Seconds after which a thread that nobody used goes, also when no process runs.
        log_ttl: Seconds for which the log of a sealed run is kept at least.

    Raises:
        ConfigurationError: A value cannot work.
        MissingDependencyError: The redis package is not installed.
    """

    def __init__(
        self,
        url: str = "redis://localhost:6379/0",
        *,
        prefix: str = "jumpseat",
        max_connections: int = 16,
        wait_replicas: int = 0,
        wait_replicas_timeout: float = 1.0,
        thread_ttl: float | None = None,
        log_ttl: float | None = None,
    ) -> None:
        self._keys = Keys(checked_prefix(prefix))
        self._database = Database(
            url,
            self._keys,
            checked_count("max_connections", max_connections, least=1),
            checked_count("wait_replicas", wait_replicas, least=0),
            checked_timeout("wait_replicas_timeout", wait_replicas_timeout),
        )
        self._lifetimes = Lifetimes(thread_ttl, log_ttl)
        self._indexes = Indexes(self._database, self._keys)
        self._pruner = Pruner(self._database, self._keys, self._indexes, self._lifetimes)
        self._dump = RedisDump(self._database, self._keys)
        self._loader = Loader(self._database, self._keys, self._indexes, self._lifetimes)
        self._process = self._keys.process(secrets.token_hex(8))
        self._stopped: Stopped = _nobody
        self._waiters = Waiters()
        self._listener: Listener | None = None
        self._opening = asyncio.Lock()
        self._appender = Appender(self._database, self._keys, self._waiters.wake)
        self.threads = RedisThreads(
            self._database, self._keys, self._indexes, self._waiters.wake, self._lifetimes
        )

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
                self._listener = Listener(self._database, self._waiters, self._process, self._stopped)

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
        answer, kept, indexed = await self.ask(
            "claim",
            run.thread_id,
            **args,
            **self._mine(),
            lease=milliseconds,
            plan=values.plan_args(plan),
            first=first,
            used=self._lifetimes.thread,
        )
        await self._indexes.end_claim(change, run, milliseconds, kept=bool(kept), indexed=indexed)
        result = values.claim_result(new, answer)
        if isinstance(result, Claimed):
            self._appender.acknowledged.claimed(result.run, result.last_seq)
            self._waiters.wake(new.run_key)
        return result

    async def take(self, run: Run, lease: float, *, force: bool = False) -> Claimed | None:
        """Take over an expired run, any with ``force``."""
        reply = await self._on_claim("take", run, **self._mine(), lease=_milliseconds(lease), force=force)
        if reply is None:
            return None
        self._waiters.wake(run.run_key)
        taken = values.claimed_of(run.thread_id, reply)
        self._appender.acknowledged.claimed(taken.run, taken.last_seq)
        return taken

    async def extend(self, run: Run, lease: float) -> Hold:
        """Renew the lease from the server's clock."""
        (told,) = await self.extend_group([run], lease)
        if isinstance(told, StoreUnavailable):
            raise told
        return told

    async def extend_group(self, runs: Sequence[Run], lease: float) -> list[Hold | StoreUnavailable]:
        """Renew the leases of many runs, on one server in one round trip."""
        self.listener()
        milliseconds = _milliseconds(lease)
        claims = [{"run_key": run.run_key, "epoch": run.epoch, "lease": milliseconds} for run in runs]
        calls = [
            Call("extend", self._keys.thread(run.thread_id), claim)
            for run, claim in zip(runs, claims, strict=True)
        ]
        replies = await self._database.together("extend_group", calls)
        shorter = [
            run
            for run, reply in zip(runs, replies, strict=True)
            if not isinstance(reply, StoreUnavailable) and reply[1]
        ]
        await asyncio.gather(*(self._indexes.shortened(run, milliseconds) for run in shorter))
        return [
            reply if isinstance(reply, StoreUnavailable) else Hold(reply[0].decode()) for reply in replies
        ]

    async def append(self, run: Run, first_seq: int, events: Sequence[bytes]) -> Hold:
        """Store consecutive events, in one round trip."""
        self.listener()
        return await self._appender.append(run, first_seq, events)

    def append_group(self, appends: Sequence[Append], done: Callable[[Sequence[Append]], None]) -> None:
        """Store the events of several runs, on one server in one round trip."""
        self.listener()
        self._appender.group(appends, done)

    async def seal(self, run: Run, seal: Seal) -> None:
        """End the run and free the thread."""
        args = values.seal_args(seal) | {"token": secrets.token_hex(8)} | self._lifetimes.of_a_seal
        reply = await self._on_claim("seal", run, **args)
        self._appender.hold(run, seal.first_seq, reply)
        self._appender.acknowledged.forget(run)
        self._waiters.wake(run.run_key)
        owner = None if reply[2] is None else values.text(reply[2])
        await self._indexes.sealed(run, owner, reply[1])

    async def request_stop(
        self, owner: str | None, thread_id: str, run_id: str | None, reason: str
    ) -> list[Run] | None:
        """Flag the live run and the queued ones that ``run_id`` covers, and tell their processes."""
        args = {"owner": owner, "run_id": run_id, "reason": reason, "token": secrets.token_hex(8)}
        reply = await self.ask("stop", thread_id, **args)
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
        self.listener()
        return await self._indexes.expired(limit)

    async def prune(self, retention: Retention, limit: int) -> int:
        """Remove up to ``limit`` threads, logs, runs and hidden entries; return how many went."""
        self.listener()
        return await self._pruner.prune(retention, limit)

    async def dump(self, after: bytes | None = None) -> DumpPage:
        """Return some of the threads of all owners, in no order; one may come twice."""
        self.listener()
        return await dump_page(self, self._dump, after)

    async def load(self, contents: ThreadContents, *, replace: bool = False) -> Loaded:
        """Store a dumped thread: all of it is seen at once, and nothing when the process dies before."""
        self.listener()
        return await self._loader.load(contents, replace=replace)

    async def ask(self, script: str, thread_id: str, /, **args: Any) -> Reply:
        """Run a script on the slot of a thread. Raises ``StoreUnavailable``."""
        self.listener()
        return await self._database.call(script, self._keys.thread(thread_id), **args)

    async def _on_claim(self, script: str, run: Run, /, **args: Any) -> Reply:
        return await self.ask(script, run.thread_id, **args, run_key=run.run_key, epoch=run.epoch)

    def _mine(self) -> dict[str, str]:
        """Return what makes this call's answer known again, and where its run's stops are told."""
        return {"token": secrets.token_hex(8), "process": self._process}

    def listener(self) -> Listener:
        """Return what wakes readers. Raises ``StoreUnavailable`` unless the store is open."""
        if self._listener is None:
            raise StoreUnavailable(f"{self._database.where}: the store is not open: await its open() first")
        return self._listener


def _nobody(run_key: str) -> None:
    """Tell nobody of a stop: there is no runner yet."""


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
