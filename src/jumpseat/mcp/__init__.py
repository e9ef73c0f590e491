"""MCP servers as sources of tools: their configuration, connections, tool lists and a pool."""

from jumpseat.mcp.pool import MCPPool
from jumpseat.mcp.server import MCPServer

__all__ = ["MCPPool", "MCPServer"]
