"""Suggestion runs: an agent streamed straight to the one client that asked, with no thread and no storage."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from typing import Any

from jumpseat.calling import is_failure
from jumpseat.context import RunContext
from jumpseat.errors import EventTooLarge, RunFailure, UnsendableEvent
from jumpseat.protocol import codec, endings
from jumpseat.protocol.chunks import ChunkExpander
from jumpseat.protocol.endings import Ending
from jumpseat.protocol.events import Event, RunStarted
from jumpseat.protocol.inputs import RunAgentInput
from jumpseat.protocol.ledger import Ledger
from jumpseat.runners.base import AgentCallable, Page, agent_stream
from jumpseat.runners.options import LARGEST_EVENT

__all__ = ["SuggestionStream", "Suggestions"]

_logger = logging.getLogger("jumpseat")

# Events that may wait for a client that reads slowly.
MAX_WAITING = 256
UNWIND_SECONDS = 5.0


class SuggestionStream:
    """The events of one suggestion run, for one reader. Closing it cancels the agent.

    Args:
        agent: Called once, in a task of this stream.
        given: What the client sent.
        context: For the agent.
        error_text: What clients may read about an exception.
    """

    def __init__(
        self,
        agent: AgentCallable,
        given: RunAgentInput,
        context: RunContext,
        *,
        error_text: Callable[[BaseException], str],
    ) -> None:
        self._agent = agent
        self._input = given
        self._context = context
        self._error_text = error_text
        self._ledger = Ledger(given.thread_id, given.run_id, warn=_logger.warning)
        self._chunks = ChunkExpander()
        started = RunStarted(thread_id=given.thread_id, run_id=given.run_id)
        self._waiting: list[bytes] = [codec.encode(started)]
        self._ending: Ending | None = None
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._ended = False
        self._closers: list[Callable[[], None]] = []
        context.on_abort = lambda: self.end(endings.stopped())
        self._task = asyncio.create_task(self._consume(), name=f"suggestions {given.run_id}")

    def on_close(self, call: Callable[[], None]) -> None:
        """Have ``call`` called once, when the stream has been closed."""
        self._closers.append(call)

    def end(self, ending: Ending) -> None:
        """End the run from outside: its reader gets what ``ending`` says, then the end of the stream."""
        if self._ending is None:
            self._settle(ending)
            self._context.abort_signal.abort()
            self._task.cancel()

    def __aiter__(self) -> AsyncIterator[Page]:
        return self

    async def __anext__(self) -> Page:
        """Return what the agent has said since the last page. Cancelling loses nothing."""
        while not self._waiting and self._ending is None:
            self._changed.clear()
            await self._changed.wait()
        if self._ended:
            raise StopAsyncIteration
        events, self._waiting = self._waiting, []
        self._room.set()
        if self._ending is not None:
            self._ended = True
            events += [codec.encode(event) for event in self._ledger.close(self._ending)]
        return Page([(None, event) for event in events])

    async def aclose(self) -> None:
        """Cancel the agent and wait, at most 5 s, until it has unwound."""
        self._ended = True
        self._context.abort_signal.abort()
        self._task.cancel()
        try:
            done, _ = await asyncio.wait([self._task], timeout=UNWIND_SECONDS)
            if not done:
                _logger.error("the agent of a suggestion run ignores cancellation and is left behind")
        finally:
            closers, self._closers = self._closers, []
            for call in closers:
                call()

    async def _consume(self) -> None:
        try:
            self._settle(await self._iterate())
        except RunFailure as broken:
            self._log_failure(f"{broken.code}: {broken}")
            self._settle(endings.broke(broken))
        except BaseException as error:  # An agent that calls sys.exit() ends its run, not the server.
            if not is_failure(error):
                self._settle(endings.stopped())
                raise
            self._log_failure("the agent failed", error)
            self._settle(endings.raised(self._error_text(error)))

    def _log_failure(self, what: str, error: BaseException | None = None) -> None:
        request_id = self._context.request_id
        _logger.error(
            "suggestion run %r: %s (request %s)",
            self._input.run_id,
            what,
            request_id,
            exc_info=error,
            extra={"request_id": request_id},
        )

    def _settle(self, ending: Ending) -> None:
        if self._ending is None:
            self._ending = ending
            self._changed.set()

    async def _iterate(self) -> Ending:
        stream: Any = await agent_stream(self._agent, self._input, self._context)
        async with AsyncExitStack() as stack:
            if hasattr(stream, "aclose"):
                await stack.enter_async_context(aclosing(stream))
            async for item in stream:
                await self._take(item)
                if self._ledger.terminal is not None:
                    return endings.agent_terminal(self._ledger.terminal)
        for event in self._chunks.flush():
            self._emit(event)
        return endings.returned()

    async def _take(self, item: object) -> None:
        try:
            event = codec.accept(item)
        except UnsendableEvent as error:
            _logger.warning("suggestion run %r: %s: left out", self._input.run_id, error)
            return
        for expanded in self._chunks.expand(event):
            self._emit(expanded)
        while len(self._waiting) >= MAX_WAITING:
            self._room.clear()
            await self._room.wait()

    def _emit(self, event: Event) -> None:
        if self._ending is not None:
            return
        data = codec.encode(event)
        if len(data) > LARGEST_EVENT:
            raise EventTooLarge(
                f"{event.type} has {len(data)} bytes, the limit is {LARGEST_EVENT}: send it in smaller pieces"
            )
        for accepted in self._ledger.accept(event):
            self._waiting.append(data if accepted is event else codec.encode(accepted))
        self._changed.set()


class Suggestions:
    """The suggestion runs that live in this process."""

    def __init__(self) -> None:
        self._live: dict[tuple[str | None, str], list[tuple[str, SuggestionStream]]] = {}

    def add(self, owner: str | None, given: RunAgentInput, stream: SuggestionStream) -> None:
        """Keep a run findable until its stream is closed."""
        key = (owner, given.thread_id)
        entry = (given.run_id, stream)
        self._live.setdefault(key, []).append(entry)

        def forget() -> None:
            entries = [one for one in self._live.get(key, []) if one is not entry]
            if entries:
                self._live[key] = entries
            else:
                self._live.pop(key, None)

        stream.on_close(forget)

    def stop(self, owner: str | None, thread_id: str, run_id: str | None) -> bool:
        """End the owner's suggestion runs of a thread id; true if there was one to end."""
        found = [
            stream for live_id, stream in self._live.get((owner, thread_id), []) if run_id in (None, live_id)
        ]
        for stream in found:
            stream.end(endings.stopped())
        return bool(found)

    def shut_down(self) -> None:
        """End every suggestion run because the process ends."""
        for entries in list(self._live.values()):
            for _, stream in entries:
                stream.end(endings.shutdown())
