"""Keeps the addresses of MCP servers out of what the libraries below us log."""

from __future__ import annotations

import logging
import re
from contextvars import Context, ContextVar
from typing import Final
from urllib.parse import urlsplit

from jumpseat.mcp.server import MCPServer

__all__ = ["keep_logs_private", "private_context"]

# Those that name a request's URL, or log an exception that does.
_LOGGERS: Final = (
    "client",
    "httpx",
    "httpx2",
    "mcp.client.sse",
    "mcp.client.streamable_http",
    "mcp.shared.jsonrpc_dispatcher",
)

_current: ContextVar[MCPServer | None] = ContextVar("mcp_server", default=None)


def private_context(context: Context, server: MCPServer) -> Context:
    """Mark a context: what is logged in it concerns ``server``."""
    context.run(_current.set, server)
    return context


def keep_logs_private() -> None:
    """Look through the libraries' log records from now on; records of other work stay as they are."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)


class _AddressFilter(logging.Filter):
    """Puts the server's name where its address stands, and an exception's name in place of its trace."""

    def filter(self, record: logging.LogRecord) -> bool:
        server = _current.get()
        if server is None:
            return True
        text = record.getMessage()
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if error is not None:
            text = f"{text} ({type(error).__name__})"
        parts = urlsplit(server.url)
        address = re.compile(rf"(?:{parts.scheme}://)?{re.escape(parts.netloc)}[^\s'\"<>]*")
        record.msg, record.args = address.sub(f"<{server.label}>", text), None
        record.exc_info = record.exc_text = None
        return True


_FILTER: Final = _AddressFilter()
