"""What a factory knows of its run, and how it asks a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jumpseat.agents.builtin.prompt import system_prompt
from jumpseat.context import AbortSignal, RunContext, User
from jumpseat.errors import JumpseatError
from jumpseat.protocol.codec import from_wire
from jumpseat.protocol.events import Interrupt
from jumpseat.protocol.inputs import ResumeEntry, RunAgentInput

__all__ = ["FactoryContext", "InterruptSignal"]


class InterruptSignal(JumpseatError):
    """Ends a factory's run with ``interrupts`` as its outcome; who catches it finishes normally."""

    def __init__(self, interrupts: Sequence[Interrupt]) -> None:
        super().__init__("the run waits for an answer")
        self.interrupts = list(interrupts)


@dataclass(frozen=True, slots=True, kw_only=True)
class FactoryContext:
    """The one argument of a factory.

    Attributes:
        input: What the client sent; for all types but ``custom`` and ``agui`` the answers to interrupts are
            already in its messages, as tool results.
        run: The run.
        abort_signal: Set when the run is to end. Passing it on is optional: the factory's task is cancelled
            as well. To end early, return; to end from outside, call ``agent.abort_run()``.
        resume: The answers to interrupts of an earlier run.
        user: Who asked.
        headers: Request headers that may be forwarded, by lower-case name.
    """

    input: RunAgentInput
    run: RunContext
    resume: list[ResumeEntry] = field(default_factory=list[ResumeEntry])

    @property
    def abort_signal(self) -> AbortSignal:
        """Set when the run is to end."""
        return self.run.abort_signal

    @property
    def user(self) -> User | None:
        """Who asked."""
        return self.run.user

    @property
    def headers(self) -> Mapping[str, str]:
        """Request headers that may be forwarded, by lower-case name."""
        return self.run.headers

    async def interrupt(self, interrupts: Sequence[Interrupt | Mapping[str, Any]]) -> list[ResumeEntry]:
        """Return the answers to these interrupts, or end the run until they are there.

        Args:
            interrupts: Structs or mappings with ``id`` and ``reason``.

        Raises:
            InterruptSignal: Not all of them are answered; the run ends with all of them as its outcome. An
                empty list ends it without one.
            TypeError: An entry has no id.
        """
        asked = [_interrupt(entry) for entry in interrupts]
        ids = {entry.id for entry in asked}
        answers = [entry for entry in self.resume if entry.interrupt_id in ids]
        if asked and {entry.interrupt_id for entry in answers} == ids:
            return answers
        raise InterruptSignal(asked)

    def system_prompt(self, prompt: str | None = None) -> str | None:
        """Return ``prompt`` with the application's context and state, as simple mode gives it to a model."""
        return system_prompt(prompt, self.input, state_tools=False)


def _interrupt(entry: Interrupt | Mapping[str, Any]) -> Interrupt:
    if isinstance(entry, Interrupt):
        return entry
    members = dict(entry)
    members.setdefault("reason", "tool_call")
    camel = {"tool_call_id": "toolCallId", "response_schema": "responseSchema", "expires_at": "expiresAt"}
    try:
        return from_wire({camel.get(key, key): value for key, value in members.items()}, Interrupt)
    except ValueError as error:
        raise TypeError(f"an interrupt needs an id and a reason, both strings: {error}") from error
