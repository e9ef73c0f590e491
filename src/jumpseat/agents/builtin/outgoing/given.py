"""What the outgoing converters accept: messages and tools as structs, as objects, or as plain dicts."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol, TypeAlias, cast

from jumpseat.agents.builtin.client_tools import completed_schema
from jumpseat.agents.builtin.conversation import turns_with_messages
from jumpseat.agents.builtin.failures import AgentFailure
from jumpseat.agents.builtin.language_model import ModelMessage, ModelTool
from jumpseat.protocol.inputs import Extensible, Message
from jumpseat.protocol.parse import parse_input

__all__ = ["DescribedTool", "GivenMessage", "GivenTool", "conversation", "conversation_pairs", "model_tools"]


class DescribedTool(Protocol):
    """Anything that describes a tool: a client's tool, a ``ToolDefinition``, an ``ag_ui.core`` tool."""

    @property
    def name(self) -> str:
        """What the model calls it."""
        ...

    @property
    def description(self) -> str:
        """What the model is told of it."""
        ...

    @property
    def parameters(self) -> Any:
        """JSON Schema of its arguments; missing, null or empty when it takes none."""
        ...


GivenMessage: TypeAlias = Message | Mapping[str, Any] | Any
GivenTool: TypeAlias = DescribedTool | Mapping[str, Any]

_log: Final = logging.getLogger(__name__)
_ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool", "reasoning"})
_PARTS: Final = frozenset({"text", "image", "audio", "video", "document", "binary"})
_PLACEHOLDER: Final[dict[str, Any]] = {"role": "user", "id": "", "content": ""}
# Objects written as dicts keep their attributes' names unless they are asked for the wire's.
_WIRE_NAMES: Final = {
    "tool_calls": "toolCalls",
    "tool_call_id": "toolCallId",
    "encrypted_value": "encryptedValue",
    "activity_type": "activityType",
    "mime_type": "mimeType",
}


def conversation(
    messages: Iterable[GivenMessage],
    *,
    provider: str | None,
    system: str | None,
    forward_system_messages: bool,
    forward_developer_messages: bool,
) -> list[ModelMessage]:
    """Return the conversation that every outgoing converter starts from, repaired.

    Raises:
        InvalidInput: A message is malformed; the text begins with the path of the fault.
    """
    pairs = conversation_pairs(
        messages,
        provider=provider,
        system=system,
        forward_system_messages=forward_system_messages,
        forward_developer_messages=forward_developer_messages,
    )
    return [turn for turn, _ in pairs]


def conversation_pairs(
    messages: Iterable[GivenMessage],
    *,
    provider: str | None,
    system: str | None,
    forward_system_messages: bool,
    forward_developer_messages: bool,
) -> list[tuple[ModelMessage, Message | None]]:
    """Return what ``conversation`` does, each turn with its message."""
    return turns_with_messages(
        _structs(messages),
        system=system,
        provider=provider,
        forward_system_messages=forward_system_messages,
        forward_developer_messages=forward_developer_messages,
    )


def model_tools(tools: Iterable[GivenTool]) -> list[ModelTool]:
    """Return the tools for a model; of two with one name the later one, in the place of the earlier.

    Raises:
        AgentFailure: The parameters of a tool are not the schema of an object.
        TypeError: One is no tool.
    """
    named: dict[str, ModelTool] = {}
    for given in tools:
        tool = _model_tool(given)
        named[tool.name] = tool
    return list(named.values())


def _model_tool(given: GivenTool) -> ModelTool:
    if isinstance(given, Mapping):
        name, description, parameters = (given.get(key) for key in ("name", "description", "parameters"))
    else:
        name, description, parameters = (
            getattr(given, key, None) for key in ("name", "description", "parameters")
        )
    if not isinstance(name, str):
        raise TypeError(
            f"a tool has a name, a description and parameters; {type(given).__name__} has no name"
        )
    schema = completed_schema(parameters)
    if schema is None:
        raise AgentFailure("invalid_request", f"Invalid JSON schema for tool {name}")
    return ModelTool(name=name, description=str(description or ""), parameters=schema)


def _structs(messages: Iterable[GivenMessage]) -> list[Message]:
    given = list(messages)
    if all(isinstance(message, Extensible) for message in given):
        return cast("list[Message]", given)
    # What is not to be parsed holds its place, so that the path in an error counts as the caller does.
    wire = [_PLACEHOLDER if isinstance(message, Extensible) else _wire(message) for message in given]
    parsed = parse_input({"threadId": "given", "runId": "given", "messages": wire}).messages
    return [
        cast("Message", message) if isinstance(message, Extensible) else struct
        for message, plain, struct in zip(given, wire, parsed, strict=True)
        if isinstance(message, Extensible) or plain is not _PLACEHOLDER
    ]


def _wire(message: Any) -> dict[str, Any]:
    """Return a message's wire form, without parts that are unknown; a message of an unknown role is none."""
    dump = getattr(message, "model_dump", None)
    plain: Any = dump(mode="json", by_alias=True) if callable(dump) else message
    if not isinstance(plain, Mapping):
        raise TypeError(f"a message is a struct or a dict with a role, not {type(message).__name__}")
    named = _wire_named(cast("Mapping[str, Any]", plain))
    if named.get("role") not in _ROLES:
        return _PLACEHOLDER
    content = named.get("content")
    if isinstance(content, list):
        named["content"] = [_wire_part(part) for part in cast("list[Any]", content) if _is_known(part)]
    elif content is None and named["role"] != "assistant":
        named["content"] = ""
    named.setdefault("id", "")
    return named


def _wire_part(part: Mapping[str, Any]) -> dict[str, Any]:
    named = _wire_named(part)
    if isinstance(named.get("source"), Mapping):
        named["source"] = _wire_named(named["source"])
    if named.get("type") == "binary":
        named.setdefault("mimeType", "application/octet-stream")
    return named


def _wire_named(value: Mapping[str, Any]) -> dict[str, Any]:
    return {_WIRE_NAMES.get(key, key): entry for key, entry in value.items() if entry is not None}


def _is_known(part: Any) -> bool:
    known = isinstance(part, Mapping) and cast("Mapping[str, Any]", part).get("type") in _PARTS
    if not known:
        _log.warning("left out a part of a message: its kind is unknown")
    return known
