"""What a call of a tool comes to on the wire: its result, its preliminary results, its failures."""

from __future__ import annotations

import asyncio
import logging
import traceback
from typing import Any, Final

from jumpseat.agents.builtin.server_tools import Invocation, ToolAnswer
from jumpseat.agents.builtin.tools.results import NotSerializable, json_text, json_value
from jumpseat.protocol.events import ActivitySnapshot

__all__ = ["failure", "log_failure", "progress_event", "unexpected", "unserializable"]

_logger: Final = logging.getLogger("jumpseat")
_LONGEST_ERROR: Final = 2000


def failure(invocation: Invocation, text: str, word: str) -> ToolAnswer:
    """Return the answer ``{"error": text}``, secrets taken out; ``word`` names the failure in traces."""
    return ToolAnswer(content=json_text({"error": invocation.redact(text)}), error=word)


async def unexpected(invocation: Invocation, error: BaseException) -> ToolAnswer:
    """Return the answer to an exception that nobody expected, and log it with its traceback."""
    await log_failure(invocation, error, "failed")
    text = invocation.redact(_words(error))[:_LONGEST_ERROR]
    return ToolAnswer(content=json_text({"error": text}), error=type(error).__name__)


async def unserializable(invocation: Invocation, error: NotSerializable) -> ToolAnswer:
    """Return the answer for a value that has no JSON form, and log why."""
    await log_failure(invocation, error, "returned what has no JSON form")
    return ToolAnswer(content=_placeholder(invocation.name), error="unserializable")


def progress_event(invocation: Invocation, value: object) -> ActivitySnapshot:
    """Return the event that shows a preliminary result."""
    try:
        shown: Any = json_value(value)
    except NotSerializable:
        shown = _placeholder(invocation.name)
    return ActivitySnapshot(
        message_id=f"{invocation.id}-progress",
        activity_type="tool-progress",
        content={"toolCallId": invocation.id, "toolName": invocation.name, "value": shown},
        replace=True,
    )


async def log_failure(invocation: Invocation, error: BaseException, happened: str) -> None:
    """Log an exception of a tool with its traceback, secrets taken out; never arguments or results."""
    # Formatting reads source files, and the text is redacted, which a handler's own formatting is not.
    trace = await asyncio.to_thread(_trace, error)
    context = invocation.context
    _logger.error(
        "tool %r %s (agent %s, thread %s, run %s)\n%s",
        invocation.name,
        happened,
        context.agent_id,
        context.thread_id,
        context.run_id,
        invocation.redact(trace),
        extra={"agent_id": context.agent_id, "thread_id": context.thread_id, "run_id": context.run_id},
    )


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)).rstrip()


def _words(error: BaseException) -> str:
    try:
        return str(error) or type(error).__name__
    except Exception:
        # An exception's own text is the tool's code and may fail like the rest of it.
        return type(error).__name__


def _placeholder(name: str) -> str:
    return f"[Unserializable tool result from {name}]"
