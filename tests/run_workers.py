"""Processes with runners of their own on the data of a test, and what must hold of the runs they leave."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import defaultdict
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from back_ends import Place
from event_streams import refusal
from jumpseat.protocol.codec import accept
from jumpseat.protocol.events import RunFinished
from jumpseat.runners.event_log import EventLogRunner
from jumpseat.runners.keys import Cursor
from jumpseat.testing.requests import types
from nursery import nursery

OPTIONS = {"lease_ttl": 1.5, "heartbeat": 0.25, "stop_grace": 0.5}
TERMINALS = {"RUN_FINISHED", "RUN_ERROR"}
LINE_SECONDS = 20.0


async def idle(*_):
    """An agent that has nothing to say."""
    return
    yield


class Worker:
    """A process with a runner on the same data."""

    def __init__(self, pid: int, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> None:
        self.pid = pid
        self._writer = writer
        self._reader = reader

    def send(self, **command) -> None:
        self._writer.write(json.dumps(command).encode() + b"\n")

    def end(self) -> None:
        """Let it finish: its input is over."""
        self._writer.close()

    async def line(self, seconds: float = LINE_SECONDS) -> dict | None:
        """What it says next; ``None`` when it is gone, or was cut off in the middle of a line."""
        async with asyncio.timeout(seconds):
            text = await self._reader.readline()
        return json.loads(text) if text.endswith(b"\n") else None

    async def lines(self, seconds: float = LINE_SECONDS):
        while (line := await self.line(seconds)) is not None:
            yield line

    async def until(self, word: str) -> dict:
        """Read until a line says this."""
        async for line in self.lines():
            if word in line:
                return line
        raise AssertionError(f"the process ended without {word}")

    async def events(self, seconds: float = LINE_SECONDS) -> list[dict]:
        """Read events until the stream, or the process, ends."""
        seen = []
        async for line in self.lines(seconds):
            if "event" in line:
                seen.append(line["event"])
            elif "end" in line or "refused" in line:
                break
        return seen

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    async def kill(self) -> None:
        """End it as a crash would, and wait until it is gone."""
        with suppress(ProcessLookupError):
            self.send_signal(signal.SIGKILL)
        await self.gone()

    async def gone(self) -> None:
        async with asyncio.timeout(LINE_SECONDS):
            while Path(f"/proc/{self.pid}").exists():
                await asyncio.sleep(0.001)


@asynccontextmanager
async def worker(place: Place, **options):
    """A process with a runner on this place; killed at the end."""
    loop = asyncio.get_running_loop()
    given = OPTIONS | dict(place.options) | options
    shared = nursery()
    pid, to_it, from_it = await asyncio.to_thread(shared.fork, place.where, given)
    reader = asyncio.StreamReader(limit=1 << 24)
    incoming, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(from_it, "rb")
    )
    outgoing, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(to_it, "wb")
    )
    one = Worker(pid, asyncio.StreamWriter(outgoing, protocol, None, loop), reader)
    try:
        assert await one.line() == {"ready": True}
        yield one
    finally:
        await one.kill()
        for transport in (outgoing, incoming):
            if not transport.is_closing():
                transport.close()


@asynccontextmanager
async def workers(place: Place, count: int, **options):
    """Several such processes, started at once."""
    async with AsyncExitStack() as stack:
        yield await asyncio.gather(
            *(stack.enter_async_context(worker(place, **options)) for _ in range(count))
        )


class Notes:
    """What all readers in all processes saw of runs: by run key, each event under its number."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[int, dict]] = defaultdict(dict)
        self.contradictions: list[str] = []
        self._sealed_at: dict[str, asyncio.Future[float]] = defaultdict(
            asyncio.get_running_loop().create_future
        )

    def take(self, line: dict) -> None:
        """Note what a process said. A history is no part of a log: it says what the runs amount to."""
        if not line.get("live"):
            return
        event, cursor = line["event"], Cursor.parse(line["cursor"])
        seen = self.seen[cursor.run_key].setdefault(cursor.seq, event)
        if seen != event:
            self.contradictions.append(f"{cursor} is {event} and {seen}")
        sealed_at = self._sealed_at[line["thread"]]
        if event["type"] in TERMINALS and not sealed_at.done():
            sealed_at.set_result(line["at"])

    async def sealed_at(self, thread: str, seconds: float) -> float | None:
        """When a reader saw the terminal of a thread's run, or ``None`` if none has after ``seconds``."""
        await asyncio.wait((self._sealed_at[thread],), timeout=seconds)
        return self._sealed_at[thread].result() if self._sealed_at[thread].done() else None

    async def follow(self, reader: Worker, seconds: float = LINE_SECONDS) -> None:
        """Note what a process says, to its end; at most ``seconds`` pass between two lines."""
        async for line in reader.lines(seconds):
            self.take(line)


async def answers_of_fifty_runs(four: list[Worker], thread: str = "thread") -> list[str]:
    """What four processes answer when they start fifty runs on one thread at once."""
    for number in range(50):
        four[number % 4].send(do="run", thread=thread, run=f"r{number}", words=1, pause=60)

    async def answers(one, count):
        found = []
        while len(found) < count:
            line = await one.line()
            if line["thread"] == thread:
                found += [word for word in ("claimed", "refused") if word in line]
        return found

    counted = await asyncio.gather(*(answers(one, 13 - (n > 1)) for n, one in enumerate(four)))
    return [word for words in counted for word in words]


async def log_of(here: EventLogRunner, thread: str, run) -> list[dict]:
    """All events of a run's log."""
    log: list[dict] = []
    while len(log) < run.last_seq:
        page = await here.store.read(thread, run.run_key, len(log), 0)
        assert page.events, f"event {len(log) + 1} of {run.last_seq} is missing"
        log += [json.loads(data) for data in page.events]
    return log


@dataclass
class Remains:
    """What is left of a run that something happened to."""

    status: str
    log: list[dict]
    seen: dict[int, dict]

    @property
    def lost(self) -> list[int]:
        """The numbers of events that a reader saw and that are not what the log has there."""
        return [seq for seq, event in self.seen.items() if self.log[seq - 1 : seq] != [event]]

    @property
    def terminals(self) -> int:
        return sum(event["type"] in TERMINALS for event in self.log)

    def check(self) -> None:
        """Nothing seen is lost, and a strict client reads the log to its one terminal."""
        assert self.lost == []
        assert self.log[0]["type"] == "RUN_STARTED"
        assert (self.terminals, self.log[-1]["type"] in TERMINALS) == (1, True)
        # The closers of a failed run leave as little open as those of any other.
        assert refusal([*(accept(event) for event in self.log[1:-1]), RunFinished()]) is None
        if self.status == "lost":
            assert self.log[-1]["code"] == "RUN_LOST"
            assert self._calls("TOOL_CALL_START") == self._calls("TOOL_CALL_RESULT")

    def _calls(self, kind: str) -> set[str]:
        return {event["toolCallId"] for event in self.log if event["type"] == kind}


async def remains_of(here: EventLogRunner, thread: str, notes: Notes) -> Remains | None:
    """The first run of a thread, whose messages are those of its log; ``None`` if it was never claimed."""
    runs = await here.store.runs(None, thread, 0, 10)
    if not runs or runs[0].run_id != "run":
        return None
    for later in runs[1:]:
        notes.seen.pop(later.run_key, None)
    remains = Remains(
        runs[0].status, await log_of(here, thread, runs[0]), notes.seen.pop(runs[0].run_key, {})
    )
    shown = {message["id"]: message for message in await here.threads.messages(thread, owner=None)}
    assert "u-run" in shown
    for name, text in texts_of(remains.log).items():
        assert shown[name]["content"] == text
    return remains


def texts_of(log: list[dict]) -> dict[str, str]:
    """The text of every message that a log has the start of."""
    texts = {event["messageId"]: "" for event in log if event["type"] == "TEXT_MESSAGE_START"}
    for event in log:
        if event["type"] == "TEXT_MESSAGE_CONTENT":
            texts[event["messageId"]] += event["delta"]
    return texts


async def check_one_terminal(here: EventLogRunner, thread: str = "thread") -> None:
    """The first run of a thread ended once, with its last event."""
    (run, *_) = await here.store.runs(None, thread, 0, 10)
    log = await log_of(here, thread, run)
    assert [kind for kind in types(log) if kind in TERMINALS] == [log[-1]["type"]]
