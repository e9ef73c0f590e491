"""A thread's messages as a model takes them, whatever state a client or a stopped run left them in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

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
from jumpseat.agents.builtin.media import model_parts
from jumpseat.agents.builtin.reasoning import Signature, parse_encrypted_values
from jumpseat.protocol.codec import decode_json, encode_json, scrubbed
from jumpseat.protocol.history import repair_tool_history
from jumpseat.protocol.inputs import (
    AssistantMessage,
    ContentPart,
    DeveloperMessage,
    Message,
    ReasoningMessage,
    ResumeEntry,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)

__all__ = ["to_model_messages", "turns_with_messages", "with_resume_results"]

Warn: TypeAlias = Callable[[str], None]

_log: Final = logging.getLogger(__name__)
_CANCELLED: Final = {"status": "cancelled"}
_RESOLVED: Final = {"status": "resolved"}


def to_model_messages(
    messages: Sequence[Message],
    *,
    system: str | None,
    provider: str | None,
    forward_system_messages: bool = False,
    forward_developer_messages: bool = False,
    warn: Warn | None = None,
) -> list[ModelMessage]:
    """Return the conversation for a model: every call with exactly one result directly behind its turn.

    The messages are not changed. What has no place in a model's conversation is left out; a call without
    a result gets one that says so.

    Args:
        messages: The thread, oldest first.
        system: Instructions that come first.
        provider: Who answers. Reasoning is given back only to the provider that signed it.
        forward_system_messages: Keep ``system`` messages, in their place.
        forward_developer_messages: Keep ``developer`` messages, in their place and as instructions.
        warn: Is told of everything that a model cannot take; by default a warning is logged. The texts
            hold no content.
    """
    pairs = turns_with_messages(
        messages,
        system=system,
        provider=provider,
        forward_system_messages=forward_system_messages,
        forward_developer_messages=forward_developer_messages,
        warn=warn,
    )
    return [turn for turn, _ in pairs]


def turns_with_messages(
    messages: Sequence[Message],
    *,
    system: str | None,
    provider: str | None,
    forward_system_messages: bool = False,
    forward_developer_messages: bool = False,
    warn: Warn | None = None,
) -> list[tuple[ModelMessage, Message | None]]:
    """Return what ``to_model_messages`` does, each turn with the repaired message that it was made of.

    The system prompt is made of none.
    """
    repaired = repair_tool_history(messages)
    warn = warn or _log.warning
    _warn_of_arguments(messages, repaired, warn)
    conversion = _Conversion(
        provider=provider,
        system=forward_system_messages,
        developer=forward_developer_messages,
        warn=warn,
    )
    first: list[tuple[ModelMessage, Message | None]] = [(SystemText(content=system), None)] if system else []
    return first + [(turn, message) for message in repaired for turn in conversion.turns(message)]


class _Conversion:
    """One pass over a repaired thread: what an earlier message leaves for a later one."""

    def __init__(self, *, provider: str | None, system: bool, developer: bool, warn: Warn) -> None:
        self._provider = provider
        self._system = system
        self._developer = developer
        self._warn = warn
        self._thinking: list[Thinking] = []
        self._names: dict[str, str] = {}

    def turns(self, message: Message) -> Iterable[ModelMessage]:
        """Yield what a message becomes: one turn, or nothing."""
        match message:
            case SystemMessage() if self._system:
                yield SystemText(content=message.content or "")
            case DeveloperMessage() if self._developer:
                yield SystemText(content=message.content or "")
            case UserMessage():
                # Reasoning that led to no answer must not be taken for that of the next one.
                self._thinking.clear()
                yield UserTurn(content=self._user_content(message))
            case ReasoningMessage():
                self._remember(message)
            case AssistantMessage():
                yield self._answer(message)
            case ToolMessage():
                yield ToolReturn(
                    tool_call_id=message.tool_call_id,
                    name=self._names[message.tool_call_id],
                    content=_joined(message.content),
                )
            case _:
                pass

    def _user_content(self, message: UserMessage) -> str | list[Text | MediaData | MediaUrl]:
        content = cast("str | list[ContentPart] | None", message.content)
        if content is None or isinstance(content, str):
            return content or ""
        return model_parts(content, lambda text: self._warn(f"message {message.id!r}: {text}")) or ""

    def _remember(self, message: ReasoningMessage) -> None:
        hidden, own = self._own_signatures(message.encrypted_value)
        self._thinking += [_thinking(signature, "") for signature in hidden]
        if own is not None:
            self._thinking.append(_thinking(own, message.content or ""))

    def _answer(self, message: AssistantMessage) -> AssistantTurn:
        content: list[Text | Thinking | RequestedCall] = [*self._thinking]
        self._thinking.clear()
        calls: list[RequestedCall] = []
        for call in message.tool_calls or ():
            self._names[call.id] = call.function.name
            hidden, signature = self._own_signatures(call.encrypted_value)
            content += [_thinking(earlier, "") for earlier in hidden]
            if signature is not None and (signature.id or signature.details):
                # Reasoning that was hidden when the call was made, not a proof of the call itself.
                content.append(_thinking(signature, ""))
                signature = None
            calls.append(_requested(call, signature))
        if message.content:
            content.append(Text(text=message.content))
        return AssistantTurn(content=[*content, *calls])

    def _own_signatures(self, encrypted: str | None) -> tuple[list[Signature], Signature | None]:
        """Return those of reasoning that was hidden, and the message's or call's own, of this provider."""
        signatures = [one for one in parse_encrypted_values(encrypted) if one.provider == self._provider]
        return signatures[:-1], signatures[-1] if signatures else None


def with_resume_results(
    messages: Sequence[Message], resume: Iterable[ResumeEntry] | None, warn: Warn | None = None
) -> list[Message]:
    """Return ``messages`` and behind them a result for each call that ``resume`` answers.

    Calls that have a result keep it. Of an answer to a call that the messages do not have ``warn`` is told
    (by default a warning is logged); no provider takes a result without its call.
    """
    warn = warn or _log.warning
    called = {call.id for message in messages for call in _calls(message)}
    answered = {message.tool_call_id for message in messages if isinstance(message, ToolMessage)}
    extended = list(messages)
    for entry in resume or ():
        identifier = entry.interrupt_id
        if identifier in answered:
            continue
        if identifier not in called:
            warn(f"ignored the answer to interrupt {identifier!r}: no message has a call with this id")
            continue
        answered.add(identifier)
        content = encode_json(_answer_of(entry)).decode()
        extended.append(ToolMessage(id=f"{identifier}-result", content=content, tool_call_id=identifier))
    return extended


def _answer_of(entry: ResumeEntry) -> Any:
    if entry.status == "cancelled":
        return _CANCELLED
    return _RESOLVED if entry.payload is None else entry.payload


def _calls(message: Message) -> Sequence[ToolCall]:
    return (message.tool_calls or ()) if isinstance(message, AssistantMessage) else ()


def _warn_of_arguments(messages: Sequence[Message], repaired: Sequence[Message], warn: Warn) -> None:
    """Tell of each call that lost its arguments because no version of them is a JSON object."""
    emptied = {call.id for message in repaired for call in _calls(message) if call.function.arguments == "{}"}
    sound = {
        call.id
        for message in messages
        for call in _calls(message)
        # A call without arguments is written as empty text; nothing is lost there.
        if call.id in emptied
        and (not call.function.arguments or _object(call.function.arguments) is not None)
    }
    for identifier in sorted(emptied - sound):
        warn(f"call {identifier!r}: its arguments are not a JSON object, the model sees {{}}")


def _requested(call: ToolCall, signature: Signature | None) -> RequestedCall:
    return RequestedCall(
        id=call.id,
        name=call.function.name,
        arguments=_object(call.function.arguments) or {},
        signature=signature.signature if signature else None,
        provider=signature.provider if signature else None,
    )


def _thinking(signature: Signature, text: str) -> Thinking:
    return Thinking(
        text=text,
        signature=signature.signature,
        provider=signature.provider,
        id=signature.id,
        details=signature.details,
    )


def _object(arguments: str) -> dict[str, Any] | None:
    try:
        value = decode_json(arguments)
    except ValueError:
        return None
    return cast("dict[str, Any]", scrubbed(value)) if isinstance(value, Mapping) else None


def _joined(content: str | list[ContentPart]) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.text for part in content if isinstance(part, TextPart))
