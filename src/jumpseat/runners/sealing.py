"""Ending a run: closers, terminal, and what is kept of it, as one value for the store to apply at once."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from jumpseat.protocol.codec import decode_message, encode_json
from jumpseat.protocol.endings import Ending
from jumpseat.protocol.events import ActivitySnapshot
from jumpseat.runners.base import Settler
from jumpseat.runners.intake import Intake
from jumpseat.runners.pending import pending_after
from jumpseat.runners.view import NoRoom, is_attached, keys_of_result, plan_result, plan_snapshot
from jumpseat.stores.base import Claimed, Located, Plan, Seal, Store

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
        record=encode_json(record) if record else None,
        pending=pending_after(intake.closed_with, intake.customs, claimed.pending),
    )


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
    reducer = intake.reducer
    owner, thread_id = claimed.owner, claimed.run.thread_id
    messages = reducer.messages
    if not reducer.snapshot:
        if _only_adds(claimed, intake, digests, complete=complete):
            located = Located(last_position=claimed.last_position)
        else:
            located = await store.locate(owner, thread_id, keys_of_result(messages, reducer.touched))
        try:
            return plan_result(messages, reducer.touched, located, digests, complete=complete)
        except NoRoom:
            logger.info("rewriting the positions of thread %r", thread_id)
    history = await store.history(owner, thread_id)
    entries = history.entries if history is not None else []
    if not reducer.snapshot and not intake.has_view:
        intake.rebase([decode_message(entry.data) for entry in entries])
        messages = reducer.messages
    last = entries[-1].position if entries else 0
    return plan_snapshot(messages, entries, last)


def _only_adds(claimed: Claimed, intake: Intake, digests: Mapping[str, bytes], *, complete: bool) -> bool:
    """Say whether everything the run touched is new to its thread and goes behind all that is shown.

    A request that held the whole view names every message of it but those attached to another.
    """
    messages, touched = intake.reducer.messages, intake.reducer.touched
    if not complete or any(key in digests for key in touched):
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
            settled += settler()
        except Exception:
            logger.exception("settling an activity failed")
    return settled
