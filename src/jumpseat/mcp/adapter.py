"""The one place that uses the ``mcp`` package, its 1.x and its 2.x alike."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from inspect import signature
from types import ModuleType
from typing import Any, Final, Protocol

from jumpseat.errors import MissingDependencyError
from jumpseat.http_clients import user_agent
from jumpseat.mcp.failures import ReplyError, ServerUnavailable
from jumpseat.mcp.private_logs import keep_logs_private
from jumpseat.mcp.server import MCPServer
from jumpseat.version import __version__

__all__ = ["Link", "Wire", "link", "load_library", "require_library"]

_INSTALL: Final = 'MCP needs an extra package: pip install "jumpseat[mcp]"'
_OLDEST: Final = (1, 24)
_MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
_LIST_CHANGED: Final = "notifications/tools/list_changed"
_STALE_HEADERS: Final = -32020
_LIST_PAGES: Final = 20
_OLDER_SECONDS: Final = 600.0
_MOST_OLDER: Final = 256

# Servers that are known to speak only the older kind of the protocol, and since when.
_OLDER: dict[str, float] = {}


class Link(Protocol):
    """An open connection. Results are the JSON objects that the server sent.

    Its methods raise ``ReplyError`` for a JSON-RPC error, and whatever the package raises for a broken
    connection; they have no time limit of their own.
    """

    async def list_tools(self, cursor: str | None) -> dict[str, Any]:
        """Return one page of ``tools/list``; tools without a sound schema may be missing from it."""
        ...

    async def call_tool(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the result of ``tools/call``."""
        ...

    async def ping(self) -> None:
        """Return when the server has answered."""
        ...


class Wire:
    """What is known of a connection's HTTP.

    Attributes:
        on_broken: Called when a message was refused and no answer to it can come.
        status: The status that refused the last message, if one did.
    """

    __slots__ = ("on_broken", "status")

    def __init__(self, on_broken: Callable[[], None]) -> None:
        self.on_broken = on_broken
        self.status: int | None = None


def require_library() -> None:
    """Check that the package is there, without importing it.

    Raises:
        MissingDependencyError: It is not.
    """
    if importlib.util.find_spec("mcp") is None:
        raise MissingDependencyError(_INSTALL)


def load_library() -> None:
    """Import the package; takes up to seconds, so it belongs in a thread.

    Raises:
        MissingDependencyError: It is not installed, or too old.
    """
    require_library()
    if _version() < _OLDEST:
        raise MissingDependencyError(_INSTALL)
    keep_logs_private()
    _http()
    _tls()


@asynccontextmanager
async def link(
    server: MCPServer,
    headers: Mapping[str, str],
    wire: Wire,
    *,
    on_tools_changed: Callable[[], None],
    watch: bool,
) -> AsyncGenerator[Link]:
    """Connect, shake hands, and hold the connection until the block is left, by the task that entered it.

    Args:
        server: Whom to connect to.
        headers: What each request carries.
        wire: Is told of refusals while the connection lasts.
        on_tools_changed: Called when the server says that its tools are others now.
        watch: Ask for such notices where they have to be asked for.
    """
    await asyncio.to_thread(load_library)

    async def on_message(message: Any) -> None:
        if getattr(getattr(message, "root", message), "method", None) == _LIST_CHANGED:
            on_tools_changed()

    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(_http_client(server, headers, wire))
        streams = await stack.enter_async_context(_transport(server, client))
        if _version()[0] == 1:
            yield await _shake_hands_v1(stack, streams, on_message)
        else:
            held = await _shake_hands_v2(stack, streams, on_message, server)
            if watch:
                stack.push_async_callback(_ended, asyncio.create_task(held.watch(on_tools_changed)))
            yield held


@cache
def _version() -> tuple[int, int]:
    major, minor = importlib.metadata.version("mcp").split(".")[:2]
    return int(major), int("".join(c for c in minor if c.isdigit()) or 0)


@cache
def _http() -> Any:
    """The HTTP library that the installed package speaks through: httpx2, or httpx before."""
    from mcp.client import streamable_http  # noqa: PLC0415

    names = vars(streamable_http)
    found = names.get("httpx2") or names.get("httpx")
    assert isinstance(found, ModuleType)
    return found


@cache
def _tls() -> ssl.SSLContext:
    """One for all connections: making it reads the certificates from disk."""
    return _http().create_ssl_context()


def _http_client(server: MCPServer, headers: Mapping[str, str], wire: Wire) -> Any:
    async def look_at(response: Any) -> None:
        status, method = response.status_code, response.request.method
        if server.type == "http" and method != "POST":
            return  # listening and saying good-bye are optional
        wire.status = status if status >= 300 else None
        if server.type == "sse" and status >= 300:
            wire.on_broken()
        if 300 <= status < 400:
            # Following it would carry the headers to an address nobody configured.
            raise ServerUnavailable("redirected")
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            response.stream = _limited(response.stream)

    http = _http()
    return http.AsyncClient(
        # Packed answers could be of any size when unpacked.
        headers={"user-agent": user_agent(), "accept-encoding": "identity", **headers},
        # Each request has a limit already, and a silent stream is no error.
        timeout=http.Timeout(None, connect=server.connect_seconds),
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        verify=_tls(),
        event_hooks={"response": [look_at]},
    )


def _limited(stream: Any) -> Any:
    """The same bytes, up to the limit of one message."""

    class Limited(_http().AsyncByteStream):
        async def __aiter__(self) -> AsyncGenerator[bytes]:
            size = 0
            async for piece in stream:
                size += len(piece)
                if size > _MAX_MESSAGE_BYTES:
                    raise ServerUnavailable("oversize")
                yield piece

        async def aclose(self) -> None:
            await stream.aclose()

    return Limited()


def _transport(server: MCPServer, client: Any) -> AbstractAsyncContextManager[Any]:
    if server.type == "sse":
        from mcp.client.sse import sse_client  # noqa: PLC0415

        @asynccontextmanager
        async def borrowed(**_: Any) -> AsyncGenerator[Any]:
            yield client

        return sse_client(server.url, httpx_client_factory=borrowed)  # pyright: ignore[reportArgumentType]
    from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415

    options: dict[str, Any] = {"http_client": client}
    if "max_sse_event_size" in signature(streamable_http_client).parameters:
        options["max_sse_event_size"] = _MAX_MESSAGE_BYTES
    return streamable_http_client(server.url, **options)


async def _shake_hands_v1(stack: AsyncExitStack, streams: Any, on_message: Any) -> Link:
    import mcp  # noqa: PLC0415

    session: Any = await stack.enter_async_context(
        mcp.ClientSession(streams[0], streams[1], message_handler=on_message, client_info=_identity(mcp))
    )
    await session.initialize()
    return _LinkV1(session, mcp.types)


async def _shake_hands_v2(stack: AsyncExitStack, streams: Any, on_message: Any, server: MCPServer) -> _LinkV2:
    import mcp  # noqa: PLC0415

    session: Any = await stack.enter_async_context(
        mcp.ClientSession(
            dispatcher=_tolerant_dispatcher(streams),
            message_handler=on_message,
            client_info=_identity(mcp),
        )
    )
    if not (server.type == "http" and _may_be_modern(server.url) and await _discovers(session)):
        try:
            await session.initialize()
        except Exception:
            _OLDER.pop(server.url, None)
            raise
        _OLDER.setdefault(server.url, time.monotonic())
        if len(_OLDER) > _MOST_OLDER:
            _OLDER.pop(next(iter(_OLDER)), None)
    return _LinkV2(session, mcp.types)


def _may_be_modern(url: str) -> bool:
    """Say whether to ask: a server of the older kind may open a session for the very question."""
    known = _OLDER.get(url)
    if known is not None and time.monotonic() - known < _OLDER_SECONDS:
        return False
    _OLDER.pop(url, None)
    return True


async def _discovers(session: Any) -> bool:
    """Return whether the server is of the newer kind and shares a version with the package."""
    try:
        await session.discover()
    except Exception as error:
        if not _is_reply(error) and not isinstance(error, ValueError | RuntimeError):
            raise
        return False
    return True


def _identity(library: Any) -> Any:
    return library.types.Implementation(name="jumpseat", version=__version__)


def _tolerant_dispatcher(streams: Any) -> Any:
    from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher  # noqa: PLC0415

    class TolerantDispatcher(JSONRPCDispatcher[Any]):
        """Takes unsound tools out of a list: the package would refuse the list for one of them."""

        async def send_raw_request(self, method: str, params: Any, *args: Any, **more: Any) -> dict[str, Any]:
            raw = await super().send_raw_request(method, params, *args, **more)
            tools: Any = raw.get("tools")
            if method == "tools/list" and isinstance(tools, list):
                raw["tools"] = [tool for tool in tools if _is_sound(tool)]  # pyright: ignore[reportUnknownVariableType]
            return raw

    return TolerantDispatcher(streams[0], streams[1])


def _is_sound(tool: Any) -> bool:
    try:
        return tool["inputSchema"].get("type") == "object"
    except (TypeError, KeyError, AttributeError):
        return False


def _is_reply(error: BaseException) -> bool:
    return type(error).__name__ in ("MCPError", "McpError", "NoBackChannelError")


@asynccontextmanager
async def _replies() -> AsyncGenerator[None]:
    """Turn the package's JSON-RPC errors into ours."""
    try:
        yield
    except Exception as error:
        data: Any = getattr(error, "error", None)
        if not _is_reply(error) or data is None:
            raise
        raise ReplyError(data.code, str(data.message)) from error


class _AsSent:
    """Stands for a result type: takes every result, and as the server sent it."""

    @staticmethod
    def model_validate(value: Any, **_: Any) -> Any:
        return value


@dataclass(frozen=True, slots=True)
class _LinkV1:
    session: Any
    types: Any

    async def list_tools(self, cursor: str | None) -> dict[str, Any]:
        params = self.types.PaginatedRequestParams(cursor=cursor) if cursor else None
        return await self._send(self.types.ListToolsRequest(params=params))

    async def call_tool(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        params = self.types.CallToolRequestParams(name=name, arguments=dict(arguments))
        return await self._send(self.types.CallToolRequest(params=params))

    async def ping(self) -> None:
        await self._send(self.types.PingRequest())

    async def _send(self, request: Any) -> dict[str, Any]:
        async with _replies():
            return await self.session.send_request(self.types.ClientRequest(request), _AsSent)


@dataclass(frozen=True, slots=True)
class _LinkV2:
    session: Any
    types: Any

    async def list_tools(self, cursor: str | None) -> dict[str, Any]:
        params = self.types.PaginatedRequestParams(cursor=cursor) if cursor else None
        async with _replies():
            # Not _AsSent: the session has to learn which arguments travel as headers.
            page = await self.session.list_tools(params=params)
        return page.model_dump(by_alias=True, mode="json", exclude_unset=True)

    async def call_tool(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        params = self.types.CallToolRequestParams(name=name, arguments=dict(arguments))
        request = self.types.CallToolRequest(params=params)
        try:
            async with _replies():
                return await self.session.send_request(request, _AsSent)
        except ReplyError as error:
            if error.number != _STALE_HEADERS or not self._is_modern():
                raise
        # The call did not run: arguments were missing in its headers, which the list of tools names.
        await self._learn(name)
        async with _replies():
            return await self.session.send_request(request, _AsSent)

    async def ping(self) -> None:
        if self._is_modern():
            return  # each request stands for itself there: no session can have ended
        async with _replies():
            await self.session.send_request(self.types.PingRequest(), _AsSent)

    async def watch(self, on_tools_changed: Callable[[], None]) -> None:
        """Listen for notices, which servers of the newer kind send only to those who ask."""
        if not self._is_modern():
            return
        from mcp.client.subscriptions import listen  # noqa: PLC0415

        with suppress(Exception):  # without notices the list is as fresh as its time to live
            async with listen(self.session, tools_list_changed=True) as notices:
                async for _ in notices:
                    on_tools_changed()

    async def _learn(self, name: str) -> None:
        cursor: str | None = None
        for _ in range(_LIST_PAGES):
            page = await self.list_tools(cursor)
            cursor = page.get("nextCursor")
            if cursor is None or any(tool["name"] == name for tool in page["tools"]):
                return

    def _is_modern(self) -> bool:
        return self.session.discover_result is not None


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
