"""The lifespan protocol: a server starts and stops the runtime with the application."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from starlette.types import Receive, Send

if TYPE_CHECKING:
    from jumpseat.runtime import CopilotRuntime

__all__ = ["serve_lifespan"]

_logger = logging.getLogger("jumpseat")


async def serve_lifespan(runtime: CopilotRuntime, receive: Receive, send: Send) -> None:
    """Answer start-up and shutdown; of several applications the first starts, the last stops the runtime."""
    await receive()
    try:
        await runtime.__aenter__()
    except Exception as error:
        _logger.exception("the runtime could not start")
        await send({"type": "lifespan.startup.failed", "message": str(error) or type(error).__name__})
        return
    await send({"type": "lifespan.startup.complete"})
    await receive()
    try:
        await runtime.__aexit__(None, None, None)
    except Exception as error:
        _logger.exception("the runtime could not shut down cleanly")
        await send({"type": "lifespan.shutdown.failed", "message": str(error) or type(error).__name__})
        return
    await send({"type": "lifespan.shutdown.complete"})
