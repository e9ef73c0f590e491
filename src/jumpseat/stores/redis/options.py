"""The options of a Redis store, checked at construction, and the lifetimes that scripts are told."""

from __future__ import annotations

import math
from typing import Final, cast

from jumpseat.errors import ConfigurationError

__all__ = ["Lifetimes", "checked_count", "checked_prefix", "checked_timeout"]

# The server forgets by itself only what nobody has removed in that time: indexes then stay as they should.
SLACK_SECONDS: Final = 3600.0
# A reader that follows a run from another process gets the rest of it.
LEAST_LOG_SECONDS: Final = 60.0
# A wait for replicas has to end before the connection is taken for dead.
LONGEST_WAIT_SECONDS: Final = 4.0
# Longer than anything is kept, and still a number that scripts handle exactly.
_FOR_EVER: Final = 1 << 50


class Lifetimes:
    """After how many milliseconds the server itself forgets what nobody removed; ``None`` for never.

    Raises ``ConfigurationError`` for what is no positive number of seconds.
    """

    def __init__(self, thread_ttl: float | None, log_ttl: float | None) -> None:
        _check_seconds("thread_ttl", thread_ttl, least=1.0)
        _check_seconds("log_ttl", log_ttl, least=0.0)
        self.thread_seconds: Final = thread_ttl
        self.thread: Final = None if thread_ttl is None else _milliseconds(thread_ttl + SLACK_SECONDS)
        log = None if log_ttl is None or math.isinf(log_ttl) else _milliseconds(log_ttl + LEAST_LOG_SECONDS)
        # A log does not outlive its thread.
        bounds = [bound for bound in (self.thread, log) if bound is not None]
        self._log: Final = min(bounds, default=None)

    @property
    def of_a_seal(self) -> dict[str, int | None]:
        """What a seal is told."""
        return {"used": self.thread, "log_ttl": self._log}


def checked_prefix(prefix: object) -> str:
    """Return the prefix. Raises ``ConfigurationError`` for one that would move keys to other slots."""
    if not isinstance(prefix, str) or not prefix or set(prefix) & set("{}"):
        raise ConfigurationError(f"prefix must be a text without braces, not {prefix!r}")
    return prefix


def checked_count(name: str, value: object, *, least: int) -> int:
    """Return a whole number. Raises ``ConfigurationError`` for less than ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"{name} must be a whole number from {least} on, not {value!r}")
    return value


def checked_timeout(name: str, value: object) -> float:
    """Return seconds. Raises ``ConfigurationError`` unless a connection may wait that long."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LONGEST_WAIT_SECONDS:
        raise ConfigurationError(
            f"{name} must be seconds above 0 and up to {LONGEST_WAIT_SECONDS:g}, not {value!r}"
        )
    return float(value)


def _check_seconds(name: str, value: object, *, least: float) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not cast("float", value) >= least:
        raise ConfigurationError(f"{name} must be None or at least {least:g} seconds, not {value!r}")


def _milliseconds(seconds: float) -> int:
    return int(min(seconds * 1000, _FOR_EVER))
