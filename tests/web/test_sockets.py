"""The same over real sockets: what only a server and a network can show."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
import uvicorn

from jumpseat import AgentRunner, CopilotRuntime
from jumpseat.testing.scripted import ScriptedAgent
from serving import hello, own_tasks, run_body, said, until

SECONDS = 15.0


class Listening:
    """A runtime behind uvicorn."""

    def __init__(
        self, runtime: CopilotRuntime, server: uvicorn.Server, port: int, task: asyncio.Task[None]
    ) -> None:
        self.runtime = runtime
        self.server = server
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.task = task

    @asynccontextmanager
    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> AsyncIterator["Socket"]:
        """A request on a connection of its own, which is closed behind the block."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        content = b"" if body is None else json.dumps(body).encode()
        fields = {"host": "localhost", "content-length": str(len(content))} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        try:
            writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content)
            await writer.drain()
            yield Socket(reader, writer)
        finally:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


class Socket:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.received = b""

    async def until(self, wanted: bytes) -> bytes:
        async with asyncio.timeout(SECONDS):
            while wanted not in self.received:
                data = await self.reader.read(65536)
                assert data, f"the connection ended without {wanted!r}: {self.received[-500:]!r}"
                self.received += data
        return self.received

    def abort(self) -> None:
        self.writer.transport.abort()


@asynccontextmanager
async def listen(agents: Any = None, **options: Any) -> AsyncIterator[Listening]:
    runtime = CopilotRuntime(agents=agents or {"default": hello}, dev=True, **options)
    # With the protocol named, asyncio turns Nagle's delay off on accepted connections.
    with socket.socket(proto=socket.IPPROTO_TCP) as free:
        free.bind(("127.0.0.1", 0))
        free.listen()
        config = uvicorn.Config(runtime.app(), ws="none", log_config=None, lifespan="on")
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[free]))
        await until(lambda: server.started or task.done())
        try:
            yield Listening(runtime, server, free.getsockname()[1], task)
        finally:
            server.should_exit = True
            async with asyncio.timeout(SECONDS):
                await asyncio.wait([task])
            await runtime.aclose()


async def test_headers_and_opening_comment_are_on_the_wire_before_the_agent_speaks():
    agent = ScriptedAgent(asyncio.Event())
    async with (
        listen({"default": agent}, shutdown_grace_seconds=0) as server,
        server.send("POST", "/agent/default/run", run_body()) as connection,
    ):
        received = await connection.until(b"RUN_STARTED")
        assert received.startswith(b"HTTP/1.1 200 OK\r\n")
        assert received.index(b": connected\n\n") < received.index(b"\nid: ")


@pytest.mark.parametrize("how", ["abort", "close"])
async def test_a_closed_connection_is_noticed_and_the_run_goes_on(runner: AgentRunner, how: str):
    go = asyncio.Event()
    agent = ScriptedAgent(go, *said())
    async with listen({"default": agent}, runner=runner) as server:
        async with server.send("POST", "/agent/default/run", run_body()) as connection:
            await connection.until(b"RUN_STARTED")
            assert readers()
            if how == "abort":
                connection.abort()
            else:
                connection.writer.close()
            await until(lambda: not readers())
        assert not agent.closed.is_set()
        go.set()
        async with asyncio.timeout(SECONDS):
            await agent.closed.wait()


def readers() -> list[asyncio.Task[Any]]:
    """The tasks that watch for clients that leave."""
    return [task for task in own_tasks() if task.get_name() == "jumpseat reader"]


async def test_a_client_that_never_reads_delays_nobody():
    events = [{"type": "CUSTOM", "name": str(number), "value": "x" * 10_000} for number in range(1500)]
    async with (
        listen({"default": ScriptedAgent(*events)}) as server,
        server.send("POST", "/agent/default/run", run_body("t1")) as stalled,
        httpx2.AsyncClient(timeout=SECONDS) as client,
    ):
        await until(lambda: bool(readers()))
        body = run_body("t1", messages=[])
        answer = await client.post(f"{server.url}/agent/default/connect", json=body)
        assert answer.text.endswith('data: {"type":"RUN_FINISHED","threadId":"t1","runId":"r1"}\n\n')
        await stalled.until(b"RUN_FINISHED")
        assert stalled.received.count(b"data:") == 1502


async def test_the_next_run_can_be_sent_the_instant_the_body_ends(runner: AgentRunner):
    async with listen(runner=runner) as server, httpx2.AsyncClient(timeout=SECONDS) as client:
        for number in range(200):
            answer = await client.post(f"{server.url}/agent/default/run", json=run_body("t1", f"r{number}"))
            assert answer.status_code == 200, answer.text


async def test_a_body_that_is_announced_too_large_is_refused_unread():
    async with (
        listen() as server,
        server.send("POST", "/agent/default/run", content_length=str(1 << 30)) as connection,
    ):
        received = await connection.until(b"body_too_large")
        assert received.startswith(b"HTTP/1.1 413")


async def upload(connection: "Socket", pieces: int) -> int:
    """Send pieces of 64 KiB of a body without a length; return how many were sent when nobody took more."""
    sent = 0
    piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with contextlib.suppress(ConnectionError):
        while sent < pieces:
            connection.writer.write(piece)
            async with asyncio.timeout(SECONDS):
                await connection.writer.drain()
            sent += 1
        connection.writer.write(b"0\r\n\r\n")
    return sent


@asynccontextmanager
async def chunked(server: Listening) -> AsyncIterator["Socket"]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = "POST /agent/default/run HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
    writer.write(head.encode())
    try:
        yield Socket(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_client_that_sends_a_little_too_much_reads_why_and_then_the_end():
    async with listen() as server, chunked(server) as connection:
        # The limit is 16 MiB; this client reads only when it has sent everything.
        assert await upload(connection, 20 * 16) == 20 * 16
        received = await connection.until(b"body_too_large")
        assert received.startswith(b"HTTP/1.1 413")
        assert b"connection: close" in received.lower()
        async with asyncio.timeout(SECONDS):
            assert await connection.reader.read() == b""


async def test_a_client_that_never_stops_sending_is_cut_off():
    async with listen() as server, chunked(server) as connection:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        # 16 MiB are the limit, 8 MiB are taken while it might read; the rest is what the kernel holds.
        assert await upload(connection, 200 * 16) < 60 * 16
        assert loop.time() - begun < 10


async def test_a_drained_server_ends_its_streams_properly_and_stops():
    agent = ScriptedAgent(*said()[:2], asyncio.Event())
    async with (
        listen({"default": agent}, shutdown_grace_seconds=0.3) as server,
        server.send("POST", "/agent/default/run", run_body()) as run,
        server.send("GET", "/cpk-debug-events") as feed,
    ):
        await run.until(b"TEXT_MESSAGE_CONTENT")
        await feed.until(b": connected")
        server.runtime.begin_drain()
        # The feed ends at once, the run when its grace is over.
        await feed.until(b"0\r\n\r\n")
        assert b"SERVER_SHUTDOWN" not in run.received
        server.server.should_exit = True
        received = await run.until(b"0\r\n\r\n")
        assert b"TEXT_MESSAGE_END" in received
        assert received.count(b"SERVER_SHUTDOWN") == 1
        async with asyncio.timeout(5):
            await asyncio.wait([server.task])


async def test_keep_alives_between_events_disturb_no_event():
    async def counting(given: Any, context: Any) -> Any:
        for number in range(300):
            yield {"type": "CUSTOM", "name": str(number), "value": 0}
            if number % 100 == 99:
                await asyncio.sleep(0.12)

    async with (
        listen({"default": counting}, sse_keep_alive_interval_seconds=0.05) as server,
        httpx2.AsyncClient(timeout=SECONDS) as client,
    ):
        answer = await client.post(f"{server.url}/agent/default/run", json=run_body())
    pieces = answer.text.split("\n\n")
    assert pieces.count(": keep-alive") >= 3
    names = [json.loads(piece.split("data: ")[1]).get("name") for piece in pieces if "CUSTOM" in piece]
    assert names == [str(number) for number in range(300)]
