"""Importing: the lines of an export become threads again, each in one step when its last line was read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Final

import msgspec

from jumpseat.errors import InvalidExport
from jumpseat.stores.assembling import Assembly
from jumpseat.stores.base import Loaded, Store
from jumpseat.stores.lines import (
    VERSION,
    CompleteLine,
    EndLine,
    GoneLine,
    HeaderLine,
    Line,
    ThreadLine,
    decode_line,
)

__all__ = ["ImportReport", "import_"]

_LARGE: Final = 1 << 20
_LINES: Final = 1_000
_log = logging.getLogger(__name__)


class ImportReport(msgspec.Struct, kw_only=True):
    """How many threads were stored anew, replaced, and left alone because they were there.

    ``busy`` are the ids of threads that were to be replaced and have a live or queued run.
    """

    loaded: int = 0
    replaced: int = 0
    skipped: int = 0
    busy: list[str] = msgspec.field(default_factory=list[str])


async def import_(
    store: Store,
    lines: AsyncIterable[bytes | str] | Iterable[bytes | str],
    *,
    replace: bool = False,
    notice: Callable[[str], None] = _log.warning,
    progress: Callable[[ImportReport], None] | None = None,
) -> ImportReport:
    """Store the threads of an export, each when it is complete, and say what became of them.

    Args:
        store: Is opened, and not closed.
        lines: As `export` yields them, or those of a file; an iterable that is not asynchronous may block.
        replace: Whether a thread whose id is there already is replaced by the one of the export, whoever owns
            it; otherwise it stays. A thread with a live or queued run is never replaced: import it again when
            the run is over.
        notice: Told of each thread that could not be replaced.
        progress: Given the report so far after each thread.

    Raises:
        InvalidExport: A line is bad, or the last one is missing; threads that were complete before it stay.
        StoreUnavailable: The store cannot be written; threads that were stored stay.

    Cancelling leaves out the thread at hand, as a whole.
    """
    await store.open()
    importer = _Importer(store, notice, progress, replace=replace)
    try:
        async for line in _each(lines):
            await importer.take(line)
        importer.finish()
    finally:
        await importer.drop()
    return importer.report


async def _each(lines: AsyncIterable[bytes | str] | Iterable[bytes | str]) -> AsyncIterator[bytes | str]:
    if isinstance(lines, AsyncIterable):
        async for line in lines:
            yield line
        return
    iterator = iter(lines)
    error: Exception | None = None
    some: list[bytes | str] = []
    while error is None:
        some, error = await asyncio.to_thread(_some, iterator)
        for line in some:
            yield line
        if not some:
            break
    if error is not None:
        raise error


def _some(iterator: Iterator[bytes | str]) -> tuple[list[bytes | str], Exception | None]:
    """Return the next few lines, and what went wrong behind them."""
    some: list[bytes | str] = []
    size = 0
    try:
        for line in iterator:
            some.append(line)
            size += len(line)
            if size > _LARGE or len(some) >= _LINES:
                break
    except Exception as error:
        return some, error
    return some, None


class _Importer:
    """Reads line after line."""

    def __init__(
        self,
        store: Store,
        notice: Callable[[str], None],
        progress: Callable[[ImportReport], None] | None,
        *,
        replace: bool,
    ) -> None:
        self._store = store
        self._notice = notice
        self._progress = progress
        self._replace = replace
        self._number = 0
        self._threads = 0
        self._begun = self._ended = False
        self._assembly: Assembly | None = None
        self._first_line = 0
        self.report = ImportReport()

    async def take(self, line: bytes | str) -> None:
        """Read a line and store the thread that it completes."""
        self._number += 1
        if not line.strip():
            return
        try:
            large = len(line) > _LARGE
            found = await asyncio.to_thread(decode_line, line) if large else decode_line(line)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise self._bad(self._reason(line, error)) from None
        if self._ended:
            raise self._bad("there is more behind the end")
        if self._begun == isinstance(found, HeaderLine):
            raise self._bad("a second header" if self._begun else _NO_EXPORT)
        try:
            await self._use(found)
        except ValueError as error:
            raise self._bad(str(error)) from None

    async def _use(self, line: Line) -> None:
        match line:
            case HeaderLine():
                if line.jumpseat != VERSION:
                    raise ValueError(
                        f"this export has version {line.jumpseat}, and this Jumpseat reads version "
                        f"{VERSION}: use a newer Jumpseat"
                    )
                self._begun = True
            case ThreadLine():
                self._check_complete()
                self._assembly = Assembly(line.thread())
                self._first_line = self._number
            case CompleteLine():
                await self._complete(line)
            case EndLine():
                self._check_complete()
                if line.threads != self._threads:
                    raise ValueError(f"{self._threads} threads came, and {line.threads} were exported")
                self._ended = True
            case GoneLine():
                await self.drop()
            case part:
                await self._at_hand().add(part)

    def _at_hand(self) -> Assembly:
        if self._assembly is None:
            raise ValueError("there is no thread above that this belongs to")
        return self._assembly

    def _check_complete(self) -> None:
        if self._assembly is not None:
            raise ValueError(f"the last line of thread {self._assembly.thread_id!r} is missing")

    async def _complete(self, line: CompleteLine) -> None:
        """Store the thread at hand."""
        contents = self._at_hand().complete(line)
        thread_id = contents.thread.record.id
        try:
            loaded = await self._store.load(contents, replace=self._replace)
        except ValueError as error:
            raise InvalidExport(self._first_line, f"thread {thread_id!r}: {error}") from error
        self._threads += 1
        await self.drop()
        self._count(thread_id, loaded)
        if self._progress is not None:
            self._progress(self.report)

    def _count(self, thread_id: str, loaded: Loaded) -> None:
        match loaded:
            case Loaded.LOADED:
                self.report.loaded += 1
            case Loaded.REPLACED:
                self.report.replaced += 1
            case Loaded.EXISTS:
                self.report.skipped += 1
            case Loaded.BUSY:
                self.report.busy.append(thread_id)
                self._notice(f"thread {thread_id!r} has a live or queued run: not replaced")

    def finish(self) -> None:
        """Say that no more lines come. Raises ``InvalidExport`` unless the last one was the end."""
        if self._ended:
            return
        self._number += 1
        if not self._begun:
            raise self._bad(_NO_EXPORT)
        at_hand = self._assembly
        left = f"; thread {at_hand.thread_id!r} was not imported" if at_hand is not None else ""
        raise self._bad(f"the export is cut off: its last line is missing{left}")

    async def drop(self) -> None:
        """Forget the thread at hand."""
        assembly, self._assembly = self._assembly, None
        if assembly is not None:
            await assembly.aclose()

    def _bad(self, reason: str) -> InvalidExport:
        return InvalidExport(self._number, reason)

    def _reason(self, line: bytes | str, error: Exception) -> str:
        if not self._begun:
            return _NO_EXPORT
        newline = b"\n" if isinstance(line, bytes) else "\n"
        cut = "" if line.endswith(newline) else ", perhaps because the file is cut off"  # type: ignore[arg-type]
        return f"this is no line of an export ({error}){cut}"


_NO_EXPORT: Final = 'this is no export of Jumpseat: one begins with {"kind":"header","jumpseat":1}'
