"""Takes a server-sent event stream apart as its bytes arrive."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from jumpseat.errors import EventTooLarge

__all__ = ["MAX_FRAME_BYTES", "SseParser"]

MAX_FRAME_BYTES: Final = 8 * 1024 * 1024

_BOM: Final = b"\xef\xbb\xbf"


class SseParser:
    """An incremental parser: the same bytes give the same frames, however they are cut.

    It follows the event stream format of the HTML standard for ``data`` and line ends (LF, CR, CRLF);
    ``event``, ``id``, ``retry`` and comments mean nothing to AG-UI and are passed over. It works on bytes, so
    a character cut in two is whole again before anything decodes it.
    """

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max = max_frame_bytes
        self._tail: list[bytes] = []
        self._tail_size = 0
        self._data: list[bytes] = []
        self._data_size = 0
        self._after_cr = False
        self._at_start = True

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the data of every frame that ``chunk`` completes; to be consumed to its end.

        Raises:
            EventTooLarge: A frame, or one line outside of frames, passes the limit.
        """
        first, newline, rest = self._with_line_feeds(chunk).partition(b"\n")
        self._keep(first)
        if newline:
            yield from self._frames(self._take_tail())
            *lines, last = rest.split(b"\n")
            for line in lines:
                yield from self._frames(line)
            self._keep(last)

    def finish(self) -> bytes | None:
        """Return the data of a last frame that the stream ended without closing, ``None`` if there is none.

        Such a frame may have been cut in its middle: whoever uses it checks that it is whole.
        """
        frames = [*self._frames(self._take_tail()), *self._frames(b"")]
        return frames[0] if frames else None

    def _with_line_feeds(self, chunk: bytes) -> bytes:
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        if b"\r" not in chunk:
            return chunk
        self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _keep(self, part: bytes) -> None:
        if part:
            self._tail.append(part)
            self._tail_size += len(part)
            self._check(self._tail_size)

    def _take_tail(self) -> bytes:
        line = b"".join(self._tail)
        self._tail, self._tail_size = [], 0
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BOM)
        return line

    def _frames(self, line: bytes) -> Iterator[bytes]:
        if not line:
            if self._data:
                frame = b"\n".join(self._data)
                self._data, self._data_size = [], 0
                yield frame
            return
        self._check(len(line))
        if line.startswith(b"data:"):
            data = line[6:] if line[5:6] == b" " else line[5:]
        elif line == b"data":
            data = b""
        else:
            return
        self._data.append(data)
        self._data_size += len(data) + 1

    def _check(self, size: int) -> None:
        if self._data_size + size > self._max:
            raise EventTooLarge(f"the agent server sent an event of more than {self._max} bytes")
