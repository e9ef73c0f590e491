"""Conversations and tools for LangChain: its messages, and tools for ``bind_tools``."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

from jumpseat.agents.builtin.language_model import (
    AssistantTurn,
    MediaData,
    MediaUrl,
    ModelMessage,
    RequestedCall,
    SystemText,
    Text,
    ToolReturn,
    UserTurn,
)
from jumpseat.agents.builtin.outgoing.anthropic import thinking_blocks
from jumpseat.agents.builtin.outgoing.content import base64_text, family, file_name, text_of
from jumpseat.agents.builtin.outgoing.given import GivenMessage, GivenTool, conversation_pairs
from jumpseat.agents.builtin.outgoing.openai import reasoning_items, to_openai_tools
from jumpseat.errors import MissingDependencyError

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

__all__ = ["langchain_messages", "to_langchain_messages", "to_langchain_tools"]

Block: TypeAlias = dict[str, Any]


def to_langchain_messages(
    messages: Iterable[GivenMessage],
    *,
    system: str | None = None,
    forward_system_messages: bool = False,
    forward_developer_messages: bool = False,
    provider: str | None = None,
) -> list[BaseMessage]:
    """Return AG-UI messages as messages of LangChain, history repaired.

    They keep their ids, so that a graph with a memory of its own recognises what it has.

    Args:
        messages: The thread, as structs or dicts.
        system: Instructions that come first.
        forward_system_messages: Keep ``system`` messages.
        forward_developer_messages: Keep ``developer`` messages, as ``system``.
        provider: Who will answer (``"anthropic"`` or ``"openai"``): gets back the reasoning it signed.

    Raises:
        InvalidInput: A message is malformed.
        MissingDependencyError: ``langchain-core`` is not installed.
    """
    pairs = conversation_pairs(
        messages,
        provider=provider,
        system=system,
        forward_system_messages=forward_system_messages,
        forward_developer_messages=forward_developer_messages,
    )
    return langchain_messages((turn, message.id or None if message else None) for turn, message in pairs)


def to_langchain_tools(tools: Iterable[GivenTool]) -> list[Block]:
    """Return client tools and ``ToolDefinition``s as dicts for ``bind_tools``.

    Raises:
        AgentFailure: The parameters of a tool are not the schema of an object.
    """
    return to_openai_tools(tools, api="chat")


def langchain_messages(turns: Iterable[tuple[ModelMessage, str | None]]) -> list[BaseMessage]:
    """Return a conversation, each turn with the id it has or ``None``, as messages of LangChain.

    Raises:
        MissingDependencyError: ``langchain-core`` is not installed.
    """
    try:
        # Whoever wants its messages has imported it: this finds it, and reads no files on the event loop.
        messages: Any = import_module("langchain_core.messages")
    except ImportError as error:
        raise MissingDependencyError(
            'LangChain\'s messages need langchain-core: pip install "jumpseat[langchain]"'
        ) from error
    made: list[BaseMessage] = []
    for turn, identifier in turns:
        match turn:
            case SystemText():
                made.append(messages.SystemMessage(content=turn.content, id=identifier))
            case UserTurn():
                made.append(messages.HumanMessage(content=_user_content(turn), id=identifier))
            case AssistantTurn():
                content, calls = _answer_content(turn), _calls(turn)
                made.append(messages.AIMessage(content=content, tool_calls=calls, id=identifier))
            case ToolReturn():
                result = messages.ToolMessage(
                    content=text_of(turn.content),
                    tool_call_id=turn.tool_call_id,
                    name=turn.name,
                    id=identifier,
                )
                made.append(result)
    return made


def _user_content(turn: UserTurn) -> Any:
    return turn.content if isinstance(turn.content, str) else [_user_block(part) for part in turn.content]


def _user_block(part: Text | MediaData | MediaUrl) -> Block:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    kind = family(part)
    block: Block = {"type": "file" if kind == "document" else kind}
    if isinstance(part, MediaUrl):
        return {**block, "url": part.url, **({"mime_type": part.media_type} if part.media_type else {})}
    block |= {"base64": base64_text(part), "mime_type": part.media_type}
    return {**block, "filename": file_name(part)} if kind == "document" else block


def _answer_content(turn: AssistantTurn) -> Any:
    texts = [part.text for part in turn.content if isinstance(part, Text)]
    reasoning = _reasoning_blocks(turn)
    if not reasoning:
        return "".join(texts)
    return [*reasoning, *({"type": "text", "text": text} for text in texts)]


def _reasoning_blocks(turn: AssistantTurn) -> list[Block]:
    """Return restored reasoning in the form in which LangChain's own packages for the provider keep it."""
    return [*thinking_blocks(turn.content), *reasoning_items(turn.content)]


def _calls(turn: AssistantTurn) -> list[Any]:
    return [
        {"type": "tool_call", "id": part.id, "name": part.name, "args": part.arguments}
        for part in turn.content
        if isinstance(part, RequestedCall)
    ]
