"""Processes with runners of their own on the data of a test, and what must hold after one was killed."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

WORKER = Path(__file__).parent / "contract" / "worker.py"
OPTIONS = {"lease_ttl": 1.5, "heartbeat": 0.25, "stop_grace": 0.5}
TERMINALS = {"RUN_FINISHED", "RUN_ERROR"}


async def idle():
    return
    yield


class Worker:
    """A process with a runner on the same data."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    def send(self, **command) -> None:
        self.process.stdin.write(json.dumps(command).encode() + b"\n")

    async def line(self) -> dict | None:
        async with asyncio.timeout(15):
            text = await self.process.stdout.readline()
        return json.loads(text) if text.endswith(b"\n") else None

    async def lines(self):
        while (line := await self.line()) is not None:
            yield line

    async def events(self) -> list[dict]:
        """Read events until the stream, or the process, ends."""
        seen = []
        async for line in self.lines():
            if "event" in line:
                seen.append(line["event"])
            elif "end" in line or "refused" in line:
                break
        return seen

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def worker(path, **options):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(WORKER),
        str(path),
        json.dumps(OPTIONS | options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )
    one = Worker(process)
    try:
        assert await one.line() == {"ready": True}
        yield one
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        await process.wait()
        process._transport.close()


async def answers_of_fifty_runs(workers):
    """What four processes answer when they start fifty runs on one thread at once."""
    for number in range(50):
        workers[number % 4].send(do="run", run=f"r{number}", words=1, pause=20)

    async def answers(one, count):
        found = []
        while len(found) < count:
            line = await one.line()
            found += [word for word in ("claimed", "refused") if word in line]
        return found

    counted = await asyncio.gather(*(answers(one, 13 - (n > 1)) for n, one in enumerate(workers)))
    return [word for words in counted for word in words]


async def check_lost_run(here, thread, seen):
    runs = await here.store.runs(None, thread, 0, 10)
    assert runs.pop().status == "finished"
    if not runs:
        # Killed before the claim: nobody can have seen anything.
        assert seen == []
        return
    (lost,) = runs
    log = []
    while len(log) < lost.last_seq:
        page = await here.store.read(thread, lost.run_key, len(log), 0)
        log += [json.loads(data) for data in page.events]
    if lost.status == "finished":
        assert log[: len(seen)] == seen
        return
    assert lost.status == "lost"
    assert log[: len(seen)] == seen
    assert [event["type"] for event in log if event["type"] in TERMINALS] == ["RUN_ERROR"]
    assert log[-1]["code"] == "RUN_LOST"
    shown = await here.threads.messages(thread, owner=None)
    text = "".join(event["delta"] for event in log if event["type"] == "TEXT_MESSAGE_CONTENT")
    started = any(event["type"] == "TEXT_MESSAGE_START" for event in log)
    said = [message["content"] for message in shown if message["role"] == "assistant"]
    assert said == ([text] if started else [])
