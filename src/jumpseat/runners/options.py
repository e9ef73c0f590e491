"""The options that every shipped runner shares, checked at construction."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypedDict, cast

from jumpseat.errors import ConfigurationError
from jumpseat.runners.base import DisconnectPolicy
from jumpseat.stores.base import Retention

__all__ = ["ConcurrentRunPolicy", "Limits", "RunnerOptionArguments", "RunnerOptions"]

ConcurrentRunPolicy: TypeAlias = Literal["reject", "supersede", "enqueue"]

# @ag-ui/client 1.0 gives up on a frame above 10 MiB.
LARGEST_EVENT = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one run may produce. Closers and the terminal are stored beyond any limit.

    Attributes:
        max_event_bytes: One encoded event, and the folded state; at most 8 MiB.
        max_run_events: Events of one run.
        max_run_bytes: Encoded bytes of one run.
        max_run_seconds: A run is stopped after this time; ``None``: never.
    """

    max_event_bytes: int = LARGEST_EVENT
    max_run_events: int = 100_000
    max_run_bytes: int = 64 * 1024 * 1024
    max_run_seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_event_bytes", "max_run_events", "max_run_bytes"):
            _positive_int(f"limits.{name}", getattr(self, name))
        if self.max_event_bytes > LARGEST_EVENT:
            raise ConfigurationError(
                f"limits.max_event_bytes may be at most {LARGEST_EVENT}: clients give up on larger frames"
            )
        if self.max_run_seconds is not None:
            _positive("limits.max_run_seconds", self.max_run_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerOptions:
    """How runs are started, leased, stopped and kept.

    Attributes:
        on_concurrent_run: What a run on a busy thread does: ``"reject"``, ``"supersede"``, ``"enqueue"``.
        max_queued_runs: How many runs of one thread may wait with ``"enqueue"``.
        on_disconnect: ``"continue"``, ``"cancel"`` when the last reader left, or after how many seconds.
        lease_ttl: Seconds after which a silent owner is taken for dead.
        heartbeat: Seconds between renewals; at most a third of ``lease_ttl``.
        stop_grace: Seconds an agent gets to end after it was asked to.
        retention: What is kept for how long.
        limits: What one run may produce.
    """

    on_concurrent_run: ConcurrentRunPolicy = "reject"
    max_queued_runs: int = 8
    on_disconnect: DisconnectPolicy = "continue"
    lease_ttl: float = 20.0
    heartbeat: float = 5.0
    stop_grace: float = 5.0
    retention: Retention = field(default_factory=Retention)
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.on_concurrent_run not in ("reject", "supersede", "enqueue"):
            raise ConfigurationError(
                "on_concurrent_run must be 'reject', 'supersede' or 'enqueue', "
                f"not {self.on_concurrent_run!r}"
            )
        _positive_int("max_queued_runs", self.max_queued_runs)
        check_disconnect_policy("on_disconnect", self.on_disconnect)
        for name in ("lease_ttl", "heartbeat", "stop_grace"):
            _positive(name, getattr(self, name))
        if self.heartbeat * 3 > self.lease_ttl:
            raise ConfigurationError(
                f"heartbeat must be at most a third of lease_ttl ({self.lease_ttl}), not {self.heartbeat}"
            )
        check_retention(self.retention)
        _check_type("limits", self.limits, Limits)


class RunnerOptionArguments(TypedDict, total=False):
    """The keyword arguments that every shipped runner hands to ``RunnerOptions``."""

    on_concurrent_run: ConcurrentRunPolicy
    max_queued_runs: int
    on_disconnect: DisconnectPolicy
    lease_ttl: float
    heartbeat: float
    stop_grace: float
    retention: Retention
    limits: Limits


def check_disconnect_policy(name: str, value: object) -> None:
    """Raise ``ConfigurationError`` unless ``value`` is a disconnect policy."""
    if value in ("continue", "cancel"):
        return
    if not 0 <= _seconds(value) < math.inf:
        raise ConfigurationError(f"{name} must be 'continue', 'cancel' or seconds, not {value!r}")


def check_retention(value: object) -> None:
    """Raise ``ConfigurationError`` unless ``value`` is a ``Retention`` that says what may go."""
    _check_type("retention", value, Retention)
    kept = cast("Retention", value)
    if kept.max_age is not None and not 0 < _seconds(kept.max_age) < math.inf:
        raise ConfigurationError(
            f"retention.max_age must be None or a positive number of seconds, not {kept.max_age!r}"
        )
    if kept.max_runs is not None and not _is_positive_int(kept.max_runs):
        raise ConfigurationError(
            f"retention.max_runs must be None or a positive integer, not {kept.max_runs!r}"
        )
    if not 0 <= _seconds(kept.events_after) < math.inf:
        raise ConfigurationError(
            f"retention.events_after must be a number of seconds, at least 0, not {kept.events_after!r}"
        )


def _seconds(value: object) -> float:
    """Return a number as it is, and NaN for what is none."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan


def _positive(name: str, value: object) -> None:
    if not 0 < _seconds(value) < math.inf:
        raise ConfigurationError(f"{name} must be a positive number of seconds, not {value!r}")


def _positive_int(name: str, value: object) -> None:
    if not _is_positive_int(value):
        raise ConfigurationError(f"{name} must be a positive integer, not {value!r}")


def _is_positive_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _check_type(name: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise ConfigurationError(f"{name} must be a {kind.__name__}, not {type(value).__name__}")
