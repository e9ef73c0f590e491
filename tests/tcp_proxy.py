"""A TCP proxy that a test can make deaf, cut, or close to new connections."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager


class Proxy:
    """Passes bytes on between clients and one server."""

    def __init__(self, port: int) -> None:
        self.target = port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task] = set()
        self._deaf_after: bytes | None = None
        self._cut_inside: bytes | None = None
        # Where clients connect; the server behind it may change.
        self.port = 0
        self.connections = 0
        self.cuts = 0
        self.refusing = False
        self.silent = False
        # Seconds that each answer takes longer than the server does.
        self.delay = 0.0
        self._silent_after: bytes | None = None
        # What the server says, and what clients hear instead; as long as it is.
        self.misquoted: tuple[bytes, bytes] | None = None
        self.asked = bytearray()
        self._answering = asyncio.Event()
        self._answering.set()

    def lose_the_answer_to(self, part: bytes) -> None:
        """Pass the next statement that contains ``part`` on, and cut its connection when it is answered."""
        self._deaf_after = part

    def silent_after(self, part: bytes) -> None:
        """Pass the next statement that contains ``part`` on, and nothing from then on."""
        self._silent_after = part

    def hold_answers(self) -> None:
        """Pass questions on and note them in ``asked``, but no answer until ``release_answers``."""
        self.asked.clear()
        self._answering.clear()

    def release_answers(self) -> None:
        """Pass on what was held."""
        self._answering.set()

    def cut_inside(self, part: bytes) -> None:
        """Pass on half of the next statement that contains ``part``, and cut its connection."""
        self._cut_inside = part

    def cut(self) -> None:
        """End every connection at once."""
        self.cuts += bool(self._writers)
        for writer in self._writers:
            writer.transport.abort()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer) -> None:
        self._tasks.add(asyncio.current_task())
        self.connections += 1
        if self.refusing:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        deaf = asyncio.Event()
        self._writers |= {writer, back}
        try:
            await asyncio.gather(self._pass(reader, back, deaf, up=True), self._pass(there, writer, deaf))
        finally:
            for one in (writer, back):
                self._writers.discard(one)
                one.transport.abort()

    async def _pass(self, reader, writer, deaf, *, up: bool = False) -> None:
        try:
            while data := await reader.read(1 << 16):
                if up and self._cut_inside is not None and self._cut_inside in data:
                    writer.write(data[: data.index(self._cut_inside) + len(self._cut_inside) // 2])
                    self._cut_inside = None
                    self.cuts += 1
                    break
                if up and self._deaf_after is not None and self._deaf_after in data:
                    self._deaf_after = None
                    deaf.set()
                elif not up and deaf.is_set():
                    self.cuts += 1
                    break
                if not up and self.misquoted is not None:
                    data = data.replace(*self.misquoted)
                falls_silent = up and self._silent_after is not None and self._silent_after in data
                while self.silent:
                    await asyncio.sleep(0.02)
                if not up:
                    await asyncio.sleep(self.delay)
                    await self._answering.wait()
                elif not self._answering.is_set():
                    self.asked += data
                writer.write(data)
                await writer.drain()
                self.silent = self.silent or falls_silent
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()


@asynccontextmanager
async def proxy_to(port: int):
    """A running proxy to a port of this machine."""
    proxy = Proxy(port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.close()
