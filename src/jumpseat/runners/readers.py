"""The readers of a run's log: from this process's buffer where there is one, else from the store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from jumpseat.errors import StoreUnavailable
from jumpseat.protocol.codec import encode_json
from jumpseat.runners.base import NumberedPage, Page
from jumpseat.runners.live_run import LiveRun
from jumpseat.runners.registry import unless_closed
from jumpseat.stores.base import LogPage, Run, Store

__all__ = ["DeferredStream", "LogReader", "ReadyStream"]

logger = logging.getLogger("jumpseat.runs")

WAIT_SECONDS: Final = 10.0
PATIENCE_SECONDS: Final = 10.0

_INTERRUPTED: Final = encode_json(
    {"type": "RUN_ERROR", "message": "The stream was interrupted", "code": "STREAM_INTERRUPTED"}
)
_DELETED: Final = encode_json(
    {"type": "RUN_ERROR", "message": "The thread was deleted", "code": "THREAD_DELETED"}
)


class LogReader:
    """Yields a run's events behind a number, as pages with cursors, until the run ends.

    ``__anext__`` may be cancelled at any time without losing an event. A run whose owner is gone is sealed
    on the way. A log that cannot be read for ten seconds ends the stream with STREAM_INTERRUPTED.
    """

    def __init__(
        self,
        store: Store,
        owner: str | None,
        run: Run,
        *,
        after: int,
        live: LiveRun | None,
        recover: Callable[[Run], Awaitable[None]],
    ) -> None:
        self._store = store
        self._owner = owner
        self._run = run
        self._run_key = run.run_key
        self._seq = after
        self._live = live
        self._attached = live
        self._tail = live.tail if live is not None else None
        self._recover = recover
        self._ended = False
        self._failing_since: float | None = None
        if live is not None:
            live.attach()

    def __aiter__(self) -> LogReader:
        return self

    async def __anext__(self) -> Page:
        """Return the next events; waits until there are any."""
        while not self._ended:
            tail = self._tail
            if tail is None or tail.detached:
                self._tail = None
                events = await self._from_store(WAIT_SECONDS)
            else:
                found = tail.after(self._seq)
                if found:
                    first = self._seq + 1
                    self._seq += len(found)
                    return NumberedPage(self._run_key, first, found)
                if found is None:
                    events = await self._from_store(0)
                elif tail.ended:
                    break
                else:
                    waiter = tail.changed()
                    try:
                        await waiter
                    except asyncio.CancelledError:
                        tail.forget(waiter)
                        raise
                    continue
            if events is not None:
                return events
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End this reader only."""
        self._ended = True
        if self._attached is not None:
            self._attached.detach()
            self._attached = None

    def _page(self, events: list[bytes]) -> Page:
        first = self._seq + 1
        self._seq += len(events)
        return NumberedPage(self._run_key, first, events)

    async def _from_store(self, wait: float) -> Page | None:
        """Return a page, or ``None`` when there was nothing in time or the log is at its end."""
        try:
            page = await self._store.read(self._run.thread_id, self._run.run_key, self._seq, wait)
            if page.gone:
                return self._last_page(await self._terminal_of_gone())
            if page.expired and not page.events:
                await self._recover(self._run)
        except StoreUnavailable as error:
            return await self._unavailable(error)
        self._failing_since = None
        return self._from_page(page)

    def _from_page(self, page: LogPage) -> Page | None:
        self._ended = page.ended
        return self._page(page.events) if page.events else None

    async def _terminal_of_gone(self) -> bytes:
        tail = self._live.tail if self._live is not None else None
        if tail is not None and tail.ended:
            last = tail.after(tail.last_seq - 1)
            if last:
                return last[-1]
        header = await self._store.run(self._owner, self._run.thread_id, self._run.run_key)
        return header.terminal if header is not None and header.terminal is not None else _DELETED

    async def _unavailable(self, error: StoreUnavailable) -> Page | None:
        now = asyncio.get_running_loop().time()
        self._failing_since = self._failing_since or now
        if now - self._failing_since >= PATIENCE_SECONDS:
            logger.warning("a reader of run %s gives up: %s", self._run.run_key, error)
            return self._last_page(_INTERRUPTED)
        await asyncio.sleep(0.25)
        return None

    def _last_page(self, event: bytes) -> Page:
        self._ended = True
        return Page([(None, event)])


class ReadyStream:
    """Yields what is known already, then goes on with the logs of some runs, one after the other."""

    def __init__(self, pages: Sequence[Page] = (), logs: Sequence[LogReader] = ()) -> None:
        self._pages = list(pages)
        self._logs = list(logs)

    def __aiter__(self) -> ReadyStream:
        return self

    async def __anext__(self) -> Page:
        """Return the next page. Cancelling loses nothing."""
        if self._pages:
            return self._pages.pop(0)
        while self._logs:
            try:
                return await self._logs[0].__anext__()
            except StopAsyncIteration:
                self._logs.pop(0)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End this reader only."""
        self._pages.clear()
        logs, self._logs = self._logs, []
        for log in logs:
            await log.aclose()


class DeferredStream:
    """A stream that is opened when its first page is asked for, so that a response can begin before that."""

    def __init__(self, open_stream: Callable[[], asyncio.Task[ReadyStream]]) -> None:
        self._open_stream = open_stream
        self._opening: asyncio.Task[ReadyStream] | None = None
        self._failed = False

    def __aiter__(self) -> DeferredStream:
        return self

    async def __anext__(self) -> Page:
        """Return the next page. Cancelling loses nothing. Raises ``RunnerClosed``."""
        if self._failed:
            raise StopAsyncIteration
        if self._opening is None:
            self._opening = self._open_stream()
        try:
            stream = await unless_closed(self._opening)
        except StoreUnavailable as error:
            logger.warning("a connect gives up: %s", error)
            self._failed = True
            return Page([(None, _INTERRUPTED)])
        return await stream.__anext__()

    async def aclose(self) -> None:
        """End this reader only."""
        opening, self._failed = self._opening, True
        if opening is None:
            return
        if not opening.done():
            opening.cancel()
        elif not opening.cancelled() and opening.exception() is None:
            await opening.result().aclose()
