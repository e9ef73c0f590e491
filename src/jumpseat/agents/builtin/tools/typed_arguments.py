"""Arguments that types describe: those of a function's parameters, or of one record that it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from jumpseat.agents.builtin.tools import pydantic_values, typed_values
from jumpseat.agents.builtin.tools.arguments import Bound, InvalidArguments
from jumpseat.agents.builtin.tools.docstrings import first_paragraph
from jumpseat.agents.builtin.tools.hints import description_of, field_texts, involves_pydantic
from jumpseat.agents.builtin.tools.results import NotSerializable, json_value
from jumpseat.agents.builtin.tools.schemas import describe, object_schema, rooted
from jumpseat.agents.builtin.tools.signature import NO_DEFAULT, Parameter
from jumpseat.errors import ToolDefinitionError

__all__ = ["NamedArguments", "RecordArguments", "bound_to"]

Schema: TypeAlias = dict[str, Any]
Convert: TypeAlias = Callable[[Any], Any]


class NamedArguments:
    """One argument for each parameter of a function, passed by name.

    Args:
        parameters: The parameters that a model fills.
        texts: What a docstring says of them.

    Raises:
        ToolDefinitionError: A parameter's type has no JSON Schema; the message names it.
    """

    def __init__(self, parameters: tuple[Parameter, ...], texts: Mapping[str, str]) -> None:
        hints = {parameter.name: parameter.hint for parameter in parameters}
        converters, properties, definitions = _of_types(hints)
        required = [parameter.name for parameter in parameters if parameter.default is NO_DEFAULT]
        for parameter in parameters:
            _add_default(properties[parameter.name], parameter)
        schema = object_schema(properties, required, definitions)
        describe(schema, {name: description_of(hint) for name, hint in hints.items()})
        describe(schema, texts)
        self.schema: Schema = rooted(schema)
        self._parameters = [(parameter, converters[parameter.name]) for parameter in parameters]

    def bind(self, given: dict[str, Any]) -> Bound:
        """Return the arguments by name; what is absent is left to the function's defaults."""
        named: dict[str, Any] = {}
        problems: list[tuple[str, str]] = []
        for parameter, convert in self._parameters:
            name = parameter.name
            if name in given:
                try:
                    named[name] = convert(given[name])
                except InvalidArguments as error:
                    problems += [(f"{name}{path}", text) for path, text in error.problems]
            elif parameter.fill is not None:
                named[name] = parameter.fill()
            elif parameter.default is NO_DEFAULT:
                problems.append((name, "missing"))
        if problems:
            raise InvalidArguments(*problems)
        return Bound((), named)


class RecordArguments:
    """One record of all arguments: a pydantic model, a Struct, a dataclass or a TypedDict.

    Args:
        kind: The record's class.
        taker: The parameter that takes it; ``None`` when the function takes nothing.

    Raises:
        ToolDefinitionError: The class has no JSON Schema with an object at its root.
    """

    def __init__(self, kind: Any, taker: Parameter | None) -> None:
        name = taker.name if taker else "parameters"
        converters, made, definitions = _of_types({name: kind})
        self.schema: Schema = rooted({**made[name], "$defs": definitions} if definitions else made[name])
        if self.schema.get("type") != "object":
            raise ToolDefinitionError(f"parameter {name!r}: {kind!r} is no object in JSON")
        self.schema.setdefault("properties", {})
        describe(self.schema, field_texts(kind))
        self._convert = converters[name]
        self._taker = taker

    def bind(self, given: dict[str, Any]) -> Bound:
        """Return the record that the function takes."""
        return bound_to(self._taker, self._convert(given))


def bound_to(taker: Parameter | None, value: Any) -> Bound:
    """Return what a function is called with that takes all arguments as one value, or nothing."""
    if taker is None:
        return Bound((), {})
    return Bound((value,), {}) if taker.by_position else Bound((), {taker.name: value})


def _of_types(hints: Mapping[str, Any]) -> tuple[dict[str, Convert], dict[str, Schema], Schema]:
    """Return converters and schemas by name, and all definitions; each type by the library that knows it."""
    theirs = {name: hint for name, hint in hints.items() if involves_pydantic(hint)}
    ours = {name: hint for name, hint in hints.items() if name not in theirs}
    schemas, definitions = typed_values.schemas(ours)
    converters = {name: typed_values.converter(hint) for name, hint in ours.items()}
    if theirs:
        more, their_schemas, their_definitions = pydantic_values.converters_and_schemas(theirs)
        for name, definition in their_definitions.items():
            if definitions.setdefault(name, definition) != definition:
                raise ToolDefinitionError(f"parameters: two types are named {name!r}, rename one")
        converters.update(more)
        schemas.update(their_schemas)
    for definition in definitions.values():
        if "description" in definition:
            # A class's whole docstring is for programmers.
            definition["description"] = first_paragraph(definition["description"])
    return converters, {name: dict(schemas[name]) for name in hints}, definitions


def _add_default(schema: Schema, parameter: Parameter) -> None:
    if parameter.default is NO_DEFAULT or parameter.fill is not None or "default" in schema:
        return
    try:
        schema["default"] = json_value(parameter.default)
    except NotSerializable:
        # The function knows its default, the model does not need to.
        return
