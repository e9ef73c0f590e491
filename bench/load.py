"""The load client: plays one job of runs or connects against a server, in a process of its own.

Reads a job as JSON from standard input and writes JSON lines to standard output: ``{"opened": seconds}``
when every stream has had its first event, and at the end ``{"result": {...}}`` or ``{"error": text}``.
Times are seconds.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from sse import ProtocolError, SseReader

try:
    from uvloop import new_event_loop
except ImportError:
    from asyncio import new_event_loop

TEXT_EVENTS = ("TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_CHUNK")
LIFECYCLE_FRAMES = 4  # RUN_STARTED, TEXT_MESSAGE_START, TEXT_MESSAGE_END, RUN_FINISHED


@dataclass
class Job:
    """What to play.

    ``streams`` requests start evenly over ``ramp`` seconds; ``thread`` sends all of them to one thread,
    ``sequential`` waits for each to end before the next, and sends an unmeasured request to the thread
    ``before`` first: what a request finds warm is then the same for all. ``check`` compares the whole text
    of each answer.
    ``foreign``: the agent is not the scripted one, so that its events are not counted.
    """

    port: int = 0
    streams: int = 1
    events: int = 10
    rate: float = 0.0
    clocked: bool = False
    delta: int = 16
    hold: float = 0.0
    ramp: float = 0.0
    thread: str | None = None
    before: str | None = None
    sequential: bool = False
    connect: bool = False
    check: bool = False
    foreign: bool = False
    tag: str = "job"
    timeout: float = 300.0

    @property
    def expected_frames(self) -> int | None:
        """How many frames each stream must have; what a connect replays is the server's choice."""
        return None if self.connect or self.foreign else self.events + LIFECYCLE_FRAMES


@dataclass
class Result:
    """What was seen: one entry per stream in the lists, in the order of their starts."""

    first_byte: list[float] = field(default_factory=list)
    first_event: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    frames: int = 0
    expected: int = 0
    body_bytes: int = 0
    wall: float = 0.0
    client_cpu: float = 0.0
    errors: list[str] = field(default_factory=list)


class Stream(asyncio.Protocol):
    """One request on one connection; ``ended`` resolves when its body is complete."""

    def __init__(self, request: bytes, reader: SseReader) -> None:
        self.request = request
        self.reader = reader
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.sent = self.first_byte = self.first_event = self.finished = 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def send(self) -> None:
        """Writes the request; the clock of this stream starts here."""
        assert self.transport is not None
        self.sent = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        reader = self.reader
        try:
            reader.feed(data)
        except (ProtocolError, ValueError) as error:
            self._end(error)
            return
        if not self.first_event:
            self._note_first()
        if reader.done:
            self._end(None)

    def _note_first(self) -> None:
        now = time.perf_counter()
        if not self.first_byte and self.reader.body_bytes:
            self.first_byte = now
        if self.reader.frames:
            self.first_event = now
            if not self.opened.done():
                self.opened.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or ConnectionError("the connection closed before the last chunk"))

    def _end(self, error: Exception | None) -> None:
        if self.ended.done():
            return
        self.finished = time.perf_counter()
        if not self.opened.done():
            self.opened.set_result(None)
        if error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(error)
        if self.transport is not None:
            self.transport.close()


def request_bytes(job: Job, index: int) -> bytes:
    """The POST of stream ``index``: a run, or a connect on its thread."""
    run_id = f"{job.tag}-{index}"
    script = {key: getattr(job, key) for key in ("events", "rate", "clocked", "delta", "hold")}
    body = run_input(job.thread or run_id, run_id, script, asks=not job.connect)
    return post(job.port, "connect" if job.connect else "run", body)


def run_input(thread: str, run_id: str, script: dict[str, Any], *, asks: bool = True) -> dict[str, Any]:
    """The body of a run, or of a connect, which asks nothing."""
    question = {"id": f"{run_id}-question", "role": "user", "content": "go"}
    return {
        "threadId": thread,
        "runId": run_id,
        "messages": [question] if asks else [],
        "tools": [],
        "context": [],
        "state": {},
        "forwardedProps": {"bench": script},
    }


def post(port: int, path: str, content: dict[str, Any], *headers: str) -> bytes:
    """A POST to the agent of the benchmark."""
    body = json.dumps(content).encode()
    lines = [
        f"POST /api/copilotkit/agent/bench/{path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Content-Type: application/json",
        "Accept: text/event-stream",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def fault(job: Job, stream: Stream) -> str | None:
    """What is wrong with a stream that ended, if anything."""
    reader = stream.reader
    if reader.status != 200:
        return f"status {reader.status}"
    if job.expected_frames is not None and reader.frames != job.expected_frames:
        return f"{reader.frames} events instead of {job.expected_frames}"
    if not job.connect and b'"RUN_FINISHED"' not in reader.tail:
        return "no RUN_FINISHED at the end"
    if job.check and reader.body is not None:
        return fault_of_text(job, b"".join(reader.body))
    return None


def fault_of_text(job: Job, body: bytes) -> str | None:
    """Decodes every frame and compares the text that the agent wrote."""
    frames = [line[5:] for line in body.split(b"\n") if line.startswith(b"data:")]
    events = [json.loads(frame) for frame in frames]
    text = "".join(event["delta"] for event in events if event["type"] in TEXT_EVENTS)
    return None if text == "x" * job.delta * job.events else f"the text differs: {len(text)} characters"


async def open_stream(port: int, request: bytes, reader: SseReader) -> Stream:
    """Connects; the request is sent when the stream is told to."""
    loop = asyncio.get_running_loop()
    _, stream = await loop.create_connection(lambda: Stream(request, reader), "127.0.0.1", port)
    return stream


async def open_numbered(job: Job, index: int) -> Stream:
    """Connects for stream ``index`` of a job."""
    return await open_stream(job.port, request_bytes(job, index), SseReader(keep_body=job.check))


async def play(job: Job) -> tuple[list[Stream], float]:
    """Opens every connection, then sends the requests; returns when every body has ended."""
    if job.sequential:
        return await play_in_turn(job)
    streams = [await open_numbered(job, index) for index in range(job.streams)]
    began = time.perf_counter()
    for index, stream in enumerate(streams):
        if job.ramp:
            early = began + job.ramp * index / job.streams - time.perf_counter()
            if early > 0:
                await asyncio.sleep(early)
        stream.send()
    await asyncio.gather(*(stream.opened for stream in streams))
    print(json.dumps({"opened": time.perf_counter() - began}), flush=True)
    await asyncio.gather(*(stream.ended for stream in streams), return_exceptions=True)
    return streams, time.perf_counter() - began


async def play_in_turn(job: Job) -> tuple[list[Stream], float]:
    streams: list[Stream] = []
    before = replace(job, thread=job.before, tag=f"{job.tag}-before") if job.before else None
    began = time.perf_counter()
    for index in range(job.streams):
        if before is not None:
            await play_one(before, index)
        streams.append(await play_one(job, index))
    return streams, time.perf_counter() - began


async def play_one(job: Job, index: int) -> Stream:
    stream = await open_numbered(job, index)
    stream.send()
    with suppress(Exception):
        await stream.ended
    return stream


def tell(job: Job, streams: list[Stream], wall: float) -> Result:
    """Sums the streams up."""
    result = Result(wall=wall, expected=(job.expected_frames or 0) * job.streams)
    for stream in streams:
        failed = stream.ended.exception()
        problem = f"{type(failed).__name__}: {failed}" if failed else fault(job, stream)
        if problem is not None:
            result.errors.append(problem)
        result.frames += stream.reader.frames
        result.body_bytes += stream.reader.body_bytes
        if stream.first_event:
            result.first_byte.append(stream.first_byte - stream.sent)
            result.first_event.append(stream.first_event - stream.sent)
            result.seconds.append(stream.finished - stream.sent)
    return result


async def main() -> None:
    job = Job(**json.load(sys.stdin))
    cpu = time.process_time()
    try:
        async with asyncio.timeout(job.timeout):
            streams, wall = await play(job)
    except TimeoutError:
        print(json.dumps({"error": f"not finished within {job.timeout:.0f} s"}), flush=True)
        return
    except OSError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return
    cpu = time.process_time() - cpu
    result = tell(job, streams, wall)
    result.client_cpu = cpu
    shown: dict[str, Any] = asdict(result) | {"errors": result.errors[:5], "failed": len(result.errors)}
    print(json.dumps({"result": shown}), flush=True)


def run() -> None:
    """Lifts the limit of open files, then plays the job on the fastest loop that is installed."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main())


if __name__ == "__main__":
    run()
