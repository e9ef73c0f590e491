"""What an error says that came in a stream: as an exception, as a text or as a decoded JSON object."""

from __future__ import annotations

from typing import Any

from jumpseat.agents.builtin.converters.fields import field
from jumpseat.agents.builtin.failures import AgentFailure, provider_failure, words_of
from jumpseat.agents.builtin.parts import ModelError
from jumpseat.protocol import codec

__all__ = ["error_of", "error_text", "reported_failure"]


def reported_failure(part: ModelError) -> AgentFailure:
    """Return the failure that a stream reports by a part, with the exception in it as its cause."""
    error = part.error
    if isinstance(error, BaseException) and part.code is None:
        failure = provider_failure(error)
    else:
        failure = AgentFailure(
            part.code or "provider_error", error_text(error, "The model ended with an error.")
        )
    if isinstance(error, BaseException) and failure is not error:
        failure.__cause__ = error
    return failure


def error_of(value: Any) -> BaseException | str:
    """Return an error as an exception, which keeps what it knows, or as its text."""
    return value if isinstance(value, BaseException) else error_text(value)


def error_text(value: Any, otherwise: str = "The upstream reported an error") -> str:
    """Return what an error says in one text; ``otherwise`` when it says nothing."""
    if isinstance(value, BaseException):
        return words_of(value) or type(value).__name__
    if isinstance(value, str):
        return value or otherwise
    for inner in (value, field(value, "error")):
        message = inner if isinstance(inner, str) else field(inner, "message")
        if isinstance(message, str) and message:
            return message
    if not value:
        return otherwise
    try:
        return codec.encode_json(value).decode()
    except (TypeError, ValueError):
        return str(value)
