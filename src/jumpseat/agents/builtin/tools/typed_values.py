"""Types as msgspec sees them: their JSON Schema, and the lax conversion of JSON values to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias, cast

import msgspec

from jumpseat.agents.builtin.tools.arguments import InvalidArguments
from jumpseat.agents.builtin.tools.hints import involves_dataclass
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
    return partial(_convert_dataclass if involves_dataclass(hint) else _convert, hint)


def _convert(hint: Any, value: Any) -> Any:
    try:
        return msgspec.convert(value, hint, strict=False)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$")
        text = text.replace("`", "'")
        raise InvalidArguments((path.rstrip("`"), text)) from error


def _convert_dataclass(hint: Any, value: Any) -> Any:
    converted = _convert(hint, value)
    _complete(converted)
    return converted


def _complete(value: Any) -> None:
    """Give dataclasses their plain defaults as their own attributes; a conversion leaves them to the class.

    Without them their JSON and their ``vars`` would lack what was not sent.
    """
    inner: Iterable[Any] = ()
    if dataclasses.is_dataclass(value):
        inner = [getattr(value, field.name, None) for field in dataclasses.fields(value)]
        own = getattr(value, "__dict__", None)
        for field, present in zip(dataclasses.fields(value), inner, strict=True):
            if own is not None and field.name not in own and field.default is not dataclasses.MISSING:
                own[field.name] = present
    elif isinstance(value, msgspec.Struct):
        inner = [getattr(value, name) for name in value.__struct_fields__]
    elif isinstance(value, Mapping):
        inner = cast("Mapping[Any, Any]", value).values()
    elif isinstance(value, list | tuple | set | frozenset):
        inner = cast("Iterable[Any]", value)
    for part in inner:
        _complete(part)
