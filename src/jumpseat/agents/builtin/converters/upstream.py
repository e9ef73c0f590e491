"""What a factory handed over: its stream, closed when it is done with, and its values as JSON."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any, cast

import msgspec

from jumpseat.agents.builtin.converters.passing import passing_event
from jumpseat.protocol.events import Event

__all__ = ["async_stream", "events_in", "plain"]


def async_stream(returned: object, expected: str) -> AsyncIterator[Any]:
    """Return the chunks of what a factory returned; closing them closes it, with its connection.

    Args:
        returned: What the factory returned.
        expected: What it should return, for the message.

    Raises:
        TypeError: It cannot be iterated asynchronously.
    """
    if not hasattr(returned, "__aiter__"):
        raise TypeError(expected)
    return _chunks(cast("AsyncIterable[Any]", returned))


def events_in(chunk: object) -> Iterable[Event]:
    """Return a chunk that is an AG-UI event already, nothing for one that a converter does not know.

    Raises:
        InvalidEvent: It should be an event, and is malformed.
    """
    event = passing_event(chunk)
    return () if event is None else (event,)


def plain(value: object) -> Any:
    """Return a foreign value as dicts, lists, strings and numbers; what has no such form as its text."""
    try:
        return msgspec.to_builtins(value, str_keys=True, enc_hook=_foreign)
    except (TypeError, ValueError, RecursionError):
        # A key that is no text, or a value that holds itself.
        return str(value)


def _foreign(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if not callable(dump):
        return str(value)
    try:
        # Provider SDKs build their objects unchecked, so that a field may not fit its own declaration.
        return dump(mode="json", warnings=False)
    except ValueError:
        return dump(warnings=False)


async def _chunks(stream: AsyncIterable[Any]) -> AsyncIterator[Any]:
    iterator = aiter(stream)
    try:
        async for chunk in iterator:
            yield chunk
    finally:
        # The iterator of an SDK's stream is another object than the stream that holds the connection.
        await _close(iterator)
        if stream is not iterator:
            await _close(stream)


async def _close(resource: object) -> None:
    close = getattr(resource, "aclose", None) or getattr(resource, "close", None)
    if callable(close):
        closing = close()
        if inspect.isawaitable(closing):
            await closing
