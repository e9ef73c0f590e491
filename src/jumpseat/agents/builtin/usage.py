"""Token counts of a run: added up for each provider and model, in a form that every client reads."""

from __future__ import annotations

from typing import Any, Final

from jumpseat.agents.builtin.parts import Usage
from jumpseat.protocol.events import TokenUsage

__all__ = ["UsageTotals"]

_LARGEST: Final = 2**53 - 1
_COUNTS: Final = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "reasoning_tokens",
    "cached_input_tokens",
    "cache_write_input_tokens",
)


class UsageTotals:
    """What a run has used so far."""

    __slots__ = ("_totals",)

    def __init__(self) -> None:
        self._totals: dict[tuple[str | None, str | None], dict[str, int]] = {}

    def add(self, usage: Usage, provider: str | None, model: str | None) -> None:
        """Add one generation; its own provider and model win. Counts no client could read are left out."""
        counts = {name: value for name in _COUNTS if (value := _count(getattr(usage, name))) is not None}
        if "total_tokens" not in counts and {"input_tokens", "output_tokens"} <= counts.keys():
            counts["total_tokens"] = counts["input_tokens"] + counts["output_tokens"]
        if not counts:
            return
        key = _text(usage.provider) or provider or None, _text(usage.model) or model or None
        totals = self._totals.setdefault(key, {})
        for name, value in counts.items():
            totals[name] = totals.get(name, 0) + value

    def listed(self) -> list[TokenUsage] | None:
        """Return one entry for each provider and model, ``None`` when nothing is known."""
        entries = [_entry(*key, totals) for key, totals in self._totals.items()]
        return entries or None


def _entry(provider: str | None, model: str | None, totals: dict[str, int]) -> TokenUsage:
    counts: dict[str, Any] = {name: total for name, total in totals.items() if total <= _LARGEST}
    return TokenUsage(provider=provider, model=model, **counts)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _LARGEST else None
