"""The thread verbs over a store: lists, mutations, and what a thread amounts to now or did after a run."""

from __future__ import annotations

import binascii
import logging
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from jumpseat.errors import InvalidCursor, RunNotFound
from jumpseat.protocol import codec
from jumpseat.protocol.events import StateDelta, StateSnapshot
from jumpseat.protocol.inputs import (
    ActivityMessage,
    AssistantMessage,
    Message,
    ToolCall,
    ToolMessage,
)
from jumpseat.protocol.reduce import Reducer
from jumpseat.runners.base import RunRecord
from jumpseat.runners.branches import find_run, is_outdated, list_runs
from jumpseat.runners.offloading import offload
from jumpseat.stores.base import History, Live, RunHeader, Store, ThreadChange, ThreadRecord

__all__ = ["MAX_EVENTS", "MAX_RUNS", "MAX_THREADS", "StoreThreads"]

MAX_THREADS: Final = 200
MAX_RUNS: Final = 200
MAX_EVENTS: Final = 10_000

Stop: TypeAlias = Callable[[str | None, str | None], Awaitable[object]]
Gone: TypeAlias = Callable[[str | None, str | None], None]
Json: TypeAlias = dict[str, Any]

_logger = logging.getLogger("jumpseat.threads")
_TRIES: Final = 5


class StoreThreads:
    """Implements ``BranchStore`` over a store.

    Args:
        store: Where the threads are.
        stop: Stops what runs on a thread of an owner, or on all of them (``None``), and waits, for a limited
            time, for its end.
        gone: Told the owner and the thread that was deleted, ``None`` for all of them.
        ready: Makes the store ready; awaited before each use of it.
    """

    def __init__(self, store: Store, stop: Stop, gone: Gone, ready: Callable[[], Awaitable[None]]) -> None:
        self._store = store
        self._stop = stop
        self._gone = gone
        self._ready = ready

    async def list(
        self,
        *,
        owner: str | None,
        agent_id: str | None = None,
        archived: bool = False,
        limit: int = MAX_THREADS,
        cursor: str | None = None,
    ) -> tuple[list[ThreadRecord], str | None]:
        """Return up to ``limit`` (1 to 200) records and the cursor of the next page, ``None`` at the end.

        Newest run first. ``archived`` includes archived threads. Raises ``InvalidCursor``, and ``ValueError``
        for a limit below 1.
        """
        limit = _page_size(limit, MAX_THREADS)
        after = _position(cursor) if cursor is not None else None
        await self._ready()
        records = await self._store.threads.list(
            owner, agent_id=agent_id, archived=archived, limit=limit + 1, after=after
        )
        if len(records) <= limit:
            return records, None
        page = records[:limit]
        return page, _cursor(page[-1])

    async def get(self, thread_id: str, *, owner: str | None) -> ThreadRecord | None:
        """Return one record, ``None`` for an unknown thread."""
        await self._ready()
        return await self._store.threads.get(owner, thread_id)

    async def update(self, thread_id: str, change: ThreadChange, *, owner: str | None) -> ThreadRecord | None:
        """Change name or archive mark in one step; ``None`` for an unknown thread."""
        await self._ready()
        return await self._store.threads.update(owner, thread_id, change)

    async def delete(self, thread_id: str, *, owner: str | None) -> bool:
        """Stop what runs on the thread, then remove it; false for an unknown thread.

        Cancelling may leave the run stopped and the thread there.
        """
        await self._ready()
        await self._stop(owner, thread_id)
        deleted = await self._store.threads.delete(owner, thread_id)
        self._gone(owner, thread_id)
        return deleted

    async def clear(self, *, owner: str | None) -> None:
        """Stop what runs on the owner's threads, then delete all of them."""
        await self._ready()
        await self._stop(owner, None)
        await self._store.threads.clear(owner)
        self._gone(owner, None)

    async def runs(
        self, thread_id: str, *, owner: str | None, limit: int = MAX_RUNS, cursor: str | None = None
    ) -> tuple[list[RunRecord], str | None] | None:
        """Return up to ``limit`` (1 to 200) runs, oldest first, and the cursor of the next page.

        The cursor is ``None`` at the end; the whole is ``None`` for an unknown thread. Raises
        ``InvalidCursor``, and ``ValueError`` for a limit below 1.
        """
        limit = _page_size(limit, MAX_RUNS)
        after = _ordinal(cursor) if cursor is not None else 0
        await self._ready()
        records, last = await list_runs(self._store, owner, thread_id, after, limit)
        if not records and await self._store.threads.get(owner, thread_id) is None:
            return None
        return records, None if last is None else _run_cursor(last)

    async def messages(
        self, thread_id: str, *, owner: str | None, at: str | None = None
    ) -> list[Json] | None:
        """Return the messages now, or after the run ``at``; ``None`` for an unknown thread.

        The messages are JSON objects. Tool calls have the form ``{"id", "name", "args"}``; with ``at`` all
        that messages and calls have beside that is told too, so that they can be sent again. What a live run
        has said so far is included, now and where ``at`` names a run that has not ended. Raises
        ``RunNotFound`` when the thread has no such run, or no longer keeps what it showed then.
        """
        picture = await self._picture(thread_id, owner, at)
        if picture is None:
            return None
        history, live_events = picture
        size = sum(len(entry.data) for entry in history.entries) + sum(map(len, live_events))
        return await offload(size, _messages, history, live_events, _wire if at is None else _whole)

    async def state(self, thread_id: str, *, owner: str | None, at: str | None = None) -> Any:
        """Return the state now, or after the run ``at`` as ``messages`` does; ``None`` when there is none."""
        picture = await self._picture(thread_id, owner, at)
        if picture is None:
            return None
        history, live_events = picture
        size = len(history.state or b"") + sum(map(len, live_events))
        return await offload(size, _state, history, live_events)

    async def events(self, thread_id: str, *, owner: str | None) -> tuple[list[bytes], bool] | None:
        """Return the newest 10,000 stored events as JSON, oldest first, and whether there are more.

        Sealed runs in the form that is kept, the live run event by event. ``None`` for an unknown thread.
        """
        await self._ready()
        if await self._store.threads.get(owner, thread_id) is None:
            return None
        live = await self._store.live(owner, thread_id)
        newest: list[bytes] | None = None
        if live is not None:
            newest = await self._live_events(thread_id, live, max(0, live.last_seq - MAX_EVENTS))
        # Read after the live log: a run sealed in between is then seen here, and only here.
        runs = await self._store.events(owner, thread_id, 0, MAX_EVENTS + 1, newest=True)
        if live is not None and newest is not None and all(run.run_key != live.run.run_key for run in runs):
            cut = live.last_seq > len(newest)
        else:
            newest, cut = [], False
        events = [event for run in reversed(runs) for event in run.events] + newest
        return events[-MAX_EVENTS:], cut or len(events) > MAX_EVENTS

    async def _picture(
        self, thread_id: str, owner: str | None, at: str | None
    ) -> tuple[History, list[bytes]] | None:
        """Return the thread, now or after the run ``at``, and the events of a run that is still live."""
        await self._ready()
        if at is None:
            return await self._now(thread_id, owner)
        for _ in range(_TRIES):
            header = await find_run(self._store, owner, thread_id, at)
            if header is None:
                break
            history = await self._store.history(owner, thread_id, header.ordinal)
            run = history.head if history is not None else None
            if history is None or run is None:
                continue
            if run.sealed_at is not None:
                if is_outdated(run):
                    raise RunNotFound(thread_id, at, outdated=True)
                return history, []
            now = await self._now(thread_id, owner)
            if now is not None and (run.status == "queued" or _is_live(now[0], run)):
                return now
        if await self._store.threads.get(owner, thread_id) is None:
            return None
        raise RunNotFound(thread_id, at)

    async def _now(self, thread_id: str, owner: str | None) -> tuple[History, list[bytes]] | None:
        """Return the thread and its live run's events so far, ``None`` for an unknown thread."""
        history: History | None = None
        for _ in range(_TRIES):
            history = await self._store.history(owner, thread_id)
            if history is None:
                return None
            if history.live is None:
                return history, []
            events = await self._live_events(thread_id, history.live, 0)
            if events is not None:
                return history, events
        # Runs come and go faster than their logs can be read: what is finished is the answer.
        return None if history is None else (history, [])

    async def _live_events(self, thread_id: str, live: Live, after: int) -> list[bytes] | None:
        """Return what a run has stored behind ``after``; ``None`` when its log is gone."""
        events: list[bytes] = []
        while after + len(events) < live.last_seq:
            page = await self._store.read(thread_id, live.run.run_key, after + len(events), 0)
            if page.gone:
                return None
            events += page.events
            if page.ended or not page.events:
                break
        return events


def _is_live(history: History, run: RunHeader) -> bool:
    return history.live is not None and history.live.run.run_key == run.run_key


def _page_size(limit: int, most: int) -> int:
    if limit < 1:
        raise ValueError(f"limit must be 1 or more, not {limit}")
    return min(limit, most)


def _cursor(last: ThreadRecord) -> str:
    return _opaque(f"{last.last_run_at},{last.id}")


def _position(cursor: str) -> tuple[int, str]:
    """Return what ``_cursor`` made the cursor of."""
    time, comma, thread_id = (_told(cursor) or "").partition(",")
    if not comma or not thread_id or not _is_number(time):
        raise InvalidCursor("This is not a cursor of a thread list: start from the first page")
    return int(time), thread_id


def _run_cursor(ordinal: int) -> str:
    return _opaque(f"run {ordinal}")


def _ordinal(cursor: str) -> int:
    """Return what ``_run_cursor`` made the cursor of."""
    word, _, ordinal = (_told(cursor) or "").partition(" ")
    if word != "run" or not _is_number(ordinal, digits=9):
        raise InvalidCursor("This is not a cursor of a list of runs: start from the first page")
    return int(ordinal)


def _is_number(text: str, digits: int = 18) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= digits


def _opaque(text: str) -> str:
    return urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def _told(cursor: str) -> str | None:
    """Return the text that a cursor was made of, ``None`` if it is no cursor."""
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        # The lenient decoder skips foreign characters: only what encodes back is ours.
        return raw.decode() if urlsafe_b64encode(raw).rstrip(b"=").decode() == cursor else None
    except (ValueError, binascii.Error):
        return None


def _messages(history: History, live_events: list[bytes], written: Callable[[Message], Json]) -> list[Json]:
    messages = [codec.decode_message(entry.data) for entry in history.entries]
    if live_events:
        reducer = Reducer(messages, None, warn=_note)
        for data in live_events:
            reducer.apply(codec.decode(data))
        messages = reducer.messages
    return [written(message) for message in messages]


def _state(history: History, live_events: list[bytes]) -> Any:
    state = None if history.state is None else codec.decode_json(history.state)
    reducer = Reducer([], state, warn=_note)
    for event in map(codec.decode, live_events):
        if isinstance(event, StateSnapshot | StateDelta):
            reducer.apply(event)
    return reducer.state


def _wire(message: Message) -> Json:
    match message:
        case AssistantMessage():
            wire: Json = {"id": message.id, "role": "assistant"}
            if message.content is not None:
                wire["content"] = message.content
            if message.tool_calls:
                wire["toolCalls"] = [_call(call) for call in message.tool_calls]
            return wire
        case ToolMessage():
            content = codec.to_wire(message.content)
            return {"id": message.id, "role": "tool", "content": content, "toolCallId": message.tool_call_id}
        case ActivityMessage():
            kind = message.activity_type
            return {"id": message.id, "role": "activity", "activityType": kind, "content": message.content}
        case _:
            role = str(type(message).__struct_config__.tag)
            return {"id": message.id, "role": role, "content": codec.to_wire(message.content)}


def _whole(message: Message) -> Json:
    """Return all that ``_wire`` does, and what else a message needs to be sent again as it was."""
    wire: Json = codec.to_wire(message)
    calls: list[Json] = wire.pop("toolCalls", [])
    for call in calls:
        function = call.pop("function")
        call |= {"name": function["name"], "args": function["arguments"]}
        del call["type"]
    return {"id": message.id, **wire, **({"toolCalls": calls} if calls else {})}


def _call(call: ToolCall) -> Json:
    return {"id": call.id, "name": call.function.name, "args": call.function.arguments}


def _note(text: str) -> None:
    _logger.debug("while reading a thread: %s", text)
