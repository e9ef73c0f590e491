"""One thread on its way into a store: kept in memory while it is small, else in a temporary file."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import IO, Final, TypeAlias

import msgspec

from jumpseat.stores.base import DumpedEvents, DumpedRun, DumpedThread, Entry

__all__ = ["SpooledContents", "ThreadPart"]

ThreadPart: TypeAlias = DumpedRun | Entry | DumpedEvents

_MEMORY_BYTES: Final = 1 << 20
_SIZE_BYTES: Final = 8
_KINDS: Final[tuple[type[DumpedRun] | type[Entry] | type[DumpedEvents], ...]] = (
    DumpedRun,
    Entry,
    DumpedEvents,
)
_encode = msgspec.msgpack.Encoder().encode
_decoders: Final = [msgspec.msgpack.Decoder(kind) for kind in _KINDS]


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
