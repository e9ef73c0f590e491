"""A store in one SQLite file: one writer thread with group commit, four readers, any number of processes."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from jumpseat.errors import ConfigurationError, StoreUnavailable
from jumpseat.stores.base import (
    Append,
    AppendsGroups,
    Claimed,
    ClaimResult,
    DumpPage,
    History,
    Hold,
    Live,
    Loaded,
    Located,
    LogPage,
    NewRun,
    Plan,
    Retention,
    Run,
    RunEvents,
    RunHeader,
    Seal,
    ThreadChange,
    ThreadContents,
    ThreadRecord,
)
from jumpseat.stores.dumping import dump_page
from jumpseat.stores.single_append import append_alone
from jumpseat.stores.sqlite import claims, ends, loading, reading, records, retention
from jumpseat.stores.sqlite.checkpoints import Checkpointer
from jumpseat.stores.sqlite.database import (
    Durability,
    open_checkpointer,
    open_reader,
    open_writer,
    unavailable,
)
from jumpseat.stores.sqlite.dumping import SqliteDump
from jumpseat.stores.sqlite.holder import Holder, this_process
from jumpseat.stores.sqlite.session import Session
from jumpseat.stores.sqlite.waiting import FileWaiters
from jumpseat.stores.sqlite.writer import Group, Task, Writer

__all__ = ["SqliteStore"]

READERS = 4
OLDEST_SQLITE = (3, 37, 0)

_log = logging.getLogger(__name__)
T = TypeVar("T")


class _Opened:
    """Everything that exists between ``open`` and ``aclose``."""

    def __init__(
        self,
        path: Path,
        session: Session,
        checkpoints: sqlite3.Connection,
        readers: Sequence[sqlite3.Connection],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.path = path
        self.loop = loop
        self.session = session
        self.holder = session.holder
        self.readers: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        for connection in readers:
            self.readers.put(connection)
        self.pool = ThreadPoolExecutor(READERS, thread_name_prefix=f"jumpseat-reader:{path.name}")
        self.waiters = FileWaiters(self._look_around)
        writing = threading.Lock()
        self.checkpointer = Checkpointer(checkpoints, path, writing)
        self.checkpointer.start()
        self.writer = Writer(
            session, path, loop, self.waiters.committed, writing=writing, written=self.checkpointer.written
        )
        self.writer.start()

    def _look_around(self) -> None:
        self.writer.look_around()

    def query(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` on one of the readers; called in a thread of the pool."""
        connection = self.readers.get()
        try:
            return work(connection)
        except sqlite3.Error as error:
            raise unavailable(self.path, error) from error
        finally:
            self.readers.put(connection)

    def close(self) -> None:
        """Write what waits and release everything; blocks until then."""
        self.writer.stop()
        self.checkpointer.stop()
        self.pool.shutdown(wait=True)
        for _ in range(READERS):
            self.readers.get().close()
        self.session.connection.close()


class SqliteStore(AppendsGroups):
    """Keeps threads in the file ``db_path``; missing folders are made, ``":memory:"`` is a temporary file.

    Several processes of one host may share the file. With ``durability="normal"`` a crash of the process
    loses nothing that was acknowledged and a power cut may lose the last commits; ``"full"`` closes that.
    Leases are measured on the host's clock, and also count as expired when the holder's process is gone.
    Raises ``ConfigurationError`` for wrong values; verbs raise ``StoreUnavailable`` unless the store is open.
    """

    def __init__(
        self, db_path: str | os.PathLike[str] = "threads.db", durability: Durability = "normal"
    ) -> None:
        try:
            named = os.fspath(db_path)
        except TypeError:
            named = ""
        if not named:
            raise ConfigurationError(f"db_path must be the path of a file, not {db_path!r}")
        if durability not in {"normal", "full"}:
            raise ConfigurationError(f'durability must be "normal" or "full", not {durability!r}')
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise ConfigurationError(
                f"SQLite {sqlite3.sqlite_version} of this Python is too old: 3.37 or newer is needed"
            )
        if named == ":memory:":
            _log.warning("db_path=':memory:' keeps threads in a temporary file that is deleted at close")
        self._db_path = named
        self._durability: Durability = durability
        self._opened: _Opened | None = None
        self._opening = asyncio.Lock()
        self._temporary: str | None = None
        self._dump = SqliteDump(self.query)
        self.threads = SqliteThreads(self)

    async def open(self) -> None:
        """Make the store ready; idempotent. Raises ``StoreUnavailable`` or ``SchemaTooNew``."""
        async with self._opening:
            if self._opened is None:
                loop = asyncio.get_running_loop()
                opening = asyncio.ensure_future(asyncio.to_thread(self._connect, loop))
                try:
                    self._opened = await asyncio.shield(opening)
                except asyncio.CancelledError:
                    opening.add_done_callback(self._close_late)
                    raise

    def _close_late(self, opening: asyncio.Future[_Opened]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            opening.result().close()
            self._remove_temporary()

    def _connect(self, loop: asyncio.AbstractEventLoop) -> _Opened:
        if self._db_path == ":memory:":
            self._temporary = tempfile.mkdtemp(prefix="jumpseat-")
            path = Path(self._temporary) / "threads.db"
        else:
            path = Path(self._db_path).absolute()
        connections: list[sqlite3.Connection] = []
        try:
            connections.append(open_writer(path, self._durability))
            session = Session(connections[0], this_process())
            connections.append(open_checkpointer(path, self._durability))
            connections.extend(open_reader(path) for _ in range(READERS))
            return _Opened(path, session, connections[1], connections[2:], loop)
        except BaseException as error:
            for connection in connections:
                connection.close()
            self._remove_temporary()
            if isinstance(error, sqlite3.Error):
                raise unavailable(path, error) from error
            raise

    async def aclose(self) -> None:
        """Write what waits and release every connection, thread and file; idempotent."""
        async with self._opening:
            opened, self._opened = self._opened, None
            if opened is not None:
                opened.waiters.close()
                await asyncio.shield(asyncio.ensure_future(asyncio.to_thread(self._close, opened)))

    def _close(self, opened: _Opened) -> None:
        opened.close()
        self._remove_temporary()

    def _remove_temporary(self) -> None:
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    def _open(self) -> _Opened:
        if self._opened is None:
            raise StoreUnavailable(f"{self._db_path}: the store is not open: await its open() first")
        return self._opened

    async def change(self, work: Callable[[Session], T], *, patient: bool = False) -> T:
        """Run ``work`` in a transaction of the writer and return its result once it is stored.

        Changes are made in the order in which they come; those that nobody waits for are ``patient`` and may
        be overtaken.
        """
        opened = self._open()
        future: asyncio.Future[T] = opened.loop.create_future()
        opened.writer.put(Task(future, work, patient=patient))
        return await future

    async def query(self, work: Callable[..., T], *args: Any, **options: Any) -> T:
        """Run ``work(connection, ...)`` on a read-only connection."""
        opened = self._open()
        return await opened.loop.run_in_executor(
            opened.pool, opened.query, partial(_with, work, args, options)
        )

    async def claim(self, new: NewRun, lease: float, plan: Plan, first: bytes) -> ClaimResult:
        """Make ``new`` the thread's live run, or a queued one."""
        return await self.change(claims.claim(new, lease, plan, first))

    async def take(self, run: Run, lease: float, *, force: bool = False) -> Claimed | None:
        """Take over an expired run, any with ``force``."""
        return await self.change(claims.take(run, lease, force=force))

    async def extend(self, run: Run, lease: float) -> Hold:
        """Renew the lease from the host's clock."""
        return await self.change(claims.extend(run, lease), patient=True)

    async def append(self, run: Run, first_seq: int, events: Sequence[bytes]) -> Hold:
        """Store consecutive events; returns once they are committed."""
        return await append_alone(self, run, first_seq, events)

    def append_group(self, appends: Sequence[Append], done: Callable[[Sequence[Append]], None]) -> None:
        """Store the events of several runs in one statement."""
        self._open().writer.put(Group(appends, done))

    async def seal(self, run: Run, seal: Seal) -> None:
        """End the run and free the thread."""
        await self.change(ends.seal(run, seal))

    async def read(self, thread_id: str, run_key: str, after: int, wait: float) -> LogPage:
        """Return the events behind ``after``, waiting up to ``wait`` seconds for one."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        while True:
            opened = self._open()
            waiter = opened.waiters.enter(run_key, after)
            try:
                found = await self.query(reading.look, opened.holder, thread_id, run_key, after)
                page = found.page
                left = deadline - loop.time()
                if page.events or page.ended or page.gone or page.expired or left <= 0:
                    return page
                recheck = left if found.recheck is None else min(left, found.recheck)
                await asyncio.wait((waiter,), timeout=recheck)
            finally:
                opened.waiters.leave(run_key, waiter)

    async def live(self, owner: str | None, thread_id: str) -> Live | None:
        """Return the thread's live run."""
        return await self.query(reading.live, self._holder(), owner, thread_id)

    async def locate(self, owner: str | None, thread_id: str, keys: Sequence[str]) -> Located:
        """Find the visible entries with one of these keys or aliases."""
        return await self.query(reading.locate, owner, thread_id, keys)

    async def history(self, owner: str | None, thread_id: str, at: int | None = None) -> History | None:
        """Return what the thread shows now, or showed after the run with ordinal ``at``."""
        return await self.query(reading.history, self._holder(), owner, thread_id, at)

    async def run(self, owner: str | None, thread_id: str, run_key: str) -> RunHeader | None:
        """Return the header of one run of this thread."""
        return await self.query(reading.header, owner, thread_id, run_key)

    async def find(self, owner: str | None, thread_id: str, run_id: str) -> RunHeader | None:
        """Return the header of the newest run of this thread that has this ``run_id``."""
        return await self.query(reading.find, owner, thread_id, run_id)

    async def runs(self, owner: str | None, thread_id: str, after: int, limit: int) -> list[RunHeader]:
        """Return run headers with an ordinal above ``after``, oldest first."""
        return await self.query(reading.headers, owner, thread_id, after, limit)

    async def events(
        self, owner: str | None, thread_id: str, after: int, limit: int, *, newest: bool = False
    ) -> list[RunEvents]:
        """Return sealed runs with their compacted events, whole runs until ``limit`` events are reached."""
        return await self.query(reading.events, owner, thread_id, after, limit, newest=newest)

    async def request_stop(
        self, owner: str | None, thread_id: str, run_id: str | None, reason: str
    ) -> list[Run] | None:
        """Flag the live run and the queued ones that ``run_id`` covers, each once."""
        return await self.change(ends.request_stop(owner, thread_id, run_id, reason))

    async def request_stop_all(self, owner: str | None, reason: str) -> list[Run]:
        """Flag every live and queued run of the owner, each once."""
        return await self.change(ends.request_stop_all(owner, reason))

    async def expired(self, limit: int) -> list[Run]:
        """Return live and queued runs past their lease, or whose process is gone."""
        return await self.query(reading.expired, self._holder(), limit)

    async def prune(self, retention: Retention, limit: int) -> int:
        """Remove up to ``limit`` rows that ``retention`` no longer keeps, in one transaction."""
        return await self.change(_prune(retention, limit), patient=True)

    async def dump(self, after: bytes | None = None) -> DumpPage:
        """Return some of the threads of all owners."""
        return await dump_page(self, self._dump, after)

    async def load(self, contents: ThreadContents, *, replace: bool = False) -> Loaded:
        """Store a dumped thread in one transaction; other changes of this process wait for it."""
        return await self.change(loading.load(contents, replace=replace), patient=True)

    def _holder(self) -> Holder:
        return self._open().holder


_prune = retention.prune


def _with(
    work: Callable[..., T], args: tuple[Any, ...], options: dict[str, Any], connection: sqlite3.Connection
) -> T:
    return work(connection, *args, **options)


class SqliteThreads:
    """The thread records of a ``SqliteStore``."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

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
        return await self._store.query(
            records.page, owner, agent_id=agent_id, archived=archived, limit=limit, after=after
        )

    async def get(self, owner: str | None, thread_id: str) -> ThreadRecord | None:
        """Return one record."""
        return await self._store.query(records.get, owner, thread_id)

    async def update(self, owner: str | None, thread_id: str, change: ThreadChange) -> ThreadRecord | None:
        """Apply a change and return the record."""
        return await self._store.change(records.update(owner, thread_id, change))

    async def delete(self, owner: str | None, thread_id: str) -> bool:
        """Revoke claims and remove all of the thread at once."""
        return await self._store.change(records.delete(owner, thread_id))

    async def clear(self, owner: str | None) -> list[str]:
        """Delete every thread of the owner and return their ids."""
        return await self._store.change(records.clear(owner))
