"""An in-process client for ASGI applications: streams, disconnects and lifespan, without a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import unquote

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Scope

__all__ = ["Answer", "AsgiClient", "Frame", "StreamedAnswer"]

Fields: TypeAlias = Mapping[str, str] | list[tuple[str, str]] | None

DEADLINE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Frame:
    """One piece of an event stream: an event with its cursor, or a comment."""

    event: Any = None
    id: str | None = None
    comment: str | None = None
    retry: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response."""

    status: int
    headers: Headers
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def frames(self) -> list[Frame]:
        """The body as the frames of an event stream."""
        return [_frame(piece) for piece in self.body.decode().split("\n\n") if piece]

    @property
    def events(self) -> list[Any]:
        """The events of an event stream, decoded."""
        return [frame.event for frame in self.frames if frame.event is not None]


@dataclass
class StreamedAnswer:
    """A response that is still being sent.

    Attributes:
        status: Of the response.
        headers: Of the response.
        task: The application's task for this request.
    """

    status: int
    headers: Headers
    task: asyncio.Task[None]
    _messages: asyncio.Queue[Message]
    _gone: asyncio.Event
    _text: str = ""
    _ended: bool = field(default=False)

    async def next_frame(self, seconds: float = DEADLINE_SECONDS) -> Frame | None:
        """Return the next frame of an event stream, ``None`` at its end. Raises ``TimeoutError``."""
        async with asyncio.timeout(seconds):
            while "\n\n" not in self._text:
                chunk = await self._next_chunk()
                if chunk is None:
                    return None
                self._text += chunk.decode()
        piece, _, self._text = self._text.partition("\n\n")
        return _frame(piece)

    async def next_event(self, seconds: float = DEADLINE_SECONDS) -> Any:
        """Return the next event, comments skipped; ``None`` at the end. Raises ``TimeoutError``."""
        while (frame := await self.next_frame(seconds)) is not None:
            if frame.event is not None:
                return frame.event
        return None

    async def until(self, kind: str, seconds: float = DEADLINE_SECONDS) -> Any:
        """Return the next event of a type. Raises ``TimeoutError``, or ``EOFError`` if it does not come."""
        while (event := await self.next_event(seconds)) is not None:
            if event["type"] == kind:
                return event
        raise EOFError(f"the stream ended without {kind}")

    async def rest(self, seconds: float = DEADLINE_SECONDS) -> list[Any]:
        """Return all further events. Raises ``TimeoutError``."""
        events: list[Any] = []
        while (event := await self.next_event(seconds)) is not None:
            events.append(event)
        return events

    async def disconnect(self, seconds: float = DEADLINE_SECONDS) -> None:
        """Leave, and wait until the application is done with this request."""
        self._gone.set()
        while not self._messages.empty():
            self._messages.get_nowait()
        async with asyncio.timeout(seconds):
            await asyncio.wait([self.task])

    async def _next_chunk(self) -> bytes | None:
        while not self._ended:
            message = await self._messages.get()
            self._ended = not message.get("more_body", False)
            if body := message.get("body", b""):
                return body
        return None


class AsgiClient:
    """Sends requests to an application in this process.

    Args:
        app: The application.
        root_path: As a server or a mount would give it; it is not put in front of paths.
        headers: Sent with each request.
        raw_path: Whether the server tells the undecoded path.
    """

    def __init__(
        self, app: ASGIApp, *, root_path: str = "", headers: Fields = None, raw_path: bool = True
    ) -> None:
        self.app = app
        self._root_path = root_path
        self._headers = _pairs(headers)
        self._raw_path = raw_path

    async def get(self, path: str, *, headers: Fields = None) -> Answer:
        """Send a GET request; see ``request``."""
        return await self.request("GET", path, headers=headers)

    async def post(
        self, path: str, *, json: Any = None, content: bytes | None = None, headers: Fields = None
    ) -> Answer:
        """Send a POST request; see ``request``."""
        return await self.request("POST", path, json=json, content=content, headers=headers)

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        content: bytes | None = None,
        headers: Fields = None,
        seconds: float = DEADLINE_SECONDS,
    ) -> Answer:
        """Send a request and return the whole response. Raises ``TimeoutError`` after ``seconds``."""
        body = bytearray()
        async with asyncio.timeout(seconds):
            async with self.stream(method, path, json=json, content=content, headers=headers) as answer:
                while (chunk := await answer._next_chunk()) is not None:  # pyright: ignore[reportPrivateUsage]
                    body += chunk
                await asyncio.wait([answer.task])
                answer.task.result()
        return Answer(answer.status, answer.headers, bytes(body))

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        content: bytes | None = None,
        chunks: AsyncIterator[bytes] | None = None,
        headers: Fields = None,
        buffer: int = 0,
    ) -> AsyncGenerator[StreamedAnswer]:
        """Send a request and yield its response once it has begun; leaving the block disconnects.

        Args:
            method: Of the request.
            path: With query, percent-encoded.
            json: Sent as the JSON body.
            content: Sent as the body.
            chunks: Sent as the body, piece by piece.
            headers: In addition to the client's.
            buffer: How many pieces the application may send ahead of the reader; 0 for any number.
        """
        fields = [*self._headers, *_pairs(headers)]
        body = _body(json) if json is not None else content or b""
        if json is not None and not any(name.lower() == "content-type" for name, _ in fields):
            fields.append(("content-type", "application/json"))
        if chunks is None and method not in ("GET", "HEAD"):
            fields.append(("content-length", str(len(body))))
        gone = asyncio.Event()
        messages: asyncio.Queue[Message] = asyncio.Queue(buffer)
        receive = _receiver(chunks or _one(body), gone)

        async def send(message: Message) -> None:
            if gone.is_set():
                raise OSError("the client has left")
            await messages.put(message)

        task = asyncio.create_task(_run(self.app, self._scope(method, path, fields), receive, send))
        try:
            yield await _begun(task, messages, gone)
        finally:
            gone.set()
            while not messages.empty():
                messages.get_nowait()
            done, _ = await asyncio.wait([task], timeout=DEADLINE_SECONDS)
            if not done:
                task.cancel()

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        """Start the application as a server would, and shut it down. Raises ``RuntimeError`` on failure."""
        to_app: asyncio.Queue[Message] = asyncio.Queue()
        from_app: asyncio.Queue[Message] = asyncio.Queue()
        scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        task = asyncio.create_task(_run(self.app, scope, to_app.get, from_app.put))
        try:
            await _lifespan_step("startup", to_app, from_app)
            yield
            await _lifespan_step("shutdown", to_app, from_app)
        finally:
            done, _ = await asyncio.wait([task], timeout=1.0)
            if not done:
                task.cancel()

    def _scope(self, method: str, path: str, fields: list[tuple[str, str]]) -> Scope:
        raw, _, query = path.partition("?")
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(raw),
            "root_path": self._root_path,
            "query_string": query.encode(),
            "headers": [(b"host", b"testserver")] * (not any(n.lower() == "host" for n, _ in fields))
            + [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields],
            "client": ("127.0.0.1", 50000),
            "server": ("testserver", 80),
        }
        if self._raw_path:
            scope["raw_path"] = raw.encode("latin-1")
        return scope


async def _run(app: ASGIApp, scope: Scope, receive: Any, send: Any) -> None:
    await app(scope, receive, send)


async def _begun(
    task: asyncio.Task[None], messages: asyncio.Queue[Message], gone: asyncio.Event
) -> StreamedAnswer:
    first = asyncio.ensure_future(messages.get())
    await asyncio.wait([first, task], return_when=asyncio.FIRST_COMPLETED, timeout=DEADLINE_SECONDS)
    if not first.done():
        first.cancel()
        if task.done():
            task.result()
            raise RuntimeError("the application ended without an answer")
        raise TimeoutError("the application did not answer")
    message = first.result()
    return StreamedAnswer(message["status"], Headers(raw=list(message["headers"])), task, messages, gone)


async def _lifespan_step(step: str, to_app: asyncio.Queue[Message], from_app: asyncio.Queue[Message]) -> None:
    await to_app.put({"type": f"lifespan.{step}"})
    async with asyncio.timeout(DEADLINE_SECONDS * 3):
        answer = await from_app.get()
    if answer["type"] != f"lifespan.{step}.complete":
        raise RuntimeError(answer.get("message", step))


def _receiver(chunks: AsyncIterator[bytes], gone: asyncio.Event) -> Any:
    ended = False

    async def receive() -> Message:
        nonlocal ended
        if not ended:
            try:
                return {"type": "http.request", "body": await anext(chunks), "more_body": True}
            except StopAsyncIteration:
                ended = True
                return {"type": "http.request", "body": b"", "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    return receive


async def _one(body: bytes) -> AsyncIterator[bytes]:
    if body:
        yield body


def _body(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _pairs(headers: Fields) -> list[tuple[str, str]]:
    if headers is None:
        return []
    return list(headers.items()) if isinstance(headers, Mapping) else list(headers)


def _frame(piece: str) -> Frame:
    values: dict[str, Any] = {}
    for line in piece.split("\n"):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                values["comment"] = value
            case "data":
                values["event"] = json.loads(value)
            case "id":
                values["id"] = value
            case "retry":
                values["retry"] = int(value)
            case _:
                raise ValueError(f"a stream holds no {name!r} lines")
    return Frame(**values)
