"""Arguments that a JSON Schema describes: completed, coerced and checked without a type."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias, cast

from jumpseat.agents.builtin.tools.arguments import Bound, InvalidArguments
from jumpseat.agents.builtin.tools.schemas import object_root
from jumpseat.agents.builtin.tools.signature import Parameter
from jumpseat.agents.builtin.tools.typed_arguments import bound_to
from jumpseat.errors import ToolDefinitionError

__all__ = ["SchemaArguments"]

Schema: TypeAlias = dict[str, Any]
Check: TypeAlias = Callable[[dict[str, Any]], Iterable[tuple[str, str]]]
_MOST_PROBLEMS: Final = 10
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


class SchemaArguments:
    """One dict of all arguments.

    They are checked by the package ``jsonschema`` where it is installed; without it, only what is required
    and the types of the root's properties are.

    Args:
        given: The schema as the developer wrote it.
        taker: The parameter that takes the dict; ``None`` when the function takes nothing.

    Raises:
        ToolDefinitionError: It is no JSON Schema of an object.
    """

    def __init__(self, given: Mapping[str, Any], taker: Parameter | None) -> None:
        self.schema: Schema = object_root(given)
        self._taker = taker
        found = importlib.util.find_spec("jsonschema") is not None
        self._problems: Check = _thorough(self.schema) if found else partial(_plain_problems, self.schema)

    def bind(self, given: dict[str, Any]) -> Bound:
        """Return the dict that the function takes."""
        arguments = cast("dict[str, Any]", _fitted(self.schema, given))
        problems = [entry for entry, _ in zip(self._problems(arguments), range(_MOST_PROBLEMS), strict=False)]
        if problems:
            raise InvalidArguments(*problems)
        return bound_to(self._taker, arguments)


def _thorough(schema: Schema) -> Check:
    """Return a check by ``jsonschema``, which is never to fetch a schema from elsewhere."""
    validators = importlib.import_module("jsonschema.validators")
    registry = importlib.import_module("referencing.jsonschema").EMPTY_REGISTRY
    kind = validators.validator_for(schema, default=validators.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except Exception as error:
        reason = getattr(error, "message", error)
        raise ToolDefinitionError(f"parameters: not a JSON Schema: {reason}") from error
    validator = kind(schema, registry=registry)

    def problems(arguments: dict[str, Any]) -> Iterable[tuple[str, str]]:
        for error in validator.iter_errors(arguments):
            yield cast("str", error.json_path).removeprefix("$"), cast("str", error.message)

    return problems


def _plain_problems(schema: Schema, arguments: dict[str, Any]) -> Iterable[tuple[str, str]]:
    for name in schema.get("required", []):
        if name not in arguments:
            yield name, "missing"
    for name, entry in cast("Schema", schema.get("properties", {})).items():
        kinds = _kinds(entry)
        if name in arguments and kinds and not any(_is_of(kind, arguments[name]) for kind in kinds):
            yield name, f"expected {' or '.join(kinds)}"


def _fitted(schema: Any, value: Any) -> Any:
    """Return a value with strings turned into the numbers that are wanted, and defaults filled in."""
    schema = cast("Schema", schema if isinstance(schema, dict) else {})
    kinds = _kinds(schema)
    if isinstance(value, dict):
        members = dict(cast("dict[str, Any]", value))
        properties = cast("Schema", schema.get("properties", {}))
        for name, entry in properties.items():
            if name in members:
                members[name] = _fitted(entry, members[name])
            elif isinstance(entry, dict) and "default" in entry:
                members[name] = copy.deepcopy(cast("Schema", entry)["default"])
        return members
    if isinstance(value, list):
        return [_fitted(schema.get("items"), entry) for entry in cast("list[Any]", value)]
    if isinstance(value, str) and "string" not in kinds:
        return _number(value, kinds)
    return value


def _number(text: str, kinds: tuple[str, ...]) -> Any:
    words = {"true": True, "false": False}
    if "boolean" in kinds and text.lower() in words:
        return words[text.lower()]
    # Longer ones are no numbers that anybody meant, and slow to convert.
    if len(text) > 40 or not text.isascii():
        return text
    for kind, convert in (("integer", int), ("number", float)):
        if kind in kinds:
            try:
                number = convert(text)
            except ValueError:
                continue
            return number if math.isfinite(number) else text
    return text


def _kinds(schema: Any) -> tuple[str, ...]:
    kind = cast("Schema", schema).get("type") if isinstance(schema, dict) else None
    if isinstance(kind, str):
        return (kind,)
    return tuple(cast("list[str]", kind)) if isinstance(kind, list) else ()


def _is_of(kind: str, value: Any) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    whole = kind == "integer" and isinstance(value, float) and value.is_integer()
    return whole or isinstance(value, _TYPES.get(kind, (object,)))
