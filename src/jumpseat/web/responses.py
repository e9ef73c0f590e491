"""The JSON bodies of every answer that is no stream, made in one place so that they stay alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from jumpseat.errors import (
    InvalidInput,
    JumpseatError,
    Overloaded,
    RunnerClosed,
    RunNotFound,
    StoreUnavailable,
    ThreadAlreadyRunning,
    ThreadNotFound,
)
from jumpseat.protocol import codec

__all__ = [
    "agent_not_found",
    "draining",
    "empty_response",
    "error_response",
    "failure_response",
    "invalid_body",
    "json_response",
    "method_not_allowed",
    "not_found",
    "thread_not_found",
]

_RETRY_AFTER = {"server_draining": "5", "overloaded": "1", "store_unavailable": "5"}


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return ``content`` as compact UTF-8 JSON that no cache may keep."""
    return Response(
        codec.encode_json(content),
        status_code=status,
        headers={"Cache-Control": "no-store", **(headers or {})},
        media_type="application/json",
    )


def empty_response(headers: Mapping[str, str] | None = None) -> Response:
    """Return 204: no body and no content type."""
    return Response(status_code=204, headers={"Cache-Control": "no-store", **(headers or {})})


def error_response(
    status: int,
    error: str,
    message: str | None = None,
    *,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Response:
    """Return ``{"error", "message"?, "code"?, ...}``; ``more`` are further keys, in order."""
    body: dict[str, Any] = {"error": error}
    if message is not None:
        body["message"] = message
    if code is not None:
        body["code"] = code
    return json_response(body | more, status, headers)


def not_found() -> Response:
    """Return the 404 of a path that has no route."""
    return error_response(404, "Not found")


def method_not_allowed(allow: str) -> Response:
    """Return the 405 of a known path."""
    return error_response(405, "Method not allowed", headers={"Allow": allow})


def invalid_body(details: str | None = None) -> Response:
    """Return the 400 of an unusable body; ``details`` says where the fault is."""
    if details is None:
        return error_response(400, "Invalid request body")
    return error_response(400, "Invalid request body", details=details)


def agent_not_found(agent_id: str) -> Response:
    """Return the 404 of an agent that is not registered."""
    return error_response(404, "Agent not found", f"Agent '{agent_id}' does not exist")


def thread_not_found(thread_id: str) -> Response:
    """Return the 404 of a thread that is unknown, or somebody else's."""
    return error_response(404, "Thread not found", f"Thread '{thread_id}' does not exist")


def draining() -> Response:
    """Return the 503 of a process that is shutting down."""
    return error_response(
        503,
        "Server is shutting down",
        "Try again in a few seconds",
        code="server_draining",
        headers={"Retry-After": _RETRY_AFTER["server_draining"]},
    )


def failure_response(title: str, error: Exception, text: str) -> Response:
    """Return what ``error`` is for a client.

    Args:
        title: The ``error`` key of a failure that has no body of its own, such as ``Failed to run agent``.
        error: What a handler caught.
        text: What may be said of an error that is not one of ours (see ``Call.error_text``).
    """
    if not isinstance(error, JumpseatError):
        return error_response(500, title, text)
    match error:
        case InvalidInput():
            return invalid_body(error.detail)
        case ThreadNotFound():
            return thread_not_found(error.thread_id)
        case RunNotFound():
            return error_response(404, "Run not found", str(error))
        case RunnerClosed():
            return draining()
        case ThreadAlreadyRunning():
            return error_response(409, title, str(error), code=error.code)
        case Overloaded():
            return _unavailable(title, error.code or "", str(error))
        case StoreUnavailable():
            return _unavailable(title, error.code or "", "Storage is unavailable")
        case _:
            return error_response(500, title, text)


def _unavailable(title: str, code: str, message: str) -> Response:
    return error_response(503, title, message, code=code, headers={"Retry-After": _RETRY_AFTER[code]})
