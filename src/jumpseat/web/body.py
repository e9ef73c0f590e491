"""Request bodies: read once, bounded, and readable again by whoever comes later."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable

from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope

from jumpseat.errors import RespondWith
from jumpseat.web.responses import error_response

__all__ = ["BodyStalled", "BodyTooLarge", "ReplayableRequest", "RequestBody", "body_of"]

_logger = logging.getLogger("jumpseat")

# Servers wait for a body for ever; a connection that brings none would hold its request as long.
IDLE_SECONDS = 60.0


class BodyTooLarge(RespondWith):
    """A body is larger than ``max_body_bytes``; answers 413."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            error_response(
                413, "Request body too large", f"The limit is {limit} bytes", code="body_too_large"
            )
        )
        self.limit = limit


class BodyStalled(RespondWith):
    """No byte of a body came for ``IDLE_SECONDS``; answers 408."""

    def __init__(self) -> None:
        super().__init__(
            error_response(
                408,
                "Request timeout",
                f"No byte of the body came for {IDLE_SECONDS:g} seconds",
                code="body_timeout",
            )
        )


class RequestBody:
    """The body of one request: what was read so far, and where the rest comes from.

    ``ready`` replaces a body by one that is known; the connection is then only watched for its end.

    Attributes:
        refused: Some of the body was left unread for good: its connection carries no further request.
    """

    __slots__ = (
        "_chunks",
        "_complete",
        "_declared",
        "_disconnected",
        "_limit",
        "_lock",
        "_polling",
        "_receive",
        "_size",
        "refused",
    )

    def __init__(
        self, receive: Receive, *, limit: int, declared: int | None = None, ready: bytes | None = None
    ) -> None:
        self._receive = receive
        self._limit = limit
        self._declared = declared
        self._chunks: list[bytes] = [] if ready is None else [ready]
        self._complete = ready is not None
        self._size = 0
        self._disconnected = False
        self._lock = asyncio.Lock()
        self._polling: asyncio.Future[Message] | None = None
        self.refused = False

    @property
    def limit(self) -> int:
        """Bytes that a body may have."""
        return self._limit

    async def read(self) -> bytes:
        """Return the whole body.

        Raises ``BodyTooLarge``, for a declared length before a byte is read, ``BodyStalled`` and
        ``ClientDisconnect``.
        """
        if self._declared is not None and self._declared > self._limit and not self._complete:
            self.refused = True
            raise BodyTooLarge(self._limit)
        while not self._complete:
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    message = await self.receive()
            except TimeoutError:
                self.refused = True
                raise BodyStalled from None
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
        if len(self._chunks) > 1:
            self._chunks = [b"".join(self._chunks)]
        return self._chunks[0] if self._chunks else b""

    def replaced(self, content: bytes, *, limit: int | None = None) -> RequestBody:
        """Return a body of ``content`` on the same connection."""
        return RequestBody(self._receive, limit=limit or self._limit, ready=content)

    def replay(self) -> Receive:
        """Return an ASGI ``receive`` that delivers the whole body, then the end of the connection."""
        delivered = False

        async def receive() -> Message:
            nonlocal delivered
            if delivered:
                return await self.receive()
            body = await self.read()
            delivered = True
            return {"type": "http.request", "body": body, "more_body": False}

        return receive

    async def receive(self) -> Message:
        """Take the next message of the connection, keeping what it brings of the body."""
        async with self._lock:
            if self._disconnected:
                return {"type": "http.disconnect"}
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._disconnected = True
            elif not self._complete:
                self._keep(message)
            return message

    async def discard(self, seconds: float, size: int) -> None:
        """Take and forget what still comes of the body, for so many seconds and bytes at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._lock:
                more = not self._complete
                while more and size > 0 and not self._disconnected:
                    message = await self._receive()
                    self._disconnected = message["type"] == "http.disconnect"
                    more = message.get("more_body", False)
                    size -= len(message.get("body", b""))

    async def poll_disconnect(self) -> bool:
        """Say whether the client has left, without waiting for it."""
        left = self.glance()
        # One turn of the loop: enough for a message that is there already.
        await asyncio.sleep(0)
        return left()

    def glance(self) -> Callable[[], bool]:
        """Look whether the client has left; call what this returns, from the loop's next turn on."""
        if self._disconnected:
            return lambda: True
        taking = self._polling = asyncio.ensure_future(self.receive())

        def left() -> bool:
            if taking.done():
                if not taking.cancelled():
                    taking.result()
            else:
                # Its end is not awaited, for a busy loop makes each further turn felt: whoever receives next
                # waits for the lock.
                taking.cancel()
                taking.add_done_callback(_note_failure)
            return self._disconnected

        return left

    def _keep(self, message: Message) -> None:
        chunk: bytes = message.get("body", b"")
        self._size += len(chunk)
        if self._size > self._limit:
            self._chunks.clear()
            self._declared = self._size
            self.refused = True
            raise BodyTooLarge(self._limit)
        if chunk:
            self._chunks.append(chunk)
        self._complete = not message.get("more_body", False)


def _note_failure(polling: asyncio.Future[Message]) -> None:
    error = None if polling.cancelled() else polling.exception()
    if error is not None:
        _logger.debug("a connection failed while it was polled: %s", error)


class ReplayableRequest(Request):
    """A request whose body can be read any number of times, by stream, ``body()`` or ``receive``."""

    def __init__(self, scope: Scope, source: RequestBody) -> None:
        super().__init__(scope, source.receive)
        self.source = source

    @property
    def receive(self) -> Receive:
        """An ASGI ``receive`` that delivers the whole body again."""
        return self.source.replay()

    async def is_disconnected(self) -> bool:
        """Say whether the client has left."""
        return await self.source.poll_disconnect()

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Yield the body."""
        body = await self.source.read()
        if body:
            yield body
        yield b""


def body_of(request: Request, *, limit: int) -> RequestBody:
    """Return the body of a request, whoever made it."""
    if isinstance(request, ReplayableRequest):
        return request.source
    return RequestBody(request.receive, limit=limit, declared=declared_length(request))


def declared_length(request: Request) -> int | None:
    """Return the ``Content-Length`` of a request, ``None`` without a usable one."""
    value = request.headers.get("content-length", "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None
