"""Conversations and tools for the Anthropic SDK: the Messages API."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

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
    base64_text,
    family,
    is_redacted,
    media_type,
    text_of,
)
from jumpseat.agents.builtin.outgoing.given import GivenMessage, GivenTool, conversation, model_tools

__all__ = ["thinking_blocks", "to_anthropic_messages", "to_anthropic_tools"]

Block: TypeAlias = dict[str, Any]

_log: Final = logging.getLogger(__name__)
_NOT_IN_IDS: Final = re.compile(r"[^A-Za-z0-9_-]")
_PROVIDER: Final = "anthropic"
_PDF: Final = "application/pdf"


def to_anthropic_messages(
    messages: Iterable[GivenMessage],
    *,
    system: str | None = None,
    forward_system_messages: bool = False,
    forward_developer_messages: bool = False,
) -> tuple[str, list[Block]]:
    """Return AG-UI messages as ``(system, messages)`` of the Messages API.

    The history is repaired and the roles alternate. Everything that instructs is in ``system``, which is
    empty when there is nothing. Texts without a visible character and media that the API does not take
    are left out, the latter with a warning. Thinking that Anthropic signed goes back to it.

    Args:
        messages: The thread, as structs or dicts.
        system: Instructions that come first.
        forward_system_messages: Keep ``system`` messages.
        forward_developer_messages: Keep ``developer`` messages.

    Raises:
        InvalidInput: A message is malformed.
    """
    turns = conversation(
        messages,
        provider=_PROVIDER,
        system=system,
        forward_system_messages=forward_system_messages,
        forward_developer_messages=forward_developer_messages,
    )
    instructions = [turn.content for turn in turns if isinstance(turn, SystemText) and turn.content]
    ids = _CallIds()
    merged: list[Block] = []
    for turn in turns:
        role, blocks = _blocks(turn, ids)
        if not blocks:
            continue
        if merged and merged[-1]["role"] == role:
            merged[-1]["content"] += blocks
        else:
            merged.append({"role": role, "content": blocks})
    return "\n\n".join(instructions), merged


def to_anthropic_tools(tools: Iterable[GivenTool]) -> list[Block]:
    """Return client tools and ``ToolDefinition``s as tools of the Messages API; schemas stay as they are.

    Raises:
        AgentFailure: The parameters of a tool are not the schema of an object.
    """
    return [
        {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
        for tool in model_tools(tools)
    ]


def thinking_blocks(content: Iterable[Text | Thinking | RequestedCall]) -> list[Block]:
    """Return the thinking of a turn that Anthropic signed, as the blocks that it came in.

    A call can carry the signature of thinking whose text was never shown.
    """
    blocks: list[Block] = []
    for part in content:
        if isinstance(part, Text) or part.provider != _PROVIDER:
            continue
        if isinstance(part, RequestedCall):
            blocks.append({"type": "thinking", "thinking": "", "signature": part.signature})
        elif is_redacted(part):
            blocks.append({"type": "redacted_thinking", "data": part.signature})
        else:
            blocks.append({"type": "thinking", "thinking": part.text, "signature": part.signature})
    return blocks


class _CallIds:
    """Ids that this API takes for calls which another provider may have named."""

    def __init__(self) -> None:
        self._given: dict[str, str] = {}
        self._taken: set[str] = set()

    def __getitem__(self, identifier: str) -> str:
        if identifier not in self._given:
            plain = _NOT_IN_IDS.sub("_", identifier) or "call"
            if plain != identifier or plain in self._taken:
                # The position makes it another id than that of every other call of this conversation.
                plain = f"{plain}_{len(self._given)}"
            while plain in self._taken:
                plain += "_"
            self._given[identifier] = plain
            self._taken.add(plain)
        return self._given[identifier]


def _blocks(turn: ModelMessage, ids: _CallIds) -> tuple[str, list[Block]]:
    match turn:
        case SystemText():
            return "", []
        case UserTurn(content=content):
            parts = [Text(text=content)] if isinstance(content, str) else content
            return "user", [block for part in parts for block in _user_blocks(part)]
        case AssistantTurn():
            answer = [block for part in turn.content for block in _answer_blocks(part, ids)]
            return "assistant", [*thinking_blocks(turn.content), *answer] if answer else []
        case ToolReturn():
            content = text_of(turn.content)
            return "user", [
                {"type": "tool_result", "tool_use_id": ids[turn.tool_call_id], "content": content}
            ]


def _answer_blocks(part: Text | Thinking | RequestedCall, ids: _CallIds) -> list[Block]:
    match part:
        case Text():
            return _text_blocks(part.text)
        case Thinking():
            # Has to come before everything else, see `thinking_blocks`.
            return []
        case RequestedCall():
            return [{"type": "tool_use", "id": ids[part.id], "name": part.name, "input": part.arguments}]


def _text_blocks(text: str) -> list[Block]:
    return [{"type": "text", "text": text}] if text.strip() else []


def _user_blocks(part: Text | MediaData | MediaUrl) -> list[Block]:
    if isinstance(part, Text):
        return _text_blocks(part.text)
    source = _source(part)
    if source is None:
        _log.warning("left out a part of a message: this API takes no %s", media_type(part))
        return []
    return [{"type": "image" if family(part) == "image" else "document", "source": source}]


def _source(part: MediaData | MediaUrl) -> Block | None:
    kind, known = family(part), media_type(part)
    if kind not in ("image", "document"):
        return None
    if isinstance(part, MediaUrl):
        return {"type": "url", "url": part.url}
    if kind == "image" or known == _PDF:
        return {"type": "base64", "media_type": known, "data": base64_text(part)}
    if known.startswith("text/"):
        return {"type": "text", "media_type": "text/plain", "data": part.data.decode("utf-8", "replace")}
    return None
