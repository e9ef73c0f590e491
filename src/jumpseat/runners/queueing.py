"""Runs that wait for their turn on a busy thread, and the stream of one that waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import msgspec

from jumpseat.context import RunContext
from jumpseat.protocol.codec import decode_json, decode_message, encode, encode_json, to_wire
from jumpseat.protocol.endings import Ending, ending_for_stop, lost
from jumpseat.protocol.inputs import RunAgentInput
from jumpseat.protocol.ledger import Ledger
from jumpseat.protocol.parse import parse_input
from jumpseat.runners.base import DisconnectPolicy, EventStream, Page, RunRequest
from jumpseat.runners.options import RunnerOptions
from jumpseat.stores.base import Claimed, History, Run

__all__ = ["QueuedRun", "QueuedStream", "orphan_request", "rebased", "stored_input"]

logger = logging.getLogger("jumpseat.runs")


class QueuedRun:
    """A run of this process that waits until every older run of its thread is sealed.

    Attributes:
        stop_reason: Why it must not start: it is then sealed at its turn without its agent being asked.
        over: Set when it waits no longer.
        first: Its event 1, should it never start.
        orphaned: Its process died while it waited; it only keeps its message.
    """

    def __init__(
        self, request: RunRequest, run: Run, first: bytes, options: RunnerOptions, *, orphaned: bool = False
    ) -> None:
        self.request = request
        self.run = run
        self.stop_reason: str | None = None
        self.orphaned = orphaned
        self.over = asyncio.Event()
        self.stopped = asyncio.Event()
        self.first = first
        self._ready: asyncio.Future[EventStream] = asyncio.get_running_loop().create_future()
        own = request.options.on_disconnect
        self._policy: DisconnectPolicy = options.on_disconnect if own is None else own
        self._timer: asyncio.TimerHandle | None = None
        self._left = False

    def stream(self) -> QueuedStream:
        """Return the reader of the response that waits."""
        return QueuedStream(self)

    async def ready(self) -> EventStream:
        """Wait for what the waiting response is to send. Cancelling loses nothing."""
        return await asyncio.shield(self._ready)

    async def start(self, stream: EventStream) -> None:
        """The run is live now; ``stream`` reads it."""
        if self._left:
            await stream.aclose()
        self._resolve(stream)

    def request_stop(self, reason: str) -> None:
        """Never start this run; its response ends at once."""
        if self.stop_reason is None and not self.over.is_set():
            self.stop_reason = reason
            self.stopped.set()
            self._resolve(ReadyEvents(self._ending_events(ending_for_stop(reason))))

    def note_stop(self, reason: str | None) -> None:
        """Take in a stop that another process asked for."""
        if reason is not None:
            self.request_stop(reason)

    def finish(self) -> None:
        """The run waits no longer, for whatever reason."""
        self.over.set()
        if self._timer is not None:
            self._timer.cancel()
        if not self._ready.done():
            self._resolve(ReadyEvents(self._ending_events(lost())))

    async def reader_left(self) -> None:
        """The waiting client is gone; the disconnect policy holds while waiting, too."""
        self._left = True
        if self._ready.done():
            await self._ready.result().aclose()
        if self._policy == "continue" or self.over.is_set():
            return
        seconds = 0.0 if isinstance(self._policy, str) else self._policy
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(seconds, self.request_stop, "client_disconnected")

    def _resolve(self, stream: EventStream) -> None:
        if not self._ready.done():
            self._ready.set_result(stream)

    def _ending_events(self, ending: Ending) -> list[bytes]:
        given = self.request.input
        ledger = Ledger(given.thread_id, given.run_id, warn=lambda _: None)
        return [self.first, *(encode(event) for event in ledger.close(ending))]


class QueuedStream:
    """Waits with its run, then reads it."""

    def __init__(self, queued: QueuedRun) -> None:
        self._queued = queued
        self._inner: EventStream | None = None
        self._closed = False

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        """Return the next page of the run, once it has started. Cancelling loses nothing."""
        if self._closed:
            raise StopAsyncIteration
        if self._inner is None:
            self._inner = await self._queued.ready()
        return await self._inner.__anext__()

    async def aclose(self) -> None:
        """End this reader only."""
        if self._closed:
            return
        self._closed = True
        if self._inner is not None:
            await self._inner.aclose()
        else:
            await self._queued.reader_left()


class ReadyEvents:
    """Events that are sent once, without cursors."""

    def __init__(self, events: list[bytes]) -> None:
        self._pages = [Page([(None, data) for data in events])]

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Page:
        """Return the only page, then end."""
        if not self._pages:
            raise StopAsyncIteration
        return self._pages.pop()

    async def aclose(self) -> None:
        """Forget the events."""
        self._pages.clear()


def rebased(request: RunRequest, history: History | None) -> RunRequest:
    """Return ``request`` as its client would have written it had it known the thread as it is now."""
    if history is None:
        return request
    view = [decode_message(entry.data) for entry in history.entries]
    known = {message.id for message in view}
    added = [message for message in request.input.messages if message.id not in known]
    state = None if history.state is None else decode_json(history.state)
    return replace(
        request, input=msgspec.structs.replace(request.input, messages=[*view, *added], state=state)
    )


def stored_input(given: RunAgentInput) -> bytes:
    """Return what a queued run must remember of its input; not its forwardedProps, which may hold secrets."""
    return encode_json(to_wire(msgspec.structs.replace(given, forwarded_props={})))


def orphan_request(claimed: Claimed) -> RunRequest:
    """Return a request for a queued run whose process is gone, from what the store remembers of it.

    A run whose input cannot be read keeps its place and ends there, without a message.
    """
    try:
        given = parse_input(decode_json(claimed.input or b"{}"))
    except Exception:
        logger.exception("queued run %s: its stored input cannot be read", claimed.run.run_key)
        given = RunAgentInput(thread_id=claimed.run.thread_id, run_id=claimed.run_id, messages=[])
    return RunRequest(
        thread_id=claimed.run.thread_id,
        agent=_nothing,
        agent_id=claimed.agent_id,
        input=given,
        context=RunContext(
            thread_id=given.thread_id,
            run_id=given.run_id,
            run_key=claimed.run.run_key,
            agent_id=claimed.agent_id,
        ),
        owner=claimed.owner,
    )


async def _nothing(_input: RunAgentInput, _context: RunContext) -> AsyncIterator[Any]:
    return
    yield
