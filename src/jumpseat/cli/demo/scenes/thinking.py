"""Shows reasoning: thoughts that stream apart from the answer."""

from __future__ import annotations

from collections.abc import Iterator

from jumpseat.cli.demo.turn import Turn
from jumpseat.protocol.events import Event

__all__ = ["think"]


def think(turn: Turn) -> Iterator[Event]:
    """Think aloud about the subject, then answer."""
    subject = turn.subject or "nothing in particular"
    yield from turn.think(
        f"The question is about {subject}. A script cannot know anything about that, so the honest thing is "
        "to say how an answer would come about. First, take the question apart. Then look for what is "
        "already known. Then doubt it once. That is enough thinking for a demo; now the answer."
    )
    yield from turn.say(
        f"I have thought about **{subject}**. What you saw above is reasoning: it streams in events of its "
        "own, the page shows it apart from the answer, and it is still there after a reload."
    )
