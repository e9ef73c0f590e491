"""The ASGI application of a runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.types import Receive, Scope, Send

from jumpseat.web.lifespan import serve_lifespan
from jumpseat.web.pipeline import Pipeline
from jumpseat.web.settings import AppSettings

if TYPE_CHECKING:
    from jumpseat.runtime import CopilotRuntime

__all__ = ["JumpseatApp"]


class JumpseatApp:
    """An ASGI 3 application for HTTP and lifespan; made by ``CopilotRuntime.app``."""

    def __init__(self, runtime: CopilotRuntime, settings: AppSettings) -> None:
        self.runtime = runtime
        self.settings = settings
        self._pipeline = Pipeline(runtime, settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or the lifespan of the server."""
        match scope["type"]:
            case "http":
                await self._pipeline.serve(scope, receive, send)
            case "lifespan":
                await serve_lifespan(self.runtime, receive, send)
            case "websocket":
                await send({"type": "websocket.close", "code": 1000})
            case other:
                raise RuntimeError(f"this application serves no {other!r} connections")
