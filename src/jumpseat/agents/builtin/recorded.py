"""The messages of a request as traces have them, in the form of OpenTelemetry's GenAI conventions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

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
from jumpseat.agents.builtin.tools.results import json_text

__all__ = ["recorded_messages"]


def recorded_messages(messages: Iterable[ModelMessage]) -> str:
    """Return the messages as JSON. Of files there is only the media type, and no provider's own objects."""
    return json_text([_message(message) for message in messages])


def _message(message: ModelMessage) -> dict[str, Any]:
    match message:
        case SystemText():
            return {"role": "system", "parts": [_text(message.content)]}
        case UserTurn():
            return {"role": "user", "parts": _parts(message.content)}
        case AssistantTurn():
            return {"role": "assistant", "parts": [_said(part) for part in message.content]}
        case ToolReturn():
            response = {
                "type": "tool_call_response",
                "id": message.tool_call_id,
                "response": message.content if isinstance(message.content, str) else _parts(message.content),
            }
            return {"role": "tool", "parts": [response]}


def _parts(content: str | list[Text | MediaData | MediaUrl]) -> list[dict[str, Any]]:
    return [_text(content)] if isinstance(content, str) else [_part(part) for part in content]


def _part(part: Text | MediaData | MediaUrl) -> dict[str, Any]:
    match part:
        case Text():
            return _text(part.text)
        case MediaData():
            return {"type": "blob", "mime_type": part.media_type}
        case MediaUrl():
            # What is in a data URL is a file as well.
            uri = part.url if part.url[:5].lower() != "data:" else "data:"
            return {"type": "uri", "mime_type": part.media_type, "uri": uri}


def _said(part: Text | Thinking | RequestedCall) -> dict[str, Any]:
    match part:
        case Text():
            return _text(part.text)
        case Thinking():
            return {"type": "reasoning", "content": part.text}
        case RequestedCall():
            return {"type": "tool_call", "id": part.id, "name": part.name, "arguments": part.arguments}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "content": text}
