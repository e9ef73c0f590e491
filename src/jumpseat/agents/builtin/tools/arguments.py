"""From the arguments as a model wrote them to the values that a tool's function is called with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, cast

from jumpseat.protocol.codec import decode_json, scrubbed

__all__ = ["Arguments", "Bound", "InvalidArguments", "read_object"]


class InvalidArguments(ValueError):
    """A call's arguments do not fit; the text says to the model what is wrong with them.

    Args:
        problems: Where something is wrong (``.items[2].name``, ``""`` for the whole) and what.
    """

    def __init__(self, *problems: tuple[str, str]) -> None:
        texts = (f"{path.lstrip('.')}: {text}" if path else text for path, text in problems)
        super().__init__("; ".join(texts))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Bound:
    """What a function is called with, beside its context."""

    positional: tuple[Any, ...]
    named: dict[str, Any]


class Arguments(Protocol):
    """What a tool takes: as a JSON Schema for the model, and as a check of what the model sent."""

    @property
    def schema(self) -> dict[str, Any]:
        """JSON Schema with an object at the root."""
        ...

    def bind(self, given: dict[str, Any]) -> Bound:
        """Return what the function gets for the arguments of one call.

        Raises:
            InvalidArguments: They do not fit.
        """
        ...


def read_object(text: str) -> dict[str, Any]:
    """Return the object that a call's JSON text holds.

    Some models write nothing, or ``null``, for a tool that takes nothing: both count as an empty object.

    Raises:
        InvalidArguments: The text is no JSON, or holds something else.
    """
    if not text.strip():
        return {}
    try:
        value = decode_json(text)
    except ValueError as error:
        raise InvalidArguments(("", "not valid JSON")) from error
    if "\\u" in text:
        value = scrubbed(value)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidArguments(("", f"expected an object, got {_kind(value)}"))
    return cast("dict[str, Any]", value)


def _kind(value: object) -> str:
    names: dict[type, str] = {list: "a list", str: "a string", bool: "a boolean"}
    return names.get(type(value), "a number")
