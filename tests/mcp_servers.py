"""Real MCP servers of the official package on local ports, which remember what they were sent."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from mcp import types
from mcp.server.mcpserver import Context, MCPServer

PICTURE = "iVBORw0KGgo="
SECONDS = 10.0


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self):
        yield


@dataclass
class Seen:
    """One request: its method, its headers, and the JSON-RPC method in it."""

    method: str
    headers: dict[str, str]
    rpc: str


@dataclass
class RealServer:
    """A running server, and what it saw.

    ``behave``: how it meets the next requests: ``"well"``, ``"hang"``, a status such as ``500``, or the
    JSON-RPC method it hangs on. ``legacy``: it does not know the handshake of the newer kind.
    """

    kind: str
    legacy: bool = True
    port: int = 0
    path: str = ""
    behave: str | int = "well"
    seen: list[Seen] = field(default_factory=list)
    sessions: set[str] = field(default_factory=set)
    most_sessions: int = 0
    open: int = 0
    calls: list[tuple[str, str]] = field(default_factory=list)
    cancelled: int = 0
    running: asyncio.Event = field(default_factory=asyncio.Event)
    mcp: Any = None
    _dying: asyncio.Event = field(default_factory=asyncio.Event)
    _server: Any = None
    _task: Any = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    def count(self, rpc: str) -> int:
        return sum(one.rpc == rpc for one in self.seen)

    @property
    def connections(self) -> int:
        """How many clients shook hands."""
        return self.count("initialize") + (0 if self.legacy else self.count("server/discover"))

    def config(self, **options: Any) -> dict[str, Any]:
        return {"type": self.kind, "url": self.url, **options}

    async def start(self) -> None:
        self.mcp = _with_tools(self)
        app = self.mcp.sse_app() if self.kind == "sse" else self.mcp.streamable_http_app()
        self.path = "/sse" if self.kind == "sse" else "/mcp"
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", self.port))
        self.port = sock.getsockname()[1]
        config = uvicorn.Config(
            self._watched(app), log_config=None, timeout_graceful_shutdown=0, lifespan="on", ws="none"
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve([sock]))
        async with asyncio.timeout(SECONDS):
            while not self._server.started:
                assert not self._task.done()
                await asyncio.sleep(0.005)

    async def stop(self) -> None:
        # Ends its streams first: the package forgets to close some when it is cancelled in the middle of one.
        self._dying.set()
        async with asyncio.timeout(SECONDS):
            while self.open and self.kind == "sse":
                await asyncio.sleep(0.005)
        self._server.should_exit = True
        self.behave = "well"
        async with asyncio.timeout(SECONDS):
            await self._task
        self.sessions.clear()
        self._dying.clear()

    def _watched(self, app: Any) -> Any:
        async def watched(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            self.open += 1
            try:
                await self._meet(app, scope, receive, send)
            finally:
                self.open -= 1

        return watched

    async def _meet(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        body = await _body(receive) if scope["method"] == "POST" else b""
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        rpc = json.loads(body).get("method", "") if body else ""
        self.seen.append(Seen(scope["method"], headers, rpc))
        if self.behave in ("hang", rpc):
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        status = self.behave if isinstance(self.behave, int) else 0
        if self.legacy and rpc == "server/discover":
            status = 400
        if status:
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": b"secret-body of the server"})
            return
        replayed = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Any:
            return replayed.pop() if replayed else await self._until_dying(receive)

        async def noting(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._note_session(scope["method"], headers, message)
            await send(message)

        await app(scope, replay, noting)

    async def _until_dying(self, receive: Any) -> Any:
        waits = {asyncio.ensure_future(receive()), asyncio.ensure_future(self._dying.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            done = [wait.result() for wait in waits if wait.done() and wait.result() is not True]
            return done[0] if done else {"type": "http.disconnect"}
        finally:
            for wait in waits:
                wait.cancel()

    def _note_session(self, method: str, headers: dict[str, str], message: Any) -> None:
        given = dict(message["headers"]).get(b"mcp-session-id")
        if given is not None and method == "POST":
            self.sessions.add(given.decode())
            self.most_sessions = max(self.most_sessions, len(self.sessions))
        if method == "DELETE" and message["status"] < 300:
            self.sessions.discard(headers["mcp-session-id"])


async def _body(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _with_tools(real: RealServer) -> Any:
    server = MCPServer("tests", log_level="CRITICAL")
    _add_plain_tools(server, real)
    _add_living_tools(server, real)
    return server


def _add_plain_tools(server: Any, real: RealServer) -> None:
    @server.tool()
    def echo(text: str, ctx: Context) -> str:
        """Says it again."""
        real.calls.append(("echo", text))
        return text

    @server.tool()
    def whoami(ctx: Context) -> str:
        """Says which token came."""
        token = (ctx.headers or {}).get("authorization", "nobody")
        real.calls.append(("whoami", token))
        return f"{token.rpartition(' ')[2][::-1]}"

    @server.tool()
    def leak(ctx: Context) -> str:
        """Says the header itself."""
        return (ctx.headers or {}).get("authorization", "nobody")

    @server.tool()
    def fails() -> str:
        """Fails."""
        raise RuntimeError("broken inside")

    @server.tool(name="dotted.näme")
    def dotted() -> types.CallToolResult:
        """Shows a picture."""
        return types.CallToolResult(
            content=[
                types.TextContent(text="a picture"),
                types.ImageContent(data=PICTURE, mime_type="image/png"),
            ],
            structured_content={"seen": True, "ü": None},
        )


def _add_living_tools(server: Any, real: RealServer) -> None:
    counters: dict[int, int] = {}

    @server.tool()
    def count(ctx: Context) -> int:
        """Counts the calls of this connection."""
        key = id(ctx.session)
        if ctx.headers and "mcp-session-id" in ctx.headers:
            key = hash(ctx.headers["mcp-session-id"])
        counters[key] = counters.get(key, 0) + 1
        return counters[key]

    @server.tool()
    async def wait(ctx: Context) -> str:
        """Never ends by itself."""
        real.running.set()
        try:
            await asyncio.Event().wait()
        finally:
            real.cancelled += 1
        return "never"

    @server.tool()
    async def grow(ctx: Context) -> str:
        """Adds a tool and says so."""
        server.add_tool(lambda: "new", name="grown", description="New.")
        await ctx.session.send_tool_list_changed()
        await ctx.notify_tools_changed()
        return "grown"

    @server.tool()
    def shrink() -> str:
        """Takes away echo and says nothing."""
        server.remove_tool("echo")
        return "shrunk"


@asynccontextmanager
async def real_server(kind: str = "http", **options: Any) -> AsyncIterator[RealServer]:
    """Run a server for the length of the block."""
    server = RealServer(kind, **options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def nowhere() -> str:
    """An address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/mcp"
