"""Bringing a JSON Schema into the form that tools are announced in: an object at the root, no titles."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final, TypeAlias, cast

from jumpseat.errors import ToolDefinitionError

__all__ = ["EMPTY_SCHEMA", "describe", "object_root", "object_schema", "rooted", "without_titles"]

Schema: TypeAlias = dict[str, Any]
EMPTY_SCHEMA: Final[Mapping[str, Any]] = {"type": "object", "properties": {}}

# Keywords whose members are schemas by a name of the developer's, or are no schemas at all.
_NAMED: Final = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_VALUES: Final = frozenset({"default", "const", "enum", "examples", "required"})
_DEFS: Final = "#/$defs/"


def object_schema(properties: Schema, required: list[str], definitions: Schema) -> Schema:
    """Return the schema of an object, leaving out what is empty."""
    schema: Schema = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    if definitions:
        schema["$defs"] = definitions
    return schema


def object_root(given: Mapping[str, Any]) -> Schema:
    """Return a copy of a schema that a developer wrote, its root completed to an object.

    Raises:
        ToolDefinitionError: The root is no schema of an object.
    """
    try:
        schema = copy.deepcopy(dict(given))
    except Exception as error:
        raise ToolDefinitionError(f"parameters: the schema cannot be copied: {error}") from error
    if not schema:
        return dict(copy.deepcopy(EMPTY_SCHEMA))
    kind = schema.setdefault("type", "object")
    if kind != "object":
        raise ToolDefinitionError(f"parameters: the root of the schema must have type 'object', not {kind!r}")
    if not isinstance(schema.get("properties", {}), dict):
        raise ToolDefinitionError("parameters: 'properties' must be an object")
    return without_titles(schema)


def rooted(schema: Schema) -> Schema:
    """Return a derived schema with the definition that its root refers to in the root's place.

    The root's own description goes: the tool has one.
    """
    reference, definitions = schema.get("$ref"), cast("Schema", schema.get("$defs", {}))
    if isinstance(reference, str) and reference.startswith(_DEFS):
        name = reference.removeprefix(_DEFS)
        root = dict(cast("Schema", definitions[name]))
        others = {key: value for key, value in definitions.items() if key != name}
        kept = definitions if _refers((root, others), reference) else others
        schema = {**root, **({"$defs": kept} if kept else {})}
    schema.pop("description", None)
    if not schema.get("required", True):
        del schema["required"]
    return without_titles(schema)


def without_titles(schema: Any) -> Any:
    """Return a copy of a schema without its titles, at every depth; properties called title stay."""
    if isinstance(schema, list):
        return [without_titles(entry) for entry in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    kept: Schema = {}
    for key, value in cast("Schema", schema).items():
        if key == "title":
            continue
        if key in _NAMED and isinstance(value, dict):
            kept[key] = {name: without_titles(entry) for name, entry in cast("Schema", value).items()}
        else:
            kept[key] = value if key in _VALUES else without_titles(value)
    return kept


def describe(schema: Schema, texts: Mapping[str, str]) -> None:
    """Give the properties that have no description yet theirs."""
    properties = cast("Schema", schema.get("properties", {}))
    for name, text in texts.items():
        entry = properties.get(name)
        if text and isinstance(entry, dict) and "description" not in entry:
            properties[name] = {**cast("Schema", entry), "description": text}


def _refers(schema: Any, reference: str) -> bool:
    if isinstance(schema, dict):
        members = cast("Schema", schema)
        return members.get("$ref") == reference or any(
            _refers(entry, reference) for entry in members.values()
        )
    if isinstance(schema, (list, tuple)):
        return any(_refers(entry, reference) for entry in cast("list[Any]", schema))
    return False
