"""Conversations and tools for the AI SDK: model messages as dicts, or objects of its Python package."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias, overload

from jumpseat.agents.builtin.language_model import (
    AssistantTurn,
    MediaData,
    MediaUrl,
    ModelMessage,
    RequestedCall,
    SystemText,
    Text,
    Thinking,
    ToolReturn,
    UserTurn,
)
from jumpseat.agents.builtin.outgoing.ai_objects import message_objects, tool_objects
from jumpseat.agents.builtin.outgoing.content import (
    base64_text,
    family,
    is_redacted,
    media_type,
    text_of,
)
from jumpseat.agents.builtin.outgoing.given import GivenMessage, GivenTool, conversation, model_tools

__all__ = ["to_ai_sdk_messages", "to_ai_sdk_tools"]

Json: TypeAlias = dict[str, Any]


@overload
def to_ai_sdk_messages(
    messages: Iterable[GivenMessage],
    *,
    system: str | None = None,
    forward_system_messages: bool = False,
    forward_developer_messages: bool = False,
    provider: str | None = None,
    as_objects: Literal[False] = False,
) -> list[Json]: ...


@overload
def to_ai_sdk_messages(
    messages: Iterable[GivenMessage],
    *,
    system: str | None = None,
    forward_system_messages: bool = False,
    forward_developer_messages: bool = False,
    provider: str | None = None,
    as_objects: Literal[True],
) -> list[Any]: ...


def to_ai_sdk_messages(
    messages: Iterable[GivenMessage],
    *,
    system: str | None = None,
    forward_system_messages: bool = False,
    forward_developer_messages: bool = False,
    provider: str | None = None,
    as_objects: bool = False,
) -> list[Any]:
    """Return AG-UI messages as model messages of the AI SDK, history repaired.

    Args:
        messages: The thread, as structs or dicts.
        system: Instructions that come first.
        forward_system_messages: Keep ``system`` messages.
        forward_developer_messages: Keep ``developer`` messages, as ``system``.
        provider: Who will answer (``"anthropic"``, ``"openai"``, ``"google"``): gets back what it signed.
        as_objects: Return ``Message`` objects of the Python package ``ai`` in place of JSON-ready dicts.

    Raises:
        InvalidInput: A message is malformed.
        MissingDependencyError: Objects are asked for, and ``ai`` is not installed.
    """
    turns = conversation(
        messages,
        provider=provider,
        system=system,
        forward_system_messages=forward_system_messages,
        forward_developer_messages=forward_developer_messages,
    )
    if as_objects:
        return message_objects(turns)
    return [_message(turn) for turn in turns]


@overload
def to_ai_sdk_tools(tools: Iterable[GivenTool], *, as_objects: Literal[False] = False) -> dict[str, Json]: ...


@overload
def to_ai_sdk_tools(tools: Iterable[GivenTool], *, as_objects: Literal[True]) -> list[Any]: ...


def to_ai_sdk_tools(tools: Iterable[GivenTool], *, as_objects: bool = False) -> dict[str, Json] | list[Any]:
    """Return client tools and ``ToolDefinition``s as ``{name: {"description", "inputSchema"}}``.

    Args:
        tools: Of two with one name the later counts.
        as_objects: Return ``Tool`` objects of the Python package ``ai`` in place of dicts.

    Raises:
        AgentFailure: The parameters of a tool are not the schema of an object.
        MissingDependencyError: Objects are asked for, and ``ai`` is not installed.
    """
    described = model_tools(tools)
    if as_objects:
        return tool_objects(described)
    return {
        tool.name: {"description": tool.description, "inputSchema": tool.parameters} for tool in described
    }


def _message(turn: ModelMessage) -> Json:
    match turn:
        case SystemText():
            return {"role": "system", "content": turn.content}
        case UserTurn(content=content):
            parts = content if isinstance(content, str) else [_user_part(part) for part in content]
            return {"role": "user", "content": parts}
        case AssistantTurn():
            return {"role": "assistant", "content": [_answer_part(part) for part in turn.content]}
        case ToolReturn():
            result = {
                "type": "tool-result",
                "toolCallId": turn.tool_call_id,
                "toolName": turn.name,
                "output": {"type": "text", "value": text_of(turn.content)},
            }
            return {"role": "tool", "content": [result]}


def _user_part(part: Text | MediaData | MediaUrl) -> Json:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    content = base64_text(part) if isinstance(part, MediaData) else part.url
    if family(part) == "image":
        known = part.media_type
        return {"type": "image", "image": content, **({"mediaType": known} if known else {})}
    name = part.filename if isinstance(part, MediaData) else None
    file = {"type": "file", "data": content, "mediaType": media_type(part)}
    return {**file, "filename": name} if name else file


def _answer_part(part: Text | Thinking | RequestedCall) -> Json:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Thinking():
            return {"type": "reasoning", "text": part.text, "providerOptions": _signed(part)}
        case RequestedCall():
            call = {
                "type": "tool-call",
                "toolCallId": part.id,
                "toolName": part.name,
                "input": part.arguments,
            }
            if part.signature is None or part.provider is None:
                return call
            return {**call, "providerOptions": {part.provider: {"thoughtSignature": part.signature}}}


def _signed(part: Thinking) -> Json:
    """Return a signature under the names that the SDK's providers read it by."""
    match part.provider:
        case "openai":
            members = {"itemId": part.id, "reasoningEncryptedContent": part.signature}
        case "anthropic" if is_redacted(part):
            members = {"redactedData": part.signature}
        case "google":
            members = {"thoughtSignature": part.signature}
        case _:
            members = {"signature": part.signature}
    return {part.provider: members}
