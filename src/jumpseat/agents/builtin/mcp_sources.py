"""Where a run's MCP tools come from: servers that are connected to, and clients that are open already."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from jumpseat.agents.builtin.mcp_clients import ClientTool, ClientTools, Run
from jumpseat.agents.builtin.mcp_results import is_unknown_tool
from jumpseat.agents.builtin.mcp_tool import MCPTool, made_tool
from jumpseat.agents.builtin.server_tools import Invocation
from jumpseat.context import RunContext
from jumpseat.mcp import MCPPool, MCPServer
from jumpseat.mcp.failures import ReplyError, ServerUnavailable
from jumpseat.mcp.pool import Lease, OwnLease
from jumpseat.mcp.server import request_headers
from jumpseat.mcp.tool_lists import TOOL_LISTS, server_key

__all__ = ["Borrowed", "ClientSource", "ServerSource", "Source", "Unavailable", "ask"]

_CLIENT_LIST_SECONDS: Final = 10.0
_CLIENT_CALL_SECONDS: Final = 30.0
_OPEN_HEADERS: Final = frozenset({"accept", "accept-language", "content-type", "user-agent"})
_INVALID_PARAMS: Final = -32602
_METHOD_NOT_FOUND: Final = -32601

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A server that a run has to do without, and why, in one word."""

    server: str
    reason: str


class Borrowed:
    """What the sources have taken for one run."""

    def __init__(self, context: RunContext) -> None:
        self.context = context
        self.leases: list[Lease] = []
        self.secrets: set[str] = set()


class Source(Protocol):
    """A server or a client that has tools."""

    @property
    def label(self) -> str:
        """What events and logs call it."""
        ...

    @property
    def seconds(self) -> float:
        """How long listing may take."""
        ...

    async def tools(self, run: Borrowed) -> list[MCPTool]:
        """List its tools. May raise anything."""
        ...


async def ask(source: Source, run: Borrowed) -> list[MCPTool] | Unavailable:
    """Return the source's tools, or why there are none. Never raises but for cancellation."""
    try:
        async with asyncio.timeout(source.seconds):
            return await source.tools(run)
    except ServerUnavailable as error:
        reason = error.reason
    except TimeoutError:
        reason = "timeout"
    except Exception as error:
        reason = "error"
        # Its text may hold an address or a header.
        logger.debug("MCP server %s raised %s", source.label, type(error).__name__)
    logger.warning("MCP server %s is left out of run %s: %s", source.label, run.context.run_id, reason)
    return Unavailable(source.label, reason)


class ServerSource:
    """A configured server as a source of tools."""

    def __init__(self, server: MCPServer, pool: MCPPool | None) -> None:
        self._server = server
        self._pool = pool
        self.label = server.label
        self.seconds = server.connect_seconds

    async def tools(self, run: Borrowed) -> list[MCPTool]:
        """See ``Source``."""
        server = self._server
        headers = await request_headers(server, run.context)
        run.secrets.update(_secrets(headers))
        lease = self._pool.lease(server, headers) if self._pool is not None else OwnLease(server, headers)
        run.leases.append(lease)
        key = server_key(server, headers)
        listed = TOOL_LISTS.get(key, server.list_seconds)
        if listed is None:
            began = TOOL_LISTS.now()
            listed = await (await lease.connection()).list_tools()
            TOOL_LISTS.put(key, listed, began=began)

        def runner(name: str) -> Run:
            async def call(arguments: dict[str, Any], _: Invocation) -> dict[str, Any]:
                connection = await lease.connection()
                try:
                    result = await connection.call_tool(name, arguments, server.call_seconds)
                except ReplyError as error:
                    if _means_unknown_tool(error):
                        TOOL_LISTS.drop(key)
                    raise
                if is_unknown_tool(result):
                    TOOL_LISTS.drop(key)
                return result

            return call

        return [
            tool
            for entry in listed
            if server.allows(entry["name"])
            if (tool := self._tool(entry, runner(entry["name"]))) is not None
        ]

    def _tool(self, entry: Mapping[str, Any], run: Run) -> MCPTool | None:
        said: Any = entry.get("description") or entry.get("title") or ""
        return made_tool(
            f"{self._server.tool_prefix or ''}{entry['name']}",
            said,
            entry.get("inputSchema"),
            server=self.label,
            run=run,
            seconds=self._server.call_seconds,
        )


class ClientSource:
    """A developer's client as a source of tools."""

    def __init__(self, client: ClientTools) -> None:
        self._client = client
        self.label = client.label
        self.seconds = _CLIENT_LIST_SECONDS

    async def tools(self, run: Borrowed) -> list[MCPTool]:
        """See ``Source``."""
        listed = await self._client.list()
        return [tool for entry in listed if (tool := self._tool(entry)) is not None]

    def _tool(self, entry: ClientTool) -> MCPTool | None:
        async def limited(arguments: dict[str, Any], invocation: Invocation) -> dict[str, Any]:
            async with asyncio.timeout(_CLIENT_CALL_SECONDS):
                return await entry.run(arguments, invocation)

        return made_tool(
            entry.name,
            entry.description,
            entry.parameters,
            server=self.label,
            run=limited,
            seconds=_CLIENT_CALL_SECONDS,
        )


def _means_unknown_tool(error: ReplyError) -> bool:
    text = error.text.lower()
    named = "unknown tool" in text or ("tool" in text and "not found" in text)
    return error.number in (_INVALID_PARAMS, _METHOD_NOT_FOUND) and named


def _secrets(headers: Mapping[str, str]) -> set[str]:
    """Return values of headers, and the token behind an authentication scheme."""
    values = {value for name, value in headers.items() if name not in _OPEN_HEADERS}
    tokens = {value.partition(" ")[2].strip() for value in values}
    return {value for value in values | tokens if value}
