"""Reads how a person answered: the result of a page's tool, or the payload that resumes an interrupt."""

from __future__ import annotations

import json
from typing import Any, Final, cast

__all__ = ["is_approval"]

_YES: Final = frozenset(
    {
        "true",
        "yes",
        "y",
        "ok",
        "okay",
        "approve",
        "approved",
        "accept",
        "accepted",
        "confirm",
        "confirmed",
        "allow",
    }
)
_KEYS: Final = (
    "approved",
    "confirmed",
    "accepted",
    "approve",
    "confirm",
    "accept",
    "value",
    "answer",
    "result",
)


def is_approval(answer: Any) -> bool:
    """Whether ``answer`` says yes: a word, a boolean, or an object holding one; also as JSON text.

    Everything that does not clearly say yes is a no.
    """
    match answer:
        case bool():
            return answer
        case str():
            try:
                value = json.loads(answer)
            except ValueError:
                value = answer
            return value.strip().lower() in _YES if isinstance(value, str) else is_approval(value)
        case dict():
            said = cast("dict[str, Any]", answer)
            return any(is_approval(said[key]) for key in _KEYS if key in said)
        case _:
            return False
