"""What a thread waits for after a run: open interrupts and legacy interrupt events, as one opaque blob."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from jumpseat.protocol.codec import encode_json, to_wire
from jumpseat.protocol.events import RunError, RunFinished

__all__ = ["LEGACY_INTERRUPT", "Pending"]

LEGACY_INTERRUPT = "on_interrupt"


@dataclass(frozen=True, slots=True)
class Pending:
    """Open interrupts (wire form) and the CUSTOM events that older front ends read instead (encoded)."""

    interrupts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    customs: list[bytes] = field(default_factory=list[bytes])

    @classmethod
    def decode(cls, data: bytes | None) -> Pending:
        """Read what ``encode`` wrote; ``None`` is nothing pending."""
        if data is None:
            return cls()
        interrupts, customs = msgspec.json.decode(data, type=tuple[list[dict[str, Any]], list[str]])
        return cls(interrupts, [custom.encode() for custom in customs])

    def encode(self) -> bytes | None:
        """Return the blob a store keeps."""
        if not self.interrupts and not self.customs:
            return None
        return encode_json((self.interrupts, [custom.decode() for custom in self.customs]))


def pending_after(
    terminal: RunFinished | RunError, customs: Sequence[bytes], before: bytes | None
) -> bytes | None:
    """Return what is open after a run that ended with ``terminal``.

    A failed run inherits what was open before it, so that a failed resume can be repeated.
    """
    if isinstance(terminal, RunError):
        inherited = Pending.decode(before)
        return Pending(inherited.interrupts, list(customs) or inherited.customs).encode()
    outcome = terminal.outcome
    interrupts = outcome.interrupts if outcome is not None and outcome.type == "interrupt" else None
    return Pending(to_wire(interrupts or []), list(customs)).encode()
