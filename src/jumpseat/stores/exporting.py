"""Exporting: everything that a store holds as lines of JSON, one thread after the other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass

from jumpseat.stores.base import (
    DumpedEvents,
    DumpedGone,
    DumpedRun,
    DumpedThread,
    DumpPart,
    Store,
)
from jumpseat.stores.lines import (
    VERSION,
    CompleteLine,
    EndLine,
    EntryLine,
    EventsLine,
    GoneLine,
    HeaderLine,
    Line,
    RunLine,
    ThreadLine,
    encode_line,
    event_lines,
    line_size,
)

__all__ = ["export"]

_log = logging.getLogger(__name__)
_LARGE = 1 << 20


async def export(store: Store, *, notice: Callable[[str], None] = _log.info) -> AsyncGenerator[bytes]:
    """Yield the threads of all owners as lines of JSON, each with its end; `import_` reads them.

    Live and queued runs, and threads without a finished run, are left out, and ``notice`` is told of each. A
    thread is as it was when its turn came, whatever happens meanwhile. Of a long thread one page, or one
    finished run, is held in memory at a time. The store is opened and not closed. Close the generator
    (``contextlib.aclosing``) when not all of it is read. The format: docs/reference/export.md.

    Raises:
        StoreUnavailable: The store cannot be read; what came so far lacks its last line.
    """
    await store.open()
    yield encode_line(HeaderLine(jumpseat=VERSION))
    threads = 0
    tally = _Tally()
    after: bytes | None = None
    while True:
        page = await store.dump(after)
        for part in page.parts:
            if isinstance(part, DumpedThread):
                _tell(part, notice)
                threads += part.runs > 0
            elif isinstance(part, DumpedGone):
                notice(f"thread {part.thread_id!r} was deleted meanwhile: left out")
                threads -= 1
            for line in tally.lines(part):
                yield await _encoded(line)
        after = page.next
        if after is None:
            break
    for line in tally.completed():
        yield encode_line(line)
    yield encode_line(EndLine(threads=threads))


@dataclass(slots=True)
class _Tally:
    """Makes lines of the parts of a dump, and counts those of the thread at hand."""

    thread_id: str | None = None
    entries: int = 0
    events: int = 0

    def lines(self, part: DumpPart) -> Iterator[Line]:
        """Yield the lines of a part; behind the last one of a thread its counts."""
        if isinstance(part, DumpedThread):
            yield from self.completed()
            self.thread_id = part.record.id if part.runs else None
        elif isinstance(part, DumpedGone):
            self.thread_id = None
        for line in _lines(part):
            self.entries += isinstance(line, EntryLine)
            self.events += isinstance(line, EventsLine)
            yield line

    def completed(self) -> Iterator[CompleteLine]:
        """Yield the last line of the thread at hand, if there is one."""
        if self.thread_id is not None:
            yield CompleteLine(thread=self.thread_id, entries=self.entries, events=self.events)
        self.thread_id, self.entries, self.events = None, 0, 0


async def _encoded(line: Line) -> bytes:
    if line_size(line) > _LARGE:
        return await asyncio.to_thread(encode_line, line)
    return encode_line(line)


def _tell(thread: DumpedThread, notice: Callable[[str], None]) -> None:
    thread_id = thread.record.id
    if not thread.runs:
        notice(f"thread {thread_id!r} has no finished run yet: left out")
        return
    for run_id in thread.left_out:
        notice(f"run {run_id!r} of thread {thread_id!r} is not finished: left out")


def _lines(part: DumpPart) -> Iterator[Line]:
    match part:
        case DumpedThread():
            if part.runs:
                yield ThreadLine.of(part)
        case DumpedRun():
            yield RunLine.of(part)
        case DumpedEvents():
            yield from event_lines(part)
        case DumpedGone():
            yield GoneLine(thread=part.thread_id)
        case entry:
            yield EntryLine.of(entry)
