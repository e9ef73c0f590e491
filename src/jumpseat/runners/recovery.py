"""Sealing a run whose owner is gone, or was overruled, from its stored log."""

from __future__ import annotations

import logging

import msgspec

from jumpseat.errors import ClaimLost
from jumpseat.protocol import endings
from jumpseat.protocol.codec import decode_message
from jumpseat.runners.intake import Intake
from jumpseat.runners.options import RunnerOptions
from jumpseat.runners.sealing import make_seal, plan_view
from jumpseat.stores.base import Claimed, Run, Store

__all__ = ["seal_from_log", "take_and_seal"]

logger = logging.getLogger("jumpseat.runs")


async def take_and_seal(
    store: Store, options: RunnerOptions, run: Run, *, force: str | None = None
) -> Claimed | bool:
    """Take a run over and seal it from its log.

    Args:
        store: Where the run is.
        options: For lease and limits.
        run: The claim that expired.
        force: The stop reason with which a claim is taken over that did not expire.

    Returns:
        Whether the run is sealed now; false when somebody else was faster and may still be at it. A queued
        run that was taken over, and still waits for its turn, is returned as its claim.
    """
    claimed = await store.take(run, options.lease_ttl, force=force is not None)
    if claimed is None:
        return False
    if claimed.last_seq == 0:
        return claimed
    try:
        await seal_from_log(store, options, claimed, reason=force or claimed.stop_reason)
    except ClaimLost:
        logger.info("run %s was sealed or deleted by somebody else", run.run_key)
    return True


async def seal_from_log(
    store: Store, options: RunnerOptions, claimed: Claimed, *, reason: str | None
) -> None:
    """Seal a claimed run with the closers its log calls for; ``reason`` ``None`` means its owner was lost."""
    run = claimed.run
    history = await store.history(claimed.owner, run.thread_id)
    if history is None:
        raise ClaimLost
    intake = Intake(
        run.thread_id,
        claimed.run_id,
        messages=[decode_message(entry.data) for entry in history.entries],
        state=None if history.state is None else msgspec.json.decode(history.state),
        limits=options.limits,
        has_view=True,
    )
    seq = 0
    while seq < claimed.last_seq:
        page = await store.read(run.thread_id, run.run_key, seq, 0)
        if not page.events:
            raise ClaimLost
        for data in page.events:
            intake.replay(data)
        seq += len(page.events)
    ending = endings.lost() if reason is None else endings.ending_for_stop(reason)
    intake.close(ending)
    plan = await plan_view(store, claimed, intake, {}, complete=True)
    await store.seal(run, make_seal(intake, ending, plan, claimed, first_seq=seq + 1))
    logger.warning("run %s of thread %r was sealed as %s", run.run_key, run.thread_id, ending.status)
