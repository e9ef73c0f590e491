"""Conversations and tools for the OpenAI SDK: the Responses API and Chat Completions."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, TypeAlias

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
from jumpseat.agents.builtin.outgoing.content import (
    Content,
    base64_text,
    data_url,
    family,
    file_name,
    json_text,
    media_type,
    text_of,
)
from jumpseat.agents.builtin.outgoing.given import GivenMessage, GivenTool, conversation, model_tools

__all__ = ["reasoning_items", "to_openai_messages", "to_openai_tools"]

Api: TypeAlias = Literal["responses", "chat"]
Item: TypeAlias = dict[str, Any]

_log: Final = logging.getLogger(__name__)
_PROVIDER: Final = "openai"
_AUDIO_FORMATS: Final = {
    "audio/mp3": "mp3",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/wave": "wav",
    "audio/x-wav": "wav",
}


def to_openai_messages(
    messages: Iterable[GivenMessage],
    *,
    api: Api = "responses",
    system: str | None = None,
    forward_system_messages: bool = False,
    forward_developer_messages: bool = False,
) -> list[Item]:
    """Return AG-UI messages as ``input`` of the Responses API, or as ``messages`` of Chat Completions.

    The history is repaired. Media that the API does not take are left out with a warning. Reasoning that
    OpenAI encrypted goes back to the Responses API.

    Args:
        messages: The thread, as structs or dicts.
        api: ``"responses"`` or ``"chat"``.
        system: Instructions that come first.
        forward_system_messages: Keep ``system`` messages.
        forward_developer_messages: Keep ``developer`` messages, as ``system``.

    Raises:
        InvalidInput: A message is malformed.
        ValueError: There is no such API.
    """
    _check(api)
    turns = conversation(
        messages,
        provider=_PROVIDER,
        system=system,
        forward_system_messages=forward_system_messages,
        forward_developer_messages=forward_developer_messages,
    )
    items = _response_items if api == "responses" else _chat_messages
    return [item for turn in turns for item in items(turn)]


def to_openai_tools(tools: Iterable[GivenTool], *, api: Api = "responses") -> list[Item]:
    """Return client tools and ``ToolDefinition``s as function tools; schemas stay as they are, not strict.

    Raises:
        AgentFailure: The parameters of a tool are not the schema of an object.
        ValueError: There is no such API.
    """
    _check(api)
    functions = [
        {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
            "strict": tool.strict,
        }
        for tool in model_tools(tools)
    ]
    if api == "chat":
        return [{"type": "function", "function": function} for function in functions]
    return [{"type": "function", **function} for function in functions]


def reasoning_items(content: Sequence[Text | Thinking | RequestedCall]) -> list[Item]:
    """Return the reasoning of a turn that OpenAI encrypted, as items of its Responses API.

    Blocks with one id are parts of one item: OpenAI refuses an item that comes twice.
    """
    items: dict[str, Item] = {}
    for part in content:
        if isinstance(part, Thinking) and part.provider == _PROVIDER and part.id:
            empty: Item = {"type": "reasoning", "id": part.id, "summary": []}
            item = items.setdefault(part.id, empty)
            item["encrypted_content"] = part.signature
            if part.text:
                item["summary"].append({"type": "summary_text", "text": part.text})
    return list(items.values())


def _check(api: str) -> None:
    if api not in ("responses", "chat"):
        raise ValueError(f'api is "responses" or "chat", not {api!r}')


def _response_items(turn: ModelMessage) -> list[Item]:
    match turn:
        case SystemText():
            return [{"role": "system", "content": turn.content}]
        case UserTurn():
            return [{"role": "user", "content": _user_content(turn.content, _response_part)}]
        case ToolReturn():
            output = text_of(turn.content)
            return [{"type": "function_call_output", "call_id": turn.tool_call_id, "output": output}]
        case AssistantTurn():
            return [*reasoning_items(turn.content), *_answer_items(turn)]


def _answer_items(turn: AssistantTurn) -> list[Item]:
    items: list[Item] = []
    for part in turn.content:
        if isinstance(part, Text):
            items.append({"role": "assistant", "content": part.text})
        elif isinstance(part, RequestedCall):
            call = {"call_id": part.id, "name": part.name, "arguments": json_text(part.arguments)}
            items.append({"type": "function_call", **call})
    return items


def _chat_messages(turn: ModelMessage) -> list[Item]:
    match turn:
        case SystemText():
            return [{"role": "system", "content": turn.content}]
        case UserTurn():
            return [{"role": "user", "content": _user_content(turn.content, _chat_part)}]
        case ToolReturn():
            return [{"role": "tool", "tool_call_id": turn.tool_call_id, "content": text_of(turn.content)}]
        case AssistantTurn():
            return [_chat_answer(turn)]


def _chat_answer(turn: AssistantTurn) -> Item:
    text = "".join(part.text for part in turn.content if isinstance(part, Text))
    calls = [
        {
            "id": part.id,
            "type": "function",
            "function": {"name": part.name, "arguments": json_text(part.arguments)},
        }
        for part in turn.content
        if isinstance(part, RequestedCall)
    ]
    answer: Item = {"role": "assistant", "content": text or None}
    return {**answer, "tool_calls": calls} if calls else answer


def _user_content(content: Content, convert: Any) -> str | list[Item]:
    if isinstance(content, str):
        return content
    parts: list[Item] = []
    for part in content:
        converted = convert(part)
        if converted is None:
            _log.warning("left out a part of a message: this API takes no %s", _described(part))
        else:
            parts.append(converted)
    return parts or ""


def _described(part: Text | MediaData | MediaUrl) -> str:
    if isinstance(part, Text):
        return "text"
    return f"{family(part)} of type {media_type(part)}" + (" by URL" if isinstance(part, MediaUrl) else "")


def _response_part(part: Text | MediaData | MediaUrl) -> Item | None:
    if isinstance(part, Text):
        return {"type": "input_text", "text": part.text}
    match family(part):
        case "image":
            url = data_url(part) if isinstance(part, MediaData) else part.url
            return {"type": "input_image", "image_url": url, "detail": "auto"}
        case "document":
            if isinstance(part, MediaUrl):
                return {"type": "input_file", "file_url": part.url}
            return {"type": "input_file", "filename": file_name(part), "file_data": data_url(part)}
        case _:
            return None


def _chat_part(part: Text | MediaData | MediaUrl) -> Item | None:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    kind = family(part)
    if kind == "image":
        url = data_url(part) if isinstance(part, MediaData) else part.url
        return {"type": "image_url", "image_url": {"url": url}}
    if isinstance(part, MediaUrl):
        return None
    if kind == "audio":
        audio_format = _AUDIO_FORMATS.get(part.media_type)
        audio = {"data": base64_text(part), "format": audio_format}
        return {"type": "input_audio", "input_audio": audio} if audio_format else None
    if kind == "document":
        return {"type": "file", "file": {"filename": file_name(part), "file_data": data_url(part)}}
    return None
