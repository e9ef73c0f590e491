"""The connection to Redis: a bounded pool, one server or a cluster, scripts by digest, limited waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from jumpseat.errors import ConfigurationError, MissingDependencyError, SchemaTooNew, StoreUnavailable
from jumpseat.stores.redis.keys import Keys
from jumpseat.stores.redis.packing import packed
from jumpseat.stores.redis.scripts import MIGRATIONS, SCRIPTS

# Imported with this module, which nothing imports that does not need it: later it would block an event loop.
try:
    _redis: Any = import_module("redis.asyncio")
    _retry: Any = import_module("redis.asyncio.retry")
    _backoff: Any = import_module("redis.backoff")
    _errors: Any = import_module("redis.exceptions")
except ImportError:
    _redis = None

__all__ = ["Call", "Database", "Reply"]

Reply: TypeAlias = Any

OLDEST_SERVER = (6, 2)
CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 5.0
# With repetitions and the wait for a free connection.
CALL_SECONDS = 12.0
RETRIES = 3
PIPELINE = 64

_log = logging.getLogger(__name__)


class Call(NamedTuple):
    """A script to be run on the slot that ``key`` lies in."""

    script: str
    key: str
    args: dict[str, Any]


class Database:
    """Runs scripts. Each may be repeated: the answer of a first try that got lost is given again.

    Raises ``ConfigurationError`` for a wrong URL and ``MissingDependencyError`` without the redis package.
    """

    def __init__(self, url: str, keys: Keys, max_connections: int) -> None:
        if _redis is None:
            raise MissingDependencyError('Redis needs the redis package: pip install "jumpseat[redis]"')
        self._failures = (_errors.RedisError, _errors.RedisClusterException, OSError, TimeoutError)
        self._url = url
        self._keys = keys
        self._max_connections = max_connections
        self._client: Any = None
        self._cluster = False
        self._free = asyncio.Semaphore(max_connections)
        self._calls: set[asyncio.Task[Any]] = set()
        try:
            parts = urlsplit(url)
            self.where = f"redis at {parts.hostname or parts.path}" + (f":{parts.port}" if parts.port else "")
            _redis.ConnectionPool.from_url(url)
        except (ValueError, TypeError, AttributeError) as error:
            raise ConfigurationError(
                "url must be the address of a Redis server, such as redis://localhost:6379/0"
            ) from error

    async def open(self) -> None:
        """Connect, check the server and bring the schema up to date. Raises ``StoreUnavailable``."""
        single = _redis.Redis.from_url(self._url, **self._options())
        try:
            async with asyncio.timeout(CALL_SECONDS):
                info: dict[str, Any] = await single.info()
                self._check_version(info)
                await self._check_policy(single, info)
                self._cluster = bool(info.get("cluster_enabled"))
                if self._cluster:
                    await single.aclose()
                    cluster = _redis.RedisCluster.from_url(
                        self._url, **self._options(), require_full_coverage=False
                    )
                    self._client = cluster
                    await cluster.initialize()
                else:
                    self._client = single
                await self._migrate()
        except BaseException as error:
            client, self._client = self._client or single, None
            await client.aclose()
            if isinstance(error, self._failures):
                raise self._unavailable(error) from error
            raise

    async def aclose(self) -> None:
        """Release every connection; verbs raise ``StoreUnavailable`` from now on."""
        client, self._client = self._client, None
        if client is not None:
            # A call whose connection was closed under it would open another one.
            if self._calls:
                await asyncio.wait(self._calls, timeout=CALL_SECONDS)
            await client.aclose()

    async def call(self, script: str, key: str, /, **args: Any) -> Reply:
        """Run one script. Raises ``StoreUnavailable``; then it may or may not have happened."""
        return await self._guarded(self._call, Call(script, key, args))

    async def many(self, calls: Sequence[Call]) -> list[Reply | StoreUnavailable]:
        """Run scripts in any order, on one server in one round trip; each fails by itself."""
        if len(calls) == 1 or self._cluster:
            results = await asyncio.gather(
                *(self._guarded(self._call, call) for call in calls), return_exceptions=True
            )
            for result in results:
                if isinstance(result, BaseException) and not isinstance(result, StoreUnavailable):
                    raise result
            return results
        replies: list[Reply | StoreUnavailable] = []
        for start in range(0, len(calls), PIPELINE):
            some = calls[start : start + PIPELINE]
            try:
                replies += await self._guarded(self._pipe, some)
            except StoreUnavailable as error:
                replies += [error] * len(some)
        return replies

    def subscriber(self) -> tuple[Any, Any]:
        """Return a client with one connection of its own, to any node, and its subscription."""
        options = self._options() | {"retry": _retry.Retry(_backoff.NoBackoff(), 0)}
        options["max_connections"] = 1
        if self._cluster:
            node = self._open_client().get_random_node()
            connected = _redis.connection.parse_url(self._url)
            connected |= {"host": node.host, "port": node.port}
            secure = connected.pop("connection_class", None) is not None
            client = _redis.Redis(**connected, **options, ssl=secure)
        else:
            client = _redis.Redis.from_url(self._url, **options)
        return client, client.pubsub()

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """What the client raises when the server is not there or refuses."""
        return self._failures

    def _options(self) -> dict[str, Any]:
        return {
            "protocol": 2,
            # Otherwise each new connection reads the package's metadata from its files.
            "driver_info": None,
            "socket_timeout": ANSWER_SECONDS,
            "socket_connect_timeout": CONNECT_SECONDS,
            "max_connections": self._max_connections + 1,
            "retry": _retry.Retry(_backoff.ExponentialBackoff(cap=0.4, base=0.05), RETRIES),
            # A server that was demoted is left: behind the address there may be another one now.
            "retry_on_error": [_errors.ReadOnlyError, _errors.ConnectionError],
        }

    def _check_version(self, info: dict[str, Any]) -> None:
        version = str(info.get("redis_version", ""))
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if numbers and numbers < OLDEST_SERVER:
            raise StoreUnavailable(
                f"{self.where} is version {version}: Redis 6.2, or Valkey, or newer is needed"
            )

    async def _check_policy(self, client: Any, info: dict[str, Any]) -> None:
        policy = info.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            _log.warning(
                "%s has maxmemory-policy %s: it may drop parts of threads when it is full; set noeviction",
                self.where,
                policy,
            )

    async def _migrate(self) -> None:
        key = f"{self._keys.index}:schema"
        client = self._open_client()
        found = int(await client.get(key) or 0)
        if found > len(MIGRATIONS):
            raise SchemaTooNew(self.where, found=found, known=len(MIGRATIONS))
        for number, migration in enumerate(MIGRATIONS[found:], start=found + 1):
            await client.execute_command("EVAL", migration.source, 1, key, number)

    async def _guarded(self, work: Callable[[Any], Awaitable[Any]], argument: Any) -> Any:
        self._open_client()
        # In a task of its own: the client may swallow a cancellation, and a connection with half an answer in
        # it is of no use to the next call.
        task = asyncio.create_task(self._in_turn(work, argument))
        self._calls.add(task)
        task.add_done_callback(self._ended)
        await asyncio.wait((task,), timeout=CALL_SECONDS)
        if not task.done():
            task.cancel()
            raise self._unavailable(TimeoutError(f"no answer within {CALL_SECONDS:g} s"))
        try:
            return task.result()
        except self._failures as error:
            raise self._unavailable(error) from error

    async def _in_turn(self, work: Callable[[Any], Awaitable[Any]], argument: Any) -> Any:
        async with self._free:
            return await work(argument)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._calls.discard(task)
        if not task.cancelled():
            # Seen, also when nobody waits for it any more.
            task.exception()

    async def _call(self, call: Call) -> Reply:
        client = self._open_client()
        script = SCRIPTS[call.script]
        argument = packed(call.args)
        try:
            return await client.execute_command("EVALSHA", script.sha, 1, call.key, argument)
        except _errors.NoScriptError:
            return await client.execute_command("EVAL", script.source, 1, call.key, argument)

    async def _pipe(self, calls: Sequence[Call]) -> list[Reply | StoreUnavailable]:
        async with self._open_client().pipeline(transaction=False) as pipe:
            for call in calls:
                pipe.execute_command("EVALSHA", SCRIPTS[call.script].sha, 1, call.key, packed(call.args))
            replies: list[Any] = await pipe.execute(raise_on_error=False)
        for index, reply in enumerate(replies):
            if isinstance(reply, _errors.NoScriptError):
                replies[index] = await self._call(calls[index])
            elif isinstance(reply, Exception):
                replies[index] = self._unavailable(reply)
        return replies

    def _open_client(self) -> Any:
        if self._client is None:
            raise self._not_open()
        return self._client

    def _not_open(self) -> StoreUnavailable:
        return StoreUnavailable(f"{self.where}: the store is not open: await its open() first")

    def _unavailable(self, error: BaseException) -> StoreUnavailable:
        return StoreUnavailable(f"{self.where}: {str(error) or type(error).__name__}")
