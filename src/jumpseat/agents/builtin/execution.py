"""Runs one agent run in a task of its own and hands its events over; ends it when the run is aborted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol

from jumpseat.agents.builtin.channel import EventChannel
from jumpseat.agents.builtin.failures import AgentFailure, developer_failure, shown_failure
from jumpseat.agents.builtin.library_streams import sole_cause
from jumpseat.agents.builtin.redaction import Redactor, redacted_trace
from jumpseat.calling import being_cancelled
from jumpseat.context import RunContext
from jumpseat.protocol.events import Event, RunError, RunFinished, RunStarted, TokenUsage
from jumpseat.protocol.inputs import RunAgentInput

__all__ = ["Emit", "Execution", "Work"]

logger = logging.getLogger("jumpseat")

HIDDEN: Final = "The agent failed"
UNWIND_SECONDS: Final = 5.0


class Emit(Protocol):
    """Sends one event of the run."""

    def __call__(self, event: Event) -> Awaitable[None]:
        """Wait while 256 events are unread."""
        ...


class Work(Protocol):
    """What happens between the start and the end of a run."""

    @property
    def redact(self) -> Callable[[str], str]:
        """Takes secrets out of a text that is to leave the server."""
        ...

    def tokens(self) -> list[TokenUsage] | None:
        """Return what the run has used so far, as clients may know it."""
        ...

    async def execute(self) -> RunFinished:
        """Emit the events between start and end, and return the end; raise for a failed run."""
        ...


class Execution:
    """One run while it is executed; made on the loop that executes it.

    Args:
        make_work: Called with the function that sends an event; what it returns is then executed.
        given: The run's input.
        context: The run.
    """

    def __init__(self, make_work: Callable[[Emit], Work], given: RunAgentInput, context: RunContext) -> None:
        self.given = given
        self.context = context
        self._make_work = make_work
        self._channel = EventChannel()
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._is_cancelled = False

    async def events(self) -> AsyncGenerator[Event]:
        """Execute and yield the events, the terminal last; none after an abort.

        Closing the iterator is an abort.
        """
        where = f"run {self.given.run_id}"
        self._task = asyncio.create_task(self._produce(), name=f"agent of {where}")
        self._watch = asyncio.create_task(self._await_abort(), name=f"abort of {where}")
        finished = False
        try:
            async for event in self._channel:
                if self.context.abort_signal.aborted:
                    break
                # A reader may leave with the end of the run: that is no abort.
                finished = isinstance(event, RunFinished | RunError)
                yield event
            finished = True
        finally:
            if not finished and not self.context.abort_signal.aborted:
                self.context.abort_signal.abort()
            await self._end()

    def abort(self) -> None:
        """End the run as a stop by its user would; from any thread."""
        try:
            is_here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            is_here = False
        if is_here:
            self._abort()
            return
        with suppress(RuntimeError):  # its loop has ended, and the run with it
            self._loop.call_soon_threadsafe(self._abort)

    def _abort(self) -> None:
        self.context.abort()
        self._cancel()

    def _cancel(self) -> None:
        self._channel.close(drop=True)
        if self._task is not None and not self._is_cancelled:
            # Once only: the next time would break off what the first has made clean up.
            self._is_cancelled = True
            self._task.cancel()

    async def _await_abort(self) -> None:
        await self.context.abort_signal.wait()
        self._cancel()

    async def _end(self) -> None:
        """Wait for the task, which was cancelled unless it has finished; never for long."""
        watch, task = self._watch, self._task
        if watch is not None:
            watch.cancel()
        if task is None:
            return
        if not task.done():
            self._cancel()
            await asyncio.wait({task}, timeout=UNWIND_SECONDS)
            if not task.done():
                task.cancel()
                logger.warning("run %s: its agent ignores that the run was ended", self.given.run_id)

    async def _produce(self) -> None:
        given, channel = self.given, self._channel
        work: Work | None = None
        try:
            await channel.put(RunStarted(thread_id=given.thread_id, run_id=given.run_id))
            work = self._make_work(channel.put)
            await channel.put(await self._finish(work))
        except asyncio.CancelledError as error:
            if being_cancelled():
                raise
            await channel.put(await self._failed(work, error))
        except BaseException as error:
            if not self.context.abort_signal.aborted:
                await channel.put(await self._failed(work, error))
        finally:
            channel.close()

    async def _finish(self, work: Work) -> RunFinished:
        terminal = await work.execute()
        if terminal.usage is None:
            terminal.usage = work.tokens()
        return terminal

    async def _failed(self, work: Work | None, error: BaseException) -> RunError:
        redact = Redactor(()) if work is None else work.redact
        code, message = shown_failure(_as_failure(error), redact)
        logger.error(
            "agent %s, thread %s, run %s failed: %s: %s\n%s",
            self.context.agent_id,
            self.given.thread_id,
            self.given.run_id,
            code,
            message,
            await redacted_trace(error, redact),
        )
        if self.context.hides_errors and code == "agent_error":
            message = HIDDEN
        return RunError(message=message, code=code, usage=None if work is None else work.tokens())


def _as_failure(error: BaseException) -> AgentFailure:
    found = sole_cause(error)
    return found if isinstance(found, AgentFailure) else developer_failure(found)
