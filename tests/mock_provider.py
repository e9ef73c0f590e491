"""A mock of the model providers for tests: OpenAI (Responses, Chat), Anthropic, Gemini and MCP on one port.

The answers come from the npm package `@copilotkit/aimock`, which is installed next to the stock clients. Its
journal keeps a request in a form common to all providers (`journal()`). A recorder in front of it keeps what
really arrived (`requests`), sees when a client hangs up, and can give an answer of its own.

In a test (a conftest imports `mock_server` and `provider` to make the fixtures known):

    async def test_an_answer(provider, monkeypatch):
        provider.use(monkeypatch)                       # base URLs and the key `TEST_KEY` for all SDKs
        provider.add(
            {"match": {"userMessage": "weather", "hasToolResult": False},
             "response": {"toolCalls": [{"id": "call_1", "name": "weather", "arguments": {"city": "Rome"}}]}},
            {"match": {"userMessage": "weather"}, "response": {"content": "Sunny.", "reasoning": "Look."}},
        )
        ...
        assert provider.requests[0].path == "/v1/responses"
        assert provider.requests[0].json["tools"][0]["name"] == "weather"
        assert provider.journal()[0]["body"]["messages"][-1]["content"] == "weather"

        provider.answer_once(401, {"error": {"message": "Incorrect API key provided: sk-abc"}})
        provider.answer_once(200, stream=[b'data: {"type": ...}\\n\\n'], end="hang")    # or "close", "reset"

First match wins; a request that no fixture matches is refused (strict mode). Beside `match` and `response` a
fixture takes `chunkSize`, `latency` (ms per chunk), `truncateAfterChunks`, `disconnectAfterMs` and
`chaos: {"malformedRate": 1}`; a response may be `{"error": {"message", "type", "code"}, "status": 429}`.
Without pytest, or with MCP tools:
`with started(fixtures, mcp=[{name, description, inputSchema, result}]) as provider: ...`
"""

import asyncio
import contextlib
import json
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from e2e.stock_clients import NODE_FOLDER, install_packages, required_command

TEST_KEY = "sk-test-0123456789abcdefghij"
"""The key that `MockProvider.use` configures for every provider."""

START_SECONDS = 30.0
STOP_SECONDS = 5.0
CALL_SECONDS = 10.0
KEY_VARIABLES = (
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "GOOGLE_API_KEY",
    "GOOGLE_GENERATIVE_AI_API_KEY",
    "GEMINI_API_KEY",
    "MINIMAX_API_KEY",
)
URL_VARIABLES = (
    "OPENAI_BASE_URL",
    "ANTHROPIC_BASE_URL",
    "GOOGLE_GENERATIVE_AI_BASE_URL",
    "MINIMAX_BASE_URL",
    "GOOGLE_GEMINI_BASE_URL",
)


_LISTENING = re.compile(r"listening on (http://127\.0\.0\.1:(\d+))")


@dataclass
class SeenRequest:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    hung_up: threading.Event = field(default_factory=threading.Event)
    """Set when the client closed the connection before the answer was complete."""

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """Everything that was sent, for searching it."""
        return "\n".join([self.path, *self.headers.values(), self.body.decode("utf-8", "replace")])


@dataclass
class _Answer:
    """An answer that the recorder gives itself."""

    head: bytes
    chunks: list[bytes]
    end: Literal["close", "hang", "reset"]


class MockProvider:
    """A running mock; `origin` is its address, such as `http://127.0.0.1:4010`."""

    def __init__(self, port: int, upstream_port: int) -> None:
        self.origin = f"http://127.0.0.1:{port}"
        self.openai_url = f"{self.origin}/v1"
        self.mcp_url = f"{self.origin}/mcp"
        self.requests: list[SeenRequest] = []
        """Every request to a provider's address since the last reset, in the order of arrival."""
        self._control = f"http://127.0.0.1:{upstream_port}"
        self._answers: deque[_Answer] = deque()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead every provider's SDK here."""
        return {
            **dict.fromkeys(KEY_VARIABLES, TEST_KEY),
            "OPENAI_BASE_URL": self.openai_url,
            "MINIMAX_BASE_URL": self.openai_url,
            "ANTHROPIC_BASE_URL": self.origin,
            "GOOGLE_GENERATIVE_AI_BASE_URL": self.origin,
        }

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Set `environment` for one test, and nothing beside it."""
        for name in (*KEY_VARIABLES, *URL_VARIABLES):
            monkeypatch.delenv(name, raising=False)
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)

    def add(self, *fixtures: dict[str, Any]) -> None:
        """Add fixtures behind those that are there."""
        self._call("POST", "/__aimock/fixtures", {"fixtures": list(fixtures)})

    def say(self, content: str, **response: Any) -> None:
        """Answer every request that no earlier fixture matches with this text."""
        self.add({"match": {}, "response": {"content": content, **response}})

    def answer_once(
        self,
        status: int,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        stream: list[bytes] | None = None,
        end: Literal["close", "hang", "reset"] = "close",
    ) -> None:
        """Give the next request this answer instead of asking the mock; call again for the request after it.

        `body` is sent as JSON, or as it is when it is bytes; `stream` as an event stream, which then ends by
        closing the connection, by saying nothing more until the client hangs up, or with a reset.
        """
        whole = body if isinstance(body, bytes) else json.dumps(body).encode()
        chunks = [whole] if stream is None else stream
        kind = "application/json" if stream is None else "text/event-stream"
        lines = {"content-type": kind, "connection": "close", **(headers or {})}
        if stream is None:
            lines["content-length"] = str(len(whole))
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._answers.append(_Answer(f"HTTP/1.1 {status} Scripted\r\n{text}\r\n".encode(), chunks, end))

    def journal(self) -> list[dict[str, Any]]:
        """What the mock itself saw: bodies in the form of Chat Completions whatever the provider."""
        return self._call("GET", "/__aimock/journal")

    def reset(self) -> None:
        """Forget fixtures, journal, recorded requests and answers."""
        self._call("POST", "/__aimock/reset", {})
        self.requests.clear()
        self._answers.clear()

    async def seen(self, count: int = 1, seconds: float = CALL_SECONDS) -> list[SeenRequest]:
        """Return the requests once there are `count`."""
        async with asyncio.timeout(seconds):
            while len(self.requests) < count:
                await asyncio.sleep(0.005)
        return self.requests

    def take_answer(self) -> _Answer | None:
        """The recorder's own answer for the request that just came."""
        return self._answers.popleft() if self._answers else None

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._control + path, data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=CALL_SECONDS) as response:
                return json.loads(response.read())
        except urllib.error.HTTPError as error:
            with error:
                raise RuntimeError(f"the mock refused {path}: {error.read().decode()}") from error


class _Recorder:
    """Stands in front of the mock, in a thread with an event loop of its own."""

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.provider = MockProvider(self._socket.getsockname()[1], upstream_port)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="mock-provider", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, sock=self._socket, limit=2**20)
        await self._stop.wait()
        server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._exchange(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has gone, which `hung_up` tells
        finally:
            self._connections.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await _read_body(reader, headers)
        seen = SeenRequest(method, path, headers, body, time.monotonic())
        self.provider.requests.append(seen)
        answer = self.provider.take_answer()
        sending = asyncio.create_task(
            self._forward(seen, writer) if answer is None else _send(answer, writer)
        )
        leaving = asyncio.create_task(reader.read(1))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                seen.hung_up.set()
        finally:
            sending.cancel()
            leaving.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _forward(self, seen: SeenRequest, writer: asyncio.StreamWriter) -> None:
        reader, upstream = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        try:
            kept = {k: v for k, v in seen.headers.items() if k not in ("connection", "transfer-encoding")}
            kept |= {"connection": "close", "content-length": str(len(seen.body))}
            text = "".join(f"{name}: {value}\r\n" for name, value in kept.items())
            upstream.write(f"{seen.method} {seen.path} HTTP/1.1\r\n{text}\r\n".encode("latin-1") + seen.body)
            await _relay(reader, writer)
        finally:
            upstream.close()


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")
    return body


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass an answer on as it comes. The mock never closes by itself, so its end is read from its framing."""
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    kept = [line for line in lines if not line.lower().startswith("connection:")]
    writer.write("\r\n".join([first, *kept, "connection: close", "", ""]).encode("latin-1"))
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding", "").lower() != "chunked":
        writer.write(await reader.readexactly(int(headers.get("content-length", "0"))))
        return
    size = -1
    while size != 0:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        # Gemini itself ends an answer with calls like any other; its SDK does not know the mock's word.
        chunk = (await reader.readexactly(size + 2))[:-2].replace(b'"FUNCTION_CALL"', b'"STOP"')
        writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        await writer.drain()


async def _send(answer: _Answer, writer: asyncio.StreamWriter) -> None:
    writer.write(answer.head)
    for chunk in answer.chunks:
        writer.write(chunk)
        await writer.drain()
        await asyncio.sleep(0)
    if answer.end == "hang":
        await asyncio.Event().wait()
    if answer.end == "reset":
        # A linger time of zero seconds makes closing a reset.
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@contextlib.contextmanager
def started(
    fixtures: Iterable[dict[str, Any]] = (), *, mcp: list[dict[str, Any]] | None = None, chunk_size: int = 20
) -> Iterator[MockProvider]:
    """Start a mock of its own, and end it when the block is left.

    Raises:
        RuntimeError: Node.js is missing, the packages cannot be installed, or the mock does not start.
    """
    install_packages()
    with tempfile.TemporaryDirectory(prefix="mock-provider-") as folder:
        config = {"host": "127.0.0.1", "port": 0, "strict": True, "llm": {"chunkSize": chunk_size}}
        if mcp is not None:
            config["mcp"] = {"tools": mcp}
        path = Path(folder) / "aimock.json"
        path.write_text(json.dumps(config))
        with _process(path) as port:
            recorder = _Recorder(port)
            recorder.start()
            try:
                recorder.provider.add(*fixtures)
                yield recorder.provider
            finally:
                recorder.close()


@contextlib.contextmanager
def _process(config: Path) -> Iterator[int]:
    command = NODE_FOLDER / "node_modules" / "@copilotkit" / "aimock" / "dist" / "aimock-cli.js"
    # Keys and addresses of the developer's own environment are none of the mock's business.
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    log = config.parent / "log.txt"
    with log.open("w") as output:
        process = subprocess.Popen(
            [required_command("node", "Node.js 20 or newer"), command, "--config", config],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield _healthy_port(process, log)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_SECONDS)


def _healthy_port(process: "subprocess.Popen[bytes]", log: Path) -> int:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        listening = _LISTENING.search(log.read_text())
        if listening is not None:
            with urllib.request.urlopen(f"{listening[1]}/health", timeout=CALL_SECONDS) as response:
                assert response.status == 200
            return int(listening[2])
        time.sleep(0.02)
    raise RuntimeError(f"the mock provider did not start:\n{log.read_text()}")


@pytest.fixture(scope="session")
def mock_server() -> Iterator[MockProvider]:
    """One mock for the whole session; tests take `provider`, which is emptied for each."""
    with started() as provider:
        yield provider


@pytest.fixture
def provider(mock_server: MockProvider) -> MockProvider:
    """The mock, without fixtures and without memory."""
    mock_server.reset()
    return mock_server
