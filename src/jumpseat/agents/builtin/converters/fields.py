"""Reading a field of a foreign chunk, whether it is an object or a dict, in either spelling."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, cast

__all__ = ["camel_case", "field", "has_field", "with_readable_usage"]

_MISSING = object()


def field(chunk: object, name: str, default: Any = None) -> Any:
    """Return the field ``name`` (snake_case) of a chunk; ``default`` when neither spelling is there."""
    # A name of one word has one spelling, and a second look at a foreign object is slow.
    other = camel_case(name) if "_" in name else None
    if isinstance(chunk, Mapping):
        members = cast("Mapping[str, Any]", chunk)
        found = members.get(name, _MISSING)
        if found is _MISSING and other is not None:
            found = members.get(other, _MISSING)
    else:
        found = getattr(chunk, name, _MISSING)
        if found is _MISSING and other is not None:
            found = getattr(chunk, other, _MISSING)
    return default if found is _MISSING else found


def has_field(chunk: object, name: str) -> bool:
    """Say whether the chunk has the field at all, be it ``None``."""
    return field(chunk, name, _MISSING) is not _MISSING


def with_readable_usage(chunk: object) -> object:
    """Return a run's end without the token counts that no client could read; other chunks as they are.

    What a run has cost is no reason to lose its end.
    """
    if not isinstance(chunk, dict):
        return chunk
    members = cast("dict[str, Any]", chunk)
    if members.get("type") not in ("RUN_FINISHED", "RUN_ERROR") or members.get("usage") is None:
        return members
    given: Any = members["usage"]
    entries = cast("list[Any]", given) if isinstance(given, list) else []
    readable = [
        {name: value for name, value in entry.items() if isinstance(value, str) or _is_count(value)}
        for entry in cast("list[dict[str, Any]]", [one for one in entries if isinstance(one, dict)])
    ]
    return {**members, "usage": readable or None}


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


@cache
def camel_case(name: str) -> str:
    """Return a snake_case name in camelCase."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
