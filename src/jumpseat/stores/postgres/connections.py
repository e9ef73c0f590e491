"""Connections to PostgreSQL: a bounded pool, limits on every wait, and what a failure of the driver means."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import socket
from collections.abc import AsyncGenerator, Coroutine, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from jumpseat.errors import ConfigurationError, InvalidInput, MissingDependencyError, StoreUnavailable

if TYPE_CHECKING:
    import psycopg

__all__ = ["Connection", "Connections", "driver_error", "require_driver"]

Connection: TypeAlias = "psycopg.AsyncConnection[tuple[Any, ...]]"
T = TypeVar("T")

CONNECT_SECONDS: Final = 5
STATEMENT_SECONDS: Final = 15.0
POOL_SECONDS: Final = 10.0
ATTEMPTS: Final = 4
INSTALL: Final = 'the PostgreSQL runner needs psycopg 3: pip install "jumpseat[postgres]"'

# Two transactions met and this one was undone: nothing happened.
_UNDONE: Final = {"40001", "40P01"}
_BAD_VALUE: Final = "JS001"
_TOO_LARGE: Final = "54000"
_READ_ONLY: Final = "25006"
_NO_SCHEMA: Final = {"3F000", "42P01", "42883", "42704"}
# What libpq does unless the DSN says otherwise: a peer that vanished is noticed within half a minute.
_DEFAULTS: Final[dict[str, str | int]] = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "application_name": "jumpseat",
    "client_encoding": "UTF8",
}


def require_driver() -> None:
    """Raise ``MissingDependencyError`` unless the driver is installed; it is imported when it is needed."""
    if find_spec("psycopg") is None:
        raise MissingDependencyError(INSTALL)


def _driver() -> Any:
    """Import the driver; called in a thread first, because that takes a while."""
    try:
        import_module("psycopg.types.array")
        return import_module("psycopg")
    except ImportError as error:
        raise MissingDependencyError(f"{INSTALL} ({error})") from error


def driver_error() -> tuple[type[Exception], ...]:
    """Return what the driver raises."""
    return (_driver().Error,)


def _options(dsn: str) -> dict[str, Any]:
    psycopg = _driver()
    try:
        given: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(dsn)
    except psycopg.Error:
        # The driver quotes what it cannot read, and that may hold a password.
        raise ConfigurationError(
            "dsn is no PostgreSQL connection string: write it as in postgresql://user@host/name, special "
            "characters of the password URL-encoded, or as key=value pairs"
        ) from None
    options = _DEFAULTS | given
    if "," in str(given.get("host", "")):
        # Of several hosts only the primary takes writes, and which one that is changes with a failover.
        options.setdefault("target_session_attrs", "read-write")
    return options


def _describe(options: Mapping[str, Any]) -> str:
    """Say which database is meant, without user and password."""
    host = options.get("host") or options.get("hostaddr") or "the local socket"
    return f"PostgreSQL at {host}, database {options.get('dbname') or options.get('user') or 'by default'}"


class Connections:
    """At most ``size`` connections to one database, none of which keeps anything from call to call.

    No named prepared statements and no settings of a session, so a pooler in transaction mode may stand in
    between. A statement that gets no answer within ``STATEMENT_SECONDS`` loses its connection.
    """

    def __init__(self, dsn: str, size: int) -> None:
        self._dsn = dsn
        self._options: dict[str, Any] = {}
        self.where = "PostgreSQL"
        self._size = size
        self._free = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._used: set[Connection] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def prepare(self) -> None:
        """Import the driver and read the DSN. Raises ``ConfigurationError``, ``MissingDependencyError``."""
        self._options = await asyncio.to_thread(_options, self._dsn)
        self.where = _describe(self._options)

    async def fetch(
        self, statement: bytes, values: Mapping[str, Any], again: Mapping[str, Any] | None
    ) -> list[tuple[Any, ...]]:
        """Execute one statement as its own transaction and return its rows.

        ``again`` are the values to change when it is repeated because its answer was lost, ``None`` when it
        must not be. Cancelling gives up on the answer, not on the statement. Raises ``StoreUnavailable``,
        ``ValueError`` for what contradicts what is stored, ``InvalidInput`` for what no index takes.
        """
        self._check_open()
        return await asyncio.shield(self.own(self._fetch(statement, values, again)))

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
        self, statement: bytes, values: Mapping[str, Any], again: Mapping[str, Any] | None
    ) -> list[tuple[Any, ...]]:
        psycopg = _driver()
        now = asyncio.get_running_loop().time
        until = now() + STATEMENT_SECONDS
        for attempt in range(1, ATTEMPTS + 1):
            connection = await self._acquire()
            try:
                return await _execute(connection, statement, values)
            except psycopg.Error as error:
                lost = connection.closed
                repeatable = error.sqlstate in _UNDONE or (lost and again is not None)
                if error.sqlstate == _READ_ONLY:
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

    def _told(self, error: psycopg.Error) -> Exception:
        """Translate an error of the driver."""
        reason = error.diag.message_primary or _line(error) or type(error).__name__
        if error.sqlstate == _BAD_VALUE:
            return ValueError(reason)
        if error.sqlstate == _TOO_LARGE:
            return InvalidInput(f"an id is too long for an index of PostgreSQL: {reason}")
        if error.sqlstate in _NO_SCHEMA:
            reason = f"{reason}: run `jumpseat migrate`"
        if isinstance(error, _driver().DataError):
            return ValueError(reason)
        return StoreUnavailable(f"{self.where}: {reason}")

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable(f"{self.where}: the store is closed")

    async def _acquire(self) -> Connection:
        try:
            async with asyncio.timeout(POOL_SECONDS):
                await self._free.acquire()
        except TimeoutError:
            raise StoreUnavailable(
                f"{self.where}: all {self._size} connections were in use for {POOL_SECONDS:.0f} seconds"
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
            self._free.release()
            raise
        self._used.add(connection)
        return connection

    async def _release(self, connection: Connection) -> None:
        self._used.discard(connection)
        self._free.release()
        if self._closed or connection.closed:
            await connection.close()
        else:
            self._idle.append(connection)

    async def connect(self, dsn: str | None = None) -> Connection:
        """Open a connection outside of the pool. Raises ``StoreUnavailable``."""
        psycopg = _driver()
        options = self._options if dsn is None else await asyncio.to_thread(_options, dsn)
        hosts = str(options.get("host", "")).count(",") + 1
        try:
            async with asyncio.timeout((CONNECT_SECONDS + 1) * hosts):
                return await psycopg.AsyncConnection.connect(
                    **options, autocommit=True, prepare_threshold=None
                )
        except (psycopg.Error, OSError, TimeoutError) as error:
            raise StoreUnavailable(f"{_describe(options)}: {_line(error) or 'no answer'}") from error

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Connection]:
        """Lend a connection for statements that belong together; outside of the verbs only."""
        connection = await self.connect()
        try:
            async with connection.transaction():
                yield connection
        except _driver().Error as error:
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


async def _execute(
    connection: Connection, statement: bytes, values: Mapping[str, Any]
) -> list[tuple[Any, ...]]:
    timer = asyncio.get_running_loop().call_later(STATEMENT_SECONDS, _cut, connection)
    try:
        async with connection.cursor(binary=True) as cursor:
            await cursor.execute(statement, values)
            return await cursor.fetchall()
    finally:
        timer.cancel()


def _is_quiet(connection: Connection) -> bool:
    """Say whether an idle connection is usable: a server that closed it has left something to read."""
    if connection.closed:
        return False
    with selectors.DefaultSelector() as selector:
        selector.register(connection.fileno(), selectors.EVENT_READ)
        return not selector.select(0)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _cut(connection: Connection) -> None:
    """End a connection that gives no answer: whoever waits for it learns that it is lost."""
    if connection.closed:
        return
    with (
        contextlib.suppress(OSError),
        socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM) as own,
    ):
        own.shutdown(socket.SHUT_RDWR)
