"""Types as msgspec sees them: their JSON Schema, and the lax conversion of JSON values to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import msgspec

from jumpseat.agents.builtin.tools.arguments import InvalidArguments
from jumpseat.errors import ToolDefinitionError

__all__ = ["converter", "schemas"]

Schema: TypeAlias = dict[str, Any]
_REFERENCE = "#/$defs/{name}"


def schemas(hints: Mapping[str, Any]) -> tuple[dict[str, Schema], Schema]:
    """Return the schema of each hint by its name, and the definitions that they refer to.

    Raises:
        ToolDefinitionError: A type has no JSON Schema; the message names its parameter.
    """
    for name, hint in hints.items():
        try:
            msgspec.json.schema(hint)
        except Exception as error:
            # Any exception: annotations of fields are evaluated here, too.
            reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
            complaint = f"parameter {name!r}: there is no JSON Schema for it: {reason}"
            raise ToolDefinitionError(complaint) from error
    made, definitions = msgspec.json.schema_components(hints.values(), ref_template=_REFERENCE)
    return dict(zip(hints, made, strict=True)), definitions


def converter(hint: Any) -> Callable[[Any], Any]:
    """Return what converts a JSON value to the type, numbers and booleans also from strings.

    It raises ``InvalidArguments`` with the path of the first fault.
    """
    return partial(_convert, hint)


def _convert(hint: Any, value: Any) -> Any:
    try:
        return msgspec.convert(value, hint, strict=False)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$")
        text = text.replace("`", "'")
        raise InvalidArguments((path.rstrip("`"), text)) from error
