"""How many runs live in this process, and the limit on them."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

from jumpseat.context import RunContext
from jumpseat.errors import Overloaded
from jumpseat.protocol.inputs import RunAgentInput
from jumpseat.runners.base import AgentCallable, AgentRunner, EventStream, RunRequest

__all__ = ["LiveRuns"]


class LiveRuns:
    """Counts the runs of this process, from before their claim until their agent has ended."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.count = 0

    def check(self) -> None:
        """Raise ``Overloaded`` when no further run may start."""
        if self.limit is not None and self.count >= self.limit:
            raise Overloaded(f"The server already has {self.limit} live runs")

    async def run(self, runner: AgentRunner, request: RunRequest) -> EventStream:
        """Start a run that counts. Raises ``Overloaded`` and what the runner raises."""
        self.check()
        slot = _Slot(self, request.agent)
        try:
            stream = await runner.run(replace(request, agent=slot.run))
        except BaseException:
            slot.abandon()
            raise
        return _Reader(stream, slot)


class _Slot:
    """One run's place: held while its agent runs, and before that while anyone waits for the run."""

    __slots__ = ("_agent", "_held", "_runs", "_started")

    def __init__(self, runs: LiveRuns, agent: AgentCallable) -> None:
        self._runs = runs
        self._agent = agent
        self._held = False
        self._started = False
        self.hold(True)

    def run(self, input: RunAgentInput, context: RunContext) -> AsyncIterator[Any]:  # noqa: A002
        """Run the agent, holding the place until its stream is closed."""
        self._started = True
        self.hold(True)
        try:
            stream = self._agent(input, context)
        except BaseException:
            self.hold(False)
            raise
        return _Held(stream, self) if hasattr(stream, "__anext__") else self._consume(stream)

    def abandon(self) -> None:
        """Give the place back unless the agent has started: nobody waits for the run any more."""
        if not self._started:
            self.hold(False)

    def hold(self, held: bool) -> None:
        """Take the place, or give it back; idempotent."""
        if held is not self._held:
            self._held = held
            self._runs.count += 1 if held else -1

    async def _consume(self, source: Any) -> AsyncIterator[Any]:
        """Iterate what an agent returned that is not yet an iterator: an awaitable, or an iterable."""
        try:
            stream = await source if inspect.isawaitable(source) else source
            async for item in stream:
                yield item
        finally:
            self.hold(False)


class _Held:
    """An agent's stream that gives its place back when it is closed."""

    __slots__ = ("_slot", "_stream")

    def __init__(self, stream: AsyncIterator[Any], slot: _Slot) -> None:
        self._stream = stream
        self._slot = slot

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    def __anext__(self) -> Awaitable[Any]:
        return self._stream.__anext__()

    async def aclose(self) -> None:
        """Close the agent's stream, whatever that takes, then give the place back."""
        try:
            close: Callable[[], Awaitable[object]] | None = getattr(self._stream, "aclose", None)
            if close is not None:
                await close()
        finally:
            self._slot.hold(False)


class _Reader:
    """A run's stream whose closing shows that nobody waits for a run that has not started."""

    __slots__ = ("_slot", "_stream")

    def __init__(self, stream: EventStream, slot: _Slot) -> None:
        self._stream = stream
        self._slot = slot

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        return await self._stream.__anext__()

    async def aclose(self) -> None:
        """End the reader."""
        try:
            await self._stream.aclose()
        finally:
            self._slot.abandon()
