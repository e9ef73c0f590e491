"""Reading a field of a foreign chunk, whether it is an object or a dict, in either spelling."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, cast

__all__ = ["camel_case", "field", "has_field"]

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


@cache
def camel_case(name: str) -> str:
    """Return a snake_case name in camelCase."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
