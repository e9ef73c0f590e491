"""Clients that behave like people: they start runs, stop them, reload in the middle, or leave."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from fleet import Fleet, Member
from load import Stream, open_stream, post, run_input
from sse import SseReader

RUN_SECONDS = 120.0
RUNS_PER_THREAD = 4
# How often each is done, of all runs.
DEEDS = {"stay": 40, "stop": 15, "reload": 15, "reload with a cursor": 15, "leave": 15}
WATCHED_SHARE = 0.1


@dataclass
class Seen:
    """What the clients saw of one run that one of them started.

    ``events`` holds the hash of every numbered event by its run's key; ``stopped`` and ``owner``, the process
    that took it, say how it may end.
    """

    thread: str
    run_id: str
    length: int
    began: float = 0.0
    owner: Member | None = None
    stopped: bool = False
    ended: bool = False
    events: dict[str, dict[int, int]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


class EventReader(SseReader):
    """Notes every numbered event in ``seen`` and looks for gaps.

    ``whole``: the stream has nothing in front of its first numbered event, which must be number 1, or follow
    ``after``. Otherwise that one is the end of a summary and says where the log goes on.
    """

    def __init__(self, seen: Seen, *, whole: bool, after: tuple[str, int] | None = None) -> None:
        super().__init__()
        self._seen = seen
        self._whole = whole
        self._after = after
        self._rest = b""
        self.last: tuple[str, int] | None = after

    def take(self, payload: bytes) -> None:
        """Reads the frames that are complete now."""
        super().take(payload)
        *frames, self._rest = (self._rest + payload).split(b"\n\n")
        for frame in frames:
            if frame.startswith(b"id: "):
                head, _, data = frame.partition(b"\ndata: ")
                self._note(head[4:].decode(), data)

    def _note(self, cursor: str, data: bytes) -> None:
        key, _, number = cursor.rpartition(":")
        seq = int(number)
        if not self._whole:
            self._whole = True
            self.last = key, seq
            return
        known = self.last is not None and self.last[0] == key
        expected = self.last[1] + 1 if self.last is not None and known else 1
        if seq != expected:
            self._seen.faults.append(f"event {seq} came where {expected} was due")
        told = self._seen.events.setdefault(key, {}).setdefault(seq, hash(data))
        if told != hash(data):
            self._seen.faults.append(f"event {seq} was two different ones")
        self.last = key, seq


class Visitor:
    """Starts runs one after the other on threads of its own until ``going`` says no more."""

    def __init__(self, name: str, fleet: Fleet, tally: Counter[str]) -> None:
        self._name = name
        self._fleet = fleet
        self._tally = tally
        self._thread = 0
        self._runs = 0

    async def live(
        self, going: Callable[[], bool], done: Callable[[Seen], Awaitable[None]], rate: float
    ) -> None:
        """Visits until it is over; ``done`` is told of each run, and returns when that is over as well."""
        await asyncio.sleep(random.random() * 5)
        while going():
            seen = await self._one_run(rate * random.uniform(0.5, 1.5))
            self._tally["runs"] += 1
            await done(seen)

    async def _one_run(self, rate: float) -> Seen:
        if self._runs % RUNS_PER_THREAD == 0:
            self._thread += 1
        self._runs += 1
        thread = f"{self._name}-{self._thread}"
        seen = Seen(thread, f"{self._name}-run{self._runs}", random.randint(5, 80))
        deed = random.choices(list(DEEDS), list(DEEDS.values()))[0]
        try:
            async with asyncio.timeout(RUN_SECONDS):
                await self._play(seen, deed, rate)
        except TimeoutError:
            seen.faults.append(f"not over after {RUN_SECONDS:.0f} s ({deed})")
        return seen

    async def _play(self, seen: Seen, deed: str, rate: float) -> None:
        stream = await self._start(seen, rate)
        self._tally[deed] += 1
        watcher: asyncio.Task[None] | None = None
        try:
            if random.random() < WATCHED_SHARE:
                self._tally["watched by another"] += 1
                watcher = asyncio.create_task(self._follow(seen, None))
            if stream is not None:
                await self._watch(seen, stream, deed, random.random() * seen.length / rate)
            if not seen.ended and deed != "leave":
                resumes = deed == "reload with a cursor" and stream is not None
                await self._follow(seen, _reader(stream).last if resumes and stream else None)
            if watcher is not None:
                await watcher
        finally:
            if watcher is not None:
                watcher.cancel()
            if stream is not None:
                _close(stream)

    async def _start(self, seen: Seen, rate: float) -> Stream | None:
        """Posts the run; without a stream when the process went away before it had answered."""
        script = {"events": seen.length, "rate": rate, "numbered": True}
        body = run_input(seen.thread, seen.run_id, script)
        while True:
            member = self._fleet.any()
            seen.owner, seen.began = member, self._fleet.now()
            try:
                request = post(member.port, "run", body)
                stream = await open_stream(member.port, request, EventReader(seen, whole=True))
            except OSError:
                await asyncio.sleep(0.2)
                continue
            stream.send()
            await stream.opened
            status = stream.reader.status
            if status == 200:
                return stream
            _close(stream)
            if status != 409:
                if status:
                    seen.faults.append(f"a run was answered with status {status}")
                return None
            # The run before it is not over yet: its owner was killed.
            self._tally["busy"] += 1
            await asyncio.sleep(1.0)

    async def _watch(self, seen: Seen, stream: Stream, deed: str, moment: float) -> None:
        """Reads the first stream as the deed says: to its end, or until ``moment``."""
        if deed != "stay":
            done, _ = await asyncio.wait((stream.ended,), timeout=moment)
            if not done and deed == "stop":
                await self._stop(seen)
            elif not done:
                _close(stream)
                return
        await asyncio.wait((stream.ended,))
        seen.ended = self._complete(seen, stream)

    def _complete(self, seen: Seen, stream: Stream) -> bool:
        """Whether the stream came to its end, as all do whose process lives."""
        if stream.ended.exception() is None:
            return True
        self._tally["streams cut"] += 1
        if stream.reader.status not in (0, 200):
            seen.faults.append(f"status {stream.reader.status}")
        return False

    async def _stop(self, seen: Seen) -> None:
        seen.stopped = True
        member = self._fleet.any()
        try:
            request = post(member.port, f"stop/{seen.thread}", {})
            stream = await open_stream(member.port, request, SseReader())
            stream.send()
            # Its answer is no stream: whatever comes ends the wait.
            await asyncio.wait((stream.ended,))
            _close(stream)
        except OSError:
            self._tally["stops unheard"] += 1

    async def _follow(self, seen: Seen, cursor: tuple[str, int] | None) -> None:
        """Connects, to another process if it can, until a stream says that nothing is running any more."""
        while True:
            member = self._fleet.any(but=seen.owner)
            headers = (f"Last-Event-ID: {cursor[0]}:{cursor[1]}",) if cursor else ()
            body = run_input(seen.thread, f"{seen.run_id}-connect", {}, asks=False)
            reader = EventReader(seen, whole=cursor is not None, after=cursor)
            try:
                request = post(member.port, "connect", body, *headers)
                stream = await open_stream(member.port, request, reader)
            except OSError:
                await asyncio.sleep(0.2)
                continue
            self._tally["connects"] += 1
            try:
                stream.send()
                await asyncio.wait((stream.ended,))
                if self._complete(seen, stream):
                    seen.ended = True
                    return
                cursor = reader.last
            finally:
                _close(stream)


def _reader(stream: Stream) -> EventReader:
    assert isinstance(stream.reader, EventReader)
    return stream.reader


def _close(stream: Stream) -> None:
    if not stream.ended.cancel() and not stream.ended.cancelled():
        # Seen: whoever waited for it has dealt with it.
        stream.ended.exception()
    if stream.transport is not None:
        stream.transport.abort()
