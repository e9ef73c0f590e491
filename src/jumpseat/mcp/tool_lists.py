"""The tools of servers as last listed, shared by all agents of the process for a short time."""

from __future__ import annotations

import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

from jumpseat.mcp.server import MCPServer

__all__ = ["TOOL_LISTS", "ServerKey", "ToolLists", "server_key"]

ServerKey = tuple[str, str, str]

_MOST: Final = 1024


def server_key(server: MCPServer, headers: Mapping[str, str]) -> ServerKey:
    """Return what tells servers, and users of one server, apart: type, URL and a hash of the headers."""
    canonical = json.dumps(sorted(headers.items())).encode()
    return server.type, server.url, hashlib.sha256(canonical).hexdigest()


class ToolLists:
    """Keeps lists of tools until they are too old, or known to be wrong; the least used go first."""

    def __init__(self, most: int = _MOST, clock: Callable[[], float] = time.monotonic) -> None:
        """``most``: how many lists are kept."""
        self._most = most
        self._clock = clock
        self._lists: OrderedDict[ServerKey, tuple[float, list[dict[str, Any]]]] = OrderedDict()
        self._dropped: OrderedDict[ServerKey, float] = OrderedDict()

    def now(self) -> float:
        """Return the time that ``put`` wants to know: when listing began."""
        return self._clock()

    def get(self, key: ServerKey, ttl: float) -> list[dict[str, Any]] | None:
        """Return the list when it is younger than ``ttl`` seconds."""
        found = self._lists.get(key)
        if found is None or self._clock() - found[0] >= ttl:
            return None
        self._lists.move_to_end(key)
        return found[1]

    def put(self, key: ServerKey, tools: list[dict[str, Any]], *, began: float) -> None:
        """Keep a list that was asked for at ``began``, unless it was found wrong since."""
        if self._dropped.get(key, -1.0) >= began:
            return
        self._lists[key] = (began, tools)
        _trim(self._lists, self._most)

    def drop(self, key: ServerKey) -> None:
        """Forget the list: the server has other tools now."""
        self._lists.pop(key, None)
        self._dropped[key] = self._clock()
        _trim(self._dropped, self._most)

    def clear(self) -> None:
        """Forget all lists."""
        self._lists.clear()
        self._dropped.clear()


def _trim(entries: OrderedDict[ServerKey, Any], most: int) -> None:
    while len(entries) > most:
        entries.popitem(last=False)


TOOL_LISTS: Final = ToolLists()
"""The lists of this process."""
