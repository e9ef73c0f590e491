"""The floor: the scripted agent through a log in memory to an SSE body, with no runtime around it.

No routing, validation, history, storage or recovery: what remains is the cost of the events themselves, of
one log with one reader, and of the ASGI server.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
from script import Script

_YIELD_EVERY = 64
_encode = msgspec.json.Encoder().encode
_HEAD = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache, no-transform")],
}


class Event(msgspec.Struct, rename="camel", tag_field="type", omit_defaults=True, kw_only=True, gc=False):
    pass


class RunStarted(Event, tag="RUN_STARTED"):
    thread_id: str
    run_id: str


class RunFinished(Event, tag="RUN_FINISHED"):
    thread_id: str
    run_id: str


class TextMessageStart(Event, tag="TEXT_MESSAGE_START"):
    message_id: str
    role: str = "assistant"


class TextMessageContent(Event, tag="TEXT_MESSAGE_CONTENT"):
    message_id: str
    delta: str


class TextMessageEnd(Event, tag="TEXT_MESSAGE_END"):
    message_id: str


class Log:
    """Append-only frames of one run, and one reader's wake-up."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.closed = False
        self.grown = asyncio.Event()

    async def fill(self, request: dict[str, Any]) -> None:
        count = 0
        async for event in scripted(request):
            self.frames.append(b"data: %b\n\n" % _encode(event))
            self.grown.set()
            count += 1
            if count % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
        self.closed = True
        self.grown.set()


async def scripted(request: dict[str, Any]) -> Any:
    script = Script.of(request["forwardedProps"])
    thread_id, run_id = request["threadId"], request["runId"]
    message_id = f"{run_id}-answer"
    yield RunStarted(thread_id=thread_id, run_id=run_id)
    yield TextMessageStart(message_id=message_id)
    text, paced, began = script.text, script.rate > 0, time.perf_counter()
    for index in range(script.events):
        if paced:
            await script.due(began, index)
        yield TextMessageContent(message_id=message_id, delta=text)
    await script.rest()
    yield TextMessageEnd(message_id=message_id)
    yield RunFinished(thread_id=thread_id, run_id=run_id)


async def read_body(receive: Any) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def stream(send: Any, log: Log) -> None:
    at = 0
    while not (log.closed and at == len(log.frames)):
        await log.grown.wait()
        log.grown.clear()
        page = log.frames[at:]
        at += len(page)
        await send({"type": "http.response.body", "body": b"".join(page), "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serves every POST as a run, and everything else as a sign of life."""
    if scope["type"] != "http":
        return
    if scope["method"] != "POST":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})
        return
    request = msgspec.json.decode(await read_body(receive))
    log = Log()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(log.fill(request))
        await send(_HEAD)
        await send({"type": "http.response.body", "body": b": connected\n\n", "more_body": True})
        await stream(send, log)
