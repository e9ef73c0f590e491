"""Watches three streams for 40 seconds: two idle ones, with and without keep-alives, and a chatty one."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from serving import serve

SECONDS = 40.0


async def silent(given: Any, context: Any) -> Any:
    await asyncio.Event().wait()
    yield {}


async def chatty(given: Any, context: Any) -> Any:
    while True:
        yield {"type": "CUSTOM", "name": "still here", "value": 0}
        await asyncio.sleep(5)


async def comments(agent: Any, **options: Any) -> list[tuple[str, float]]:
    """The comments of a run's stream, and when each came."""
    seen: list[tuple[str, float]] = []
    async with serve({"default": agent}, **options) as served, served.running() as stream:
        started = time.monotonic()
        while (left := started + SECONDS - time.monotonic()) > 0:
            try:
                frame = await stream.next_frame(left)
            except TimeoutError:
                break
            if frame is None:
                raise AssertionError("the stream ended")
            if frame.comment is not None:
                seen.append((frame.comment, time.monotonic() - started))
    return seen


async def main() -> None:
    idle, off, busy = await asyncio.gather(
        comments(silent), comments(silent, sse_keep_alive_interval_seconds=0), comments(chatty)
    )
    print(json.dumps({"idle": idle, "off": off, "busy": busy}))


asyncio.run(main())
