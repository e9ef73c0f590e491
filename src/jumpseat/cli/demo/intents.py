"""Reads what a message asks the demo agent for: a scene, and the part of the message it is about."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["Intent", "read_intent"]


@dataclass(frozen=True, slots=True)
class Intent:
    """The scene that fits a message, and its subject (``""`` when the message names none)."""

    scene: str
    subject: str = ""


# The first pattern that is found decides; a group, where there is one, holds the subject.
_PATTERNS: Final = tuple(
    (scene, re.compile(pattern, re.IGNORECASE | re.DOTALL))
    for scene, pattern in (
        ("failure", r"^\W*(?:please\s+)?(?:fail|crash|raise)\b"),
        ("long_story", r"\blong(?:er)?\b.*\bstory\b"),
        ("story", r"\bstory\b"),
        ("list_add", r"\b(?:add|put)\s+(.+?)\s+(?:to|on|onto|in|into)\s+(?:my|the|our)?\s*(?:\w+\s+)?list\b"),
        (
            "list_remove",
            r"\b(?:remove|take|delete|drop)\s+(.+?)\s+(?:from|off)\s+(?:my|the|our)?\s*(?:\w+\s+)?list\b",
        ),
        ("list_clear", r"\b(?:clear|empty|delete|erase)\s+(?:my|the|our)?\s*(?:\w+\s+)?list\b"),
        ("list_show", r"\b(?:my|the|our)\s+(?:\w+\s+)?list\b"),
        (
            "accent",
            r"\b(?:accent|colou?r|theme)\b(?:\s+colou?r)?\s+(?!colou?r)(?:(?:to|in|into)\s+)?(.+?)\s*[.!?]*$",
        ),
        ("accent", r"\b(?:accent|colou?r)\b"),
        (
            "reasoning",
            r"\b(?:think|reason|ponder)(?:\s+hard)?(?:\s+(?:about|of|on|over|through))?\b\s*(.*?)\s*[.!?]*$",
        ),
        ("confirmation", r"\b((?:delete|erase|remove|close|cancel)\s+.+?)\s*[.!?]*$"),
        ("booking", r"\b(?:book|flight|fly|travel|trip)\b.*?\bto\s+(?!book\b|fly\b|travel\b)(.+?)\s*[.!?]*$"),
        ("booking", r"\b(?:book|flight|fly|travel|trip)\b"),
        ("thanks", r"^\W*(?:thanks?|thank\s+you|cheers|great|nice|cool)\b"),
        ("greeting", r"^\W*(?:hello|hi|hey|good\s+(?:morning|afternoon|evening)|yo)\b"),
        ("help", r"\b(?:help|what\s+can\s+you|who\s+are\s+you|what\s+are\s+you|how\s+does\s+this)\b"),
    )
)


def read_intent(text: str) -> Intent:
    """Return what ``text`` asks for; what no scene knows is ``unknown``, with the whole text as subject."""
    for scene, pattern in _PATTERNS:
        if found := pattern.search(text):
            return Intent(scene, (found.group(1) if pattern.groups else "").strip(" \t\n.,;:!?\"'"))
    return Intent("unknown" if text.strip() else "greeting", " ".join(text.split()))
