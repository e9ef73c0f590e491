"""A server on a local port whose every byte a test decides, and which remembers what it was sent."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Script = Callable[["Exchange"], Awaitable[None]]


@dataclass
class Exchange:
    """One request, and the socket its answer goes to."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    writer: asyncio.StreamWriter
    reader: asyncio.StreamReader

    def values(self, name: str) -> list[str]:
        """Every header of this name as it came over the wire."""
        return [value for key, value in self.headers if key.lower() == name]

    def json(self) -> Any:
        return json.loads(self.body)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A complete answer; header names are written with underscores."""
        fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {status} X\r\n{fields}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        await self.send(head.encode("latin-1") + body)

    async def open_stream(self, content_type: str = "text/event-stream") -> None:
        """The head of an answer that ends with the connection, or with a chunk of its own."""
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
        await self.send(head.encode())

    async def chunk(self, data: bytes) -> None:
        """One piece of a stream; an empty one ends it."""
        await self.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def wait_closed(self) -> None:
        """Return when the other side has closed the connection."""
        while await self.reader.read(4096):
            pass


@dataclass
class Upstream:
    """The running server; `exchanges` are in order of arrival."""

    url: str
    exchanges: list[Exchange] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def upstream(script: Script) -> AsyncIterator[Upstream]:
    """Serve every connection by `script`, then close it."""
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        try:
            exchange = await _read(reader, writer)
            running.exchanges.append(exchange)
            await script(exchange)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            running.closed.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    running = Upstream(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/agent")
    try:
        yield running
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Exchange:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in head[1:] if line)]
    length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
    return Exchange(method, target, headers, await reader.readexactly(length), writer, reader)
