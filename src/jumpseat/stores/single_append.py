"""One append by itself, in a store that stores those of many runs together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from jumpseat.stores.base import Append, AppendsGroups, Hold, Run

__all__ = ["append_alone"]


async def append_alone(store: AppendsGroups, run: Run, first_seq: int, events: Sequence[bytes]) -> Hold:
    """Do what ``Store.append`` promises. Whoever is cancelled meanwhile may find the events stored."""
    told: asyncio.Future[Hold] = asyncio.get_running_loop().create_future()
    store.append_group([Append(run, first_seq, events)], partial(_tell, told))
    return await told


def _tell(told: asyncio.Future[Hold], appends: Sequence[Append]) -> None:
    (append,) = appends
    if told.done():
        return
    if append.error is not None:
        told.set_exception(append.error)
    elif append.result is not None:
        told.set_result(append.result)
