"""Options of a runtime that are more than one value, and the checks that name a wrong one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jumpseat.errors import ConfigurationError

__all__ = ["DebugConfig", "check_callable", "check_flag", "check_number", "debug_config"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugConfig:
    """What debug mode logs: each event, each run's beginning and end, and whether in full."""

    events: bool = True
    lifecycle: bool = True
    verbose: bool = False


def debug_config(option: object) -> DebugConfig | None:
    """Return what the ``debug`` option asks for, ``None`` when it is off."""
    if isinstance(option, DebugConfig):
        return option
    if not isinstance(option, bool):
        raise ConfigurationError(f"debug must be True, False or DebugConfig(...), not {_kind(option)}")
    return DebugConfig() if option else None


def check_flag(name: str, value: object, *, optional: bool = False) -> None:
    """Raise ``ConfigurationError`` unless ``value`` is a bool (or ``None``, if ``optional``)."""
    if not (isinstance(value, bool) or (optional and value is None)):
        allowed = "True, False or None" if optional else "True or False"
        raise ConfigurationError(f"{name} must be {allowed}, not {_kind(value)}")


def check_number(
    name: str, value: object, *, low: float, high: float = math.inf, whole: bool = False
) -> None:
    """Raise ``ConfigurationError`` unless ``value`` is a number from ``low`` to ``high``."""
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or math.isnan(value):
        wanted = "a whole number" if whole else "a number"
        raise ConfigurationError(f"{name} must be {wanted}, not {_kind(value)}")
    if not low <= value <= high:
        limits = f"{low:g} to {high:g}" if math.isfinite(high) else f"{low:g} or more"
        raise ConfigurationError(f"{name} must be {limits}, not {value}")


def check_callable(name: str, value: object) -> None:
    """Raise ``ConfigurationError`` unless ``value`` is ``None`` or can be called."""
    if value is not None and (not callable(value) or isinstance(value, type)):
        raise ConfigurationError(f"{name} must be a callable, not {_kind(value)}")


def _kind(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
