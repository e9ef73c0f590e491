"""What a writer is told when a store takes nothing from it."""

from __future__ import annotations

from jumpseat.errors import ClaimLost
from jumpseat.stores.base import Run

__all__ = ["Gap", "claim_lost", "gap"]


class Gap(ValueError):
    """Events do not follow the last one that is stored."""


def claim_lost(run: Run) -> ClaimLost:
    """Return the error for a writer whose claim is gone."""
    return ClaimLost(f"run {run.run_key!r} is no longer held with epoch {run.epoch}")


def gap(first_seq: int, last_seq: int | str) -> Gap:
    """Return the error for events that do not follow the last one that is stored."""
    return Gap(f"event {first_seq} does not follow event {last_seq}")
