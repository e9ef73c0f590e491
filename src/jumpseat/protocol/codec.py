"""The only place that encodes, decodes, or accepts an event or a message from outside."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Any, Final, TypeAlias, TypeVar, cast, get_args, get_type_hints

import msgspec

from jumpseat.errors import InvalidEvent, UnknownEventType, UnsendableEvent
from jumpseat.protocol.events import (
    ActivityDelta,
    BaseEvent,
    Event,
    MessagesSnapshot,
    ReasoningMessageContent,
    StateDelta,
    TextMessageChunk,
    TextMessageContent,
    ToolCallArgs,
    ToolCallResult,
)
from jumpseat.protocol.inputs import ContentPart, Extensible, Message, TextPart, ToolMessage

__all__ = [
    "accept",
    "content_text",
    "decode",
    "decode_json",
    "decode_message",
    "encode",
    "encode_json",
    "encode_message",
    "from_wire",
    "scrub",
    "scrubbed",
    "to_wire",
]

Json: TypeAlias = Any
StructT = TypeVar("StructT", bound=Extensible)

_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Event)
_message_decoder: Final = msgspec.json.Decoder(Message)

EVENT_TYPES: Final[dict[str, type[BaseEvent]]] = {
    cast("str", cls.__struct_config__.tag): cls for cls in get_args(Event)
}
_RARE: Final = frozenset({ToolCallResult, MessagesSnapshot, StateDelta, ActivityDelta})
_DELTAS: Final = frozenset({TextMessageContent, ToolCallArgs, ReasoningMessageContent})
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_POINTER: Final = re.compile(r"(?:/(?:[^/~]|~[01])*)*")
_PATCH_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "add": ("value",),
    "remove": (),
    "replace": ("value",),
    "move": ("from",),
    "copy": ("from",),
    "test": ("value",),
}


def encode(event: BaseEvent) -> bytes:
    """Return the compact JSON of one event, unknown keys last.

    Lone surrogates become U+FFFD. Raises ``InvalidEvent`` for a value that JSON cannot hold.
    """
    return _encode_struct(event)


def encode_message(message: Message) -> bytes:
    """Return the compact JSON of one message, under the rules of ``encode``."""
    return _encode_struct(message)


def encode_json(value: Json) -> bytes:
    """Return the compact UTF-8 JSON of any value, structs included.

    Lone surrogates become U+FFFD, NaN and infinity become null. Raises ``TypeError`` for a value
    that JSON cannot hold.
    """
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return _encoder.encode(scrub(msgspec.to_builtins(value)))


def decode(data: bytes) -> Event:
    """Return the event that ``encode`` made ``data`` of; unknown keys are not restored."""
    return _decoder.decode(data)


def decode_message(data: bytes) -> Message:
    """Return the message that ``encode_message`` made ``data`` of, unknown keys included."""
    message = _message_decoder.decode(data)
    _attach_extra(message, msgspec.json.decode(data))
    return message


def decode_json(data: bytes | str) -> Json:
    """Decode JSON text, lone surrogate escapes kept as they are (see ``scrub``).

    Raises ``ValueError`` for anything that is not JSON: NaN, infinity and bad UTF-8 included.
    """
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        # msgspec refuses escaped lone surrogates, which browsers produce from cut emoji.
        return _decode_leniently(data)
    except RecursionError as error:
        raise ValueError("JSON is nested too deeply") from error


def _decode_leniently(data: bytes | str) -> Json:
    text = data if isinstance(data, str) else data.decode()
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite, parse_int=_whole)
    except RecursionError as error:
        raise ValueError("JSON is nested too deeply") from error


def accept(item: object) -> Event:
    """Return what an agent yielded as a validated event.

    Args:
        item: One of our structs, an ``ag_ui.core`` model of any version (anything with
            ``model_dump_json``), or a mapping in wire form.

    Raises:
        UnsendableEvent: It can be dropped: an unknown type, or a patch that is no JSON Patch.
        InvalidEvent: Anything else is wrong; the message names the type and the field's path.
    """
    is_sound = _SOUND.get(type(item))
    if is_sound is not None and is_sound(item):
        return cast("Event", item)
    if isinstance(item, BaseEvent):
        return _normalised(_revalidated(item))
    if isinstance(item, Mapping):
        return _normalised(_from_mapping(cast("Mapping[str, Any]", item)))
    dump = getattr(item, "model_dump_json", None)
    if callable(dump) and not isinstance(item, type):
        try:
            dumped = cast("str", dump(by_alias=True))
        except ValueError as error:
            raise InvalidEvent(f"{type(item).__name__} cannot be written as JSON: {error}") from error
        return _normalised(_convert(decode_json(dumped)))
    raise InvalidEvent(
        f"expected an AG-UI event, got {type(item).__name__}: yield an event struct, "
        "an ag_ui.core model or a dict with a 'type'"
    )


def from_wire(source: Mapping[str, Any], kind: type[StructT]) -> StructT:
    """Convert a decoded JSON object to ``kind``, keeping unknown keys at every level.

    Raises ``msgspec.ValidationError`` with the path of the first fault.
    """
    value = msgspec.convert(source, kind)
    _attach_extra(value, source)
    return value


def to_wire(value: Json) -> Json:
    """Return the JSON form of a struct (or list of them) as plain dicts, unknown keys included."""
    if isinstance(value, Extensible):
        plain: dict[str, Any] = msgspec.to_builtins(value)
        plain.pop("~extra~", None)
        for name, wire in _nested_fields(type(value)):
            nested = getattr(value, name)
            if nested is not None and wire in plain:
                plain[wire] = to_wire(nested)
        plain.update(value.extra or {})
        return plain
    if isinstance(value, list):
        return [to_wire(entry) for entry in cast("list[Any]", value)]
    return msgspec.to_builtins(value)


def scrub(value: Json, substitute: str = "\ufffd") -> Json:
    """Return ``value`` with every lone surrogate in its strings replaced, keys included."""
    if isinstance(value, str):
        return _SURROGATE.sub(substitute, value)
    if isinstance(value, Mapping):
        pairs = cast("Mapping[Any, Any]", value)
        return {scrub(key, substitute): scrub(entry, substitute) for key, entry in pairs.items()}
    if isinstance(value, (list, tuple)):
        return [scrub(entry, substitute) for entry in cast("Sequence[Any]", value)]
    return value


def scrubbed(value: Json) -> Json:
    """Return ``value`` itself if it can be encoded as it is, otherwise what ``scrub`` makes of it."""
    try:
        _encoder.encode(value)
    except UnicodeEncodeError:
        return scrub(value)
    return value


def content_text(content: str | list[ContentPart]) -> str:
    """Return message content as one string: text parts joined, or the parts' JSON if there are others."""
    if isinstance(content, str):
        return content
    if all(isinstance(part, TextPart) for part in content):
        return "".join(part.text for part in content if isinstance(part, TextPart))
    return encode_json(to_wire(content)).decode()


def is_patch(operations: list[Any]) -> bool:
    """Say whether every entry has the shape of a JSON Patch operation (RFC 6902, section 4)."""
    return all(_is_operation(entry) for entry in operations)


def _is_operation(entry: object) -> bool:
    if not isinstance(entry, dict):
        return False
    operation = cast("dict[str, Any]", entry)
    required = _PATCH_FIELDS.get(operation.get("op", ""))
    path = operation.get("path")
    if required is None or not isinstance(path, str) or not _POINTER.fullmatch(path):
        return False
    if "from" in required:
        source = operation.get("from")
        return isinstance(source, str) and _POINTER.fullmatch(source) is not None
    return all(field in operation for field in required)


def _refuse_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise ValueError(f"number {text[:40]}... has too many digits") from error


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"number {text[:40]} is out of range")
    return number


def _encode_struct(value: Extensible) -> bytes:
    try:
        if (value.extra is not None or type(value) not in _FLAT) and _has_extra(value):
            return _encoder.encode(to_wire(value))
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return _encoder.encode(scrub(to_wire(value)))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidEvent(f"{_type_name(value)} cannot be written as JSON: {error}") from error


def _has_extra(value: Extensible) -> bool:
    if value.extra is not None:
        return True
    nested = _nested_fields(type(value))
    return bool(nested) and any(_any_extra(getattr(value, name)) for name, _ in nested)


def _any_extra(nested: object) -> bool:
    if isinstance(nested, Extensible):
        return _has_extra(nested)
    if isinstance(nested, list):
        return any(_any_extra(entry) for entry in cast("list[object]", nested))
    return False


def _attach_extra(value: Extensible, source: Mapping[str, Any]) -> None:
    known = _known_keys(type(value))
    if not known.issuperset(source):
        unknown = source.keys() - known
        extra = {key: entry for key, entry in source.items() if key in unknown and entry is not None}
        value.extra = extra or None
    if type(value) in _FLAT:
        return
    for name, wire in _nested_fields(type(value)):
        for nested, nested_source in _pairs(getattr(value, name), source.get(wire)):
            _attach_extra(nested, nested_source)


def _pairs(nested: object, source: object) -> Iterator[tuple[Extensible, Mapping[str, Any]]]:
    if isinstance(nested, Extensible) and isinstance(source, Mapping):
        yield nested, cast("Mapping[str, Any]", source)
    elif isinstance(nested, list) and isinstance(source, (list, tuple)):
        for one, one_source in zip(
            cast("list[object]", nested), cast("Sequence[object]", source), strict=False
        ):
            yield from _pairs(one, one_source)


@cache
def _known_keys(kind: type[Extensible]) -> frozenset[str]:
    config = kind.__struct_config__
    names = {field.encode_name for field in msgspec.structs.fields(kind)}
    return frozenset(names | ({config.tag_field} if config.tag_field else set()))


@cache
def _nested_fields(kind: type[Extensible]) -> tuple[tuple[str, str], ...]:
    """Name the fields of ``kind`` that can hold structs: (attribute, wire name)."""
    hints = get_type_hints(kind)
    return tuple(
        (field.name, field.encode_name)
        for field in msgspec.structs.fields(kind)
        if any(isinstance(leaf, type) and issubclass(leaf, Extensible) for leaf in _leaves(hints[field.name]))
    )


def _leaves(hint: object) -> Iterator[object]:
    args = get_args(hint)
    if not args:
        yield hint
    for arg in args:
        yield from _leaves(arg)


def _type_name(value: object) -> str:
    tag = value.__struct_config__.tag if isinstance(value, msgspec.Struct) else None
    return str(tag or type(value).__name__)


def _revalidated(event: BaseEvent) -> Event:
    # Struct constructors check nothing, so an agent's struct is proven by a round trip.
    data = _encode_struct(event)
    try:
        checked = _decoder.decode(data)
    except msgspec.ValidationError as error:
        raise InvalidEvent(_complaint(_type_name(event), error)) from error
    if _has_extra(event):
        _attach_extra(checked, msgspec.json.decode(data))
    return checked


def _from_mapping(source: Mapping[str, Any]) -> Event:
    event = _convert(source)
    if type(event) in _DELTAS and event.metadata is None and event.raw_event is None and event.extra is None:
        return event
    # The round trip leaves nothing that the agent could change later, and nothing but JSON values.
    return _revalidated(event)


def _convert(source: Mapping[str, Any]) -> Event:
    kind = source.get("type")
    if type(kind) is not str:
        kind = kind.value if isinstance(kind, Enum) else kind
        if not isinstance(kind, str):
            raise InvalidEvent("an event needs a string 'type'")
        source = {**source, "type": kind}
    cls = EVENT_TYPES.get(kind)
    if cls is None:
        raise UnknownEventType(kind)
    try:
        event = msgspec.convert(source, cls)
    except UnicodeEncodeError:
        return _convert(scrub(source))
    except msgspec.ValidationError as error:
        raise InvalidEvent(_complaint(kind, error)) from error
    _attach_extra(event, source)
    return cast("Event", event)


def _complaint(kind: str, error: msgspec.ValidationError) -> str:
    text, _, path = str(error).partition(" - at `$.")
    where = path.rstrip("`")
    return f"{kind}.{where}: {text}" if where else f"{kind}: {text}"


def _normalised(event: Event) -> Event:
    """Bring a valid event into the form that every supported client version accepts."""
    if isinstance(event.timestamp, float):
        event.timestamp = int(event.timestamp)
    return _normalise_rare(event) if type(event) in _RARE else event


def _normalise_rare(event: Event) -> Event:
    match event:
        case ToolCallResult():
            event.content = content_text(event.content)
        case MessagesSnapshot():
            for message in event.messages:
                if isinstance(message, ToolMessage):
                    message.content = content_text(message.content)
        case StateDelta(delta=operations) | ActivityDelta(patch=operations) if not is_patch(operations):
            kind = _type_name(event)
            raise UnsendableEvent(f"{kind} patch", f"{kind}: not a JSON Patch (RFC 6902)")
        case _:
            pass
    return event


def _is_sound_content(event: TextMessageContent | ReasoningMessageContent) -> bool:
    return _is_plain_id(event.message_id) and type(event.delta) is str and _is_bare(event)


def _is_sound_args(event: ToolCallArgs) -> bool:
    return _is_plain_id(event.tool_call_id) and type(event.delta) is str and _is_bare(event)


def _is_sound_chunk(event: TextMessageChunk) -> bool:
    return (
        type(event.delta) is str
        and (event.message_id is None or _is_plain_id(event.message_id))
        and (event.role is None or event.role == "assistant")
        and event.name is None
        and _is_bare(event)
    )


def _is_plain_id(identifier: object) -> bool:
    # ASCII, because an id with half a surrogate pair must be repaired wherever it occurs.
    return type(identifier) is str and identifier.isascii()


def _is_bare(event: TextMessageContent | ReasoningMessageContent | ToolCallArgs | TextMessageChunk) -> bool:
    return (
        event.timestamp is None
        and event.metadata is None
        and event.raw_event is None
        and event.extra is None
        and (event.subagent_run_id is None or type(event.subagent_run_id) is str)
    )


# The structs that make up nearly all of a stream are proven field by field: a tenth of a round trip.
_SOUND: Final[dict[type, Callable[[Any], bool]]] = {
    TextMessageContent: _is_sound_content,
    ReasoningMessageContent: _is_sound_content,
    ToolCallArgs: _is_sound_args,
    TextMessageChunk: _is_sound_chunk,
}
_FLAT: Final = frozenset(kind for kind in EVENT_TYPES.values() if not _nested_fields(kind))
