"""A store in a PostgreSQL schema, shared by any number of processes on any number of hosts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import msgspec

from jumpseat.errors import ClaimLost, ConfigurationError, StoreUnavailable
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
from jumpseat.stores.postgres import loading, values
from jumpseat.stores.postgres.appending import Appends, hold
from jumpseat.stores.postgres.connections import Connections
from jumpseat.stores.postgres.dsn import require_driver
from jumpseat.stores.postgres.dumping import PostgresDump
from jumpseat.stores.postgres.listening import Listener
from jumpseat.stores.postgres.migrating import check, migrate
from jumpseat.stores.postgres.reading import ReadingVerbs
from jumpseat.stores.postgres.records import PostgresThreads
from jumpseat.stores.postgres.renewing import renewed
from jumpseat.stores.postgres.statements import checked_schema, statements
from jumpseat.stores.postgres.values import owner_name, text
from jumpseat.stores.single_append import append_alone
from jumpseat.stores.waiting import Waiters

__all__ = ["PostgresStore"]

CLOSE_SECONDS: Final = 5.0
# What live runs depend on does not wait behind what a burst of starts and ends asks for.
URGENT: Final = frozenset({"append", "extend", "extend_group"})

_pack = msgspec.msgpack.Encoder().encode


class PostgresStore(ReadingVerbs, AppendsGroups, RenewsGroups, TellsOfStops):
    """Keeps threads in the schema ``schema`` of a database.

    Args:
        dsn: A connection string of libpq, URL or key words; may name several hosts.
        schema: Where the tables are; made if it is missing.
        pool_size: How many connections are used at most, the listener's aside.
        listen: Whether other processes' events are announced; without it they are looked for every 250 ms.
        listen_dsn: Where to listen; needed when ``dsn`` leads to a pooler in transaction mode.
        migrate: Whether ``open`` brings the schema up to date; otherwise ``jumpseat migrate`` does.

    Leases are measured on the database's clock. Raises ``ConfigurationError``, ``MissingDependencyError``.
    """

    def __init__(
        self,
        dsn: str,
        *,
        schema: str = "jumpseat",
        pool_size: int = 8,
        listen: bool = True,
        listen_dsn: str | None = None,
        migrate: bool = True,
    ) -> None:
        require_driver()
        if not isinstance(cast("object", dsn), str) or not dsn.strip():
            raise ConfigurationError(
                "dsn must be a PostgreSQL connection string, as in postgresql://host/name"
            )
        if type(cast("object", pool_size)) is not int or not 1 <= pool_size <= 1000:
            raise ConfigurationError(f"pool_size must be a number from 1 to 1000, not {pool_size!r}")
        self._dsn, self._pool_size = dsn, pool_size
        self._schema = checked_schema(schema)
        self._listen, self._listen_dsn, self._migrate = listen, listen_dsn, migrate
        self._statements: dict[str, bytes] = {}
        self._connections: Connections | None = None
        self.listener: Listener | None = None
        self.waiters = Waiters()
        self._appends = Appends(
            self.fetch, self.waiters, spawn=lambda work: self._open().own(work), notify=self._notify
        )
        self._stop_told: Callable[[str], None] = lambda _: None
        self._opening = asyncio.Lock()
        self._dump = PostgresDump(self.fetch)
        self.threads = PostgresThreads(self.fetch)

    async def open(self) -> None:
        """Make the store ready; idempotent. Raises ``StoreUnavailable`` or ``SchemaTooNew``."""
        async with self._opening:
            if self._connections is not None:
                return
            self._statements = await asyncio.to_thread(statements, self._schema)
            connections = Connections(self._dsn, self._pool_size, self._schema)
            await connections.prepare()
            await (migrate if self._migrate else check)(connections, self._schema)
            self._connections = connections
            self.listener = Listener(
                connections,
                self.waiters,
                schema=self._schema,
                dsn=self._listen_dsn,
                notify=self._notify,
                changed=self._changed,
            )
            self.listener.on_stop(self._stop_told)
            self.listener.start(listen=self._listen)

    async def aclose(self) -> None:
        """Release every connection and task; what runs gets five seconds. Idempotent."""
        async with self._opening:
            connections, self._connections = self._connections, None
            self._appends.announcements.close()
            self.waiters.wake_all()
            if self.listener is not None:
                await self.listener.close()
                self.listener = None
            if connections is not None:
                await connections.close(CLOSE_SECONDS)

    async def fetch(
        self, verb: str, again: dict[str, Any] | None, /, **parameters: Any
    ) -> list[tuple[Any, ...]]:
        """Execute the statement of ``verb``; ``again`` as in ``Connections.fetch``."""
        return await self._open().fetch(self._statements[verb], parameters, again, urgent=verb in URGENT)

    def _open(self) -> Connections:
        if self._connections is None:
            raise StoreUnavailable("the PostgreSQL store is not open: await its open() first")
        return self._connections

    def on_stop(self, told: Callable[[str], None]) -> None:
        """Call ``told`` with the key of every run that is asked to stop."""
        self._stop_told = told
        if self.listener is not None:
            self.listener.on_stop(told)

    async def claim(self, new: NewRun, lease: float, plan: Plan, first: bytes) -> ClaimResult:
        """Make ``new`` the thread's live run, or a queued one."""
        parameters = values.claim_values(new, lease) | values.plan_values(plan)
        (row,) = await self.fetch("claim", {"again": True}, **parameters, first=first, again=False)
        self.waiters.wake(new.run_key)
        result = values.claim_result(new.thread_id, row)
        if isinstance(result, Claimed):
            self._appends.acknowledged.claimed(result.run, result.last_seq)
        return result

    async def take(self, run: Run, lease: float, *, force: bool = False) -> Claimed | None:
        """Take over an expired run, any with ``force``."""
        rows = await self.fetch("take", None, **values.run_values(run), lease=int(lease * 1000), force=force)
        self.waiters.wake(run.run_key)
        if not rows:
            return None
        taken = values.ROWS.claimed(run.thread_id, rows[0])
        self._appends.acknowledged.claimed(taken.run, taken.last_seq)
        return taken

    async def extend(self, run: Run, lease: float) -> Hold:
        """Renew the lease from the database's clock."""
        ((told,),) = await self.fetch("extend", {}, **values.run_values(run), lease=int(lease * 1000))
        return Hold(told)

    async def extend_group(self, runs: Sequence[Run], lease: float) -> list[Hold | StoreUnavailable]:
        """Renew the leases of many runs, some hundreds in a statement."""
        return await renewed(self.fetch, runs, int(lease * 1000))

    async def append(self, run: Run, first_seq: int, events: Sequence[bytes]) -> Hold:
        """Store consecutive events; returns once they are committed."""
        return await append_alone(self, run, first_seq, events)

    def append_group(self, appends: Sequence[Append], done: Callable[[Sequence[Append]], None]) -> None:
        """Store the events of several runs in one statement."""
        self._open()
        self._appends.put(appends, done)

    async def seal(self, run: Run, seal: Seal) -> None:
        """End the run and free the thread."""
        ((told,),) = await self.fetch(
            "seal",
            {"again": True},
            **values.run_values(run),
            **values.seal_values(seal),
            **values.plan_values(seal.plan),
            compacted=_pack(seal.compacted),
            again=False,
        )
        try:
            hold(run, seal.first_seq, told)
        except (ClaimLost, ValueError) as error:
            raise self._appends.acknowledged.refusal(run, seal.first_seq, error) from None
        self._appends.acknowledged.forget(run)
        self._appends.announcements.forget([run.run_key])
        self.waiters.wake(run.run_key)

    async def request_stop(
        self, owner: str | None, thread_id: str, run_id: str | None, reason: str
    ) -> list[Run] | None:
        """Flag the live run and the queued ones that ``run_id`` covers, each once."""
        asked = values.thread_values(owner, thread_id)
        run_id = None if run_id is None else text(run_id)
        rows = await self.fetch("request_stop", None, **asked, run_id=run_id, reason=text(reason))
        return None if rows and rows[0][0] is None else [values.flagged(row) for row in rows]

    async def request_stop_all(self, owner: str | None, reason: str) -> list[Run]:
        """Flag every live and queued run of the owner, each once."""
        asked = {"owner": owner_name(owner), "thread": None, "run_id": None, "reason": text(reason)}
        return [values.flagged(row) for row in await self.fetch("request_stop", None, **asked)]

    async def expired(self, limit: int) -> list[Run]:
        """Return live and queued runs past their lease."""
        return [values.flagged(row) for row in await self.fetch("expired", {}, limit=limit)]

    async def prune(self, retention: Retention, limit: int) -> int:
        """Remove up to ``limit`` rows that ``retention`` no longer keeps, in one transaction."""
        ((gone,),) = await self.fetch("prune", None, **values.retention_values(retention), limit=limit)
        return gone

    async def dump(self, after: bytes | None = None) -> DumpPage:
        """Return some of the threads of all owners."""
        return await dump_page(self, self._dump, after)

    async def load(self, contents: ThreadContents, *, replace: bool = False) -> Loaded:
        """Store a dumped thread in one transaction, on a connection of its own."""
        connections = self._open()
        return await loading.load(connections, self._statements, contents, replace=replace)

    async def _notify(self, channel: str, payloads: list[str]) -> None:
        await self.fetch(
            "notify", None, channel=self._schema + channel, payloads=[text(key) for key in payloads]
        )

    async def _changed(self, run_keys: list[str], afters: list[int]) -> list[str]:
        rows = await self.fetch("changed", {}, run_keys=[text(key) for key in run_keys], afters=afters)
        return [values.plain(run_key) for (run_key,) in rows]
