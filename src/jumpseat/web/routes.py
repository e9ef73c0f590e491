"""The route table: which pattern and method reach which handler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jumpseat.web.call import Handler
from jumpseat.web.handlers.connect import connect, connect_event_source
from jumpseat.web.handlers.debug import debug_events
from jumpseat.web.handlers.info import info
from jumpseat.web.handlers.inspector import annotate, inspector_learning, inspector_metadata
from jumpseat.web.handlers.run import run
from jumpseat.web.handlers.stop import stop
from jumpseat.web.handlers.suggest import suggest
from jumpseat.web.handlers.threads import (
    archive_thread,
    clear_threads,
    delete_thread,
    list_threads,
    subscribe_threads,
    thread_events,
    thread_messages,
    thread_runs,
    thread_state,
    update_thread,
)
from jumpseat.web.handlers.transcribe import transcribe

__all__ = ["ROUTES", "Matched", "Route", "match", "route_named"]

RUN_FAILED = "Failed to run agent"


@dataclass(frozen=True, slots=True)
class Route:
    """One route.

    Attributes:
        name: As hooks see it.
        pattern: Literal segments, and parameters that begin with a colon.
        handlers: By method.
        failure: The ``error`` of a 500 that its handler causes; ``None`` leaves it to ``on_error``.
        method_failures: Where a method has another ``failure``.
        uses_runner: Needs the runtime started.
        is_public: Answered without a user.
        is_guarded: Refused when a browser was made to send it by another site.
    """

    name: str
    pattern: str
    handlers: Mapping[str, Handler]
    failure: str | None = None
    method_failures: Mapping[str, str] = field(default_factory=dict[str, str])
    uses_runner: bool = True
    is_public: bool = False
    is_guarded: bool = True

    @property
    def segments(self) -> tuple[str, ...]:
        """The pattern's segments."""
        return tuple(self.pattern.split("/"))

    @property
    def allow(self) -> str:
        """The ``Allow`` header of a 405."""
        return ", ".join(self.handlers)


@dataclass(frozen=True, slots=True)
class Matched:
    """A route and the parameters that a path gave it."""

    route: Route
    params: Mapping[str, str] = field(default_factory=dict[str, str])


ROUTES: tuple[Route, ...] = (
    Route(
        "info",
        "info",
        {"GET": info},
        "Failed to retrieve runtime information",
        uses_runner=False,
        is_public=True,
    ),
    Route("agent/run", "agent/:agentId/run", {"POST": run}, RUN_FAILED),
    Route(
        "agent/connect",
        "agent/:agentId/connect",
        {"GET": connect_event_source, "POST": connect},
        RUN_FAILED,
    ),
    Route("agent/stop", "agent/:agentId/stop/:threadId", {"POST": stop}, "Failed to stop agent"),
    Route("agent/suggest", "agent/:agentId/suggest", {"POST": suggest}, RUN_FAILED),
    Route("transcribe", "transcribe", {"POST": transcribe}, uses_runner=False, is_guarded=False),
    Route("threads/list", "threads", {"GET": list_threads}, "Failed to list threads"),
    Route("threads/clear", "threads/clear", {"POST": clear_threads}, "Failed to clear threads"),
    Route(
        "threads/subscribe",
        "threads/subscribe",
        {"POST": subscribe_threads},
        "Failed to subscribe to threads",
    ),
    Route(
        "threads/update",
        "threads/:threadId",
        {"PATCH": update_thread, "DELETE": delete_thread},
        "Failed to update thread",
        {"DELETE": "Failed to delete thread"},
    ),
    Route(
        "threads/archive", "threads/:threadId/archive", {"POST": archive_thread}, "Failed to archive thread"
    ),
    Route(
        "threads/messages",
        "threads/:threadId/messages",
        {"GET": thread_messages},
        "Failed to fetch thread messages",
    ),
    Route(
        "threads/events", "threads/:threadId/events", {"GET": thread_events}, "Failed to fetch thread events"
    ),
    Route("threads/runs", "threads/:threadId/runs", {"GET": thread_runs}, "Failed to fetch thread runs"),
    Route("threads/state", "threads/:threadId/state", {"GET": thread_state}, "Failed to fetch thread state"),
    Route("cpk-debug-events", "cpk-debug-events", {"GET": debug_events}, uses_runner=False),
    Route("inspector/metadata", "inspector-metadata", {"GET": inspector_metadata}, uses_runner=False),
    Route("inspector/learning", "inspector-learning", {"GET": inspector_learning}, uses_runner=False),
    Route("annotate", "annotate", {"POST": annotate}, uses_runner=False),
)

_BY_NAME = {route.name: route for route in ROUTES}
_BY_LENGTH: dict[int, list[tuple[Route, tuple[str, ...]]]] = {}
# Literals win over parameters: patterns with fewer parameters are tried first.
for _route in sorted(ROUTES, key=lambda route: route.pattern.count(":")):
    _BY_LENGTH.setdefault(len(_route.segments), []).append((_route, _route.segments))


def match(segments: Sequence[str]) -> Matched | None:
    """Return the route that all of ``segments`` match, ``None`` if there is none."""
    for route, pattern in _BY_LENGTH.get(len(segments), ()):
        if all(
            literal == segment or literal.startswith(":")
            for literal, segment in zip(pattern, segments, strict=True)
        ):
            names = zip(pattern, segments, strict=True)
            return Matched(route, {name[1:]: value for name, value in names if name.startswith(":")})
    return None


def route_named(name: str) -> Route:
    """Return the route of this name."""
    return _BY_NAME[name]
