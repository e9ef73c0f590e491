"""What a call's result says: the JSON text of a value, or of an error."""

from __future__ import annotations

from typing import Any

from jumpseat.agents.builtin.tools.results import NotSerializable, json_text

__all__ = ["error_content", "result_content"]


def result_content(value: Any, name: str) -> str:
    """Return a value as compact JSON; a text that names the tool when it has no JSON form."""
    try:
        return json_text(value)
    except NotSerializable:
        return f"[Unserializable tool result from {name}]"


def error_content(text: str) -> str:
    """Return the result of a call that failed."""
    return json_text({"error": text})
