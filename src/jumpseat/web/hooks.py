"""Hooks around a request: what they are given, and what their results and exceptions mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeAlias

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from jumpseat.context import User
from jumpseat.errors import ConfigurationError
from jumpseat.web.responses import error_response

if TYPE_CHECKING:
    from jumpseat.runtime import CopilotRuntime

__all__ = ["Hook", "HookContext", "Hooks", "RouteInfo", "reply_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteInfo:
    """The route of a request: ``method`` is its name, such as ``agent/run``."""

    method: str
    agent_id: str | None = None
    thread_id: str | None = None


@dataclass(slots=True, kw_only=True)
class HookContext:
    """One request, as hooks see it at their point of its way.

    Attributes:
        request: The request as earlier hooks left it.
        path: The full path, percent-encoded as it came. Authorise by ``route``, which has one spelling.
        runtime: The runtime that serves it.
        route: ``None`` until a route matched.
        user: ``None`` until ``identify_user`` ran, and in single-tenant mode.
        request_id: The id in ``X-Request-Id`` and in log records.
        response: In ``on_response``: what is about to be sent.
        error: In ``on_error``: what was raised.
    """

    request: Request
    path: str
    runtime: CopilotRuntime
    request_id: str
    route: RouteInfo | None = None
    user: User | None = None
    response: Response | None = None
    error: Exception | None = None


_BODILESS = (204, 205, 304)

Hook: TypeAlias = Callable[[HookContext], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Functions of a ``HookContext``, sync or async, around every request of one application.

    ``on_request`` and ``on_before_handler`` go on with ``None``, replace the request with a ``Request`` and
    answer at once with a ``Response``. ``on_response`` and ``on_error`` may return another ``Response``. Any
    of them may raise an exception that carries a response, such as Starlette's ``HTTPException``.

    Attributes:
        on_request: Before anything looks at the request.
        on_before_handler: After routing and identity, before the handler.
        on_response: With the response of a handler, the router, the guards or another hook.
        on_error: With an exception that no handler turned into a response.
    """

    on_request: Hook | None = None
    on_before_handler: Hook | None = None
    on_response: Hook | None = None
    on_error: Hook | None = None

    def __post_init__(self) -> None:
        for hook in fields(self):
            value = getattr(self, hook.name)
            if value is not None and not callable(value):
                raise ConfigurationError(f"hooks: {hook.name} must be a callable, not {type(value).__name__}")


def reply_of(error: BaseException) -> Response | None:
    """Return the response that an exception carries, ``None`` for an ordinary one."""
    if isinstance(error, HTTPException) and error.status_code in _BODILESS:
        return Response(status_code=error.status_code, headers=error.headers)
    if isinstance(error, HTTPException):
        return error_response(error.status_code, error.detail, headers=error.headers)
    response = getattr(error, "response", None)
    return response if isinstance(response, Response) else None
