"""Event streams on the wire: frames, keep-alives, and readers that leave."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from jumpseat.errors import RespondWith, RunnerClosed, UnsendableEvent
from jumpseat.protocol import codec
from jumpseat.runners.base import EventStream, NumberedPage, Page

__all__ = ["EventStreamResponse", "frames"]

_logger = logging.getLogger("jumpseat")

CONNECTED: Final = b": connected\n\n"
KEEP_ALIVE: Final = b": keep-alive\n\n"
RETRY: Final = b"retry: 2000\n"
INTERRUPTED: Final = b"data: %b\n\n" % codec.encode_json(
    {"type": "RUN_ERROR", "message": "The stream was interrupted", "code": "STREAM_INTERRUPTED"}
)
HEADERS: Final = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)


class EventStreamResponse(Response):
    """Sends an ``EventStream``; one write per page, straight to the server.

    Args:
        stream: Closed when the response ends, however it ends.
        keep_alive: Idle seconds before a comment is sent; 0 for never.
        retry: Tell the client after how long to reconnect.

    Attributes:
        observe: Called with each piece of the stream before it is sent.
        aborted: The client left before the end.
    """

    def __init__(self, stream: EventStream, *, keep_alive: float, retry: bool = False) -> None:
        # Starlette's constructor would add a length and a charset.
        self.status_code = 200
        self.background = None
        self.body = b""
        self.raw_headers = list(HEADERS)
        self.observe: Callable[[bytes], None] | None = None
        self.aborted = False
        self._stream = stream
        self._keep_alive = keep_alive
        self._lead = RETRY if retry else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream until it ends or its reader leaves, which sets ``aborted``."""
        pulse = _Pulse(send, self._keep_alive)
        reader: asyncio.Task[None] | None = None
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": CONNECTED, "more_body": True})
            # In a task of its own: an event then wakes one coroutine, not every layer of the application.
            reader = asyncio.create_task(self._pump(send, pulse), name="jumpseat reader")
            pulse.start()
            self.aborted = not await _stays(receive, reader)
            if not self.aborted:
                await reader
        except OSError:
            self.aborted = True
        except BaseException:
            self.aborted = True
            raise
        finally:
            await _end(reader, pulse.stop())
            await self.aclose()

    async def aclose(self) -> None:
        """End the stream; for a response that is not sent after all."""
        await self._stream.aclose()

    async def _pump(self, send: Send, pulse: _Pulse) -> None:
        encode = self._encoder()
        pages = aiter(self._stream)
        while True:
            try:
                data = encode(await anext(pages))
            except (StopAsyncIteration, RunnerClosed):
                break
            except Exception:
                _logger.exception("an event stream broke")
                data, pages = INTERRUPTED, _nothing()
            if not data:
                continue
            if pulse.beating is not None:
                await pulse.beating
            pulse.busy = True
            await send({"type": "http.response.body", "body": data, "more_body": True})
            pulse.busy = False
            pulse.last = pulse.now()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _encoder(self) -> Callable[[Any], bytes]:
        """Return the function that turns a page into bytes, with what only some responses need."""
        observe, lead = self.observe, self._lead
        if observe is None and not lead:
            return frames

        def encode(item: Any) -> bytes:
            nonlocal lead
            data = frames(item)
            if data:
                data, lead = lead + data, b""
                if observe is not None:
                    observe(data)
            return data

        return encode


def frames(item: Any) -> bytes:
    """Return what an ``EventStream`` yielded as frames; an event with a cursor tells it to the client."""
    if type(item) is NumberedPage:
        events = item.data
        # An agent that streams token by token makes pages of one event.
        if len(events) == 1:
            return b"id: %b:%d\ndata: %b\n\n" % (item.run_key.encode(), item.first, events[0])
        return _numbered(item.run_key.encode(), item.first, events)
    page = item if isinstance(item, Page) else _page(item)
    return b"".join(
        [
            b"id: %b\ndata: %b\n\n" % (cursor.encode(), data)
            if cursor is not None
            else b"data: %b\n\n" % data
            for cursor, data in page.events
        ]
    )


def _numbered(key: bytes, first: int, events: Sequence[bytes]) -> bytes:
    return b"".join(
        [b"id: %b:%d\ndata: %b\n\n" % (key, number, data) for number, data in enumerate(events, first)]
    )


def _page(item: Any) -> Page:
    if isinstance(item, bytes):
        # A line break would end the frame: indented JSON is written anew.
        broken = b"\n" in item or b"\r" in item
        return Page([(None, codec.encode_json(codec.decode_json(item)) if broken else item)])
    try:
        return Page([(None, codec.encode(codec.accept(item)))])
    except UnsendableEvent as error:
        _logger.warning("left out of a stream: %s", error)
        return Page()


async def _nothing() -> AsyncIterator[Any]:
    return
    yield


async def _stays(receive: Receive, reader: asyncio.Task[None]) -> bool:
    """Wait until the reader is done; false when its client leaves, or sends what nobody asked for."""
    now = asyncio.get_running_loop().time
    waiting = True
    with suppress(TimeoutError):
        async with asyncio.timeout(None) as watch:

            def leave(_: object) -> None:
                # A server says that the client has left as soon as the last byte is out, which may be first.
                if waiting:
                    watch.reschedule(now())

            reader.add_done_callback(leave)
            try:
                while (await receive())["type"] != "http.disconnect":
                    continue
            except RespondWith:
                _logger.debug("a reader sent too large a body")
            finally:
                waiting = False
                reader.remove_done_callback(leave)
    return reader.done()


async def _end(*tasks: asyncio.Task[None] | None) -> None:
    ending = [task for task in tasks if task is not None]
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)


class _Pulse:
    """Sends a comment whenever nothing else was sent for an interval.

    One timer that looks at the time of the last write; a write costs it nothing.
    """

    __slots__ = ("_interval", "_loop", "_send", "_timer", "beating", "busy", "last", "now")

    def __init__(self, send: Send, interval: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._send = send
        self._interval = interval
        self._timer: asyncio.TimerHandle | None = None
        self.now = self._loop.time
        self.last = self.now()
        self.busy = False
        self.beating: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._interval > 0:
            self._timer = self._loop.call_later(self._interval, self._tick)

    def stop(self) -> asyncio.Task[None] | None:
        """Send no more; returns the comment that is being sent."""
        if self._timer is not None:
            self._timer.cancel()
        return self.beating

    def _tick(self) -> None:
        rest = self.last + self._interval - self.now()
        if self.busy or self.beating is not None:
            rest = self._interval
        elif rest <= 0.001:
            rest = self._interval
            self.beating = self._loop.create_task(self._beat(), name="jumpseat keep-alive")
        self._timer = self._loop.call_later(rest, self._tick)

    async def _beat(self) -> None:
        try:
            await self._send({"type": "http.response.body", "body": KEEP_ALIVE, "more_body": True})
        except OSError:
            _logger.debug("a reader left before its keep-alive")
        finally:
            self.last = self.now()
            self.beating = None
