"""Bookkeeping of events that pass through a run unchanged: what they leave open is closed at its end."""

from __future__ import annotations

from typing import cast

from jumpseat.protocol import endings
from jumpseat.protocol.events import (
    BaseEvent,
    Event,
    ReasoningMessageChunk,
    TextMessageChunk,
    ToolCallChunk,
)
from jumpseat.protocol.ledger import Ledger

__all__ = ["PassedOn"]

_CHUNKS = (TextMessageChunk, ReasoningMessageChunk, ToolCallChunk)


class PassedOn:
    """Sees the events of one run in order."""

    def __init__(self, thread_id: str, run_id: str) -> None:
        self._ledger = Ledger(thread_id, run_id, warn=lambda _: None)

    def see(self, event: BaseEvent) -> None:
        """Note what an event opens or closes. A chunk opens nothing that it would be ours to close."""
        if not isinstance(event, _CHUNKS):
            self._ledger.replay(cast("Event", event))

    def close(self) -> list[Event]:
        """Return the ends of everything that is open."""
        return self._ledger.close(endings.returned())[:-1]
