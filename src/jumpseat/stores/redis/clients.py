"""The clients of redis-py: for one server, for a cluster, for the primary that sentinels name."""

from __future__ import annotations

import contextlib
import re
from importlib import import_module
from typing import Any, Final, NamedTuple

from jumpseat.errors import ConfigurationError, MissingDependencyError
from jumpseat.stores.redis.addresses import Address, address_of

# Imported with this module, which nothing imports that does not need it: later it would block an event loop.
try:
    _redis: Any = import_module("redis.asyncio")
    _connection: Any = import_module("redis.asyncio.connection")
    _sentinel: Any = import_module("redis.asyncio.sentinel")
    _retry: Any = import_module("redis.asyncio.retry")
    _backoff: Any = import_module("redis.backoff")
    errors: Any = import_module("redis.exceptions")
except ImportError:
    _redis = errors = None

__all__ = ["Clients", "Subscriber", "errors"]

CONNECT_SECONDS: Final = 3.0
ANSWER_SECONDS: Final = 5.0
# One that is gone costs that long whenever the primary is looked for.
SENTINEL_SECONDS: Final = 1.0
RETRIES: Final = 3


class Subscriber(NamedTuple):
    """A subscription and the clients that are closed with it."""

    subscription: Any
    clients: list[Any]

    async def aclose(self) -> None:
        """Give up the subscription and its connection. Raises what the last of them raised."""
        async with contextlib.AsyncExitStack() as stack:
            for one in (*reversed(self.clients), self.subscription):
                stack.push_async_callback(one.aclose)


class Clients:
    """Makes clients for one address; each has at most ``max_connections`` and one more to be told with.

    Raises ``ConfigurationError`` for a wrong URL and ``MissingDependencyError`` without the redis package.
    """

    def __init__(self, url: str, max_connections: int) -> None:
        if _redis is None:
            raise MissingDependencyError('Redis needs the redis package: pip install "jumpseat[redis]"')
        self._address: Address = address_of(url, _connection.parse_url)
        _check_options(self._address.url)
        self._max_connections = max_connections
        self._sentinels: Any = None
        self.where = self._address.where
        self.failures: tuple[type[Exception], ...] = (
            errors.RedisError,
            errors.RedisClusterException,
            OSError,
            TimeoutError,
        )

    def primary(self) -> Any:
        """Return a client of the server itself: the one of the URL, or whichever the sentinels name."""
        if not self._address.sentinels:
            return _redis.Redis.from_url(self._address.url, **self._options())
        if self._sentinels is None:
            self._sentinels = self._watchers()
        return self._sentinels.master_for(self._address.service)

    def cluster(self) -> Any:
        """Return a client of the cluster that the server is a node of."""
        options = self._options() | {"require_full_coverage": False}
        return _redis.RedisCluster.from_url(self._address.url, **options)

    def subscriber(self, cluster: Any = None) -> Subscriber:
        """Return a subscription on a connection of its own, in a cluster to any of its nodes."""
        options = self._options() | {"retry": _retry.Retry(_backoff.NoBackoff(), 0), "max_connections": 1}
        if cluster is not None:
            node = cluster.get_random_node()
            client = _redis.Redis(**self._parsed(), **options, host=node.host, port=node.port)
            return Subscriber(client.pubsub(), [client])
        if self._address.sentinels:
            sentinels = self._watchers()
            client = sentinels.master_for(self._address.service, **options)
            return Subscriber(client.pubsub(), [client, sentinels])
        client = _redis.Redis.from_url(self._address.url, **options)
        return Subscriber(client.pubsub(), [client])

    async def aclose(self) -> None:
        """Leave the sentinels; the clients are their callers'."""
        sentinels, self._sentinels = self._sentinels, None
        if sentinels is not None:
            await sentinels.aclose()

    def _watchers(self) -> Any:
        parsed = self._parsed()
        options: dict[str, Any] = {name: value for name, value in parsed.items() if name.startswith("ssl")}
        options |= self._address.sentinel_options | {
            "protocol": 2,
            "driver_info": None,
            "socket_timeout": SENTINEL_SECONDS,
            "socket_connect_timeout": SENTINEL_SECONDS,
            "retry": _retry.Retry(_backoff.NoBackoff(), 0),
        }
        return _sentinel.Sentinel(
            self._address.sentinels, sentinel_kwargs=options, **(parsed | self._options())
        )

    def _parsed(self) -> dict[str, Any]:
        """Return what the URL says, the host aside, as keyword arguments."""
        parsed: dict[str, Any] = _connection.parse_url(self._address.url)
        secure = parsed.pop("connection_class", None) is _connection.SSLConnection
        kept = {
            name: value
            for name, value in parsed.items()
            if name not in ("host", "port") and (secure or not name.startswith("ssl"))
        }
        return kept | {"ssl": secure}

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
            "retry_on_error": [errors.ReadOnlyError, errors.ConnectionError],
        }


def _check_options(url: str) -> None:
    """Raise ``ConfigurationError`` for an option in the URL that redis-py does not know."""
    try:
        _connection.ConnectionPool.from_url(url, driver_info=None).make_connection()
    except TypeError as error:
        option = re.search(r"argument '(\w+)'", str(error))
        named = f"'{option[1]}'" if option else "an option"
        raise ConfigurationError(
            f"url has {named} behind its question mark, which redis-py does not know"
        ) from error
