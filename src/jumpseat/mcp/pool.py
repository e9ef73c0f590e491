"""Who holds the connections to MCP servers: one run, or a pool that keeps them for the next one."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

from jumpseat.errors import ConfigurationError
from jumpseat.mcp.connection import CLOSE_SECONDS, Connection
from jumpseat.mcp.server import MCPServer
from jumpseat.mcp.tool_lists import TOOL_LISTS, ServerKey, server_key

__all__ = ["Lease", "MCPPool", "OwnLease"]

_DAY: Final = 86_400.0


class Lease(Protocol):
    """One run's right to a connection to one server; nothing is opened before it is needed."""

    async def connection(self) -> Connection:
        """Return the connection, open. One that has closed is opened again.

        Raises:
            ServerUnavailable: It cannot be opened.
        """
        ...

    def give_back(self) -> list[Connection]:
        """End the lease; connections that are returned are the caller's to close."""
        ...


class OwnLease:
    """A connection for one run alone, so that what the server remembers of it never mixes users."""

    def __init__(self, server: MCPServer, headers: Mapping[str, str]) -> None:
        self._server = server
        self._headers = headers
        self._connections: list[Connection] = []

    async def connection(self) -> Connection:
        """See ``Lease``."""
        if not self._connections or not self._connections[-1].usable:
            self._connections.append(_connect(self._server, self._headers, watch=False))
        connection = self._connections[-1]
        await connection.opened()
        return connection

    def give_back(self) -> list[Connection]:
        """See ``Lease``."""
        return self._connections


class MCPPool:
    """Keeps connections to MCP servers open between runs, for ``mcp_pool`` of one agent or several.

    Runs share a connection when the server and all headers are the same: different credentials never do.
    Each event loop has its own. A connection that was closed meanwhile is opened again; a call that was sent
    is never repeated.
    """

    def __init__(self, idle_ttl: float = 300.0, max_connections: int = 64) -> None:
        """Make an empty pool.

        Args:
            idle_ttl: Seconds after which a connection that no run uses is closed.
            max_connections: How many are kept; a run that finds all of them in use has one of its own.

        Raises:
            ConfigurationError: A value cannot work.
        """
        self._idle_ttl = _seconds(idle_ttl)
        if isinstance(max_connections, bool) or not isinstance(max_connections, int) or max_connections < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("max_connections of an MCPPool must be a whole number of at least 1")
        self._most = max_connections
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Shelf] = WeakKeyDictionary()

    def lease(self, server: MCPServer, headers: Mapping[str, str]) -> Lease:
        """Return a lease for a run of the running loop."""
        loop = asyncio.get_running_loop()
        shelf = self._loops.get(loop)
        if shelf is None:
            shelf = self._loops[loop] = _Shelf(self._idle_ttl, self._most)
        return _PooledLease(shelf, server, headers)

    async def aclose(self) -> None:
        """Close all connections of the running loop; calls in flight fail. Cancelling cuts them off."""
        shelf = self._loops.pop(asyncio.get_running_loop(), None)
        if shelf is not None:
            await shelf.aclose()


class _Entry:
    """A pooled connection and how many leases use it."""

    __slots__ = ("checked", "checking", "connection", "idle_timer", "users")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.users = 0
        self.checked = True
        self.checking = asyncio.Lock()
        self.idle_timer: asyncio.TimerHandle | None = None


class _Shelf:
    """The pooled connections of one loop, the least recently used first."""

    def __init__(self, idle_ttl: float, most: int) -> None:
        self._idle_ttl = idle_ttl
        self._most = most
        self._entries: OrderedDict[ServerKey, _Entry] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()

    def take(self, key: ServerKey, server: MCPServer, headers: Mapping[str, str]) -> _Entry | None:
        """Return the entry for ``key``, made at need; ``None`` when there is no room."""
        entry = self._entries.get(key)
        if entry is None:
            if not self._has_room():
                return None
            entry = self._entries[key] = _Entry(_connect(server, headers, watch=True))
        if entry.idle_timer is not None:
            entry.idle_timer.cancel()
            entry.idle_timer = None
        self._entries.move_to_end(key)
        entry.users += 1
        return entry

    def give_back(self, key: ServerKey, entry: _Entry) -> None:
        """Note that a lease ended; the last one starts the time that the connection may be idle."""
        entry.users -= 1
        if entry.users > 0:
            return
        if self._entries.get(key) is not entry or not entry.connection.usable or entry.connection.opening:
            self._discard(key, entry)
            return
        entry.checked = False
        loop = asyncio.get_running_loop()
        entry.idle_timer = loop.call_later(self._idle_ttl, self._discard, key, entry)

    def replace(self, entry: _Entry, server: MCPServer, headers: Mapping[str, str]) -> None:
        """Open a new connection in place of one that is of no use."""
        self._close(entry.connection)
        entry.connection = _connect(server, headers, watch=True)
        entry.checked = True

    async def aclose(self) -> None:
        """Close everything."""
        entries = list(self._entries.items())
        for key, entry in entries:
            self._discard(key, entry)
        if self._closing:
            await asyncio.wait(set(self._closing))

    def _has_room(self) -> bool:
        if len(self._entries) >= self._most:
            idle = next(((key, entry) for key, entry in self._entries.items() if entry.users == 0), None)
            if idle is not None:
                self._discard(*idle)
        return len(self._entries) < self._most

    def _discard(self, key: ServerKey, entry: _Entry) -> None:
        if entry.idle_timer is not None:
            entry.idle_timer.cancel()
        if self._entries.get(key) is entry:
            del self._entries[key]
        self._close(entry.connection)

    def _close(self, connection: Connection) -> None:
        connection.begin_close(CLOSE_SECONDS)
        task = asyncio.ensure_future(connection.closed())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


class _PooledLease:
    def __init__(self, shelf: _Shelf, server: MCPServer, headers: Mapping[str, str]) -> None:
        self._shelf = shelf
        self._server = server
        self._headers = headers
        self._key = server_key(server, headers)
        self._entry: _Entry | None = None
        self._own: OwnLease | None = None

    async def connection(self) -> Connection:
        """See ``Lease``."""
        if self._own is None and self._entry is None:
            self._entry = self._shelf.take(self._key, self._server, self._headers)
        if self._entry is None:
            self._own = self._own or OwnLease(self._server, self._headers)
            return await self._own.connection()
        return await self._checked(self._entry)

    def give_back(self) -> list[Connection]:
        """See ``Lease``."""
        if self._entry is not None:
            self._shelf.give_back(self._key, self._entry)
            self._entry = None
        return self._own.give_back() if self._own is not None else []

    async def _checked(self, entry: _Entry) -> Connection:
        """Return the entry's connection after making sure that the server still knows it."""
        async with entry.checking:  # one asks for all
            known = entry.connection.usable and (entry.checked or await entry.connection.answers())
            if not known:
                self._shelf.replace(entry, self._server, self._headers)
            entry.checked = True
        connection = entry.connection
        await connection.opened()
        return connection


def _connect(server: MCPServer, headers: Mapping[str, str], *, watch: bool) -> Connection:
    key = server_key(server, headers)
    return Connection(server, headers, on_tools_changed=lambda: TOOL_LISTS.drop(key), watch=watch)


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _DAY:
        raise ConfigurationError("idle_ttl of an MCPPool must be a number of seconds, at most a day")
    return float(value)
