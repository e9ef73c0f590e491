"""How much of an exception's text a client may read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from jumpseat.agents.builtin.redaction import Redactor
from jumpseat.errors import JumpseatError

__all__ = ["agent_error_text", "exposed_text"]

# What looks like a key stays here, whoever raised it.
_redact: Final = Redactor(())


def exposed_text(error: BaseException, *, expose: bool | None, debug: bool) -> str | None:
    """Return the text of ``error`` for the body of an error response, ``None`` when it stays in the log.

    Args:
        error: What was raised.
        expose: The runtime's ``expose_errors``.
        debug: Whether the runtime is in debug mode, which counts while ``expose`` is ``None``.
    """
    if expose is False:
        return None
    if expose or debug or isinstance(error, JumpseatError):
        return _text(error)
    return None


def agent_error_text(expose: bool | None) -> Callable[[BaseException], str]:
    """Return the function that words RUN_ERROR for an agent's exception."""
    return _hidden if expose is False else _text


def _text(error: BaseException) -> str:
    try:
        return _redact(str(error)) or type(error).__name__
    except Exception:  # The exception cannot say what it is about; the log tells both failures.
        return type(error).__name__


def _hidden(error: BaseException) -> str:
    return "The agent failed"
