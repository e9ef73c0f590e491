"""What a call of a tool comes to on the wire: its result, its preliminary results, its failures."""

from __future__ import annotations

import logging
from typing import Final

from jumpseat.agents.builtin.failures import words_of
from jumpseat.agents.builtin.redaction import redacted_trace
from jumpseat.agents.builtin.server_tools import Invocation, ToolAnswer
from jumpseat.agents.builtin.tools.results import NotSerializable, error_content, unserializable_content

__all__ = ["failure", "log_failure", "shown_text", "unexpected", "unserializable"]

_logger: Final = logging.getLogger("jumpseat")
_LONGEST_ERROR: Final = 2000
_HIDDEN: Final = "The tool failed"


def failure(invocation: Invocation, text: str, word: str) -> ToolAnswer:
    """Return the answer ``{"error": text}``, secrets taken out; ``word`` names the failure in traces."""
    return ToolAnswer(content=error_content(invocation.redact(text)), error=word)


async def unexpected(invocation: Invocation, error: BaseException) -> ToolAnswer:
    """Return the answer to an exception that nobody expected, and log it with its traceback."""
    await log_failure(invocation, error, "failed")
    return ToolAnswer(content=error_content(shown_text(invocation, error)), error=type(error).__name__)


def shown_text(invocation: Invocation, error: BaseException) -> str:
    """Return what clients and the model may read of an exception that nobody expected."""
    if invocation.context.hides_errors:
        return _HIDDEN
    return invocation.redact(words_of(error) or type(error).__name__)[:_LONGEST_ERROR]


async def unserializable(invocation: Invocation, error: NotSerializable) -> ToolAnswer:
    """Return the answer for a value that has no JSON form, and log why."""
    await log_failure(invocation, error, "returned what has no JSON form")
    return ToolAnswer(content=unserializable_content(invocation.name), error="unserializable")


async def log_failure(invocation: Invocation, error: BaseException, happened: str) -> None:
    """Log an exception of a tool with its traceback, secrets taken out; never arguments or results.

    What a tool raises because its run was aborted is no failure and not logged.
    """
    context = invocation.context
    if context.abort_signal.aborted:
        return
    _logger.error(
        "tool %r %s (agent %s, thread %s, run %s)\n%s",
        invocation.name,
        happened,
        context.agent_id,
        context.thread_id,
        context.run_id,
        await redacted_trace(error, invocation.redact),
        extra={"agent_id": context.agent_id, "thread_id": context.thread_id, "run_id": context.run_id},
    )
