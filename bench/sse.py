"""Reads one HTTP/1.1 chunked SSE response incrementally, counting its frames as the bytes arrive."""

from __future__ import annotations

_FRAME = b"\ndata:"
_KEPT = len(_FRAME) - 1
_TAIL = 4096


class ProtocolError(Exception):
    """The server sent something that is no complete chunked SSE response."""


class SseReader:
    """Feed it bytes until ``done``; it never keeps more than the last few kilobytes of the body.

    ``frames`` counts the ``data:`` lines seen so far, ``body_bytes`` the bytes of the body, ``tail`` holds
    its end. With ``keep_body`` the whole body is kept in ``body`` for a check of its content.
    """

    def __init__(self, *, keep_body: bool = False) -> None:
        self.status = 0
        self.frames = 0
        self.body_bytes = 0
        self.done = False
        self.tail = b""
        self.body: list[bytes] | None = [] if keep_body else None
        self._pending = b""
        self._in_body = False
        self._left = 0
        self._carry = b"\n"

    def feed(self, data: bytes) -> None:
        """Takes the next bytes from the socket.

        Raises:
            ProtocolError: the bytes are not a chunked response.
        """
        if self._pending:
            data, self._pending = self._pending + data, b""
        start = 0
        if not self._in_body:
            start = self._read_head(data)
            if not self._in_body:
                return
        self._read_chunks(data, start)

    def _read_head(self, data: bytes) -> int:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._pending = data
            return 0
        head = data[:end].lower()
        self.status = int(head[9:12])
        if b"transfer-encoding: chunked" not in head:
            raise ProtocolError(f"expected a chunked body, got: {data[:600]!r}")
        self._in_body = True
        return end + 4

    def _read_chunks(self, data: bytes, start: int) -> None:
        payload: list[bytes] = []
        size = len(data)
        at = start
        while at < size:
            if self._left > 2:
                part = data[at : min(at + self._left - 2, size)]
                payload.append(part)
                at += len(part)
                self._left -= len(part)
            elif self._left:
                step = min(self._left, size - at)
                at += step
                self._left -= step
            else:
                end = data.find(b"\r\n", at)
                if end < 0:
                    self._pending = data[at:]
                    break
                length = int(data[at:end], 16)
                if length == 0:
                    self.done = True
                    break
                self._left = length + 2
                at = end + 2
        if payload:
            self.take(b"".join(payload))

    def take(self, payload: bytes) -> None:
        """Takes what has arrived of the body since the last time, in whole or in part of a frame."""
        text = self._carry + payload
        self.frames += text.count(_FRAME)
        self._carry = text[-_KEPT:]
        self.body_bytes += len(payload)
        self.tail = payload if len(payload) >= _TAIL else (self.tail + payload)[-_TAIL:]
        if self.body is not None:
            self.body.append(payload)
