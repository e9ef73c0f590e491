"""What one call of a tool sends while it runs, from the event loop or from the tool's thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from jumpseat.agents.builtin.server_tools import Invocation
from jumpseat.agents.builtin.tools.results import progress_event
from jumpseat.protocol.events import Event

__all__ = ["CallEnded", "Channel"]

T = TypeVar("T")
_LOOP_CHECK_SECONDS: Final = 1.0


class CallEnded(RuntimeError):
    """The call is over, in time or not: whatever its tool still sends would come too late."""


class Channel:
    """The way to the client that one call has. Made and closed on the event loop."""

    def __init__(self, invocation: Invocation) -> None:
        self.invocation = invocation
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._closed = False
        self._tasks: set[asyncio.Task[Any]] = set()

    def check(self) -> None:
        """Raise ``CallEnded`` once the call is over."""
        if self._closed:
            raise CallEnded(f'The call of tool "{self.invocation.name}" has ended')

    async def send(self, event: Event) -> None:
        """Send one event; waits while the stream is full."""
        self.check()
        await self.invocation.emit(event)

    async def change_state(self, change: Callable[[], list[Event]]) -> None:
        """Change the shared state and send the events that say so."""
        self.check()
        await self.invocation.state.send(change, self.invocation.emit)

    async def progress(self, value: object) -> None:
        """Send a preliminary result."""
        await self.send(progress_event(self.invocation.id, self.invocation.name, value))

    def wait_for(self, start: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine on the event loop and return its result; called in the tool's thread.

        Raises:
            CallEnded: The call ended before or meanwhile.
            RuntimeError: This is the event loop's own thread, which would wait for itself.
        """
        if threading.get_ident() == self._loop_thread:
            raise RuntimeError(
                "context.sync works in tools that are not async only: await the context's own method here"
            )
        self.check()
        answer: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._loop.call_soon_threadsafe(self._start, start, answer)
        while True:
            try:
                return answer.result(_LOOP_CHECK_SECONDS)
            except TimeoutError:
                # An answer may be a TimeoutError itself.
                if answer.done():
                    raise
                if self._loop.is_closed():
                    raise CallEnded("The event loop of this call is closed") from None
            except concurrent.futures.CancelledError:
                raise CallEnded(f'The call of tool "{self.invocation.name}" has ended') from None

    async def close(self) -> None:
        """End the channel: what waits in it is cancelled, what comes later is refused."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)

    def _start(
        self, start: Callable[[], Coroutine[Any, Any, T]], answer: concurrent.futures.Future[T]
    ) -> None:
        if self._closed:
            answer.cancel()
            return
        task = self._loop.create_task(start())
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._pass_on(done, answer))

    def _pass_on(self, done: asyncio.Task[T], answer: concurrent.futures.Future[T]) -> None:
        self._tasks.discard(done)
        if done.cancelled():
            answer.cancel()
        elif (error := done.exception()) is not None:
            answer.set_exception(error)
        else:
            answer.set_result(done.result())
