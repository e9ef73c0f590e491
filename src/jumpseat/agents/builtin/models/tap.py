"""Reads what a provider's stream appends right where it arrives, before the libraries do.

The libraries need many times longer for one event than all of this package. Most events only append a piece
of text to what is open. Here such pieces are read from the bytes; the libraries get them later, as one event,
so that their answer is whole. Everything else goes through them as it came, in its place.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, Final

import httpx2

from jumpseat.agents.builtin.models.appending import Appended, Appending

__all__ = ["LONGEST", "AnswerTap", "tap_of"]

LONGEST: Final = 1024 * 1024
_END: Final = b"\n\n"


def tap_of(response: httpx2.Response, appending: Appending) -> AnswerTap | None:
    """Put a tap into a response whose body is still unread; ``None`` if it is no stream of events."""
    headers, body = response.headers, response.stream
    if (
        not response.is_success
        or not headers.get("content-type", "").startswith("text/event-stream")
        or not isinstance(body, httpx2.AsyncByteStream)
    ):
        return None
    if "content-encoding" in headers:
        # What reads the tapped response must not decode its bytes once more.
        inner = httpx2.Response(response.status_code, headers=headers, stream=body, request=response.request)
        del headers["content-encoding"]
        tap = AnswerTap(inner.aiter_bytes(), inner.aclose, appending)
    else:
        tap = AnswerTap(aiter(body), body.aclose, appending)
    response.stream = tap
    return tap


class AnswerTap(httpx2.AsyncByteStream):
    """The body of one response, from which its reader may take appended texts ahead of the libraries.

    Iterating is for the libraries: they get one event at a time, and whoever takes what they make of an event
    before they ask for the next one knows which event it came from. Both ways of reading exclude each other.

    Attributes:
        repeats: What the libraries read now was already taken from here.
    """

    def __init__(
        self, chunks: AsyncIterator[bytes], close: Callable[[], Awaitable[None]], appending: Appending
    ) -> None:
        """``chunks`` are the bytes of the body, which ``close`` closes."""
        self.repeats = False
        self._chunks = chunks
        self._close = close
        self._appending = appending
        self._splitter = _Splitter()
        self._frames: deque[bytes] = deque()
        # The event that was read last, by either side.
        self._last = b""
        self._taken: list[str] = []
        self._error: Exception | None = None
        self._is_over = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.repeats = bool(self._taken)
            if self.repeats:
                text = "".join(self._taken)
                self._taken.clear()
                yield self._repeated(text)
            elif self._frames:
                self._last = self._frames.popleft()
                yield self._last
            elif not await self._fill():
                break
        self._last = b""
        if self._error is not None:
            raise self._error

    async def aclose(self) -> None:
        """Close the connection, or give it back."""
        close: Any = getattr(self._chunks, "aclose", None)
        if close is not None:
            await close()
        await self._close()

    def appended(self) -> Appended | None:
        """Return what the event that the libraries read now appends; ``None`` if it may say anything else."""
        return None if self.repeats else self._read(self._last)

    async def texts(self, target: Appended, deadline: float | None) -> AsyncGenerator[list[str]]:
        """Yield what is appended to ``target``, as many texts as there are, until something else comes.

        Ends as well where the stream ends or fails: the libraries meet that, too.

        Args:
            target: What the current event appends to.
            deadline: By the loop's clock; ``None``: no limit.

        Raises:
            TimeoutError: The deadline has passed.
        """
        wanted, frames = target[0], self._frames
        while True:
            texts: list[str] = []
            while frames and (found := self._read(frames[0])) is not None and found[0] == wanted:
                self._last = frames.popleft()
                texts.append(found[1])
            if texts:
                self._taken += texts
                yield texts
            if frames:
                return
            if not await self._fill_before(deadline):
                return

    def _read(self, frame: bytes) -> Appended | None:
        name, data = _name_and_data(frame)
        return self._appending.read(name, data) if data else None

    def _repeated(self, text: str) -> bytes:
        found = self._read(self._last)
        assert found is not None, "only events that append are taken"
        name, data = _name_and_data(self._last)
        head = b"event: %b\n" % name if name else b""
        return b"%bdata: %b\n\n" % (head, self._appending.merged(data, found[0], text))

    async def _fill_before(self, deadline: float | None) -> bool:
        if deadline is None:
            # Most requests have no limit, and every piece of text comes by here.
            return await self._fill()
        async with asyncio.timeout_at(deadline):
            return await self._fill()

    async def _fill(self) -> bool:
        """Read on; False at the end, whatever the end is."""
        if self._is_over:
            return False
        try:
            self._frames += self._splitter.feed(await anext(self._chunks))
        except StopAsyncIteration:
            self._is_over = True
        except Exception as error:
            self._is_over, self._error = True, error
        if self._is_over and (rest := self._splitter.rest()):
            self._frames.append(rest)
        return bool(self._frames) or not self._is_over


class _Splitter:
    """Cuts a stream behind each event; line ends become line feeds, which mean the same."""

    def __init__(self) -> None:
        self._tail = b""
        self._after_cr = False
        self._is_off = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the events that ``chunk`` completes; after one that was too long to be kept, the chunk."""
        chunk = self._with_line_feeds(chunk)
        if self._is_off:
            return [chunk]
        pieces = (self._tail + chunk).split(_END)
        self._tail = pieces.pop()
        frames = [piece + _END for piece in pieces]
        if len(self._tail) > LONGEST:
            self._is_off = True
            frames.append(self.rest())
        return frames

    def rest(self) -> bytes:
        """Return what no event has ended."""
        rest, self._tail = self._tail, b""
        return rest

    def _with_line_feeds(self, chunk: bytes) -> bytes:
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        if b"\r" not in chunk:
            return chunk
        self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _name_and_data(frame: bytes) -> tuple[bytes, bytes]:
    """The name and the data of an event in its plainest form; no data for all others."""
    name = b""
    if frame.startswith(b"event: "):
        name, _, frame = frame[7:].partition(b"\n")
    return name, frame[6:] if frame.startswith(b"data: ") else b""
