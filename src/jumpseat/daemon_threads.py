"""Threads for functions of developers that are not async: a program can end although one never returns."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import Any

__all__ = ["DaemonThreads"]

Job = tuple["Future[Any]", Callable[[], Any]]


class DaemonThreads:
    """At most ``most`` threads, which are started when they are needed and then kept; ``what`` names them.

    Threads of an executor would be waited for when the program ends, also those that nobody can end.
    """

    def __init__(self, what: str, most: int) -> None:
        self._what = what
        self._most = most
        self._started = 0
        self._idle = threading.Semaphore(0)
        self._jobs: SimpleQueue[Job] = SimpleQueue()

    async def run(self, work: Callable[[], Any]) -> Any:
        """Return what ``work`` returns in a thread; it waits while all threads are busy.

        It has the context variables of the caller, and must not raise ``StopIteration``.
        Cancelling withdraws work that has not begun, and leaves other work alone.
        """
        future: Future[Any] = Future()
        self._jobs.put((future, partial(contextvars.copy_context().run, work)))
        if not self._idle.acquire(blocking=False) and self._started < self._most:
            self._start(future)
        return await asyncio.wrap_future(future)

    def _start(self, future: Future[Any]) -> None:
        self._started += 1
        thread = threading.Thread(
            target=self._work, name=f"jumpseat-{self._what}-{self._started}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            # There is no room for another one: the work is reported as failed and must not begin later.
            self._started -= 1
            future.cancel()
            raise

    def _work(self) -> None:
        while True:
            # What a job holds must not be kept by a thread that waits for the next one.
            self._do(*self._jobs.get())
            self._idle.release()

    def _do(self, future: Future[Any], work: Callable[[], Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = work()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)
