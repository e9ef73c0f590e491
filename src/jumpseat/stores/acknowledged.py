"""How far events were acknowledged: what a server that takes over lacks is no gap of the writer."""

from __future__ import annotations

from jumpseat.errors import ClaimLost
from jumpseat.stores.base import Append, Run
from jumpseat.stores.refusals import Gap, claim_lost

__all__ = ["Acknowledged"]


class Acknowledged:
    """Remembers runs that this process writes.

    A database that fails over to a server which follows it may lack events that it had acknowledged. A writer
    that goes on behind them is told that its claim is lost, not that it left a gap: it is not its mistake.
    """

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def claimed(self, run: Run, last_seq: int) -> None:
        """Note a claim and the number of its last stored event."""
        self._last[run.run_key] = last_seq

    def stored(self, append: Append) -> None:
        """Note what was stored."""
        last = append.first_seq + len(append.events) - 1
        self._last[append.run.run_key] = max(last, self._last.get(append.run.run_key, 0))

    def forget(self, run: Run) -> None:
        """The run is sealed, or somebody else's."""
        self._last.pop(run.run_key, None)

    def refusal(self, run: Run, first_seq: int, error: Exception) -> Exception:
        """Return what the writer is told in place of ``error``."""
        if isinstance(error, Gap) and 0 < first_seq <= self._last.get(run.run_key, -1) + 1:
            error = claim_lost(run)
        if isinstance(error, ClaimLost):
            self.forget(run)
        return error
