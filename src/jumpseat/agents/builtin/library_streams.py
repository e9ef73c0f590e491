"""Streams of libraries: closing them, and finding the cause in the groups of exceptions that they raise."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

__all__ = ["closing", "sole_cause"]

T = TypeVar("T")


@asynccontextmanager
async def closing(stream: AsyncIterable[T]) -> AsyncGenerator[AsyncIterator[T]]:
    """Give the iterator of a stream, and close it at the end when it can be closed."""
    iterator = aiter(stream)
    try:
        yield iterator
    finally:
        close: Any = getattr(iterator, "aclose", None)
        if close is not None:
            await close()


def sole_cause(error: BaseException) -> BaseException:
    """Return the exception in a group of one, and any other exception as it is."""
    while isinstance(error, BaseExceptionGroup):
        inner = cast("tuple[BaseException, ...]", error.exceptions)
        if len(inner) != 1:
            break
        error = inner[0]
    return cast("BaseException", error)
