"""Keeping the event loop free: work on large values goes to a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, ParamSpec, TypeVar, cast

from jumpseat.protocol.codec import decode_json, decode_message
from jumpseat.protocol.inputs import Message
from jumpseat.stores.base import Entry

__all__ = ["LARGE", "json_of", "messages_of", "offload", "size_of"]

# Bytes, or characters, whose hashing and encoding take long enough to hold up other streams.
LARGE: Final = 1024 * 1024

P = ParamSpec("P")
T = TypeVar("T")


async def offload(size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call ``function``: here if what it works on is small, in a thread if ``size`` is above 1 MiB."""
    if size <= LARGE:
        return function(*args, **kwargs)
    return await asyncio.to_thread(function, *args, **kwargs)


async def messages_of(entries: Sequence[Entry]) -> list[Message]:
    """Decode the messages of a view."""
    data = [entry.data for entry in entries]
    return await offload(sum(map(len, data)), lambda: list(map(decode_message, data)))


async def json_of(data: bytes | None) -> Any:
    """Decode stored JSON, ``None`` for nothing."""
    return None if data is None else await offload(len(data), decode_json, data)


def size_of(messages: Sequence[Message]) -> int:
    """Return about how many characters messages hold, without encoding them."""
    return sum(_content_size(cast("Any", message).content) for message in messages)


def _content_size(content: Any) -> int:
    if isinstance(content, str):
        return len(content)
    if isinstance(content, list):
        return sum(map(_part_size, cast("list[Any]", content)))
    return 0


def _part_size(part: Any) -> int:
    source = getattr(part, "source", None)
    texts = (getattr(part, "text", None), getattr(part, "data", None), getattr(source, "value", None))
    return sum(len(text) for text in texts if isinstance(text, str))
