"""Cutting what is to be stored together into pieces that both sides can hold in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jumpseat.stores.base import Append

__all__ = ["bounded"]


def bounded(appends: Sequence[Append], most: int) -> Iterator[list[Append]]:
    """Yield the appends in groups of up to ``most`` bytes; a larger one comes alone."""
    some: list[Append] = []
    size = 0
    for append in appends:
        own = sum(map(len, append.events))
        if some and size + own > most:
            yield some
            some, size = [], 0
        some.append(append)
        size += own
    if some:
        yield some
