"""Conversations and tools for Pydantic AI: its messages, and a toolset of tools that others run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import groupby
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
from jumpseat.agents.builtin.models.signatures import call_details, thinking_fields
from jumpseat.agents.builtin.outgoing.content import family, text_of
from jumpseat.agents.builtin.outgoing.given import GivenMessage, GivenTool, conversation, model_tools
from jumpseat.errors import MissingDependencyError

__all__ = ["to_pydantic_ai_messages", "to_pydantic_ai_tools"]


def to_pydantic_ai_messages(
    messages: Iterable[GivenMessage],
    *,
    system: str | None = None,
    forward_system_messages: bool = False,
    forward_developer_messages: bool = False,
    provider: str | None = None,
) -> list[Any]:
    """Return AG-UI messages as a ``message_history`` of Pydantic AI (``ModelMessage``s), history repaired.

    Args:
        messages: The thread, as structs or dicts.
        system: Instructions that come first.
        forward_system_messages: Keep ``system`` messages.
        forward_developer_messages: Keep ``developer`` messages, as ``system``.
        provider: Who will answer, by the model's own ``system`` name: gets back the reasoning it signed.

    Raises:
        InvalidInput: A message is malformed.
        MissingDependencyError: Pydantic AI is not installed.
    """
    library = _library()
    turns = conversation(
        messages,
        provider=provider,
        system=system,
        forward_system_messages=forward_system_messages,
        forward_developer_messages=forward_developer_messages,
    )
    history: list[Any] = []
    for is_answer, group in groupby(turns, lambda turn: isinstance(turn, AssistantTurn)):
        kind = library.ModelResponse if is_answer else library.ModelRequest
        history.append(kind(parts=[part for turn in group for part in _parts(library, turn)]))
    return history


def to_pydantic_ai_tools(tools: Iterable[GivenTool]) -> Any:
    """Return client tools and ``ToolDefinition``s as an ``ExternalToolset``: others answer their calls.

    Raises:
        AgentFailure: The parameters of a tool are not the schema of an object.
        MissingDependencyError: Pydantic AI is not installed.
    """
    library = _library()
    return library.ExternalToolset(
        [
            library.ToolDefinition(
                name=tool.name, description=tool.description, parameters_json_schema=tool.parameters
            )
            for tool in model_tools(tools)
        ]
    )


def _library() -> Any:
    try:
        # Whoever wants its messages has imported it: this finds it, and reads no files on the event loop.
        return import_module("pydantic_ai")
    except ImportError as error:
        raise MissingDependencyError(
            'messages and toolsets of Pydantic AI need it: pip install "jumpseat[openai]", '
            'or with the extra of another provider, for example "jumpseat[anthropic]"'
        ) from error


def _parts(library: Any, turn: ModelMessage) -> Iterator[Any]:
    match turn:
        case SystemText():
            yield library.SystemPromptPart(content=turn.content)
        case UserTurn(content=content):
            is_text = isinstance(content, str)
            parts = content if is_text else [_user_content(library, part) for part in content]
            yield library.UserPromptPart(content=parts)
        case ToolReturn():
            yield library.ToolReturnPart(
                tool_name=turn.name, content=text_of(turn.content), tool_call_id=turn.tool_call_id
            )
        case AssistantTurn():
            for part in turn.content:
                yield from _answer_parts(library, part)


def _user_content(library: Any, part: Text | MediaData | MediaUrl) -> Any:
    match part:
        case Text():
            return part.text
        case MediaData():
            return library.BinaryContent(data=part.data, media_type=part.media_type)
        case MediaUrl():
            kinds = {
                "image": library.ImageUrl,
                "audio": library.AudioUrl,
                "video": library.VideoUrl,
                "document": library.DocumentUrl,
            }
            return kinds[family(part)](url=part.url, media_type=part.media_type)


def _answer_parts(library: Any, part: Text | Thinking | RequestedCall) -> Iterator[Any]:
    match part:
        case Text():
            yield library.TextPart(content=part.text)
        case Thinking():
            yield library.ThinkingPart(content=part.text, provider_name=part.provider, **_signed(part))
        case RequestedCall():
            signature, signs_call = part.signature, (part.provider or "").startswith("google")
            if signature and not signs_call:
                yield library.ThinkingPart(content="", signature=signature, provider_name=part.provider)
            yield library.ToolCallPart(
                tool_name=part.name,
                args=part.arguments,
                tool_call_id=part.id,
                provider_name=part.provider if signature and signs_call else None,
                provider_details=call_details(signature) if signs_call else None,
            )


def _signed(part: Thinking) -> dict[str, Any]:
    fields = thinking_fields(part)
    if part.details and "signs" not in part.details:
        fields["provider_details"] = part.details
    return fields
