"""Types that only pydantic knows: their JSON Schema, and the lax conversion of JSON values to them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias, cast

from jumpseat.agents.builtin.tools.arguments import InvalidArguments
from jumpseat.errors import ToolDefinitionError
from jumpseat.protocol.codec import encode_json

__all__ = ["converters_and_schemas"]

Schema: TypeAlias = dict[str, Any]
_REFERENCE = "#/$defs/{model}"
_MOST_PROBLEMS = 10


def converters_and_schemas(
    hints: Mapping[str, Any],
) -> tuple[dict[str, Callable[[Any], Any]], dict[str, Schema], Schema]:
    """Return by name what converts a JSON value to each type and its schema; and the definitions used.

    The converters raise ``InvalidArguments`` with the paths of the faults.

    Raises:
        ToolDefinitionError: pydantic cannot deal with a type; the message names its parameter.
    """
    # A hint that involves pydantic was made with it: it is installed, and imported already.
    pydantic = importlib.import_module("pydantic")
    adapters: dict[str, Any] = {}
    for name, hint in hints.items():
        try:
            adapters[name] = pydantic.TypeAdapter(hint)
            adapters[name].json_schema()
        except Exception as error:
            # Any exception: annotations of fields are evaluated here, too.
            reason = str(error).strip().partition("\n")[0]
            complaint = f"parameter {name!r}: there is no JSON Schema for it: {reason}"
            raise ToolDefinitionError(complaint) from error
    entries = [(name, "validation", adapter) for name, adapter in adapters.items()]
    made, shared = pydantic.TypeAdapter.json_schemas(entries, ref_template=_REFERENCE)
    schemas = {name: cast("Schema", schema) for (name, _mode), schema in made.items()}
    check = partial(_convert, pydantic.ValidationError)
    converters = {name: partial(check, adapter) for name, adapter in adapters.items()}
    return converters, schemas, cast("Schema", shared.get("$defs", {}))


def _convert(refusal: type[Exception], adapter: Any, value: Any) -> Any:
    try:
        return adapter.validate_json(encode_json(value))
    except refusal as error:
        found = cast("Any", error).errors(include_url=False, include_context=False, include_input=False)
        raise InvalidArguments(*map(_problem, found[:_MOST_PROBLEMS])) from error


def _problem(entry: Mapping[str, Any]) -> tuple[str, str]:
    path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in entry["loc"])
    return path, entry["msg"]
