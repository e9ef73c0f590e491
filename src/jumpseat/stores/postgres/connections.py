"""Connections to PostgreSQL: a bounded pool, and a limit on every wait."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import socket
from collections.abc import AsyncGenerator, Coroutine, Generator, Mapping
from typing import Any, Final, TypeVar

from jumpseat.errors import StoreUnavailable
from jumpseat.stores.postgres.dsn import (
    CONNECT_SECONDS,
    Connection,
    DriverError,
    describe,
    driver,
    options_of,
)
from jumpseat.stores.postgres.failures import READ_ONLY, UNDONE, line_of, meaning
from jumpseat.stores.turns import LONGEST_SECONDS, Turns

__all__ = ["Connection", "Connections", "execute", "limited"]

T = TypeVar("T")

STATEMENT_SECONDS: Final = 15.0
# How long a place in the pool is waited for while the server answers nobody.
POOL_SECONDS: Final = 10.0
ATTEMPTS: Final = 4
# Several statements that belong together, such as a migration: the server gives up before the client does.
TRANSACTION_SECONDS: Final = 120.0
TRANSACTION_LIMITS: Final = b"SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = '110s'"


class Connections:
    """At most ``size`` connections to one database, none of which keeps anything from call to call.

    No named prepared statements and no settings of a session, so a pooler in transaction mode may stand in
    between. A statement that gets no answer within ``STATEMENT_SECONDS`` loses its connection.
    """

    def __init__(self, dsn: str, size: int, schema: str) -> None:
        self._dsn = dsn
        self._schema = schema
        self._options: dict[str, Any] = {}
        self.where = "PostgreSQL"
        self._size = size
        self._turns = Turns(size, patience=POOL_SECONDS)
        self._idle: list[Connection] = []
        self._used: set[Connection] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def prepare(self) -> None:
        """Import the driver and read the DSN. Raises ``ConfigurationError``, ``MissingDependencyError``."""
        self._options = await asyncio.to_thread(options_of, self._dsn)
        self.where = describe(self._options)

    async def fetch(
        self,
        statement: bytes,
        values: Mapping[str, Any],
        again: Mapping[str, Any] | None,
        *,
        urgent: bool = False,
    ) -> list[tuple[Any, ...]]:
        """Execute one statement as its own transaction and return its rows.

        ``again`` are the values to change when it is repeated because its answer was lost, ``None`` when it
        must not be. What is ``urgent`` does not stand in line behind what is not. Cancelling gives up on the
        answer, not on the statement. Raises ``StoreUnavailable``, ``ValueError`` for what contradicts what is
        stored, ``InvalidInput`` for what no index takes.
        """
        self._check_open()
        return await asyncio.shield(self.own(self._fetch(statement, values, again, urgent)))

    def own(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run ``work`` as a task that ``close`` waits for."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Whoever asked may have left; then nobody else looks at the error.
            task.exception()

    async def _fetch(
        self, statement: bytes, values: Mapping[str, Any], again: Mapping[str, Any] | None, urgent: bool
    ) -> list[tuple[Any, ...]]:
        psycopg = driver()
        now = asyncio.get_running_loop().time
        until = float("inf")
        for attempt in range(1, ATTEMPTS + 1):
            connection = await self._acquire(urgent)
            until = min(until, now() + STATEMENT_SECONDS)
            try:
                rows = await execute(connection, statement, values)
                self._turns.answered()
                return rows
            except psycopg.Error as error:
                lost = connection.closed
                if not lost:
                    self._turns.answered()
                demoted = error.sqlstate == READ_ONLY
                repeatable = demoted or error.sqlstate in UNDONE or (lost and again is not None)
                if demoted:
                    # Another server may take the writes now.
                    await self._forget_idle()
                    await connection.close()
                if not repeatable or attempt == ATTEMPTS or now() >= until or self._closed:
                    raise self._told(error) from error
                if lost:
                    values = {**values, **(again or {})}
                    # What stood by was made before whatever happened: a restart ends all of them.
                    await self._forget_idle()
            finally:
                await self._release(connection)
        raise AssertionError("the last attempt returns or raises")

    def _told(self, error: DriverError) -> Exception:
        return meaning(error, self.where, self._schema)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable(f"{self.where}: the store is closed")

    async def _acquire(self, urgent: bool) -> Connection:
        try:
            await self._turns.take(urgent=urgent)
        except TimeoutError:
            raise StoreUnavailable(
                f"{self.where}: all {self._size} connections were in use for {LONGEST_SECONDS:.0f} seconds, "
                f"or for {POOL_SECONDS:.0f} without an answer"
            ) from None
        try:
            self._check_open()
            while self._idle:
                connection = self._idle.pop()
                if _is_quiet(connection):
                    break
                await connection.close()
            else:
                connection = await self.connect()
        except BaseException:
            self._turns.give_back()
            raise
        self._used.add(connection)
        return connection

    async def _release(self, connection: Connection) -> None:
        self._used.discard(connection)
        self._turns.give_back()
        if self._closed or connection.closed:
            await connection.close()
        else:
            self._idle.append(connection)

    async def connect(self, dsn: str | None = None) -> Connection:
        """Open a connection outside of the pool. Raises ``StoreUnavailable``."""
        psycopg = driver()
        options = self._options if dsn is None else await asyncio.to_thread(options_of, dsn)
        hosts = str(options.get("host", "")).count(",") + 1
        try:
            async with asyncio.timeout((CONNECT_SECONDS + 1) * hosts):
                return await psycopg.AsyncConnection.connect(
                    **options, autocommit=True, prepare_threshold=None
                )
        except (psycopg.Error, OSError, TimeoutError) as error:
            raise StoreUnavailable(f"{describe(options)}: {line_of(error) or 'no answer'}") from error

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Connection]:
        """Lend a connection of its own for statements that belong together, which get two minutes in all.

        Not for what runs wait for: a process that freezes in the middle keeps its locks until the server
        gives up on it. Raises ``StoreUnavailable``; then nothing of it was done.
        """
        connection = await self.connect()
        try:
            with limited(connection, TRANSACTION_SECONDS):
                async with connection.transaction():
                    await connection.execute(TRANSACTION_LIMITS)
                    yield connection
        except driver().Error as error:
            raise self._told(error) from error
        finally:
            await connection.close()

    async def _forget_idle(self) -> None:
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.close()

    async def close(self, seconds: float) -> None:
        """Give what runs ``seconds``, then cut it off, and close every connection."""
        self._closed = True
        current = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not current]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        for connection in list(self._used):
            _cut(connection)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._forget_idle()


async def execute(
    connection: Connection, statement: bytes, values: Mapping[str, Any]
) -> list[tuple[Any, ...]]:
    """Execute one statement and return its rows; without an answer in time the connection is lost."""
    with limited(connection, STATEMENT_SECONDS):
        async with connection.cursor(binary=True) as cursor:
            await cursor.execute(statement, values)
            return await cursor.fetchall()


@contextlib.contextmanager
def limited(connection: Connection, seconds: float) -> Generator[None]:
    """Cut the connection when the block takes longer.

    Cancelling would not do: the driver then asks the server to stop, and waits for its answer.
    """
    timer = asyncio.get_running_loop().call_later(seconds, _cut, connection)
    try:
        yield
    finally:
        timer.cancel()


def _is_quiet(connection: Connection) -> bool:
    """Say whether an idle connection is usable: a server that closed it has left something to read."""
    if connection.closed:
        return False
    with selectors.DefaultSelector() as selector:
        selector.register(connection.fileno(), selectors.EVENT_READ)
        return not selector.select(0)


def _cut(connection: Connection) -> None:
    """End a connection that gives no answer: whoever waits for it learns that it is lost."""
    if connection.closed:
        return
    with (
        contextlib.suppress(OSError),
        socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM) as own,
    ):
        own.shutdown(socket.SHUT_RDWR)
