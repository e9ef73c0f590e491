"""Requests to an ASGI application in this process: whole ones, and ones whose answer is read as it comes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote

import httpx2

SECONDS = 20.0


@asynccontextmanager
async def client_of(app: Any, **headers: str) -> AsyncIterator[httpx2.AsyncClient]:
    """An HTTP client of the application; it sees answers once they are complete."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    transport = httpx2.ASGITransport(app)
    async with (
        asyncio.timeout(SECONDS),
        httpx2.AsyncClient(transport=transport, base_url="http://app.test", headers=named) as client,
    ):
        yield client


class Connection:
    """One request whose answer is read piece by piece."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.received = b""
        self.ended = False
        self.reading = asyncio.Event()
        self.reading.set()
        self._news = asyncio.Condition()
        self._gone = asyncio.Event()
        self._body: list[bytes] = []

    def leave(self) -> None:
        """Close the connection, as a closed tab does."""
        self._gone.set()

    async def until(self, wanted: bytes) -> bytes:
        """Return all that arrived as soon as it holds `wanted`."""
        return await self._when(lambda: wanted in self.received)

    async def to_end(self) -> bytes:
        """Return the whole answer."""
        return await self._when(lambda: self.ended)

    async def _when(self, reached: Any) -> bytes:
        async with asyncio.timeout(SECONDS), self._news:
            await self._news.wait_for(reached)
        return self.received

    async def receive(self) -> dict[str, Any]:
        if self._body:
            return {"type": "http.request", "body": self._body.pop(0), "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        await self.reading.wait()
        async with self._news:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            else:
                self.received += message.get("body", b"")
                self.ended = not message.get("more_body", False)
            self._news.notify_all()


@asynccontextmanager
async def connection(
    app: Any, method: str, target: str, *, body: bytes = b"", **headers: str
) -> AsyncIterator[Connection]:
    """Send a request and read its answer live; the client leaves at the end, if it has not before."""
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [
            (b"host", b"app.test"),
            *((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("app.test", 80),
    }
    opened = Connection()
    opened._body.append(body)
    task = asyncio.create_task(app(scope, opened.receive, opened.send))
    try:
        yield opened
    finally:
        opened.leave()
        opened.reading.set()
        async with asyncio.timeout(SECONDS):
            await task
