"""SIGTERM and SIGINT end the command cleanly and in time; a second signal ends it at once."""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

GRACE = 2.0

APP = f"""\
import asyncio
from jumpseat import CopilotRuntime

async def silent(input, context):
    yield {{"type": "TEXT_MESSAGE_START", "messageId": "m1", "role": "assistant"}}
    await asyncio.Event().wait()

async def quick(input, context):
    yield {{"type": "TEXT_MESSAGE_START", "messageId": "m1", "role": "assistant"}}
    await asyncio.sleep({GRACE} / 2)
    yield {{"type": "TEXT_MESSAGE_CONTENT", "messageId": "m1", "delta": "in time"}}

async def blocking(input, context):
    yield {{"type": "TEXT_MESSAGE_START", "messageId": "m1", "role": "assistant"}}
    await asyncio.to_thread(__import__("time").sleep, 600)

runtime = CopilotRuntime(
    agents={{"silent": silent, "quick": quick, "blocking": blocking}}, shutdown_grace_seconds={GRACE}
)
"""


class Stream:
    """A response that is read in a thread: its events so far, and whether its body was complete."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.events: list[dict[str, Any]] = []
        self.complete = False
        self.began = threading.Event()
        self.thread = threading.Thread(target=self._read, args=(lines,), daemon=True)
        self.thread.start()

    def types(self) -> list[str]:
        self.thread.join(30.0)
        assert not self.thread.is_alive()
        return [event["type"] for event in self.events]

    def _read(self, lines: Iterator[str]) -> None:
        try:
            for line in lines:
                if line.startswith(":"):
                    self.began.set()
                if line.startswith("data: "):
                    self.events.append(json.loads(line.removeprefix("data: ")))
                    if self.events[-1].get("type") == "TEXT_MESSAGE_START":
                        self.began.set()
            self.complete = True
        except httpx2.TransportError:
            return


@contextmanager
def streaming(served: Any, method: str, path: str, **request: Any) -> Iterator[Stream]:
    with served.http.stream(method, f"{served.api}/{path}", **request) as response:
        assert response.status_code == 200
        stream = Stream(response.iter_lines())
        yield stream
        stream.thread.join(30.0)


def run_body(thread_id: str) -> dict[str, Any]:
    return {"threadId": thread_id, "runId": "r1", "messages": [{"id": "u1", "role": "user", "content": "go"}]}


@contextmanager
def running(served: Any, agent: str, thread_id: str) -> Iterator[Stream]:
    with streaming(served, "POST", f"agent/{agent}/run", json=run_body(thread_id)) as stream:
        deadline = time.monotonic() + 15
        while not any(event["type"] == "TEXT_MESSAGE_START" for event in list(stream.events)):
            assert time.monotonic() < deadline, stream.events
            time.sleep(0.01)
        yield stream


@pytest.fixture
def serve(start: Callable[..., Any], tmp_path: Path) -> Callable[[], Any]:
    (tmp_path / "app.py").write_text(APP)
    return lambda: start("dev", "app:runtime")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_open_feeds_and_silent_runs_in_time_with_code_0(
    serve: Callable[[], Any], number: signal.Signals
):
    served = serve()
    with (
        streaming(served, "GET", "cpk-debug-events") as feed,
        running(served, "silent", "t1") as run,
    ):
        began = time.monotonic()
        served.send(number)
        assert served.exit_code() == 0
        assert time.monotonic() - began < GRACE + 5
        assert run.types()[-2:] == ["TEXT_MESSAGE_END", "RUN_ERROR"]
        assert run.events[-1]["code"] == "SERVER_SHUTDOWN"
        assert run.complete
    assert feed.complete
    assert "Traceback" not in served.stderr()

    again = serve()
    shown = again.http.get(f"{again.api}/threads/t1/events").json()["events"]
    assert shown[-1]["code"] == "SERVER_SHUTDOWN"
    with running(again, "quick", "t1") as next_run:
        assert next_run.types()[-1] == "RUN_FINISHED"


def test_while_a_run_uses_its_grace_new_ones_are_refused_and_reading_goes_on(serve: Callable[[], Any]):
    served = serve()
    with running(served, "quick", "t1") as run:
        served.send(signal.SIGTERM)
        refused = refusal(served)
        assert refused.headers["retry-after"] == "5"
        assert refused.json()["code"] == "server_draining"
        for _ in range(3):
            # Not over the connection that is open: others come as well.
            assert httpx2.get(f"{served.api}/info").status_code == 200
            run.thread.join(0.1)
        assert run.types()[-2:] == ["TEXT_MESSAGE_END", "RUN_FINISHED"]
    assert served.exit_code() == 0


def test_a_second_signal_ends_the_process_at_once(serve: Callable[[], Any]):
    served = serve()
    with running(served, "silent", "t1"):
        served.send(signal.SIGTERM)
        refusal(served)
        served.send(signal.SIGTERM)
        assert served.exit_code() == 128 + signal.SIGTERM
    assert "A second signal" in served.stderr()


def test_a_thread_that_never_returns_does_not_keep_the_process(serve: Callable[[], Any]):
    served = serve()
    with running(served, "blocking", "t1"):
        began = time.monotonic()
        served.send(signal.SIGTERM)
        assert served.exit_code() in (0, 1)
        assert time.monotonic() - began < GRACE + 5


def refusal(served: Any) -> httpx2.Response:
    """The answer to a new run once the first signal has been handled."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        answer = served.http.post(f"{served.api}/agent/quick/run", json={**run_body("t2"), "messages": 7})
        if answer.status_code == 503:
            return answer
        time.sleep(0.01)
    raise AssertionError("the signal is not noticed")
