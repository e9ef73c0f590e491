"""The JSON form of whatever a tool returns."""

from __future__ import annotations

from collections import deque
from collections.abc import ItemsView, Iterable, Mapping, Set, ValuesView
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import PurePath
from typing import Any, Final, cast

import msgspec

from jumpseat.protocol.codec import decode_json, scrub
from jumpseat.protocol.events import ActivitySnapshot

__all__ = [
    "NotSerializable",
    "error_content",
    "json_text",
    "json_value",
    "progress_event",
    "result_content",
    "unserializable_content",
]


class NotSerializable(TypeError):
    """A value has no JSON form."""


def json_text(value: object) -> str:
    """Return the compact JSON of a value.

    Models, structs, dataclasses, dates, decimals, UUIDs and enums have their usual form, bytes are base64,
    NaN and infinities null; halves of surrogate pairs become U+FFFD.

    Raises:
        NotSerializable: The value, or something in it, has no JSON form.
    """
    try:
        return _text(value)
    except Exception as error:
        # Whatever a model's own method raises means the same: there is nothing to send.
        raise NotSerializable(f"{type(value).__name__} has no JSON form: {error}") from error


def json_value(value: object) -> Any:
    """Return the JSON form of a value as new dicts, lists, strings, numbers, booleans and ``None``.

    Raises:
        NotSerializable: As in ``json_text``.
    """
    return decode_json(json_text(value))


def result_content(value: object, name: str) -> str:
    """Return the content of a call's result; a text that names the tool when the value has no JSON form."""
    try:
        return json_text(value)
    except NotSerializable:
        return unserializable_content(name)


def error_content(text: str) -> str:
    """Return the content of the result of a call that failed."""
    return json_text({"error": text})


def unserializable_content(name: str) -> str:
    """Return what stands for a value without a JSON form."""
    return f"[Unserializable tool result from {name}]"


def progress_event(call_id: str, name: str, value: object) -> ActivitySnapshot:
    """Return the event that shows what a running tool has so far."""
    try:
        shown: Any = json_value(value)
    except NotSerializable:
        shown = unserializable_content(name)
    return ActivitySnapshot(
        message_id=f"{call_id}-progress",
        activity_type="tool-progress",
        content={"toolCallId": call_id, "toolName": name, "value": shown},
        replace=True,
    )


def _text(value: object) -> str:
    try:
        return _encoder.encode(value).decode()
    except UnicodeEncodeError:
        return _encoder.encode(scrub(msgspec.to_builtins(value, enc_hook=_plain))).decode()


def _plain(value: object) -> object:
    """Return something simpler that stands for ``value``; called for what the encoder does not know."""
    for kind, convert in _FORMS:
        if isinstance(value, kind):
            return convert(cast("Any", value))
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return _dumped(dump)
    if isinstance(value, Mapping):
        return dict(cast("Mapping[Any, Any]", value))
    if isinstance(value, _ITERABLES):
        return list(cast("Iterable[Any]", value))
    for name in ("tolist", "item"):
        # Arrays and numbers of numpy and its like.
        convert = getattr(value, name, None)
        if callable(convert) and hasattr(value, "dtype"):
            return convert()
    if callable(getattr(value, "keys", None)) and hasattr(value, "__getitem__"):
        # Rows of databases.
        row = cast("Any", value)
        return {key: row[key] for key in row.keys()}  # noqa: SIM118 - a row iterates over its values
    raise NotSerializable(f"{type(value).__name__} has no JSON form")


def _dumped(dump: Any) -> object:
    try:
        return dump(mode="json")
    except ValueError:
        # Bytes that are no text are base64 here.
        return dump()


_FORMS: Final[tuple[tuple[Any, Any], ...]] = (
    (str, str.__str__),
    (int, int),
    (float, float),
    ((PurePath, IPv4Address, IPv6Address, IPv4Network, IPv6Network), str),
)
_ITERABLES: Final[tuple[type[Any], ...]] = (Set, deque, range, ValuesView, ItemsView)
_encoder: Final = msgspec.json.Encoder(enc_hook=_plain)
