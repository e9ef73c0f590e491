"""Several processes behind one port: starts them, replaces those that die, and renews them one by one."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

__all__ = ["Lifeline", "Workers"]

_logger = logging.getLogger("jumpseat.cli")

_START_SECONDS: Final = 60.0
# Beyond what a worker says it needs at most; it ends itself before.
_SPARE_SECONDS: Final = 5.0
_SHORT_LIFE: Final = 10.0
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
_MESSAGE_BYTES: Final = 4096


class Lifeline:
    """A worker's end of the socket that it shares with the process that started it."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(False)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.parting = asyncio.Event()

    def ready(self, announced: str, exit_seconds: float) -> None:
        """Tell that requests are answered, what is served, and how long an end takes at most."""
        message = json.dumps({"announced": announced[:1024], "exit_seconds": exit_seconds})
        self._socket.send(message.encode())

    def watch(self, parted: Callable[[], None]) -> None:
        """Call ``parted`` when the other process is gone, whatever ended it. Needs a running loop."""
        loop = self._loop = asyncio.get_running_loop()

        def readable() -> None:
            loop.remove_reader(self._socket)
            parted()

        loop.add_reader(self._socket, readable)

    def part(self) -> None:
        """Set ``parting``; may be called by a signal handler, once ``watch`` was."""
        if self._loop is None:
            raise SystemExit(1)
        self._loop.call_soon_threadsafe(self.parting.set)

    def __enter__(self) -> Lifeline:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


class StartFailed(Exception):
    """A worker ended, or took too long, before it answered requests; ``code`` is its exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(slots=True, eq=False)
class _Worker:
    # asyncio's own would do two things that both wait for the child: the loser never learns the exit code.
    process: subprocess.Popen[bytes]
    lifeline: socket.socket
    ended: asyncio.Future[int]
    began: float
    announced: str = ""
    exit_seconds: float = 0.0
    leaving: bool = False

    def leave(self) -> None:
        """Ask it to drain and end, and make sure that it does."""
        if not self.leaving and not self.ended.done():
            self.leaving = True
            self.process.terminate()
            asyncio.get_running_loop().call_later(self.exit_seconds + _SPARE_SECONDS, self.kill)

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()


class Workers:
    """Runs ``count`` processes that accept from one socket.

    SIGTERM or SIGINT drains and ends all; a second one kills them. SIGHUP renews them one after the other: a
    new one answers before an old one stops accepting, so no connection is refused. A worker that dies is
    replaced. One that cannot start is reported and tried again after 1 s, doubling to 30 s; at the very
    beginning it ends everything, with its own exit code. Workers whose parent is gone end themselves.
    """

    def __init__(
        self, listening: socket.socket, count: int, command: Callable[[int, int], Sequence[str]]
    ) -> None:
        """``command`` is given the numbers of the listening socket and of the lifeline."""
        self._listening = listening
        self._count = count
        self._command = command
        self._live: set[_Worker] = set()
        self._code = 0

    async def run(self, announce: Callable[[str], None]) -> int:
        """Serve until a signal ends it, and return the exit code of the command.

        ``announce`` is called once, when all answer requests, with what the first says of itself.
        """
        self._stopping = asyncio.Event()
        self._renewal = asyncio.Lock()
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._on_end, number)
            loop.add_signal_handler(signal.SIGHUP, lambda: tasks.create_task(self._renew()))
            try:
                # The first alone: what is wrong with the program is then told once.
                first = await self._start()
                others = (self._start() for _ in range(self._count - 1))
                for outcome in await asyncio.gather(*others, return_exceptions=True):
                    if isinstance(outcome, BaseException):
                        raise outcome
                announce(first.announced)
            except StartFailed as failure:
                self._stop()
                return failure.code
            await self._stopping.wait()
        return self._code

    def _on_end(self, number: int) -> None:
        if not self._stopping.is_set():
            self._stop()
            return
        _logger.error("A second signal: all workers end at once. Runs that were live are marked as lost")
        self._code = 128 + number
        for worker in self._live:
            worker.kill()

    def _stop(self) -> None:
        self._stopping.set()
        self._listening.close()
        for worker in self._live:
            worker.leave()

    async def _renew(self) -> None:
        """Replace every worker, one after the other; one that cannot be replaced stays."""
        if self._renewal.locked():
            return
        async with self._renewal:
            for old in [worker for worker in self._live if not worker.leaving]:
                try:
                    await self._start()
                except StartFailed:
                    _logger.error("A new worker cannot start: the old ones go on")
                    return
                old.leave()
                await old.ended

    async def _start(self) -> _Worker:
        """Return a worker that answers requests; it is watched from then on. Raises ``StartFailed``."""
        if self._stopping.is_set():
            raise StartFailed(0)
        worker = self._spawn()
        self._live.add(worker)
        told = await self._hear(worker)
        if not told:
            if not worker.leaving:
                worker.kill()
            code = await worker.ended
            self._forget(worker)
            raise StartFailed(0 if worker.leaving else abs(code) or 1)
        message = json.loads(told)
        worker.announced, worker.exit_seconds = message["announced"], message["exit_seconds"]
        self._tasks.create_task(self._watch(worker))
        return worker

    async def _hear(self, worker: _Worker) -> bytes:
        """Return what a worker says when it is ready; nothing if it ended, or does not get there in time."""
        try:
            async with asyncio.timeout(_START_SECONDS):
                return await asyncio.get_running_loop().sock_recv(worker.lifeline, _MESSAGE_BYTES)
        except TimeoutError:
            _logger.error("A worker was not ready within %g s of its start", _START_SECONDS)
        except OSError:
            _logger.debug("A worker parted while it started", exc_info=True)
        return b""

    def _spawn(self) -> _Worker:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        descriptors = (self._listening.fileno(), theirs.fileno())
        try:
            process = subprocess.Popen(  # noqa: S603 - this very command
                self._command(*descriptors),
                pass_fds=descriptors,
                # A terminal's Ctrl+C reaches its whole group: workers would take ours for a second one.
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            _logger.error("A worker cannot be started: %s", error)
            raise StartFailed(1) from error
        finally:
            theirs.close()
        return _Worker(process, ours, _end_of(process), asyncio.get_running_loop().time())

    async def _watch(self, worker: _Worker) -> None:
        """Wait for the end of a worker, and put another in its place if nobody asked for it."""
        code = await worker.ended
        self._forget(worker)
        if worker.leaving:
            self._code = self._code or int(code != 0)
            return
        _logger.error("A worker (process %d) ended by itself: %s", worker.process.pid, _describe(code))
        lived = asyncio.get_running_loop().time() - worker.began
        await self._replace(_FIRST_PAUSE if lived < _SHORT_LIFE else 0.0)

    async def _replace(self, pause: float) -> None:
        while not await self._stops_within(pause):
            try:
                await self._start()
            except StartFailed as failure:
                _logger.error("Its replacement cannot start either: %s", _describe(failure.code))
                pause = min(max(2 * pause, _FIRST_PAUSE), _LONGEST_PAUSE)
            else:
                return

    async def _stops_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._stopping.wait()
        except TimeoutError:
            return False

    def _forget(self, worker: _Worker) -> None:
        worker.lifeline.close()
        self._live.discard(worker)


def _end_of(process: subprocess.Popen[bytes]) -> asyncio.Future[int]:
    """Return a future of the exit code; a thread of its own waits for it."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def wait() -> None:
        code = process.wait()
        with suppress(RuntimeError):  # the loop is closed: nobody asks any more
            loop.call_soon_threadsafe(ended.set_result, code)

    threading.Thread(target=wait, name=f"jumpseat worker {process.pid}", daemon=True).start()
    return ended


def _describe(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
