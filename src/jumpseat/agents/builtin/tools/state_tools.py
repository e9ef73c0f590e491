"""The two tools by which a model changes the shared state."""

from __future__ import annotations

import copy
from typing import Any, Final, Literal

import msgspec

from jumpseat.agents.builtin.state import STATE_DELTA_TOOL, STATE_SNAPSHOT_TOOL, decoded_once
from jumpseat.agents.builtin.tools import typed_values
from jumpseat.agents.builtin.tools.arguments import Bound, InvalidArguments
from jumpseat.agents.builtin.tools.definition import ToolDefinition

__all__ = ["state_tools"]

_SNAPSHOT_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"snapshot": {}},
    "required": ["snapshot"],
    "additionalProperties": False,
}
_DELTA_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "delta": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "op": {"type": "string", "enum": ["add", "replace", "remove"]},
                    "path": {"type": "string"},
                    "value": {},
                },
                "required": ["op", "path"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["delta"],
    "additionalProperties": False,
}


class _Operation(msgspec.Struct, forbid_unknown_fields=True):
    op: Literal["add", "replace", "remove"]
    path: str
    value: Any = None


class _Member:
    """Arguments with one member, which models like to encode twice."""

    def __init__(self, name: str, schema: dict[str, Any], kind: Any) -> None:
        self.schema = copy.deepcopy(schema)
        self._name = name
        self._check = typed_values.converter(kind)

    def bind(self, given: dict[str, Any]) -> Bound:
        """Return the member as the model meant it."""
        problems = [(name, "unexpected") for name in given if name != self._name]
        if self._name not in given:
            problems.append((self._name, "missing"))
        if problems:
            raise InvalidArguments(*problems)
        value = decoded_once(given[self._name])
        try:
            self._check(value)
        except InvalidArguments as error:
            inside = ((f"{self._name}{path}", text) for path, text in error.problems)
            raise InvalidArguments(*inside) from error
        return Bound((), {self._name: value})


def state_tools() -> list[ToolDefinition]:
    """Return the two state tools, for factories that call a model themselves.

    Simple mode has them already. Their results change the state: a result of a tool with one of these names
    is preceded by the event that tells the clients.
    """
    return [
        ToolDefinition(
            name=STATE_SNAPSHOT_TOOL,
            description="Replace the application's whole state. Takes the complete new state.",
            execute=_send_snapshot,
            arguments=_Member("snapshot", _SNAPSHOT_SCHEMA, Any),
        ),
        ToolDefinition(
            name=STATE_DELTA_TOOL,
            description=(
                "Change parts of the application's state by JSON Patch operations (RFC 6902), in order. "
                "A path that ends in /- appends to a list."
            ),
            execute=_send_delta,
            arguments=_Member("delta", _DELTA_SCHEMA, list[_Operation]),
        ),
    ]


async def _send_snapshot(snapshot: Any) -> dict[str, Any]:
    return {"success": True, "snapshot": snapshot}


async def _send_delta(delta: list[dict[str, Any]]) -> dict[str, Any]:
    return {"success": True, "delta": delta}
