"""Renewing the leases of all runs of a process: together where the store can, one by one where it cannot."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from jumpseat.errors import StoreUnavailable
from jumpseat.runners.live_run import LiveRun
from jumpseat.stores.base import Hold, RenewsGroups, Run, Store

__all__ = ["renew_all"]

logger = logging.getLogger("jumpseat.runs")


async def renew_all(store: Store, lease: float, live: Sequence[LiveRun], queued: Sequence[Run]) -> None:
    """Renew these leases and tell the live runs what came of it. Raises nothing but cancellation."""
    runs = [*(one.run for one in live), *queued]
    try:
        told = await _extend(store, runs, lease)
    except Exception:
        logger.exception("the leases of %d runs could not be renewed", len(runs))
        return
    failures = [one for one in told if isinstance(one, StoreUnavailable)]
    if failures:
        logger.warning("%d of %d leases could not be renewed: %s", len(failures), len(runs), failures[0])
    results = await asyncio.gather(
        *(one.renewed(hold) for one, hold in zip(live, told, strict=False)), return_exceptions=True
    )
    for result in results:
        if isinstance(result, Exception):
            logger.error("a run could not learn of its lease", exc_info=result)


async def _extend(store: Store, runs: Sequence[Run], lease: float) -> list[Hold | StoreUnavailable]:
    if isinstance(store, RenewsGroups) and len(runs) > 1:
        return await store.extend_group(runs, lease)

    async def extend(run: Run) -> Hold | StoreUnavailable:
        try:
            return await store.extend(run, lease)
        except StoreUnavailable as error:
            return error

    return await asyncio.gather(*map(extend, runs))
