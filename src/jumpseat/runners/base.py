"""The runner contract: what the HTTP surface asks of whoever executes runs and keeps threads."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import msgspec

from jumpseat.context import RunContext
from jumpseat.protocol.events import ActivitySnapshot, RunError
from jumpseat.protocol.inputs import RunAgentInput
from jumpseat.stores.base import RunStatus, ThreadChange, ThreadRecord

__all__ = [
    "AgentRunner",
    "BranchStore",
    "ConnectRequest",
    "DisconnectPolicy",
    "EventStream",
    "FirstRunSealed",
    "IsRunningRequest",
    "NumberedPage",
    "Page",
    "RunOptions",
    "RunRecord",
    "RunRequest",
    "Settler",
    "StopRequest",
    "ThreadStore",
    "agent_stream",
]

DisconnectPolicy: TypeAlias = Literal["continue", "cancel"] | float
AgentCallable: TypeAlias = Callable[[RunAgentInput, RunContext], AsyncIterator[Any]]
Settler: TypeAlias = Callable[[], Sequence[ActivitySnapshot]]
# Told the owner and the thread. Must return at once and not raise.
FirstRunSealed: TypeAlias = Callable[[str | None, str], None]


class Page:
    """Encoded events that are ready to be sent, each with its cursor (``None``: it has none).

    An empty page only keeps the connection alive.
    """

    __slots__ = ("_events",)

    def __init__(self, events: Sequence[tuple[str | None, bytes]] = ()) -> None:
        self._events = events

    @property
    def events(self) -> Sequence[tuple[str | None, bytes]]:
        """The events in order."""
        return self._events


class NumberedPage(Page):
    """Consecutive events of one run, ``data``, numbered from ``first``: their cursors follow from that."""

    __slots__ = ("data", "first", "run_key")

    def __init__(self, run_key: str, first: int, data: Sequence[bytes]) -> None:
        # Without the base class: its slot is not used, and a page is made for every event.
        self.run_key = run_key
        self.first = first
        self.data = data

    @property
    def events(self) -> Sequence[tuple[str | None, bytes]]:
        """The events in order."""
        return [(f"{self.run_key}:{number}", data) for number, data in enumerate(self.data, self.first)]


class EventStream(Protocol):
    """What a reader gets: events (structs, dicts, models), ``bytes`` (one encoded event), or pages."""

    def __aiter__(self) -> AsyncIterator[Any]:
        """Iterate once."""
        ...

    async def __anext__(self) -> Any:
        """Return the next item."""
        ...

    async def aclose(self) -> None:
        """End this reader; the run goes on."""
        ...


async def agent_stream(agent: AgentCallable, given: RunAgentInput, context: RunContext) -> AsyncIterator[Any]:
    """Call ``agent`` and return its events. Raises ``TypeError`` when what it returns yields none."""
    stream: Any = agent(given, context)
    if inspect.isawaitable(stream):
        stream = await stream
    if not hasattr(stream, "__aiter__"):
        raise TypeError(
            "an agent's run(input, context) must return an async iterator of events, as an async generator "
            f"function does; it returned {type(stream).__name__}"
        )
    return stream


def _exception_text(error: BaseException) -> str:
    return str(error) or type(error).__name__


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How one run is executed and reported.

    Attributes:
        on_disconnect: Overrides the runner's option when not ``None``.
        requires_terminal: A stream without a terminal event is an error.
        settlers: Asked when the run ends for activity snapshots that settle what is still open.
        error_text: What RUN_ERROR says of an exception.
        tap: Gets the bytes of each stored event (debug feed); must not raise or block.
        thread_name: The name for a thread that has none yet.
        wanted: Asked once, a turn of the event loop after the request and before the claim; a run that is not
            wanted any more raises ``CallerLeft`` and leaves no trace.
        first_run_sealed: Told when this run was sealed, whatever its end, if it was its thread's first.
        request_id: For log records.
    """

    on_disconnect: DisconnectPolicy | None = None
    requires_terminal: bool = False
    settlers: Sequence[Settler] = ()
    error_text: Callable[[BaseException], str] = _exception_text
    tap: Callable[[bytes], None] | None = None
    thread_name: str | None = None
    wanted: Callable[[], bool] | None = None
    first_run_sealed: FirstRunSealed | None = None
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """A run that is to start: ``agent`` is the agent with its middleware, made for this request."""

    thread_id: str
    agent: AgentCallable
    agent_id: str
    input: RunAgentInput
    context: RunContext
    owner: str | None = None
    options: RunOptions = field(default_factory=RunOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectRequest:
    """A client that wants to see a thread, from ``cursor`` on if it is still usable."""

    thread_id: str
    agent_id: str
    owner: str | None = None
    cursor: str | None = None
    input: RunAgentInput | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class IsRunningRequest:
    """Asks whether a thread has a live run."""

    thread_id: str
    owner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequest:
    """Asks to stop the run ``run_id`` of a thread, or whatever runs on it."""

    thread_id: str
    run_id: str | None = None
    owner: str | None = None


class ThreadStore(Protocol):
    """The thread verbs a runner offers; every one is scoped to ``owner`` (``None``: the nameless owner)."""

    async def list(
        self,
        *,
        owner: str | None,
        agent_id: str | None = None,
        archived: bool = False,
        limit: int = 200,
        cursor: str | None = None,
    ) -> tuple[list[ThreadRecord], str | None]:
        """Return a page of records and the cursor of the next one. Raises ``InvalidCursor``."""
        ...

    async def get(self, thread_id: str, *, owner: str | None) -> ThreadRecord | None:
        """Return one record."""
        ...

    async def update(self, thread_id: str, change: ThreadChange, *, owner: str | None) -> ThreadRecord | None:
        """Change name or archive mark; ``None`` for an unknown thread."""
        ...

    async def delete(self, thread_id: str, *, owner: str | None) -> bool:
        """Stop what runs on the thread, then remove it; false for an unknown thread."""
        ...

    async def clear(self, *, owner: str | None) -> None:
        """Delete every thread of the owner."""
        ...

    async def messages(self, thread_id: str, *, owner: str | None) -> list[dict[str, Any]] | None:
        """Return the thread's messages now, in wire form, the live run's so far included."""
        ...

    async def events(self, thread_id: str, *, owner: str | None) -> tuple[list[bytes], bool] | None:
        """Return the newest 10,000 stored events as JSON, and whether there were more."""
        ...

    async def state(self, thread_id: str, *, owner: str | None) -> Any:
        """Return the thread's current state, ``None`` when it has none."""
        ...


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of a thread's runs shows of one. Times are milliseconds since the epoch.

    Attributes:
        run_key: Unique, unlike ``run_id``, which is the client's.
        parent_key: The run that this one follows, ``None`` for the first; its ``run_id`` is ``parent_id``.
        agent_id: Who ran.
        status: ``queued``, ``live``, or how it ended.
        created_at: When it was claimed, or began to wait.
        ended_at: ``None`` until then.
        event_count: How many events it has stored.
        error: What it ended with if it failed.
        readable: Whether what the thread showed after it is still kept.
    """

    run_key: str
    run_id: str
    parent_key: str | None = None
    parent_id: str | None = None
    agent_id: str
    status: RunStatus
    created_at: int
    ended_at: int | None = None
    event_count: int
    error: RunError | None = None
    readable: bool = True


@runtime_checkable
class BranchStore(ThreadStore, Protocol):
    """A ``ThreadStore`` that also tells what a thread showed earlier. A runner may do without."""

    async def runs(
        self, thread_id: str, *, owner: str | None, limit: int = 200, cursor: str | None = None
    ) -> tuple[list[RunRecord], str | None] | None:
        """Return a page of runs, oldest first, and the cursor of the next one. Raises ``InvalidCursor``.

        ``None`` for an unknown thread.
        """
        ...

    async def messages(
        self, thread_id: str, *, owner: str | None, at: str | None = None
    ) -> list[dict[str, Any]] | None:
        """Return the messages now, or after the run ``at`` (a run's key, or the newest with this id).

        A run that has not ended shows what the thread shows now. Raises ``RunNotFound``.
        """
        ...

    async def state(self, thread_id: str, *, owner: str | None, at: str | None = None) -> Any:
        """Return the state now, or after the run ``at``, as ``messages`` does."""
        ...


class AgentRunner(ABC):
    """Executes runs and serves their readers. ``jumpseat.testing.RunnerContract`` tests a subclass.

    A runner executes at most one run per thread; lets a run outlive the stream that ``run`` returned; sends a
    legal sequence with exactly one terminal event; frees the thread before that stream ends; and ends every
    reader when its run ends.
    """

    threads: ThreadStore | None = None

    async def open(self) -> None:  # noqa: B027 - optional, not abstract
        """Make the runner ready; idempotent. Raises ``StoreUnavailable``."""

    @abstractmethod
    async def run(self, request: RunRequest) -> EventStream:
        """Start a run and return a reader of it.

        Raises ``ThreadAlreadyRunning`` before anything of the run exists, ``ThreadNotFound`` for somebody
        else's thread, ``StoreUnavailable`` and ``RunnerClosed``. Later failures are events.
        """

    @abstractmethod
    async def connect(self, request: ConnectRequest) -> EventStream:
        """Return what the thread amounts to, then its live run. Empty for an unknown thread.

        Should return before a long history is read; but raises ``StoreUnavailable`` here, not in the stream,
        when there is no store to read it from.
        """

    @abstractmethod
    async def is_running(self, request: IsRunningRequest) -> bool:
        """Say whether the thread has a live run."""

    @abstractmethod
    async def stop(self, request: StopRequest) -> bool | None:
        """Stop a live run: true iff this call did it, ``None`` for a thread the owner does not have."""

    def on_recovery(self, told: FirstRunSealed) -> Callable[[], None]:
        """Have ``told`` called for first runs that this runner seals in place of a process that is gone.

        Returns a function that ends this. A runner that recovers no runs never calls it.
        """
        return lambda: None

    async def aclose(self, *, grace: float = 0.0) -> None:  # noqa: B027 - optional, not abstract
        """Take no new runs, give live ones ``grace`` seconds, end the others, release everything."""
