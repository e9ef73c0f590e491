"""One connection to one MCP server: a task that owns it, and requests with limits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextvars import Context, copy_context
from typing import Any, Final, TypeVar, cast

from jumpseat.mcp import adapter
from jumpseat.mcp.failures import ReplyError, ServerUnavailable
from jumpseat.mcp.private_logs import private_context
from jumpseat.mcp.server import MCPServer

__all__ = ["CLOSE_SECONDS", "Connection", "close_all"]

_T = TypeVar("_T")

CLOSE_SECONDS: Final = 3.0
_PING_SECONDS: Final = 3.0
_LET_GO_SECONDS: Final = 0.1
_MAX_PAGES: Final = 20
_MAX_TOOLS: Final = 1000
_METHOD_NOT_FOUND: Final = -32601
# What the package answers itself when the connection is gone.
_CLOSED: Final = -32000
# What the package answers itself when the server does not know the session any more.
_FORGOTTEN: Final = "Session terminated"

logger = logging.getLogger(__name__)


class Connection:
    """Connects when it is made and stays open until ``begin_close``, or until it breaks.

    The package needs a connection to be left by the task that entered it, so one task does both. Requests
    may come from any task of the loop, any number at once.
    """

    def __init__(
        self,
        server: MCPServer,
        headers: Mapping[str, str],
        *,
        on_tools_changed: Callable[[], None],
        watch: bool = False,
    ) -> None:
        self._server = server
        self._wire = adapter.Wire(self._break)
        self._link: adapter.Link | None = None
        self._failure: ServerUnavailable | None = None
        self._ready = asyncio.Event()
        self._closing = asyncio.Event()
        self._broken = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._requests: set[asyncio.Task[Any]] = set()
        opening = adapter.link(server, headers, self._wire, on_tools_changed=on_tools_changed, watch=watch)
        # In a context of its own: a pooled connection outlives the run that made it.
        self._task = asyncio.create_task(
            self._own(opening), name=f"mcp-{server.label}", context=private_context(Context(), server)
        )
        self._task.add_done_callback(self._finish)
        self._timer = self._loop.call_later(server.connect_seconds, self._give_up)

    @property
    def usable(self) -> bool:
        """True while it is open or opening."""
        return not (self._closing.is_set() or self._task.done() or self._broken.is_set())

    @property
    def opening(self) -> bool:
        """True until it is open or has failed."""
        return not self._ready.is_set()

    async def opened(self) -> None:
        """Return once it is open. Cancelling leaves it opening.

        Raises:
            ServerUnavailable: It could not be opened, or is closed by now.
        """
        await self._ready.wait()
        if self._link is None:
            raise self._failure or ServerUnavailable("lost")

    async def list_tools(self) -> list[dict[str, Any]]:
        """Return all tools of the server, as it describes them.

        Raises:
            ServerUnavailable: They cannot be listed, or are too many.
        """
        try:
            return await self._request(self._all_pages(), self._server.connect_seconds)
        except TimeoutError as error:
            raise ServerUnavailable("timeout") from error
        except ReplyError as error:
            if error.number == _METHOD_NOT_FOUND:
                return []  # a server of other things than tools
            raise ServerUnavailable(_word(None, self._wire.status) or "list") from error

    async def call_tool(self, name: str, arguments: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Call a tool and return its result as the server sent it. Cancelling tells the server to stop.

        ``seconds`` is the caller's limit: agents that share a connection may have several.

        Raises:
            ReplyError: The server answered with an error.
            ServerUnavailable: The connection broke; the tool may have run.
            TimeoutError: It took longer than ``seconds``.
        """
        link = await self._current()
        result: Any = await self._request(link.call_tool(name, arguments), seconds)
        if not isinstance(result, dict):
            raise ServerUnavailable("protocol")
        whole = cast("dict[str, Any]", result)
        if whole.get("resultType", "complete") != "complete":
            raise ServerUnavailable("unfinished")
        return whole

    async def answers(self) -> bool:
        """Say whether the server still knows the connection; one that it does not is of no use."""
        try:
            link = await self._current()
            await self._request(link.ping(), _PING_SECONDS)
        except ReplyError as error:
            return error.number == _METHOD_NOT_FOUND
        except (ServerUnavailable, TimeoutError):
            return False
        return True

    def begin_close(self, grace: float = CLOSE_SECONDS) -> None:
        """Start to close; what is not done after ``grace`` seconds is cut off. Ends requests in flight.

        One that is opening gets that time to open: a server that is left in the middle of the handshake keeps
        a session that nobody can end.
        """
        if self._task.done():
            return
        self._closing.set()
        self._ready.set()
        self._timer.cancel()
        self._timer = self._loop.call_later(grace, self._cut_off)

    async def closed(self) -> None:
        """Return once it is closed. Cancelling leaves it closing."""
        await asyncio.wait({self._task})

    async def _own(self, opening: Any) -> None:
        try:
            async with opening as link:
                self._link = link
                if not self._closing.is_set():
                    self._timer.cancel()
                    self._ready.set()
                await self._needed()
                await self._end_requests()
                if not self._closing.is_set():
                    raise ServerUnavailable("lost")  # a message was refused, and no answer to it can come
        except Exception as error:
            if not self._closing.is_set():
                self._failure = self._failure or self._explained(error, "lost" if self._link else "error")
                logger.debug(
                    "The connection to MCP server %s ended: %s", self._server.label, self._failure.reason
                )

    async def _needed(self) -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in (self._closing, self._broken)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _end_requests(self) -> None:
        """Tell the server to stop what it still does for us: it may not take a good-bye for that."""
        if self._requests:
            for request in self._requests:
                request.cancel()
            await asyncio.wait(set(self._requests), timeout=_LET_GO_SECONDS)

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._link = None
        self._timer.cancel()
        for request in self._requests:
            request.cancel()
        if not task.cancelled() and task.exception() is not None:
            logger.debug("The connection to MCP server %s could not be left cleanly", self._server.label)
        self._ready.set()

    def _give_up(self) -> None:
        self._failure = ServerUnavailable("timeout")
        # Those who wait need not wait for the connection to be left.
        self._ready.set()
        self._cut_off()

    def _break(self) -> None:
        self._broken.set()
        if not self._ready.is_set():
            self._failure = ServerUnavailable(_word(None, self._wire.status) or "error")
            self._ready.set()
            self._cut_off()

    def _cut_off(self) -> None:
        self._closing.set()
        self._task.cancel()
        # Leaving a connection sends a good-bye, which may hang in its turn.
        self._timer = self._loop.call_later(_LET_GO_SECONDS, self._cut_off)

    async def _current(self) -> adapter.Link:
        await self.opened()
        if self._link is None or not self.usable:
            raise ServerUnavailable("lost")
        return self._link

    async def _request(self, work: Coroutine[Any, Any, _T], limit: float) -> _T:
        """Await ``work`` until it ends, the connection ends, or the limit is over."""
        request = asyncio.create_task(work, context=private_context(copy_context(), self._server))
        self._requests.add(request)
        request.add_done_callback(self._retire)
        try:
            await asyncio.wait({request, self._task}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if request.done() and not request.cancelled():
                return self._outcome(request)
            if request.done() or self._task.done():
                raise self._failure or ServerUnavailable("lost")
            raise TimeoutError
        finally:
            if not request.done():
                request.cancel()
                # It may be busy telling the server; the connection keeps it until it is done.
                await asyncio.wait({request}, timeout=_LET_GO_SECONDS)

    def _outcome(self, request: asyncio.Task[_T]) -> _T:
        try:
            return request.result()
        except (ReplyError, ServerUnavailable) as error:
            if isinstance(error, ReplyError) and (error.number == _CLOSED or error.text == _FORGOTTEN):
                self.begin_close(0)
                raise ServerUnavailable("lost") from error
            raise
        except Exception as error:
            raise self._explained(error, "protocol") from error

    def _retire(self, request: asyncio.Task[Any]) -> None:
        self._requests.discard(request)
        if not request.cancelled():
            request.exception()  # looked at, so that nobody reports it as forgotten

    async def _all_pages(self) -> list[dict[str, Any]]:
        link = await self._current()
        tools: list[dict[str, Any]] = []
        cursors: set[str | None] = set()
        cursor: str | None = None
        while cursor not in cursors and len(cursors) < _MAX_PAGES:
            cursors.add(cursor)
            page: Any = await link.list_tools(cursor)
            tools += _checked_page(page)
            cursor = page.get("nextCursor")
            if len(tools) > _MAX_TOOLS:
                break
            if not cursor:
                return tools
        raise ServerUnavailable("list")

    def _explained(self, error: BaseException, otherwise: str) -> ServerUnavailable:
        leaf = error
        while isinstance(leaf, BaseExceptionGroup):
            leaf = cast("BaseExceptionGroup[BaseException]", leaf).exceptions[0]
        if isinstance(leaf, ServerUnavailable):
            return leaf
        return ServerUnavailable(_word(leaf, self._wire.status) or otherwise)


async def close_all(connections: list[Connection], grace: float = CLOSE_SECONDS) -> None:
    """Close connections at the same time and return when they are closed.

    Cancelling cuts them off, waits for that, and is then raised.
    """
    for connection in connections:
        connection.begin_close(grace)
    waiting = asyncio.gather(*(connection.closed() for connection in connections))
    try:
        await asyncio.shield(waiting)
    except asyncio.CancelledError:
        for connection in connections:
            connection.begin_close(0)
        await waiting
        raise


def _checked_page(page: Any) -> list[dict[str, Any]]:
    tools: Any = page.get("tools") if isinstance(page, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not isinstance(tools, list):
        raise ServerUnavailable("list")
    listed = cast("list[Any]", tools)
    if not all(isinstance(tool, dict) and isinstance(tool.get("name"), str) for tool in listed):  # pyright: ignore[reportUnknownMemberType]
        raise ServerUnavailable("list")
    return cast("list[dict[str, Any]]", listed)


def _word(error: BaseException | None, status: int | None) -> str | None:
    if status is not None:
        if status in (401, 403):
            return "unauthorized"
        return "redirected" if status < 400 else "refused"
    if isinstance(error, ReplyError):
        return "protocol"
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if kinds & {"TimeoutException", "TimeoutError"}:
        return "timeout"
    if kinds & {"TransportError", "OSError"}:
        return "unreachable"
    return "protocol" if kinds & {"MCPError", "McpError"} else None
