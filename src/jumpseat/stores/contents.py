"""One thread on its way into a store: kept in memory while it is small, else in a temporary file."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import IO, Final, TypeAlias

import msgspec

from jumpseat.stores.base import DumpedEvents, DumpedRun, DumpedThread, Entry, ThreadContents

__all__ = ["SpooledContents", "ThreadPart", "batches", "whole_runs"]

ThreadPart: TypeAlias = DumpedRun | Entry | DumpedEvents

_MEMORY_BYTES: Final = 1 << 20
_BATCH_PARTS: Final = 256
_BATCH_BYTES: Final = 1 << 20
_SIZE_BYTES: Final = 8
_KINDS: Final[tuple[type[DumpedRun] | type[Entry] | type[DumpedEvents], ...]] = (
    DumpedRun,
    Entry,
    DumpedEvents,
)
_encode = msgspec.msgpack.Encoder().encode
_decoders: Final = [msgspec.msgpack.Decoder(kind) for kind in _KINDS]


def whole_runs(contents: ThreadContents) -> Iterator[ThreadPart]:
    """Yield the parts of a thread, the compacted events of each run in one."""
    gathered: DumpedEvents | None = None
    for part in contents.parts():
        if isinstance(part, DumpedEvents) and not part.raw:
            if gathered is None or gathered.run_key != part.run_key:
                if gathered is not None:
                    yield gathered
                gathered = msgspec.structs.replace(part, events=[])
            gathered.events.extend(part.events)
            continue
        if gathered is not None:
            yield gathered
            gathered = None
        yield part
    if gathered is not None:
        yield gathered


def batches(contents: ThreadContents) -> Iterator[list[ThreadPart]]:
    """Yield ``whole_runs`` in lists of parts of one kind: up to 256, or not much more than 1 MiB."""
    batch: list[ThreadPart] = []
    size = 0
    for part in whole_runs(contents):
        full = len(batch) >= _BATCH_PARTS or size >= _BATCH_BYTES
        if batch and (full or type(part) is not type(batch[-1])):
            yield batch
            batch, size = [], 0
        batch.append(part)
        size += _size(part)
    if batch:
        yield batch


def _size(part: ThreadPart) -> int:
    match part:
        case DumpedRun():
            header = part.header
            payloads = (part.state, header.terminal, header.record, header.pending)
            return sum(len(payload) for payload in payloads if payload is not None)
        case Entry():
            return len(part.data)
        case DumpedEvents():
            return sum(map(len, part.events))


class SpooledContents:
    """The parts of a thread in the order of a dump; ``aclose`` forgets them, and so does leaving the context.

    A log of which not every event was added, as when retention took it during the dump, counts as gone.
    """

    def __init__(self, thread: DumpedThread) -> None:
        self.thread = thread
        self._waiting: list[bytes] = []
        self._size = 0
        self._file: IO[bytes] | None = None
        # Events of a log that are still to come, by run key.
        self._missing: dict[str, int] = {}

    async def __aenter__(self) -> SpooledContents:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def add(self, part: ThreadPart) -> None:
        """Append a part. Raises ``OSError`` when the temporary file cannot be written."""
        if isinstance(part, DumpedRun) and part.header.raw:
            self._missing[part.header.run_key] = part.header.last_seq
        elif isinstance(part, DumpedEvents) and part.raw:
            self._missing[part.run_key] -= len(part.events)
        data = _encode(part)
        self._waiting += (len(data).to_bytes(_SIZE_BYTES) + bytes((_KINDS.index(type(part)),)), data)
        self._size += len(data)
        if self._size > _MEMORY_BYTES:
            waiting, self._waiting, self._size = self._waiting, [], 0
            await asyncio.to_thread(self._write, waiting)

    def parts(self) -> Iterator[ThreadPart]:
        """Yield what was added, from the beginning; reads a file."""
        if self._file is not None:
            self._file.flush()
            self._file.seek(0)
            while head := self._file.read(_SIZE_BYTES + 1):
                yield from self._whole(head, self._file.read(int.from_bytes(head[:-1])))
        for head, data in zip(self._waiting[::2], self._waiting[1::2], strict=True):
            yield from self._whole(head, data)

    async def aclose(self) -> None:
        """Forget everything."""
        self._waiting.clear()
        if self._file is not None:
            await asyncio.to_thread(self._file.close)
            self._file = None

    def _write(self, waiting: list[bytes]) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="jumpseat-")  # noqa: SIM115 - `aclose` closes it
        self._file.seek(0, 2)
        self._file.writelines(waiting)

    def _whole(self, head: bytes, data: bytes) -> Iterator[ThreadPart]:
        """Yield the part unless it is of an incomplete log."""
        part = _decoders[head[-1]].decode(data)
        if isinstance(part, DumpedRun) and self._missing.get(part.header.run_key):
            header = msgspec.structs.replace(part.header, raw=False)
            yield msgspec.structs.replace(part, header=header)
        elif not (isinstance(part, DumpedEvents) and part.raw and self._missing.get(part.run_key)):
            yield part
