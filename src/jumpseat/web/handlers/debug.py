"""``GET cpk-debug-events``: the debug feed as an event stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.responses import PlainTextResponse, Response

from jumpseat.web.call import Call
from jumpseat.web.sse import EventStreamResponse

__all__ = ["debug_events"]


class FeedResponse(EventStreamResponse):
    """Sends what is framed already."""

    def _encoder(self) -> Callable[[Any], bytes]:
        return bytes


async def debug_events(call: Call) -> Response:
    """Answer with every event of the caller's runs from now on, or 404 outside of development."""
    runtime = call.runtime
    if not (runtime.debug or runtime.dev):
        return PlainTextResponse("Not Found", 404, headers={"Cache-Control": "no-store"})
    feed = runtime.debug_feed.subscribe(call.owner, until=runtime.wait_draining)
    return FeedResponse(feed, keep_alive=runtime.sse_keep_alive_interval_seconds)
