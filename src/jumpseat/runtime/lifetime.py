"""Starting, draining and closing what a runtime owns: once each, whoever asks first."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from weakref import WeakKeyDictionary

from jumpseat.calling import is_failure
from jumpseat.errors import RunnerClosed
from jumpseat.runners.base import AgentRunner
from jumpseat.runtime.background import BackgroundCalls
from jumpseat.runtime.registry import AgentRegistry
from jumpseat.runtime.suggestions import Suggestions

__all__ = ["Lifetime"]

AFTER_MIDDLEWARE_SECONDS = 5.0
CLOSE_SECONDS = 10.0
MAX_WARMUPS = 1000

_logger = logging.getLogger("jumpseat")
# One runner may serve several runtimes: the last that uses it closes it.
_users_of: WeakKeyDictionary[AgentRunner, int] = WeakKeyDictionary()


class Lifetime:
    """The states of one runtime: new, started, draining, closed.

    Args:
        runner: Gives the runner; called at the first start.
        registry: Its agents are warmed up and closed.
        suggestions: Ended with the runs.
        after: Calls behind responses, which get 5 s at the end.
        grace: Seconds that live runs get once draining began.
    """

    def __init__(
        self,
        runner: Callable[[], AgentRunner],
        registry: AgentRegistry,
        suggestions: Suggestions,
        after: BackgroundCalls,
        *,
        grace: float,
    ) -> None:
        self.draining = False
        self.closed = False
        self.started = False
        self._give_runner = runner
        self._runner: AgentRunner | None = None
        self._registry = registry
        self._suggestions = suggestions
        self._after = after
        self._grace = grace
        self._holders = 0
        self._deadline = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting = asyncio.Lock()
        self._drained = asyncio.Event()
        self._timer: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._closers: list[Callable[[], Awaitable[object]]] = []
        self._warmups = BackgroundCalls("warming up an agent", MAX_WARMUPS)

    async def start(self) -> None:
        """Open the runner; idempotent. Raises what the runner raises, and ``RunnerClosed`` after the end."""
        if self.started and not self.closed:
            return
        async with self._starting:
            if self.closed:
                raise RunnerClosed("the runtime is closed")
            if self.started:
                return
            runner = self._give_runner()
            await runner.open()
            self._loop = asyncio.get_running_loop()
            self._runner = runner
            _users_of[runner] = _users_of.get(runner, 0) + 1
            self.started = True
        for agent in self._registry.registered():
            self._warmups.submit(agent.warmup)
        if self.draining:
            self._drain()

    def begin_drain(self) -> None:
        """Take no new runs from now on; callable from any thread and from signal handlers."""
        if self.draining:
            return
        self.draining = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._drain)

    async def wait_draining(self) -> None:
        """Return once the runtime drains. Cancelling loses nothing."""
        if self.draining:
            return
        # Draining must reach those who wait for it before anything was started, too.
        self._loop = self._loop or asyncio.get_running_loop()
        await self._drained.wait()

    async def hold(self) -> None:
        """Start on behalf of one more server."""
        await self.start()
        self._holders += 1

    async def release(self) -> None:
        """Close when the last server that holds it lets go."""
        self._holders -= 1
        if self._holders <= 0:
            await self.aclose()

    def on_close(self, call: Callable[[], Awaitable[object]]) -> None:
        """Have ``call`` made at the end."""
        self._closers.append(call)

    async def aclose(self) -> None:
        """Drain, then release everything; idempotent, and every caller waits until it is done."""
        self.draining = True
        self._drain()
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="jumpseat shutdown")
        # Shielded: a caller that gives up must not leave the runs unsealed.
        await asyncio.shield(self._closing)

    def _drain(self) -> None:
        self._drained.set()
        if self._timer is None and self.started:
            self._deadline = asyncio.get_running_loop().time() + self._grace
            self._timer = asyncio.create_task(self._drain_slowly(), name="jumpseat drain")

    async def _drain_slowly(self) -> None:
        # Servers wait for open streams before they report shutdown, and streams wait for their runs.
        await asyncio.sleep(self._grace)
        await self._end_runs(0.0)

    async def _end_runs(self, grace: float) -> None:
        self._suggestions.shut_down()
        runner, self._runner = self._runner, None
        if runner is None:
            return
        users = _users_of.get(runner, 1) - 1
        if users > 0:
            _users_of[runner] = users
            return
        _users_of.pop(runner, None)
        try:
            await runner.aclose(grace=grace)
        except Exception:
            _logger.exception("closing the runner failed")

    async def _close(self) -> None:
        if self._timer is not None and self._runner is not None:
            self._timer.cancel()
        if self._timer is not None:
            await asyncio.wait([self._timer])
            await self._end_runs(max(0.0, self._deadline - asyncio.get_running_loop().time()))
        self.closed = True
        await self._warmups.finish(0.0)
        await self._after.finish(AFTER_MIDDLEWARE_SECONDS)
        closers = [*self._closers, *(agent.aclose for agent in self._registry.registered())]
        await asyncio.gather(*(_close(closer) for closer in closers))
        self._registry.close()


async def _close(closer: Callable[[], Awaitable[object]]) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await closer()
    except BaseException as error:  # Whatever one of them raises, the others are closed.
        if not is_failure(error):
            raise
        _logger.exception("closing %r failed", getattr(closer, "__self__", closer))
