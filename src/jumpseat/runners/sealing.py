"""Ending a run: closers, terminal, and what is kept of it, as one value for the store to apply at once."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from jumpseat.protocol.codec import encode, encode_json
from jumpseat.protocol.endings import Ending
from jumpseat.protocol.events import ActivitySnapshot
from jumpseat.runners.base import Settler
from jumpseat.runners.intake import Intake
from jumpseat.runners.offloading import messages_of, offload
from jumpseat.runners.pending import pending_after
from jumpseat.runners.view import (
    NoRoom,
    is_attached,
    keys_beyond_request,
    keys_of_result,
    plan_result,
    plan_snapshot,
)
from jumpseat.stores.base import Claimed, Entry, Located, Plan, Seal, Store

__all__ = ["make_seal", "plan_view"]

logger = logging.getLogger("jumpseat.runs")


def make_seal(
    intake: Intake,
    ending: Ending,
    plan: Plan,
    claimed: Claimed,
    *,
    first_seq: int,
    record: Mapping[str, object] | None = None,
) -> Seal:
    """Return the seal of a run whose ``intake`` has been closed with ``ending``."""
    state = intake.reducer.state
    return Seal(
        status=ending.status,
        first_seq=first_seq,
        events=list(intake.out),
        plan=plan,
        state=None if state is None else encode_json(state),
        compacted=intake.compacted,
        terminal=intake.out[-1],
        record=_encoded_record(record) if record else None,
        pending=pending_after(intake.closed_with, intake.customs, claimed.pending),
    )


def _encoded_record(record: Mapping[str, object]) -> bytes | None:
    try:
        return encode_json(record)
    except Exception:
        logger.exception("RunContext.record is not kept: it must hold JSON values only")
        return None


async def plan_view(
    store: Store, claimed: Claimed, intake: Intake, digests: Mapping[str, bytes], *, complete: bool
) -> Plan:
    """Plan how the run's messages change its thread.

    Args:
        store: Asked for the entries that the run touched.
        claimed: The run.
        intake: Closed.
        digests: Digests of the request's messages by id.
        complete: The request held the whole view.
    """
    if not intake.reducer.snapshot:
        located = await _locate(store, claimed, intake, digests, complete=complete)
        reducer, complete = intake.reducer, complete or intake.has_view
        try:
            messages, touched = reducer.messages, reducer.touched
            return await offload(
                intake.size, plan_result, messages, touched, located, digests, complete=complete
            )
        except NoRoom:
            logger.info("rewriting the positions of thread %r", claimed.run.thread_id)
    entries = await _entries(store, claimed)
    if not intake.reducer.snapshot and not intake.has_view:
        intake.rebase(await messages_of(entries))
    return plan_snapshot(intake.reducer.messages, entries, entries[-1].position if entries else 0)


async def _locate(
    store: Store, claimed: Claimed, intake: Intake, digests: Mapping[str, bytes], *, complete: bool
) -> Located:
    """Return what ``plan_result`` needs to know of the thread, after reducing the run anew if it must be."""
    if _only_adds(claimed, intake, digests, complete=complete):
        return Located(last_position=claimed.last_position)
    owner, thread_id, reducer = claimed.owner, claimed.run.thread_id, intake.reducer
    beyond = _beyond_request(intake, digests)
    keys = beyond.union(keys_of_result(reducer.messages, reducer.touched))
    located = await store.locate(owner, thread_id, list(keys))
    if beyond.isdisjoint(located.found):
        return located
    view = await messages_of(await _entries(store, claimed))
    await offload(intake.size, intake.reduce_again, view)
    reducer = intake.reducer
    return await store.locate(owner, thread_id, keys_of_result(reducer.messages, reducer.touched))


async def _entries(store: Store, claimed: Claimed) -> list[Entry]:
    history = await store.history(claimed.owner, claimed.run.thread_id)
    return history.entries if history is not None else []


def _beyond_request(intake: Intake, digests: Mapping[str, bytes]) -> set[str]:
    """Return the ids under which the view may hold what the run changed without having been sent it.

    Clients never send activity messages, and may send only what is new.
    """
    if intake.has_view:
        return set()
    reducer = intake.reducer
    beyond = keys_beyond_request(reducer.messages, reducer.touched, digests)
    return beyond | (intake.referred - digests.keys())


def _only_adds(claimed: Claimed, intake: Intake, digests: Mapping[str, bytes], *, complete: bool) -> bool:
    """Say whether everything the run touched is new to its thread and goes behind all that is shown.

    A request that held the whole view names every message of it but those attached to another.
    """
    messages, touched = intake.reducer.messages, intake.reducer.touched
    if not complete or intake.referred - touched or any(key in digests for key in touched):
        return False
    own = messages[len(digests) :]
    if len(own) != len(touched) or any(message.id not in touched for message in own):
        return False
    return claimed.created or not any(is_attached(message) for message in own)


def settle(settlers: Sequence[Settler]) -> list[ActivitySnapshot]:
    """Ask every settler for the snapshots that settle its open activities; a failing one is logged."""
    settled: list[ActivitySnapshot] = []
    for settler in settlers:
        try:
            snapshots = list(settler())
            for snapshot in snapshots:
                encode(snapshot)
            settled += snapshots
        except Exception:
            logger.exception("settling an activity failed")
    return settled
