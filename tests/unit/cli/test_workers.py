"""Several workers share a port: they are replaced, renewed one by one, and end together."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

Finish = Callable[..., Any]

SECONDS = 60.0
APP = """\
import asyncio, os
from jumpseat import CopilotRuntime

VERSION = "old"

async def who(input, context):
    yield {"type": "TEXT_MESSAGE_CHUNK", "messageId": "m", "role": "assistant", "delta": f"{os.getpid()} "}
    if input.forwarded_props.get("slow"):
        await asyncio.sleep(1.5)
    yield {"type": "TEXT_MESSAGE_CHUNK", "delta": VERSION}

runtime = CopilotRuntime(agents={"default": who}, shutdown_grace_seconds=5.0)
"""
IN_MEMORY = APP.replace(
    "grace_seconds=5.0", "grace_seconds=5.0, runner=__import__('jumpseat').InMemoryAgentRunner()"
)


def body(number: int, **props: Any) -> dict[str, Any]:
    message = {"id": f"u{number}", "role": "user", "content": "who"}
    return {"threadId": f"t{number}", "runId": f"r{number}", "messages": [message], "forwardedProps": props}


def events(text: str) -> list[dict[str, Any]]:
    return [
        json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")
    ]


def ask(served: Any, number: int) -> tuple[int, str]:
    """The process that answered on a new connection, and the version that it runs."""
    answer = httpx2.post(f"{served.api}/agent/default/run", json=body(number), timeout=SECONDS)
    assert answer.status_code == 200, answer.text
    told = events(answer.text)
    assert told[-1]["type"] == "RUN_FINISHED"
    pid, version = "".join(event.get("delta", "") for event in told).split()
    return int(pid), version


def until(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def accepts(served: Any) -> bool:
    try:
        httpx2.get(f"{served.api}/info", timeout=SECONDS)
    except httpx2.TransportError:
        return False
    return True


def children(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


@contextmanager
def slow_run(served: Any, number: int) -> Iterator[tuple[int, Iterator[str]]]:
    """A run in its middle: the process that has it, and the lines that are to come."""
    address = f"{served.api}/agent/default/run"
    with httpx2.stream("POST", address, json=body(number, slow=True), timeout=SECONDS) as response:
        lines = response.iter_lines()
        pid = next(int(json.loads(line[6:])["delta"]) for line in lines if "TEXT_MESSAGE_CONTENT" in line)
        yield pid, lines


@pytest.fixture
def served(start: Callable[..., Any], tmp_path: Path) -> Any:
    (tmp_path / "app.py").write_text(APP)
    return start("serve", "app:runtime", "--workers", "2")


def test_workers_share_port_and_threads_and_end_together(served: Any):
    assert "threads in threads.db, 2 workers" in served.announced
    workers = children(served.process.pid)
    asked = iter(range(10_000))
    seen: set[int] = set()
    until(lambda: not seen.add(ask(served, next(asked))[0]) and seen == workers)
    listed = served.http.get(f"{served.api}/threads").json()["threads"]
    assert len(listed) == next(asked)
    served.http.close()
    with slow_run(served, 99_999) as (_, lines):
        served.send(signal.SIGTERM)
        assert "RUN_FINISHED" in "".join(lines)
    assert served.exit_code() == 0
    assert " ERROR " not in served.stderr()


def test_a_second_signal_ends_all_at_once_and_says_so(served: Any):
    with slow_run(served, 1):
        served.send(signal.SIGTERM)
        until(lambda: not accepts(served))
        served.send(signal.SIGTERM)
        assert served.exit_code() == 128 + signal.SIGTERM
    assert "A second signal: all workers end at once" in served.stderr()


def test_a_worker_that_is_killed_is_replaced_and_its_thread_is_free(served: Any):
    with slow_run(served, 1) as (killed, _):
        os.kill(killed, signal.SIGKILL)
    pid, _ = ask(served, 1)
    assert pid != killed
    until(lambda: len(children(served.process.pid) - {killed}) == 2)
    assert f"A worker (process {killed}) ended by itself: signal 9" in served.stderr()


def test_a_hangup_brings_the_new_program_without_refusing_or_cutting_anyone(served: Any, tmp_path: Path):
    (tmp_path / "app.py").write_text(APP.replace('"old"', '"new"'))
    before = children(served.process.pid)
    asked = iter(range(10_000))
    with slow_run(served, 99_999) as (_, lines):
        served.send(signal.SIGHUP)
        assert "RUN_FINISHED" in "".join(lines)
    until(lambda: ask(served, next(asked))[1] == "new")
    until(lambda: not children(served.process.pid) & before)
    assert {ask(served, next(asked))[1] for _ in range(5)} == {"new"}
    assert len(children(served.process.pid)) == 2
    assert " ERROR " not in served.stderr()


def test_a_new_program_that_cannot_start_leaves_the_old_one_serving(served: Any, tmp_path: Path):
    (tmp_path / "app.py").write_text("raise RuntimeError('half written')")
    before = children(served.process.pid)
    served.send(signal.SIGHUP)
    until(lambda: "A new worker cannot start: the old ones go on" in served.stderr())
    assert "half written" in served.stderr()
    assert children(served.process.pid) == before
    assert ask(served, 1)[1] == "old"


def test_workers_end_when_the_process_that_started_them_is_killed(served: Any):
    workers = children(served.process.pid)
    served.send(signal.SIGKILL)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    with pytest.raises(httpx2.ConnectError):
        ask(served, 1)


def test_a_program_that_cannot_start_is_told_once_and_ends_the_command(finish: Finish, tmp_path: Path):
    (tmp_path / "app.py").write_text("raise RuntimeError('broken')")
    ended = finish("serve", "app:runtime", "--workers", "3", "--port", "0")
    assert ended.returncode == 1
    assert ended.stderr.count("RuntimeError: broken") == 1


def test_threads_in_memory_are_refused(finish: Finish, tmp_path: Path):
    for program, option in ((IN_MEMORY, []), (APP, ["--db", ":memory:"])):
        (tmp_path / "app.py").write_text(program)
        ended = finish("serve", "app:runtime", *option, "--workers", "2", "--port", "0")
        assert ended.returncode == 2
        assert "use a SQLite file, PostgreSQL or Redis" in ended.stderr


@pytest.mark.parametrize("number", ["0", "-1", "two", "257"])
def test_a_wrong_number_is_refused(finish: Finish, number: str):
    ended = finish("serve", "app:runtime", "--workers", number)
    assert ended.returncode == 2
    assert "is not a number of processes from 1 to 256" in ended.stderr
