"""From a stream of OpenAI's SDK, of whichever of its two APIs, to stream parts."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import Any, Final

from jumpseat.agents.builtin.converters.base import Converter, Item
from jumpseat.agents.builtin.converters.fields import field, has_field
from jumpseat.agents.builtin.converters.openai_chat import ChatReader
from jumpseat.agents.builtin.converters.openai_responses import ResponsesReader
from jumpseat.agents.builtin.converters.upstream import async_stream, events_in
from jumpseat.protocol.inputs import RunAgentInput

__all__ = ["open_openai"]

_EXPECTED: Final = "an async stream of responses.create(...) or chat.completions.create(...)"


def open_openai(returned: Any, given: RunAgentInput) -> Converter:
    """Return the converter for a Responses or a Chat Completions stream; the first chunk tells which.

    Raises:
        TypeError: ``returned`` is no stream.
    """
    return _OpenAI(async_stream(returned, _EXPECTED))


class _OpenAI:
    def __init__(self, stream: AsyncIterable[Any]) -> None:
        self.stream = stream
        self._reader: ResponsesReader | ChatReader | None = None

    def feed(self, chunk: Any) -> Iterable[Item]:
        if self._reader is None:
            self._reader = _reader(chunk)
        return events_in(chunk) if self._reader is None else self._reader.feed(chunk)

    def end(self) -> Iterable[Item]:
        return ()


def _reader(chunk: object) -> ResponsesReader | ChatReader | None:
    kind = field(chunk, "type")
    if kind == "chunk" or has_field(chunk, "choices"):
        return ChatReader()
    if kind == "error" or str(kind).startswith("response."):
        return ResponsesReader()
    return None
