"""Sealing a run whose owner is gone, or was overruled, from its stored log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from jumpseat.errors import ClaimLost, StoreUnavailable
from jumpseat.protocol import endings
from jumpseat.protocol.endings import Ending
from jumpseat.runners.intake import Intake
from jumpseat.runners.offloading import json_of, messages_of, offload
from jumpseat.runners.options import RunnerOptions
from jumpseat.runners.sealing import make_seal, plan_view
from jumpseat.stores.base import Claimed, Plan, Run, Seal, Store

__all__ = ["seal_from_log", "take_and_seal"]

logger = logging.getLogger("jumpseat.runs")

# Each attempt to seal a run raises its epoch. A store that cannot read it three times will not do so later.
PATIENT_UNTIL_EPOCH = 4


async def take_and_seal(
    store: Store,
    options: RunnerOptions,
    run: Run,
    *,
    sealed: Callable[[Claimed], None] | None = None,
    force: str | None = None,
) -> Claimed | bool:
    """Take a run over and seal it from its log.

    Args:
        store: Where the run is.
        options: For lease and limits.
        run: The claim that expired.
        sealed: Told of the run when this call has sealed it.
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
    else:
        if sealed is not None:
            sealed(claimed)
    return True


async def seal_from_log(
    store: Store, options: RunnerOptions, claimed: Claimed, *, reason: str | None
) -> None:
    """Seal a claimed run with the closers its log calls for; ``reason`` ``None`` means its owner was lost.

    A run whose log or thread cannot be made sense of is sealed too, its thread's messages as they are: it
    would hold its thread for ever. Raises ``ClaimLost``, and ``StoreUnavailable`` as long as it is worth
    another attempt.
    """
    run = claimed.run
    ending = endings.lost() if reason is None else endings.ending_for_stop(reason)
    try:
        seal = await _seal_of_log(store, options, claimed, ending)
        await store.seal(run, seal)
    except ClaimLost:
        raise
    except Exception as error:
        if _is_worth_another_attempt(run, error):
            raise
        logger.exception("run %s cannot be made whole from its log; its thread stays as it is", run.run_key)
        await store.seal(run, await _bare_seal(store, options, claimed, ending))
    logger.warning("run %s of thread %r was sealed as %s", run.run_key, run.thread_id, ending.status)


def _is_worth_another_attempt(run: Run, error: Exception) -> bool:
    return isinstance(error, StoreUnavailable) and run.epoch <= PATIENT_UNTIL_EPOCH


async def _seal_of_log(store: Store, options: RunnerOptions, claimed: Claimed, ending: Ending) -> Seal:
    run = claimed.run
    history = await store.history(claimed.owner, run.thread_id)
    if history is None:
        raise ClaimLost
    intake = Intake(
        run.thread_id,
        claimed.run_id,
        messages=await messages_of(history.entries),
        state=await json_of(history.state),
        limits=options.limits,
        has_view=True,
    )
    seq = 0
    while seq < claimed.last_seq:
        page = await store.read(run.thread_id, run.run_key, seq, 0)
        if page.gone:
            raise ClaimLost
        if not page.events:
            raise LookupError(f"event {seq + 1} of {claimed.last_seq} is missing")
        # Of a long log every page is small: from its first mebibyte on none is taken on the event loop.
        await offload(intake.size + sum(map(len, page.events)), _replay, intake, page.events)
        seq += len(page.events)
    intake.close(ending)
    plan = await plan_view(store, claimed, intake, {}, complete=True)
    return await offload(intake.size, make_seal, intake, ending, plan, claimed, first_seq=seq + 1)


def _replay(intake: Intake, events: Sequence[bytes]) -> None:
    for data in events:
        intake.replay(data)


async def _bare_seal(store: Store, options: RunnerOptions, claimed: Claimed, ending: Ending) -> Seal:
    """Return a seal with the closers of what can be read of the log, which changes nothing else."""
    events = await _readable_events(store, claimed)
    intake = Intake(claimed.run.thread_id, claimed.run_id, messages=[], state=None, limits=options.limits)
    kept = await offload(sum(map(len, events)), _replay_readable, intake, events, claimed.run.run_key)
    intake.close(ending)
    return Seal(
        status=ending.status,
        first_seq=claimed.last_seq + 1,
        events=list(intake.out),
        plan=Plan(),
        state=claimed.state,
        compacted=[*kept, *intake.out],
        terminal=intake.out[-1],
        pending=claimed.pending,
    )


def _replay_readable(intake: Intake, events: Sequence[bytes], run_key: str) -> list[bytes]:
    """Replay what is an event and return it."""
    kept: list[bytes] = []
    for data in events:
        try:
            intake.replay(data)
            kept.append(data)
        except Exception as error:
            logger.warning("run %s: an event of its log is not kept: %s", run_key, error)
    return kept


async def _readable_events(store: Store, claimed: Claimed) -> list[bytes]:
    """Return the events before the first one that cannot be read."""
    run, events = claimed.run, list[bytes]()
    while len(events) < claimed.last_seq:
        try:
            page = await store.read(run.thread_id, run.run_key, len(events), 0)
        except Exception as error:
            if _is_worth_another_attempt(run, error):
                raise
            logger.warning("run %s: its log ends at event %d: %s", run.run_key, len(events), error)
            break
        if not page.events:
            break
        events += page.events
    return events
