"""HttpAgent in front of a real AG-UI server that another project wrote."""

import asyncio
import os
import socket
import subprocess
import time
import venv
from contextlib import aclosing
from pathlib import Path

import httpx2
import pytest

from jumpseat.agents.http import HttpAgent
from jumpseat.context import RunContext
from jumpseat.errors import AgentServerError
from jumpseat.protocol import codec
from jumpseat.protocol.inputs import RunAgentInput

HERE = Path(__file__).parent
VENV = HERE.parents[2] / ".venvs" / "pydantic-ai"
PACKAGES = ["pydantic-ai-slim[ag-ui]>=2.60,<3", "uvicorn>=0.34,<1"]
MINIMAL = {"threadId": "t-1", "runId": "r-1", "messages": [{"id": "1", "role": "user", "content": "Hi"}]}
INSTALL_SECONDS = 600
START_SECONDS = 60

RUN = {
    "threadId": "t-1",
    "runId": "r-1",
    "state": {"count": 1},
    "messages": [
        {"id": "1", "role": "system", "content": "Be kind."},
        {"id": "2", "role": "user", "content": "Roll a die. Ü"},
        {
            "id": "3",
            "role": "assistant",
            "toolCalls": [
                {"id": "c", "type": "function", "function": {"name": "show", "arguments": '{"a":1}'}}
            ],
        },
        {"id": "4", "role": "tool", "toolCallId": "c", "content": "shown"},
        {"id": "5", "role": "user", "content": [{"type": "text", "text": "And again."}]},
    ],
    "tools": [{"name": "show", "description": "Shows something", "parameters": {"type": "object"}}],
    "context": [{"description": "place", "value": "here"}],
    "forwardedProps": {"a": 1},
}


@pytest.fixture(scope="session")
def interpreter() -> Path:
    """A Python that has Pydantic AI, installed once and kept."""
    python = VENV / ("Scripts" if os.name == "nt" else "bin") / "python"
    done = VENV / "installed"
    if not done.exists() or done.read_text() != "\n".join(PACKAGES):
        venv.create(VENV, with_pip=True, clear=True)
        install = [str(python), "-m", "pip", "install", "--quiet", *PACKAGES]
        subprocess.run(install, check=True, timeout=INSTALL_SECONDS)
        done.write_text("\n".join(PACKAGES))
    return python


@pytest.fixture(scope="session")
def server(interpreter: Path, tmp_path_factory: pytest.TempPathFactory):
    """The address of the running server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("pydantic-ai") / "server.log"
    command = [str(interpreter), "-m", "uvicorn", "pydantic_ai_app:app", "--port", str(port)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--app-dir", str(HERE)], stdout=output, stderr=output, env=environment
        )
    try:
        _wait_until_listening(process, port, log)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(10)


def _wait_until_listening(process: subprocess.Popen, port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the server did not start:\n{log.read_text()}")
            time.sleep(0.05)
        else:
            return


async def run(url: str, body: dict = RUN, **options) -> list[dict]:
    agent = HttpAgent(url, timeout=15, **options)
    context = RunContext(
        thread_id="t-1", run_id="r-1", run_key="k", agent_id="a", headers={"authorization": "Bearer client"}
    )
    given = codec.from_wire(body, RunAgentInput)
    try:
        async with asyncio.timeout(30), aclosing(agent.run(given, context)) as stream:
            return [event async for event in stream]
    finally:
        await agent.aclose()


async def test_a_run_with_history_and_parts_streams_its_text_from_start_to_finish(server):
    events = await run(server)
    assert (events[0]["type"], events[-1]["type"]) == ("RUN_STARTED", "RUN_FINISHED")
    assert (events[0]["threadId"], events[0]["runId"]) == ("t-1", "r-1")
    text = "".join(event["delta"] for event in events if event["type"] == "TEXT_MESSAGE_CONTENT")
    assert text == "You rolled a four. Ünd 😀"


async def test_a_tool_of_the_server_is_seen_being_called_and_answering(server):
    events = await run(server, MINIMAL)
    called = [event for event in events if event["type"].startswith("TOOL_CALL")]
    assert {event["type"].removeprefix("TOOL_CALL_") for event in called} == {
        "START",
        "ARGS",
        "END",
        "RESULT",
    }
    assert (called[0]["toolCallName"], called[-1]["content"]) == ("dice", "4")
    assert events[-1]["type"] == "RUN_FINISHED"


async def test_every_event_of_it_is_one_that_a_run_accepts(server):
    for event in [*await run(server), *await run(server, MINIMAL)]:
        codec.accept(event)


async def test_the_server_was_sent_the_input_and_one_header_of_each_name(server):
    await run(server, headers={"Authorization": "Bearer own", "X-Key": "1"})
    asked = httpx2.get(f"{server}asked").json()
    assert asked["body"] == RUN
    names = [name for name, _ in asked["headers"]]
    assert len(names) == len(set(names))
    assert ["authorization", "Bearer own"] in asked["headers"]


async def test_a_wrong_path_is_reported_with_its_status(server):
    with pytest.raises(AgentServerError, match="HTTP 404"):
        await run(f"{server}nowhere")
