"""The tools of MCP servers in a run: listed before the model is asked, called when it says so."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, cast

from jumpseat.agents.builtin.mcp_clients import client_tools
from jumpseat.agents.builtin.mcp_sources import (
    Borrowed,
    ClientSource,
    ServerSource,
    Source,
    Unavailable,
    ask,
)
from jumpseat.agents.builtin.mcp_tool import MCPTool
from jumpseat.agents.builtin.server_tools import ServerTool
from jumpseat.context import RunContext
from jumpseat.errors import ConfigurationError
from jumpseat.mcp import MCPPool, MCPServer
from jumpseat.mcp.adapter import load_library, require_library
from jumpseat.mcp.connection import CLOSE_SECONDS, close_all
from jumpseat.mcp.server import as_server

__all__ = ["MCPForRun", "MCPTools", "Unavailable", "check_on_failure"]

_OF_APPS: Final = ("server_id", "agent_id", "resource_schemes")
_ABORTED_CLOSE_SECONDS: Final = 0.4
_MOST_WARNINGS: Final = 1000

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class MCPForRun:
    """What MCP gives to one run.

    Attributes:
        tools: The tools, by the names that the model calls them.
        unavailable: Servers and clients that failed, in the order in which they are configured.
        secrets: Values of headers that must not leave the server.
    """

    tools: list[ServerTool] = field(default_factory=list[ServerTool])
    unavailable: list[Unavailable] = field(default_factory=list[Unavailable])
    secrets: list[str] = field(default_factory=list[str])


def check_on_failure(value: object) -> None:
    """Raise ``ConfigurationError`` unless ``value`` says what an unreachable server does to a run."""
    if value not in ("log", "event", "fail"):
        raise ConfigurationError(f'on_mcp_failure must be "log", "event" or "fail", not {value!r}')


class MCPTools:
    """The MCP servers and clients of an agent.

    A server gets a connection per run, opened when it is first needed; or one of the pool. Clients are the
    developer's, to open and to close.
    """

    def __init__(
        self,
        *,
        servers: Sequence[Mapping[str, Any] | MCPServer],
        clients: Sequence[object],
        pool: MCPPool | None,
        on_failure: str,
    ) -> None:
        """Check the configuration; nothing is connected.

        Raises:
            ConfigurationError: A value cannot work.
            MissingDependencyError: There are servers, and the ``mcp`` package is not installed.
        """
        check_on_failure(on_failure)
        if not isinstance(cast("object", pool), MCPPool | None):
            raise ConfigurationError(f"mcp_pool must be an MCPPool, not {type(pool).__name__}")
        self.on_failure = on_failure
        self._uses_library = bool(_listed(servers, "mcp_servers"))
        if self._uses_library:
            require_library()
        self._sources: list[Source] = [
            ClientSource(client_tools(client, option=f"mcp_clients[{index}]"))
            for index, client in enumerate(_listed(clients, "mcp_clients"))
        ]
        for index, given in enumerate(servers):
            server = as_server(given, option=f"mcp_servers[{index}]", refused=_OF_APPS)
            self._sources.append(ServerSource(server, pool))
        self._warned: set[tuple[str, str]] = set()

    async def warmup(self) -> None:
        """Load what the first run would have to wait for. Cancelling loses nothing."""
        if self._uses_library:
            await asyncio.to_thread(load_library)

    def for_run(
        self, context: RunContext, *, taken: Collection[str]
    ) -> AbstractAsyncContextManager[MCPForRun]:
        """List the tools of all servers at the same time, and hold what their calls need.

        Entering waits for each server at most its ``connect_timeout`` and never fails; cancelling it stops
        connecting. Leaving closes the run's own connections, within seconds, also under cancellation.

        Args:
            context: The run; callables for headers get it.
            taken: Names that MCP tools must not take.
        """
        return self._for_run(context, taken)

    @asynccontextmanager
    async def _for_run(self, context: RunContext, taken: Collection[str]) -> AsyncGenerator[MCPForRun]:
        run = Borrowed(context)
        grace = CLOSE_SECONDS
        try:
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(ask(source, run)) for source in self._sources]
            yield self._gathered(run, [task.result() for task in asked], taken)
        except BaseException:
            grace = _ABORTED_CLOSE_SECONDS
            raise
        finally:
            own = [connection for lease in run.leases for connection in lease.give_back()]
            if own:
                await close_all(own, grace)

    def _gathered(
        self, run: Borrowed, answers: list[list[MCPTool] | Unavailable], taken: Collection[str]
    ) -> MCPForRun:
        tools: dict[str, MCPTool] = {}
        found = MCPForRun(secrets=sorted(run.secrets))
        for listed in answers:
            if isinstance(listed, Unavailable):
                found.unavailable.append(listed)
                continue
            for tool in listed:
                if tool.name in taken:
                    self._warn(tool, "is left out: a tool of the agent has its name")
                    continue
                if tool.name in tools:
                    self._warn(tool, f"replaces the one of MCP server {tools[tool.name].server}")
                    del tools[tool.name]
                tools[tool.name] = tool
        found.tools = list(tools.values())
        return found

    def _warn(self, tool: MCPTool, what: str) -> None:
        """Say it once, not in every run."""
        key = (tool.server, tool.name)
        if key not in self._warned and len(self._warned) < _MOST_WARNINGS:
            self._warned.add(key)
            logger.warning("Tool %s of MCP server %s %s", tool.name, tool.server, what)


def _listed(values: Any, option: str) -> Sequence[Any]:
    if isinstance(values, str | Mapping) or not isinstance(values, Sequence):
        raise ConfigurationError(f"{option} must be a list")
    return cast("Sequence[Any]", values)
