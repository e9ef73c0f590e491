"""The 1.x of the ``mcp`` package: our client on it, and its server in front of our client on 2.x."""

import json
import socket
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mcp_runs import AUTHORIZED, TOKEN, call, mcp_tools, names, run_context
from mcp_servers import real_server
from other_pythons import output_of, program, python_with
from serving import until

PROGRAM = str(Path(__file__).parent / "mcp_1_program.py")
START_SECONDS = 30
TRANSPORTS = {"http": ("streamable-http", "/mcp"), "sse": ("sse", "/sse")}


@pytest.fixture(scope="session")
def interpreter() -> Path:
    """A Python that has the 1.x."""
    return python_with("mcp1", "mcp>=1.24,<2")


@asynccontextmanager
async def old_server(interpreter: Path, kind: str):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    transport, path = TRANSPORTS[kind]

    def listens() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    async with program(interpreter, PROGRAM, "serve", str(port), transport):
        await until(listens, START_SECONDS)
        yield f"http://127.0.0.1:{port}{path}"


async def used(interpreter: Path, kind: str, url: str) -> dict:
    return json.loads(await output_of(interpreter, PROGRAM, "use", kind, url))


def check(seen: dict, *, token: str = "abc-token") -> None:
    assert {"echo", "whoami", "fails", "wait"} <= set(seen["tools"])
    assert seen["unavailable"] == [["nowhere", "unreachable"]]
    assert seen["echo"]["content"] == [{"type": "text", "text": "hé"}]
    assert seen["echo"]["isError"] is False
    assert token in seen["whoami"][::-1]
    assert seen["fails"] is True
    assert seen["wait"] == {"error": 'Tool "wait" timed out after 0.5 s'}
    assert seen["abort"] < 1
    assert seen["pooled"] == "x"
    assert seen["left"] == []


@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_the_old_client_works_with_the_old_server(interpreter, kind):
    async with old_server(interpreter, kind) as url:
        seen = await used(interpreter, kind, url)
    check(seen)
    assert "dotted_name" in seen["tools"]


@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_the_old_client_works_with_the_new_server_and_leaves_nothing_open(interpreter, kind):
    async with real_server(kind, legacy=False) as server:
        seen = await used(interpreter, kind, server.url)
        check(seen | {"whoami": "nekot-cba"})
        assert all(one.headers["authorization"] == "Bearer abc-token" for one in server.seen)
        assert server.connections == 3
        await until(lambda: server.open == 0 and not server.sessions)


@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_the_new_client_works_with_the_old_server(interpreter, kind):
    async with old_server(interpreter, kind) as url:
        tools = mcp_tools({"type": kind, "url": url, "headers": AUTHORIZED})
        async with tools.for_run(run_context(), taken=()) as run:
            assert "dotted_name" in names(run)
            assert (await call(run, "echo", '{"text":"hé"}')).for_model == "hé"
            assert (await call(run, "whoami")).for_model == f"Bearer {TOKEN}"[::-1]
            assert (await call(run, "fails")).error == "tool_error"
            assert (await call(run, "dotted_name")).for_model[1].media_type == "image/png"
