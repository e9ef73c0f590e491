"""One request after routing: what a handler gets, whichever way the request named its route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from jumpseat.context import User
from jumpseat.protocol import codec
from jumpseat.web.body import body_of
from jumpseat.web.exposure import exposed_text

if TYPE_CHECKING:
    from jumpseat.runtime import CopilotRuntime
    from jumpseat.web.settings import AppSettings

__all__ = ["Call", "Handler"]


@dataclass(slots=True, kw_only=True)
class Call:
    """A routed request.

    Attributes:
        request: As the hooks and middleware left it; in an envelope with the inner method and query.
        runtime: Whose threads and agents this is about.
        app: The options of the application that took the request.
        route: The route's name, such as ``agent/run``.
        params: The path parameters by their pattern names, such as ``agentId``, decoded.
        request_id: The ``X-Request-Id`` of request, response and log records.
        user: Who asks; ``None`` in single-tenant mode.
    """

    request: Request
    runtime: CopilotRuntime
    app: AppSettings
    route: str
    params: Mapping[str, str] = field(default_factory=dict[str, str])
    request_id: str = ""
    user: User | None = None

    @property
    def agent_id(self) -> str | None:
        """The agent that the route names."""
        return self.params.get("agentId")

    @property
    def thread_id(self) -> str | None:
        """The thread that the route names."""
        return self.params.get("threadId")

    @property
    def owner(self) -> str | None:
        """Whose threads the caller sees: a user's id, or ``None`` for the nameless owner."""
        return self.user.id if self.user is not None else None

    async def body(self) -> bytes:
        """Return the body, reading it now if nobody has.

        Raises ``BodyTooLarge``, which answers 413 by itself, and Starlette's ``ClientDisconnect``.
        """
        return await body_of(self.request, limit=self.app.max_body_bytes).read()

    async def json(self) -> Any:
        """Return the body as JSON, a byte order mark tolerated. Raises ``ValueError`` if it is none."""
        return codec.decode_json((await self.body()).removeprefix(b"\xef\xbb\xbf"))

    def error_text(self, error: BaseException, hidden: str = "Internal error") -> str:
        """Return what the body of an error response may say of ``error``, else ``hidden``."""
        text = exposed_text(error, expose=self.runtime.expose_errors, debug=bool(self.runtime.debug))
        return hidden if text is None else text


Handler: TypeAlias = Callable[[Call], Awaitable[Response]]
