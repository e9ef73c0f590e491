"""The runs and tasks of one runner in this process: every task it starts has this owner."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from jumpseat.errors import JumpseatError, RunnerClosed
from jumpseat.runners.live_run import LiveRun

if TYPE_CHECKING:
    from jumpseat.runners.queueing import QueuedRun

__all__ = ["Registry", "unless_closed"]

T = TypeVar("T")
logger = logging.getLogger("jumpseat.runs")


class Registry:
    """Live and queued runs by run key, and the tasks that serve them."""

    def __init__(self) -> None:
        self.live: dict[str, LiveRun] = {}
        self.queued: dict[str, QueuedRun] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._starting: set[asyncio.Task[Any]] = set()
        self._left_behind: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Run ``work`` in a task that is kept until it ends; an unexpected exception is logged."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def start(self, work: Coroutine[Any, Any, T], name: str) -> tuple[asyncio.Future[T], asyncio.Task[T]]:
        """Run what claims a thread: it must not be cut off between the claim and the run, or the seal.

        Returns what its caller waits for and may cancel, which leaves the task alone. It raises
        ``RunnerClosed`` when the runner ended the task.
        """
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        task = self.spawn(_tell(work, outcome), name)
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)
        return outcome, task

    def execute(self, live: LiveRun) -> None:
        """Run ``live`` to its end in a task of its own."""
        self.live[live.run.run_key] = live
        self.spawn(self._execute(live), f"run {live.run.run_key}")

    async def _execute(self, live: LiveRun) -> None:
        try:
            await live.execute()
        finally:
            self.live.pop(live.run.run_key, None)
            if live.abandoned is not None and not live.abandoned.done():
                self._left_behind.add(live.abandoned)
                live.abandoned.add_done_callback(self._left_behind.discard)

    async def settled(self, seconds: float) -> bool:
        """Wait up to ``seconds`` until no run is live or queued here; say whether that is so."""
        deadline = asyncio.get_running_loop().time() + seconds
        while self.live or self.queued:
            remaining = deadline - asyncio.get_running_loop().time()
            if remaining <= 0:
                return False
            waits = [live.sealed.wait() for live in self.live.values()]
            waits += [queued.over.wait() for queued in self.queued.values()]
            await _first(waits, remaining)
        return True

    async def started(self, seconds: float) -> None:
        """Wait up to ``seconds`` until no start is under way."""
        deadline = asyncio.get_running_loop().time() + seconds
        while self._starting and (remaining := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(self._starting, timeout=remaining)

    async def cancel_all(self) -> None:
        """Cancel every task and wait for those that notice."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, JumpseatError):
            logger.error("%s failed", task.get_name(), exc_info=error)


async def _tell(work: Coroutine[Any, Any, T], outcome: asyncio.Future[T]) -> T:
    """Resolve ``outcome`` in the turn of the loop that has the result; ``shield`` would take two more."""
    try:
        result = await work
    except BaseException as error:
        if not outcome.done():
            cancelled = isinstance(error, asyncio.CancelledError)
            outcome.set_exception(RunnerClosed("The runner is closed") if cancelled else error)
        raise
    if not outcome.done():
        outcome.set_result(result)
    return result


async def unless_closed(task: asyncio.Task[T]) -> T:
    """Wait for a task of a runner without owning it. Raises ``RunnerClosed`` when the runner ended it."""
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        current = asyncio.current_task()
        if task.cancelled() and (current is None or not current.cancelling()):
            raise RunnerClosed("The runner is closed") from None
        raise


async def _first(waits: Sequence[Coroutine[Any, Any, Any]], seconds: float) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        # The run's own task needs one more turn of the loop to leave the registry.
        await asyncio.sleep(0)
    finally:
        for task in tasks:
            task.cancel()
