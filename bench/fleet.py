"""Jumpseat processes over one store: started, killed, started again, and watched for what they hold."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from servers import (
    Kind,
    Server,
    free_port,
    info_address,
    jumpseat_command,
    output,
    start_process,
    stop,
    wait_for,
)

MEBIBYTE = 1024 * 1024
PROBE_SECONDS = 10.0
_TRACE = "Traceback (most recent call last):"
_KIND = Kind("soak", "Jumpseat")


@dataclass
class Sample:
    """What a process held at a moment; ``at`` is in seconds since the soak began."""

    at: float
    rss: int
    files: int


@dataclass
class Member:
    """One of the processes. ``lives`` counts how often it was started."""

    number: int
    port: int
    log: IO[bytes]
    process: subprocess.Popen[bytes]
    lives: int = 1
    samples: list[Sample] = field(default_factory=list)
    killed_at: list[float] = field(default_factory=list)
    up: bool = True

    @property
    def server(self) -> Server:
        """Its figures in /proc."""
        return Server(_KIND, self.port, self.process.pid)

    def files(self) -> int:
        """How many file descriptors it has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


class Fleet:
    """The processes, and the clock that all times of the soak are on. Number 0 is never killed."""

    def __init__(self, where: str, probes: Path) -> None:
        self._variables = {"JUMPSEAT_DB": where, "BENCH_PROBE": str(probes)}
        self._probes = probes
        self._stack = ExitStack()
        self._began = time.monotonic()
        self.members: list[Member] = []
        self.kills = 0

    def now(self) -> float:
        """Seconds since the soak began."""
        return time.monotonic() - self._began

    def add(self) -> None:
        """Starts one more process and waits until it answers."""
        port = free_port()
        log = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - left with the stack
        process = start_process(jumpseat_command("soak_app:runtime", port), port, log, self._variables)
        member = Member(len(self.members), port, log, process)
        self.members.append(member)
        wait_for(info_address(port), f"process {member.number}", process, log)

    def any(self, *, but: Member | None = None) -> Member:
        """One that is up, if possible another than ``but``."""
        up = [member for member in self.members if member.up and member is not but]
        return random.choice(up or self.members)

    async def kill_one(self, down: float) -> None:
        """Ends one process as a crash would and starts it again after ``down`` seconds."""
        victim = random.choice(self.members[1:])
        victim.up = False
        victim.killed_at.append(self.now())
        self.kills += 1
        victim.process.kill()
        await asyncio.to_thread(victim.process.wait)
        await asyncio.sleep(down)
        command = jumpseat_command("soak_app:runtime", victim.port)
        victim.process = start_process(command, victim.port, victim.log, self._variables)
        victim.lives += 1
        victim.samples.clear()
        address, title = info_address(victim.port), f"process {victim.number}"
        await asyncio.to_thread(wait_for, address, title, victim.process, victim.log)
        victim.up = True

    def killed_since(self, member: Member, at: float) -> bool:
        """Whether a process was killed after this moment."""
        return any(moment >= at for moment in member.killed_at)

    def sample(self) -> None:
        """Notes what each process that is up holds now."""
        for member in self.members:
            if member.up:
                member.samples.append(Sample(self.now(), member.server.rss(), member.files()))

    def ended(self) -> list[str]:
        """What those processes said that ended by themselves."""
        return [
            f"process {one.number} ended with {one.process.returncode}: {output(one.log)}"
            for one in self.members
            if one.up and one.process.poll() is not None
        ]

    def traces(self) -> list[str]:
        """How many traces each process has written, and the last one."""
        found: list[str] = []
        for one in self.members:
            one.log.seek(0)
            pieces = one.log.read().decode(errors="replace").split(_TRACE)
            if len(pieces) > 1:
                found.append(f"process {one.number} wrote {len(pieces) - 1} traces: {pieces[-1][:2000]}")
        return found

    async def probe(self, member: Member) -> dict[str, Any]:
        """What the process says of itself.

        ``tasks`` by name, ``objects`` by type, and ``heap``, the bytes of what these lead to.
        """
        answer = self._probes / f"{member.process.pid}.json"
        answer.unlink(missing_ok=True)
        member.process.send_signal(signal.SIGUSR1)
        async with asyncio.timeout(PROBE_SECONDS):
            while not answer.exists():
                await asyncio.sleep(0.02)
        return json.loads(answer.read_text())

    def stop(self) -> None:
        """Ends all of them."""
        for member in self.members:
            stop(member.process)
        self._stack.close()


@contextmanager
def fleet(where: str, size: int) -> Iterator[Fleet]:
    """That many processes over the store at ``where``, gone at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="bench-") as probes:
        made = Fleet(where, Path(probes))
        try:
            for _ in range(size):
                made.add()
            yield made
        finally:
            made.stop()
