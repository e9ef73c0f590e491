"""Objects of the Python package ``ai``: the one file here that imports it."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from jumpseat.agents.builtin.language_model import (
    AssistantTurn,
    MediaData,
    MediaUrl,
    ModelMessage,
    ModelTool,
    RequestedCall,
    SystemText,
    Text,
    Thinking,
    ToolReturn,
    UserTurn,
)
from jumpseat.agents.builtin.outgoing.content import is_redacted, json_text, media_type, text_of
from jumpseat.errors import MissingDependencyError

__all__ = ["message_objects", "tool_objects"]


def message_objects(turns: Iterable[ModelMessage]) -> list[Any]:
    """Return a conversation as ``ai.messages.Message`` objects.

    Raises:
        MissingDependencyError: The package is not installed.
    """
    messages = _package().messages
    return [_message(messages, turn) for turn in turns]


def tool_objects(tools: Iterable[ModelTool]) -> list[Any]:
    """Return tools as ``ai.tools.Tool`` objects.

    Raises:
        MissingDependencyError: The package is not installed.
    """
    types = _package().tools
    return [
        types.Tool(
            kind="function",
            name=tool.name,
            spec=types.ToolSpec(description=tool.description, params=tool.parameters),
        )
        for tool in tools
    ]


def _package() -> Any:
    try:
        # It needs a newer Python than this package does, so that a type checker may not know it.
        return import_module("ai")
    except ImportError as error:
        raise MissingDependencyError(
            "objects of the AI SDK need its Python package and Python 3.12 or newer: "
            'pip install "jumpseat[ai]"'
        ) from error


def _message(messages: Any, turn: ModelMessage) -> Any:
    match turn:
        case SystemText():
            role, parts = "system", [messages.TextPart(text=turn.content)]
        case UserTurn():
            content = [Text(text=turn.content)] if isinstance(turn.content, str) else turn.content
            role, parts = "user", [_user_part(messages, part) for part in content]
        case AssistantTurn():
            role, parts = "assistant", [_answer_part(messages, part) for part in turn.content]
        case ToolReturn():
            result = messages.ToolResultPart(
                tool_call_id=turn.tool_call_id, tool_name=turn.name, result=text_of(turn.content)
            )
            role, parts = "tool", [result]
    return messages.Message(role=role, parts=parts)


def _user_part(messages: Any, part: Text | MediaData | MediaUrl) -> Any:
    match part:
        case Text():
            return messages.TextPart(text=part.text)
        case MediaData():
            return messages.FilePart(data=part.data, media_type=part.media_type, filename=part.filename)
        case MediaUrl():
            return messages.FilePart(data=part.url, media_type=media_type(part))


def _answer_part(messages: Any, part: Text | Thinking | RequestedCall) -> Any:
    match part:
        case Text():
            return messages.TextPart(text=part.text)
        case Thinking():
            return messages.ReasoningPart(text=part.text, provider_metadata=_signed(part))
        case RequestedCall():
            return messages.ToolCallPart(
                tool_call_id=part.id, tool_name=part.name, tool_args=json_text(part.arguments)
            )


def _signed(part: Thinking) -> dict[str, Any]:
    if part.provider == "openai":
        # With the item's id the package would refer to an item that OpenAI may not have stored.
        return {"openai": {"reasoning_encrypted_content": part.signature}}
    name = "redactedData" if is_redacted(part) else "signature"
    return {part.provider: {name: part.signature}}
