"""Run keys (time-ordered, unique) and the cursors made of them."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass
from typing import Final

__all__ = ["Cursor", "new_run_key"]

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CURSOR: Final = re.compile(r"([0-9A-Z]{26}):(0|[1-9][0-9]{0,9})")
_TIME_BITS: Final = 48
_RANDOM_BITS: Final = 80


def new_run_key() -> str:
    """Return 26 characters that sort by time of making: 48 bits of milliseconds, 80 random bits."""
    millis = time.time_ns() // 1_000_000 % (1 << _TIME_BITS)
    number = millis << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in a thread: behind event ``seq`` of the run ``run_key``."""

    run_key: str
    seq: int

    def __str__(self) -> str:
        return f"{self.run_key}:{self.seq}"

    @classmethod
    def parse(cls, text: str | None) -> Cursor | None:
        """Return the cursor ``text`` stands for, ``None`` if it is not one of ours."""
        match = _CURSOR.fullmatch(text) if text else None
        return cls(match[1], int(match[2])) if match else None
