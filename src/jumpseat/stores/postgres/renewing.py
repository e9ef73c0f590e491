"""Renewing leases: those of many runs in one statement, and by themselves those that somebody is changing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from jumpseat.errors import StoreUnavailable
from jumpseat.stores.base import Hold, Run
from jumpseat.stores.postgres import values
from jumpseat.stores.postgres.appending import Fetch

__all__ = ["renewed"]

STATEMENT_RUNS: Final = 512


async def renewed(fetch: Fetch, runs: Sequence[Run], lease: int) -> list[Hold | StoreUnavailable]:
    """Renew the leases of ``runs`` for ``lease`` milliseconds; return what became of each."""
    groups = [runs[start : start + STATEMENT_RUNS] for start in range(0, len(runs), STATEMENT_RUNS)]
    told = await asyncio.gather(*(_renew_group(fetch, group, lease) for group in groups))
    return [one for group in told for one in group]


async def _renew_group(fetch: Fetch, runs: Sequence[Run], lease: int) -> list[Hold | StoreUnavailable]:
    try:
        ((told,),) = await fetch("extend_group", {}, **values.runs_values(runs), lease=lease)
    except StoreUnavailable as error:
        return [error] * len(runs)

    async def hold(run: Run, word: str) -> Hold | StoreUnavailable:
        # It is being sealed, stopped or taken over: that is waited for, but not by the others.
        return await _renew(fetch, run, lease) if word == "busy" else Hold(word)

    return list(await asyncio.gather(*map(hold, runs, told)))


async def _renew(fetch: Fetch, run: Run, lease: int) -> Hold | StoreUnavailable:
    try:
        ((told,),) = await fetch("extend", {}, **values.run_values(run), lease=lease)
    except StoreUnavailable as error:
        return error
    return Hold(told)
