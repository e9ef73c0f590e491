"""A tool that an MCP server runs, as the tool loop calls it."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from jumpseat.agents.builtin.failures import words_of
from jumpseat.agents.builtin.mcp_clients import Run
from jumpseat.agents.builtin.mcp_results import answer, error_answer
from jumpseat.agents.builtin.server_tools import Invocation, ToolAnswer
from jumpseat.mcp.failures import ReplyError, ServerUnavailable
from jumpseat.protocol.codec import decode_json

__all__ = ["MCPTool", "made_tool"]

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST_NAME: Final = 64

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MCPTool:
    """A ``ServerTool`` that an MCP server runs."""

    name: str
    description: str
    parameters: dict[str, Any]
    server: str
    run: Run
    seconds: float

    async def call(self, invocation: Invocation) -> ToolAnswer:
        """See ``ServerTool``."""

        def fail(text: str, word: str) -> ToolAnswer:
            return error_answer(text, invocation.redact, word=word)

        try:
            arguments = _arguments(invocation.arguments)
        except ValueError as error:
            return fail(f'Invalid arguments for tool "{self.name}": {error}', "invalid_arguments")
        try:
            return answer(await self.run(arguments, invocation), invocation.redact)
        except ReplyError as error:
            self._log(invocation, f"MCP error {error.number}")
            return fail(str(error), "mcp_error")
        except TimeoutError:
            self._log(invocation, "timeout")
            return fail(f'Tool "{self.name}" timed out after {self.seconds:g} s', "timeout")
        except ServerUnavailable as error:
            self._log(invocation, error.reason)
            return fail("MCP tool call failed", error.reason)
        except Exception as error:
            self._log(invocation, type(error).__name__)
            return fail(words_of(error) or type(error).__name__, "error")

    def _log(self, invocation: Invocation, reason: str) -> None:
        if not invocation.context.abort_signal.aborted:
            logger.warning("Tool %s of MCP server %s failed: %s", self.name, self.server, reason)


def made_tool(
    name: str, description: object, schema: object, *, server: str, run: Run, seconds: float
) -> MCPTool | None:
    """Return a tool under a name that every provider takes; ``None`` when its schema is not an object's.

    Args:
        name: Its name, prefix included.
        description: What is said of it.
        schema: JSON Schema of its arguments.
        server: What logs call its server.
        run: Carries out a call.
        seconds: The limit of a call, which ``run`` enforces.
    """
    parameters = _object_schema(schema)
    if parameters is None or not name:
        logger.warning("Tool %s of MCP server %s is left out: its schema is not an object", name, server)
        return None
    said = description if isinstance(description, str) else ""
    return MCPTool(_safe_name(name), said, parameters, server, run, seconds)


def _safe_name(name: str) -> str:
    """Return a name that every provider takes; a long one keeps its start and a hash of the whole."""
    safe = _UNSAFE.sub("_", name)
    if len(safe) <= _LONGEST_NAME:
        return safe
    return f"{safe[:55]}_{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:8]}"


def _object_schema(given: Any) -> dict[str, Any] | None:
    if given is None or given == {}:
        return {"type": "object", "properties": {}}
    if not isinstance(given, Mapping):
        return None
    schema = dict(cast("Mapping[str, Any]", given))
    if schema.setdefault("type", "object") != "object":
        return None
    return schema


def _arguments(text: str) -> dict[str, Any]:
    if not text.strip():
        return {}
    try:
        value = decode_json(text)
    except ValueError as error:
        raise ValueError("not valid JSON") from error
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return cast("dict[str, Any]", value)
