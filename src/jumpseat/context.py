"""What an agent knows of its run beside the input: who asked, with which headers, and whether to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jumpseat.errors import RunAborted

__all__ = ["AbortSignal", "RunContext", "User"]


@dataclass(frozen=True, slots=True)
class User:
    """Who sent a request: what ``identify_user`` returned."""

    id: str
    name: str | None = None


class AbortSignal:
    """Tells code that does not notice cancellation that its run is to end."""

    __slots__ = ("_event", "reason")

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.reason: str | None = None

    @property
    def aborted(self) -> bool:
        """True from the moment the run is to end."""
        return self._event.is_set()

    def abort(self, reason: str | None = None) -> None:
        """Set the signal; the first reason stays."""
        if not self._event.is_set():
            self.reason = reason
            self._event.set()

    def raise_if_aborted(self) -> None:
        """Raise ``RunAborted`` once the signal is set."""
        if self._event.is_set():
            raise RunAborted(self.reason)

    async def wait(self) -> None:
        """Return once the signal is set. Cancelling loses nothing."""
        await self._event.wait()


@dataclass(kw_only=True, slots=True)
class RunContext:
    """One run, as its agent, its middleware and its tools see it.

    ``headers`` are the request headers that may be forwarded, by lower-case name. ``record`` is a JSON object
    the agent may fill; it is kept on the run's record and never sent. ``hides_errors``: what the developer's
    own code raises is for the log only.
    """

    thread_id: str
    run_id: str
    run_key: str
    agent_id: str
    user: User | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    request_id: str = ""
    abort_signal: AbortSignal = field(default_factory=AbortSignal)
    record: dict[str, Any] = field(default_factory=dict[str, Any])
    hides_errors: bool = False
    on_abort: Callable[[], None] | None = field(default=None, repr=False)

    def abort(self, reason: str | None = None) -> None:
        """Ask the run to end, as a stop by its user would."""
        self.abort_signal.abort(reason)
        if self.on_abort is not None:
            self.on_abort()
