"""Conversations, prompts and tools for TanStack AI, whose messages are JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple, TypeAlias, cast

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
from jumpseat.agents.builtin.outgoing.content import base64_text, family, json_text, text_of
from jumpseat.agents.builtin.outgoing.given import GivenMessage, GivenTool, conversation, model_tools
from jumpseat.agents.builtin.prompt import state_block
from jumpseat.protocol.inputs import DeveloperMessage, RunAgentInput, SystemMessage

__all__ = ["TanStackInput", "convert_input_to_tanstack_ai", "to_tanstack_messages", "to_tanstack_tools"]

Json: TypeAlias = dict[str, Any]

_ONE_SCHEMA: Final = ("additionalItems", "contains", "else", "if", "items", "not", "then")
_MANY_SCHEMAS: Final = ("allOf", "anyOf", "items", "oneOf", "prefixItems")
_NAMED_SCHEMAS: Final = ("$defs", "definitions", "patternProperties", "properties")


class TanStackInput(NamedTuple):
    """What ``chat()`` of TanStack AI takes of a run's input.

    Attributes:
        messages: Those of people, assistants and tools.
        system_prompts: Everything else that the model is told.
        tools: The front end's tools.
    """

    messages: list[Json]
    system_prompts: list[str]
    tools: list[Json]


def convert_input_to_tanstack_ai(
    input: RunAgentInput,  # noqa: A002
    *,
    system: str | None = None,
    forward_system_messages: bool = False,
    forward_developer_messages: bool = False,
    provider: str | None = None,
) -> TanStackInput:
    """Return a run's input for TanStack AI, history repaired.

    All system and developer messages become system prompts, then each entry of the context, then the
    state unless it is empty.

    Args:
        input: The run's input.
        system: A system prompt that comes first.
        forward_system_messages: Taken as by the other converters; the prompts have these messages anyway.
        forward_developer_messages: The same.
        provider: Who will answer: gets back the thinking that it signed.

    Raises:
        AgentFailure: The parameters of a tool are not the schema of an object.
    """
    prompts = [system] if system else []
    prompts += [
        message.content
        for message in input.messages
        if isinstance(message, (SystemMessage, DeveloperMessage)) and message.content
    ]
    prompts += [f"{entry.description}:\n{entry.value}" for entry in input.context]
    if (state := state_block(input.state)) is not None:
        prompts.append(f"Application State:\n{state}")
    messages = to_tanstack_messages(input.messages, provider=provider)
    return TanStackInput(messages, prompts, to_tanstack_tools(input.tools))


def to_tanstack_messages(
    messages: Iterable[GivenMessage],
    *,
    system: str | None = None,
    forward_system_messages: bool = False,
    forward_developer_messages: bool = False,
    provider: str | None = None,
) -> list[Json]:
    """Return AG-UI messages as model messages of TanStack AI, history repaired.

    TanStack AI itself takes instructions beside the messages, as ``convert_input_to_tanstack_ai`` returns
    them; here they are messages of the role ``system``, only when they are asked for.

    Args:
        messages: The thread, as structs or dicts.
        system: Instructions that come first.
        forward_system_messages: Keep ``system`` messages.
        forward_developer_messages: Keep ``developer`` messages, as ``system``.
        provider: Who will answer: gets back the thinking that it signed.

    Raises:
        InvalidInput: A message is malformed.
    """
    turns = conversation(
        messages,
        provider=provider,
        system=system,
        forward_system_messages=forward_system_messages,
        forward_developer_messages=forward_developer_messages,
    )
    return [_message(turn) for turn in turns]


def to_tanstack_tools(tools: Iterable[GivenTool]) -> list[Json]:
    """Return tools as client tools of TanStack AI.

    Their schemas refuse unknown keys at every depth, as its providers want it.

    Raises:
        AgentFailure: The parameters of a tool are not the schema of an object.
    """
    return [
        {
            "__toolSide": "client",
            "name": tool.name,
            "description": tool.description,
            "inputSchema": _closed(tool.parameters),
        }
        for tool in model_tools(tools)
    ]


def _closed(schema: Any) -> Any:
    """Return a copy of a schema in which every object is closed."""
    if not isinstance(schema, dict):
        return schema
    closed = dict(cast("Json", schema))
    for key in _ONE_SCHEMA:
        if isinstance(closed.get(key), dict):
            closed[key] = _closed(closed[key])
    for key in _MANY_SCHEMAS:
        if isinstance(closed.get(key), list):
            closed[key] = [_closed(entry) for entry in closed[key]]
    for key in _NAMED_SCHEMAS:
        if isinstance(closed.get(key), dict):
            closed[key] = {name: _closed(entry) for name, entry in closed[key].items()}
    kinds = closed.get("type")
    if kinds == "object" or (isinstance(kinds, list) and "object" in kinds) or "properties" in closed:
        closed["additionalProperties"] = False
    return closed


def _message(turn: ModelMessage) -> Json:
    match turn:
        case SystemText():
            return {"role": "system", "content": turn.content}
        case UserTurn(content=content):
            parts = content if isinstance(content, str) else [_user_part(part) for part in content]
            return {"role": "user", "content": parts}
        case AssistantTurn():
            return _answer(turn)
        case ToolReturn():
            return {"role": "tool", "toolCallId": turn.tool_call_id, "content": text_of(turn.content)}


def _answer(turn: AssistantTurn) -> Json:
    text = "".join(part.text for part in turn.content if isinstance(part, Text))
    calls = [_call(part) for part in turn.content if isinstance(part, RequestedCall)]
    thinking = [
        {"content": part.text, "signature": part.signature}
        for part in turn.content
        if isinstance(part, Thinking)
    ]
    answer: Json = {"role": "assistant", "content": text or None}
    if calls:
        answer["toolCalls"] = calls
    if thinking:
        answer["thinking"] = thinking
    return answer


def _call(part: RequestedCall) -> Json:
    function = {"name": part.name, "arguments": json_text(part.arguments)}
    call: Json = {"id": part.id, "type": "function", "function": function}
    if part.signature is None:
        return call
    return {**call, "metadata": {"thoughtSignature": part.signature}}


def _user_part(part: Text | MediaData | MediaUrl) -> Json:
    if isinstance(part, Text):
        return {"type": "text", "content": part.text}
    if isinstance(part, MediaData):
        source = {"type": "data", "value": base64_text(part), "mimeType": part.media_type}
    else:
        source = {"type": "url", "value": part.url}
        if part.media_type:
            source["mimeType"] = part.media_type
    return {"type": family(part), "source": source}
