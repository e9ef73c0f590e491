"""Greets, explains what the demo can do, admits what it cannot, and fails when asked to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from jumpseat.cli.demo.turn import Turn
from jumpseat.protocol.events import Event

__all__ = ["ABILITIES", "admit", "explain", "fail", "greet", "welcome"]

ABILITIES: Final = """\
- **Tell me a story**, or **tell me a long story**: streamed text. Reload the page in the middle of it.
- **Change the accent colour to teal**: a tool that runs in this page.
- **Add milk to my list**: state that agent and page share.
- **Think about rainbows**: reasoning, apart from the answer.
- **Delete my account**: a tool that waits for your approval.
- **Book a flight to Lisbon**: a run that stops and asks, and goes on with your answer.
- **Fail**: what an error looks like."""


def greet(turn: Turn) -> Iterator[Event]:
    """Say hello and what can be tried."""
    yield from turn.say(
        f"Hello! I am a scripted demo, with no language model behind me. Try one of these:\n\n{ABILITIES}"
    )


def explain(turn: Turn) -> Iterator[Event]:
    """Say what this is and what can be tried."""
    yield from turn.say(
        "I am the demo agent that comes with Jumpseat: a script, so I need no key and know nothing. "
        f"What I say travels the same way as any agent's answer. Try one of these:\n\n{ABILITIES}"
    )


def welcome(turn: Turn) -> Iterator[Event]:
    """Answer thanks."""
    yield from turn.say("You are welcome. Say **help** to see what else I can show.")


def admit(turn: Turn) -> Iterator[Event]:
    """Say that the script has no answer to this message."""
    asked = turn.subject if len(turn.subject) <= 80 else turn.subject[:79].rstrip() + "…"
    yield from turn.say(f"My script has no answer to “{asked}”. These I know:\n\n{ABILITIES}")


def fail(turn: Turn) -> Iterator[Event]:
    """Raise in the middle of a message."""
    message = turn.say(
        "All right: in a moment this agent raises an exception, in the middle of this message. Here it"
    )
    for _ in range(18):
        yield next(message)
    raise RuntimeError("The demo agent failed, as it was asked to")
