"""Why a run ended: one constructor per cause, each giving the terminal event and what open calls are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import msgspec

from jumpseat.errors import RunFailure
from jumpseat.protocol.codec import encode_json
from jumpseat.protocol.events import RunError, RunFinished, RunOutcome

__all__ = [
    "Ending",
    "EndingStatus",
    "ResultNote",
    "agent_terminal",
    "broke",
    "cut",
    "disconnected",
    "ending_for_stop",
    "lost",
    "raised",
    "returned",
    "shutdown",
    "stopped",
    "superseded",
    "time_limit",
]

EndingStatus: TypeAlias = Literal["finished", "failed", "stopped", "lost"]

MAX_ERROR_TEXT: Final = 2_000
_AGENT_ERROR: Final = "agent_error"


@dataclass(frozen=True, slots=True)
class ResultNote:
    """What the tool calls that a run leaves without a result are answered with."""

    status: Literal["error", "stopped"]
    reason: str
    message: str

    def content(self) -> str:
        """Return the note as the JSON text of a tool result."""
        note = {"status": self.status, "reason": self.reason, "message": self.message}
        return encode_json(note).decode()


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ends.

    Attributes:
        status: What the run's record says.
        terminal: The last event, in a form every client reads; the ledger fills in the ids.
        result: The answer for open tool calls; ``None`` leaves them open for the client to answer.
    """

    status: EndingStatus
    terminal: RunFinished | RunError
    result: ResultNote | None = None


def agent_terminal(event: RunFinished | RunError) -> Ending:
    """The agent ended its run itself. Its result, usage and unknown keys are kept."""
    if isinstance(event, RunFinished):
        return Ending("finished", msgspec.structs.replace(event, outcome=_readable(event.outcome)))
    terminal = event if event.code else msgspec.structs.replace(event, code=_AGENT_ERROR)
    return Ending("failed", terminal, ResultNote("error", _AGENT_ERROR, event.message))


def returned() -> Ending:
    """The agent's stream ended without a terminal event, which agents may leave out."""
    return Ending("finished", RunFinished())


def cut() -> Ending:
    """The stream of an agent that must send a terminal event ended without one."""
    return _failed(
        "missing_terminal_event", "INCOMPLETE_STREAM", "Run ended without emitting a terminal event"
    )


def raised(text: str) -> Ending:
    """The agent raised; ``text`` is what clients may read about it, cut to 2,000 characters."""
    return _failed(_AGENT_ERROR, _AGENT_ERROR, text[:MAX_ERROR_TEXT])


def broke(failure: RunFailure) -> Ending:
    """The agent's stream broke a rule or a limit."""
    return _failed(failure.reason, failure.code or "INVALID_EVENT", str(failure)[:MAX_ERROR_TEXT])


def stopped() -> Ending:
    """Somebody asked to stop the run."""
    return _stopped("stop_requested", "Run stopped by user")


def disconnected() -> Ending:
    """Nobody reads the run any more, and its agent does not run without a reader."""
    return _stopped("client_disconnected", "Run stopped: the client disconnected")


def superseded() -> Ending:
    """A newer run of the thread takes this one's place."""
    return _stopped("superseded", "Run superseded by a newer run")


def time_limit() -> Ending:
    """The run took longer than ``Limits.max_run_seconds``."""
    return _stopped("time_limit", "Run stopped: time limit reached")


def shutdown() -> Ending:
    """The process that executes the run shuts down."""
    return _failed("server_shutdown", "SERVER_SHUTDOWN", "The server was shut down before the run finished")


def lost() -> Ending:
    """The process that executed the run is gone."""
    ending = _failed("owner_lost", "RUN_LOST", "The server lost this run")
    return Ending("lost", ending.terminal, ending.result)


def ending_for_stop(reason: str) -> Ending:
    """Return the ending for a stored stop reason; a reason nobody knows is a plain stop."""
    return _STOPS.get(reason, stopped)()


_STOPS: Final[dict[str, Callable[[], Ending]]] = {
    "stop_requested": stopped,
    "client_disconnected": disconnected,
    "superseded": superseded,
    "time_limit": time_limit,
    "shutdown": shutdown,
}


def _failed(reason: str, code: str, message: str) -> Ending:
    return Ending("failed", RunError(message=message, code=code), ResultNote("error", reason, message))


def _stopped(reason: str, message: str) -> Ending:
    return Ending("stopped", RunFinished(), ResultNote("stopped", reason, message))


def _readable(outcome: RunOutcome | None) -> RunOutcome | None:
    # Clients before 1.0 end without a sound on any other outcome, all on an empty interrupt list.
    if outcome is None:
        return None
    if outcome.type == "success":
        return RunOutcome(type="success")
    if outcome.type == "interrupt" and outcome.interrupts:
        return RunOutcome(type="interrupt", interrupts=outcome.interrupts)
    return None
