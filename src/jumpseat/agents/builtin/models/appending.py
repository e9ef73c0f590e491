"""Tells the events of a provider's stream that only append to what is open, and makes one of several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import msgspec

from jumpseat.protocol.codec import encode_json

__all__ = ["APPENDING", "Appended", "Appending"]

Appended: TypeAlias = tuple[tuple[Any, ...], str]
"""What a text is appended to, and the text."""


@dataclass(frozen=True, slots=True)
class Appending:
    """How one interface appends.

    Attributes:
        read: Takes an event's name, if it has one, and its data. Returns what is appended and to what;
            ``None`` for every event that says anything else, or that is not what it should be.
        put: Takes the decoded data of such an event, its target and a text; replaces the event's own text.
    """

    read: Callable[[bytes, bytes], Appended | None]
    put: Callable[[Any, tuple[Any, ...], str], None]

    def merged(self, data: bytes, target: tuple[Any, ...], text: str) -> bytes:
        """Return ``data`` of an event of ``target`` with another text."""
        value = msgspec.json.decode(data)
        self.put(value, target, text)
        return encode_json(value)


class _OfResponses(msgspec.Struct):
    type: Literal[
        "response.output_text.delta",
        "response.function_call_arguments.delta",
        "response.reasoning_summary_text.delta",
        "response.reasoning_text.delta",
    ]
    item_id: str
    delta: str
    content_index: int | None = None
    summary_index: int | None = None
    error: None = None


class _Arguments(msgspec.Struct, forbid_unknown_fields=True):
    arguments: str
    name: None = None


class _CallDelta(msgspec.Struct, forbid_unknown_fields=True):
    index: int
    function: _Arguments
    type: str | None = None
    id: None = None


class _ChatDelta(msgspec.Struct, forbid_unknown_fields=True):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_CallDelta] | None = None
    role: str | None = None
    refusal: None = None
    function_call: None = None


class _Choice(msgspec.Struct, forbid_unknown_fields=True):
    delta: _ChatDelta
    index: int = 0
    finish_reason: None = None
    logprobs: None = None


class _OfChat(msgspec.Struct, forbid_unknown_fields=True):
    """A chunk; whatever has a field that is not listed here may say more than its text."""

    choices: list[_Choice]
    id: str | None = None
    object: str | None = None
    created: Any = None
    model: str | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None
    obfuscation: str | None = None
    usage: None = None
    moderation: None = None
    error: None = None


class _Text(msgspec.Struct, tag="text_delta"):
    text: str


class _Thinking(msgspec.Struct, tag="thinking_delta"):
    thinking: str


class _Input(msgspec.Struct, tag="input_json_delta"):
    partial_json: str


class _OfAnthropic(msgspec.Struct):
    type: Literal["content_block_delta"]
    index: int
    delta: _Text | _Thinking | _Input


_responses: Final = msgspec.json.Decoder(_OfResponses)
_chat: Final = msgspec.json.Decoder(_OfChat)
_anthropic: Final = msgspec.json.Decoder(_OfAnthropic)


def _read_responses(name: bytes, data: bytes) -> Appended | None:
    if name and not name.startswith(b"response."):
        return None
    try:
        event = _responses.decode(data)
    except ValueError:
        return None
    if not event.delta:
        return None
    return (event.type, event.item_id, event.content_index, event.summary_index), event.delta


def _put_responses(value: Any, _: tuple[Any, ...], text: str) -> None:
    value["delta"] = text


def _read_chat(name: bytes, data: bytes) -> Appended | None:
    if name:
        return None
    try:
        choices = _chat.decode(data).choices
    except ValueError:
        return None
    if len(choices) != 1:
        return None
    delta = choices[0].delta
    said = [
        ((field,), text)
        for field in ("content", "reasoning", "reasoning_content")
        if (text := getattr(delta, field))
    ]
    calls = delta.tool_calls
    if calls:
        if said or len(calls) != 1 or not (arguments := calls[0].function.arguments):
            return None
        return ("tool_calls", calls[0].index), arguments
    if len(said) != 1:
        return None
    # Tags around reasoning are only known as such when they come alone.
    text = said[0][1]
    return None if "<" in text or ">" in text else said[0]


def _put_chat(value: Any, target: tuple[Any, ...], text: str) -> None:
    delta = value["choices"][0]["delta"]
    if target[0] == "tool_calls":
        delta["tool_calls"][0]["function"]["arguments"] = text
    else:
        delta[target[0]] = text


def _read_anthropic(name: bytes, data: bytes) -> Appended | None:
    if name != b"content_block_delta":
        return None
    try:
        event = _anthropic.decode(data)
    except ValueError:
        return None
    match event.delta:
        case _Text(text):
            field = "text"
        case _Thinking(text):
            field = "thinking"
        case _Input(text):
            field = "partial_json"
    return ((field, event.index), text) if text else None


def _put_anthropic(value: Any, target: tuple[Any, ...], text: str) -> None:
    value["delta"][target[0]] = text


APPENDING: Final[Mapping[str, Appending]] = {
    "responses": Appending(_read_responses, _put_responses),
    "chat": Appending(_read_chat, _put_chat),
    "anthropic": Appending(_read_anthropic, _put_anthropic),
}
"""By the name of the interface."""
