"""Checks of the values that a generation is steered by, wherever they come from."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from jumpseat.agents.builtin.language_model import ToolChoice

__all__ = [
    "REMOVED_OPTIONS",
    "SETTING_CHECKS",
    "is_finite_number",
    "is_integer",
    "is_string_list",
    "parsed_tool_choice",
    "snake_case",
    "transport_secrets",
    "without_transport_options",
]

# They would send a request, and the key in it, to a place of the client's choice.
REMOVED_OPTIONS: Final = frozenset({"api_key", "base_url", "headers", "extra_headers", "extra_body"})
_SECRET_OPTIONS: Final = frozenset({"api_key", "headers", "extra_headers"})
_HUMP: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")


def is_finite_number(value: object) -> bool:
    """Say whether the value is an int or a finite float; booleans are neither."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an int that no float can hold
        return False


def is_integer(value: object) -> bool:
    """Say whether the value is an int; booleans are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_string_list(value: object) -> bool:
    """Say whether the value is a list or tuple of strings."""
    if not isinstance(value, list | tuple):
        return False
    return all(isinstance(item, str) for item in cast("Sequence[object]", value))


SETTING_CHECKS: Final = {
    "temperature": (is_finite_number, "a finite number"),
    "top_p": (is_finite_number, "a finite number"),
    "presence_penalty": (is_finite_number, "a finite number"),
    "frequency_penalty": (is_finite_number, "a finite number"),
    "max_output_tokens": (is_integer, "an integer"),
    "top_k": (is_integer, "an integer"),
    "seed": (is_integer, "an integer"),
    "max_retries": (is_integer, "an integer"),
    "stop_sequences": (is_string_list, "a list of strings"),
}


def parsed_tool_choice(value: object) -> ToolChoice | None:
    """Return a tool choice in any of the forms that clients and developers write; ``None`` for another value.

    The forms: ``"auto"``, ``"required"``, ``"none"``, ``{"type": "tool", "toolName": N}`` and
    ``{"type": "function", "function": {"name": N}}``.
    """
    if value in ("auto", "required", "none"):
        return cast("ToolChoice", value)
    if not isinstance(value, Mapping):
        return None
    choice = cast("Mapping[str, Any]", value)
    name: Any = None
    if choice.get("type") == "tool":
        name = choice.get("toolName", choice.get("tool_name"))
    elif choice.get("type") == "function" and isinstance(choice.get("function"), Mapping):
        name = choice["function"].get("name")
    return ("tool", name) if isinstance(name, str) and name else None


def snake_case(name: str) -> str:
    """Return a camelCase name in snake_case."""
    return _HUMP.sub(r"_\1", name).lower()


def transport_secrets(value: Any) -> list[str]:
    """Return the keys and header values among provider options, at every depth."""
    if isinstance(value, list):
        return [text for item in cast("list[Any]", value) for text in transport_secrets(item)]
    if not isinstance(value, Mapping):
        return []
    found: list[str] = []
    for key, member in cast("Mapping[str, Any]", value).items():
        found += _texts(member) if snake_case(key) in _SECRET_OPTIONS else transport_secrets(member)
    return found


def _texts(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [text for member in cast("Mapping[str, Any]", value).values() for text in _texts(member)]
    return [value] if isinstance(value, str) else []


def without_transport_options(value: Any) -> Any:
    """Return provider options without those that decide where a request goes, at every depth."""
    if isinstance(value, Mapping):
        members = cast("Mapping[str, Any]", value)
        return {
            key: without_transport_options(member)
            for key, member in members.items()
            if snake_case(key) not in REMOVED_OPTIONS
        }
    if isinstance(value, list):
        return [without_transport_options(item) for item in cast("list[Any]", value)]
    return value
