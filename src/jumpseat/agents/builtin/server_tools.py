"""What the tool loop asks of a tool that this server runs, wherever the tool comes from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from jumpseat.agents.builtin.language_model import MediaData, MediaUrl, Text
from jumpseat.agents.builtin.state import SharedState
from jumpseat.context import RunContext
from jumpseat.protocol.events import Event
from jumpseat.protocol.inputs import RunAgentInput

__all__ = ["Invocation", "ServerTool", "ToolAnswer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One call of a tool, and what the tool may know and touch.

    Attributes:
        id: The call's id on the wire.
        name: The name it was called by.
        arguments: The arguments as the model wrote them: JSON text, perhaps broken, perhaps empty.
        step: Number of the generation that made the call, from 1.
        input: The run's input; never changed.
        context: The run.
        state: The shared state of the run.
        emit: Sends an event at once; waits while the stream is full.
        redact: Takes secrets out of a text that is to leave the server.
    """

    id: str
    name: str
    arguments: str
    step: int
    input: RunAgentInput
    context: RunContext
    state: SharedState
    emit: Callable[[Event], Awaitable[None]]
    redact: Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolAnswer:
    """How a call ended. Every call ends in one: a tool that fails answers with its error.

    Attributes:
        content: What the client and the thread get, normally JSON.
        for_model: What the model gets in its place, when that differs.
        error: One word for logs and traces when the call failed.
    """

    content: str
    for_model: str | list[Text | MediaData | MediaUrl] | None = None
    error: str | None = None


class ServerTool(Protocol):
    """A tool that this server runs."""

    @property
    def name(self) -> str:
        """What the model calls it."""
        ...

    @property
    def description(self) -> str:
        """What the model is told of it."""
        ...

    @property
    def parameters(self) -> dict[str, Any]:
        """JSON Schema of its arguments, an object at the root."""
        ...

    async def call(self, invocation: Invocation) -> ToolAnswer:
        """Run it. Never raises but for cancellation, which ends the tool."""
        ...
