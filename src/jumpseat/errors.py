"""Every exception Jumpseat raises on purpose, each with the HTTP status and code it becomes.

::

    JumpseatError
    ├── ConfigurationError (ValueError)      an option is wrong; raised at construction
    │   ├── ModelSpecError                   a model string names no model
    │   └── ToolDefinitionError              a function cannot be a tool
    ├── MissingDependencyError (ImportError) an optional package is not installed
    ├── InvalidInput                         a request body is not a RunAgentInput
    ├── InvalidCursor                        a paging cursor is not one of ours
    ├── InvalidExport                        what is imported is no complete and sound export
    ├── ThreadAlreadyRunning                 the thread has a live run
    ├── ThreadNotFound                       no such thread for this owner
    ├── RunNotFound                          no such run on the thread, or too old to be read
    ├── RunnerClosed                         the runner takes no new runs
    ├── Overloaded                           the process runs as many runs as it may
    ├── StoreUnavailable                     the store cannot be reached or used
    │   └── SchemaTooNew                     the store was written by a newer Jumpseat
    ├── ClaimLost                            a writer no longer owns its run
    ├── AgentServerError                     a remote agent's server is unreachable or refuses the run
    ├── RunAborted                           the run is to end; raised where code asks
    ├── RunFailure                           an agent's stream broke a rule; ends its run
    │   ├── InvalidEvent
    │   │   └── UnsendableEvent          no client could read it: dropped, the run goes on
    │   │       └── UnknownEventType
    │   ├── IllegalEvent
    │   ├── EventTooLarge
    │   └── RunTooLarge
    ├── ToolError                            a tool's own words about why it failed
    ├── StatePatchError (ValueError)         a JSON Patch does not fit the shared state
    ├── TranscriptionError                   speech could not be turned into text
    └── RespondWith                          a hook wants exactly this response
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AgentServerError",
    "ClaimLost",
    "ConfigurationError",
    "EventTooLarge",
    "IllegalEvent",
    "InvalidCursor",
    "InvalidEvent",
    "InvalidExport",
    "InvalidInput",
    "JumpseatError",
    "MissingDependencyError",
    "ModelSpecError",
    "Overloaded",
    "RespondWith",
    "RunAborted",
    "RunFailure",
    "RunNotFound",
    "RunTooLarge",
    "RunnerClosed",
    "SchemaTooNew",
    "StatePatchError",
    "StoreUnavailable",
    "ThreadAlreadyRunning",
    "ThreadNotFound",
    "ToolDefinitionError",
    "ToolError",
    "TranscriptionError",
    "UnknownEventType",
    "UnsendableEvent",
]


class JumpseatError(Exception):
    """Base of all errors that Jumpseat raises on purpose."""

    status: ClassVar[int] = 500
    code: str | None = None


class ConfigurationError(JumpseatError, ValueError):
    """An option has a value that cannot work; the message names the option."""


class ModelSpecError(ConfigurationError):
    """A model string is malformed or names an unknown provider."""


class ToolDefinitionError(ConfigurationError):
    """A function, a schema or a name cannot be made into a tool; the message says which part."""


class MissingDependencyError(JumpseatError, ImportError):
    """An optional package is missing; the message holds the line that installs it."""


class InvalidInput(JumpseatError):
    """A request body does not have the shape of a RunAgentInput.

    ``detail`` is one short sentence that begins with the path of the first fault.
    """

    status = 400

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidCursor(JumpseatError):
    """A paging cursor was not made by this store."""

    status = 400


class InvalidExport(JumpseatError):
    """What is imported is no export of a known version, is cut off, or contradicts itself.

    ``line`` is the number of the line, from 1. The threads before that line are imported.
    """

    status = 400

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line


class ThreadAlreadyRunning(JumpseatError):
    """The thread has a live run; ``run_id`` is that run's id. Clients match the text."""

    status = 409
    code = "agent_thread_locked"

    def __init__(self, thread_id: str, run_id: str | None = None) -> None:
        super().__init__("Thread already running")
        self.thread_id = thread_id
        self.run_id = run_id


class ThreadNotFound(JumpseatError):
    """The thread does not exist, or belongs to somebody else."""

    status = 404

    def __init__(self, thread_id: str) -> None:
        super().__init__(f"Thread '{thread_id}' does not exist")
        self.thread_id = thread_id


class RunNotFound(JumpseatError):
    """A thread has no run of this key or id; with ``outdated`` it has one, whose messages are gone."""

    status = 404

    def __init__(self, thread_id: str, run: str, *, outdated: bool = False) -> None:
        super().__init__(
            f"What thread '{thread_id}' showed after its run '{run}' is no longer kept: name a later run"
            if outdated
            else f"Thread '{thread_id}' has no run '{run}': name one by its runKey, or its runId"
        )
        self.thread_id = thread_id
        self.run = run
        self.outdated = outdated


class RunnerClosed(JumpseatError):
    """The runner is shutting down, or shut, and starts nothing new."""

    status = 503
    code = "server_draining"


class Overloaded(JumpseatError):
    """This process already runs as many runs as ``max_live_runs`` allows."""

    status = 503
    code = "overloaded"


class StoreUnavailable(JumpseatError):
    """The store cannot be reached or used right now; nothing was half written."""

    status = 503
    code = "store_unavailable"


class SchemaTooNew(StoreUnavailable):
    """The store was written by a newer Jumpseat and has not been touched."""

    def __init__(self, where: str, *, found: int, known: int) -> None:
        super().__init__(
            f"{where} has schema version {found}, this Jumpseat knows versions up to {known}: "
            "upgrade Jumpseat, or use another database"
        )
        self.found = found
        self.known = known


class ClaimLost(JumpseatError):
    """The writer's claim on its run is gone; nothing of what it sent was stored."""


class AgentServerError(JumpseatError):
    """The server of a remote agent cannot be reached, is silent, or answers no event stream.

    ``upstream_status`` is its HTTP status, ``None`` when there was none or it was no refusal.
    """

    def __init__(self, message: str, *, upstream_status: int | None = None) -> None:
        super().__init__(message)
        self.upstream_status = upstream_status


class RunAborted(JumpseatError):
    """The run is to end; raised by ``AbortSignal.raise_if_aborted`` for code that asks."""

    def __init__(self, reason: str | None = None) -> None:
        super().__init__(reason or "the run is to end")


class CallerLeft(JumpseatError):
    """Whoever asked for a run was gone before it could start; nothing was started."""


class RunFailure(JumpseatError):
    """An agent's stream broke a rule. The run ends with RUN_ERROR of this ``code``."""

    reason: ClassVar[str] = "invalid_event"


class InvalidEvent(RunFailure):
    """An item is not an AG-UI event, or a malformed one."""

    code = "INVALID_EVENT"


class UnsendableEvent(InvalidEvent):
    """An item no client could read, and that can be left out without breaking the run.

    ``subject`` is what one warning per run is keyed by.
    """

    def __init__(self, subject: str, message: str) -> None:
        super().__init__(message)
        self.subject = subject


class UnknownEventType(UnsendableEvent):
    """An item has an event type that AG-UI does not define."""

    def __init__(self, type_name: str) -> None:
        super().__init__(type_name, f"unknown event type {type_name!r}")


class IllegalEvent(RunFailure):
    """An event is well formed but may not come at this point of the run."""

    code = "ILLEGAL_EVENT"


class EventTooLarge(RunFailure):
    """One event is larger than ``Limits.max_event_bytes``."""

    code = "EVENT_TOO_LARGE"
    reason = "limit_exceeded"


class RunTooLarge(RunFailure):
    """A run has more events or bytes than ``Limits`` allows."""

    code = "RUN_TOO_LARGE"
    reason = "limit_exceeded"


class ToolError(JumpseatError):
    """Raised in a tool: the call's result becomes ``{"error": <text>}`` and the model goes on with it."""


class StatePatchError(JumpseatError, ValueError):
    """A JSON Patch does not fit the shared state; nothing of it was applied."""


class TranscriptionError(JumpseatError):
    """A transcription failed for a reason the client has a text for.

    ``code`` is one of ``rate_limited``, ``auth_failed``, ``audio_too_long``, ``audio_too_short``,
    ``network_error``, ``provider_error``, ``invalid_audio_format``, ``invalid_request``.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class RespondWith(JumpseatError):
    """Raised in a hook, a middleware, ``identify_user`` or an agents factory to answer at once.

    ``response`` is a Starlette ``Response``; it is sent as it is.
    """

    def __init__(self, response: object) -> None:
        super().__init__("responds with a ready response")
        self.response = response
