"""Connecting to a thread: what its finished runs amount to, then the live run; or what a cursor misses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from jumpseat.protocol.codec import decode
from jumpseat.protocol.events import ReasoningMessageStart, RunError
from jumpseat.protocol.history import ThreadView, prelude
from jumpseat.protocol.inputs import ReasoningMessage
from jumpseat.runners.base import ConnectRequest, Page
from jumpseat.runners.keys import Cursor
from jumpseat.runners.offloading import offload
from jumpseat.runners.pending import Pending
from jumpseat.runners.readers import LogReader, ReadyStream
from jumpseat.runners.registry import Registry, unless_closed
from jumpseat.stores.base import History, Live, Run, RunHeader, Store

__all__ = ["Connector"]

MAX_RESUMED_RUNS = 100


class Connector:
    """Opens connect streams on a store. Connects of one thread at the same moment share one history read."""

    def __init__(
        self, store: Store, registry: Registry, *, recover: Callable[[Run], Awaitable[None]]
    ) -> None:
        self._store = store
        self._registry = registry
        self._recover = recover
        self._reads: dict[tuple[str | None, str], asyncio.Task[tuple[History, list[bytes]] | None]] = {}

    async def open(self, request: ConnectRequest) -> ReadyStream:
        """Return the stream for one client; empty for an unknown thread or when nothing is missing."""
        cursor = Cursor.parse(request.cursor)
        if cursor is not None:
            resumed = await self._resume(request, cursor)
            if resumed is not None:
                return resumed
        shown = await self._shown(request)
        if shown is None:
            return ReadyStream()
        history, frames = shown
        tail_reasoning = await self._restarted_reasoning(request, history)
        if tail_reasoning is not None:
            frames = await _prelude(_thread_view(request.thread_id, history, tail_reasoning))
        live, head = history.live, history.head
        last = f"{live.run.run_key}:0" if live is not None else f"{head.run_key}:{head.last_seq}"  # pyright: ignore[reportOptionalMemberAccess]
        page = Page([*((None, data) for data in frames[:-1]), (last, frames[-1])])
        return ReadyStream([page], [self._log(request, live.run, 0)] if live is not None else [])

    async def _shown(self, request: ConnectRequest) -> tuple[History, list[bytes]] | None:
        """Return the thread and its prelude, ``None`` for a thread without a run."""
        key = (request.owner, request.thread_id)
        read = self._reads.get(key)
        if read is None:
            read = self._registry.spawn(self._read(*key), f"history of {request.thread_id!r}")
            self._reads[key] = read
            read.add_done_callback(lambda done: self._forget(key, done))
        return await unless_closed(read)

    def changed(self, owner: str | None, thread_id: str | None) -> None:
        """A run has begun, or the thread (``None``: all of the owner's) is gone.

        Whoever connects from now on shares no read that may not have seen it.
        """
        if thread_id is not None:
            self._reads.pop((owner, thread_id), None)
        else:
            self._reads = {key: read for key, read in self._reads.items() if key[0] != owner}

    def _forget(self, key: tuple[str | None, str], read: asyncio.Task[Any]) -> None:
        if self._reads.get(key) is read:
            del self._reads[key]

    async def _read(self, owner: str | None, thread_id: str) -> tuple[History, list[bytes]] | None:
        history = await self._store.history(owner, thread_id)
        if history is not None and history.live is not None and history.live.over:
            await self._recover(history.live.run)
            history = await self._store.history(owner, thread_id)
        if history is None or (history.head is None and history.live is None):
            return None
        return history, await _prelude(_thread_view(thread_id, history, None))

    async def _resume(self, request: ConnectRequest, cursor: Cursor) -> ReadyStream | None:
        """Return what comes behind a cursor, ``None`` when not all of that is still kept one by one."""
        owner, thread_id = request.owner, request.thread_id
        header = await self._store.run(owner, thread_id, cursor.run_key)
        if header is None:
            return None
        live = await self._live(owner, thread_id)
        last_seq = live.last_seq if live is not None and _is(live, header) else header.last_seq
        later = await self._store.runs(owner, thread_id, header.ordinal, MAX_RESUMED_RUNS + 1)
        started = [run for run in later if run.status != "queued"]
        behind = cursor.seq < last_seq or header.status == "live"
        needed = [header, *started] if behind else started
        if cursor.seq > last_seq or len(later) > MAX_RESUMED_RUNS or not all(run.raw for run in needed):
            return None
        logs = [
            self._log(request, Run(thread_id, run.run_key, 0), cursor.seq if run is header else 0, live=live)
            for run in needed
        ]
        return ReadyStream((), logs)

    async def _live(self, owner: str | None, thread_id: str) -> Live | None:
        live = await self._store.live(owner, thread_id)
        if live is not None and live.over:
            await self._recover(live.run)
            return None
        return live

    def _log(self, request: ConnectRequest, run: Run, after: int, *, live: Live | None = None) -> LogReader:
        claim = live.run if live is not None and live.run.run_key == run.run_key else run
        local = self._registry.live.get(run.run_key)
        return LogReader(self._store, request.owner, claim, after=after, live=local, recover=self._recover)

    async def _restarted_reasoning(self, request: ConnectRequest, history: History) -> str | None:
        """Name the first reasoning message that the client holds in part and the live run streams again."""
        if history.live is None or request.input is None:
            return None
        stored = {entry.key for entry in history.entries}
        held = {
            message.id
            for message in request.input.messages
            if isinstance(message, ReasoningMessage) and message.id not in stored
        }
        seq = 0
        while held:
            page = await self._store.read(request.thread_id, history.live.run.run_key, seq, 0)
            if not page.events:
                return None
            for data in page.events:
                if b"REASONING_MESSAGE_START" in data:
                    event = decode(data)
                    if isinstance(event, ReasoningMessageStart) and event.message_id in held:
                        return event.message_id
            seq += len(page.events)
        return None


async def _prelude(view: ThreadView) -> list[bytes]:
    return await offload(sum(map(len, view.messages)), prelude, view)


def _is(live: Live, header: RunHeader) -> bool:
    return live.run.run_key == header.run_key


def _thread_view(thread_id: str, history: History, tail_reasoning: str | None) -> ThreadView:
    head, live = history.head, history.live
    pending = Pending.decode(head.pending) if head is not None and live is None else Pending()
    result, error = _outcome(head) if live is None else (None, None)
    return ThreadView(
        thread_id=thread_id,
        run_id=head.run_id if head is not None else f"history:{thread_id}",
        messages=[entry.data for entry in history.entries],
        state=history.state,
        customs=pending.customs,
        error=error,
        result=result if live is None else _result_of(head),
        interrupts=pending.interrupts,
        live=live is not None,
        tail_reasoning=tail_reasoning,
        now=datetime.now(UTC),
    )


def _outcome(head: RunHeader | None) -> tuple[Any, tuple[str, str, str] | None]:
    if head is None or head.terminal is None:
        return None, None
    terminal = decode(head.terminal)
    if isinstance(terminal, RunError):
        return None, (terminal.code or "", terminal.message, head.run_id)
    return _result_of(head), None


def _result_of(head: RunHeader | None) -> Any:
    if head is None or head.terminal is None:
        return None
    terminal = msgspec.json.decode(head.terminal)
    return terminal.get("result") if terminal.get("type") == "RUN_FINISHED" else None
