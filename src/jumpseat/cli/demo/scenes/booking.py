"""Books a flight that does not exist: the run ends with a question, and the answer starts the next."""

from __future__ import annotations

from collections.abc import Iterator

from jumpseat.cli.demo.answers import is_approval
from jumpseat.cli.demo.intents import read_intent
from jumpseat.cli.demo.turn import Turn
from jumpseat.protocol.events import Event, Interrupt, RunFinished, RunOutcome
from jumpseat.protocol.inputs import ResumeEntry

__all__ = ["ask", "go_on"]


def ask(turn: Turn) -> Iterator[Event]:
    """Propose a flight and end the run with an interrupt."""
    destination = _destination(turn.subject)
    yield from turn.say(
        f"I found one flight to {destination}: Tuesday at 09:40, seat 14A by the window, 89 euros. "
        "Shall I book it?"
    )
    question = Interrupt(
        id=turn.new_id(),
        reason="confirmation",
        message=f"Book the flight to {destination} for 89 euros?",
        response_schema={
            "type": "object",
            "properties": {"approved": {"type": "boolean"}},
            "required": ["approved"],
        },
        metadata={"flight": destination, "departure": "Tuesday, 09:40", "seat": "14A", "price": "89 euros"},
    )
    yield RunFinished(outcome=RunOutcome(type="interrupt", interrupts=[question]))


def go_on(turn: Turn, answers: list[ResumeEntry]) -> Iterator[Event]:
    """Book or let go, as the person answered."""
    destination = _destination(read_intent(turn.last_user_text()).subject)
    if all(answer.status == "resolved" and is_approval(answer.payload) for answer in answers):
        yield from turn.say(
            f"Booked: {destination}, Tuesday at 09:40, seat **14A**. The seat is as real as I am: this is a "
            "demo, and no airline has heard of it."
        )
    else:
        yield from turn.say(f"All right, I did not book the flight to {destination}.")


def _destination(subject: str) -> str:
    words = subject.removesuffix(" please").strip()
    return words.title() if words.islower() else words or "Lisbon"
