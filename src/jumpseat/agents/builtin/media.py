"""From the parts of a person's message to what a model can take: texts, bytes and addresses."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, cast
from urllib.parse import unquote_to_bytes, urlsplit

from jumpseat.agents.builtin.language_model import MediaData, MediaUrl, Text
from jumpseat.protocol.inputs import (
    AudioPart,
    BinaryPart,
    ContentPart,
    DocumentPart,
    ImagePart,
    TextPart,
    VideoPart,
)

__all__ = ["model_parts"]

Kind: TypeAlias = Literal["image", "audio", "video", "document", "binary"]
Warn: TypeAlias = Callable[[str], None]

_OCTETS: Final = "application/octet-stream"
_NOT_IN_URLS: Final = re.compile("[\0-\x20\x7f]")
_SPACE: Final = re.compile(r"\s+")
_STANDARD_ALPHABET: Final = str.maketrans("-_", "+/")


def model_parts(parts: Sequence[ContentPart], warn: Warn) -> list[Text | MediaData | MediaUrl]:
    """Return what a model can take of ``parts``, in order.

    Empty texts go. ``warn`` is told of each part that has to go because it cannot be used: a URL that is
    neither ``http``, ``https`` nor ``data``, anything malformed, a handle of some provider's file store.
    The content of a ``data`` URL becomes bytes.
    """
    usable: list[Text | MediaData | MediaUrl] = []
    for part in parts:
        try:
            found = _model_part(part)
        except _UnusableError as reason:
            warn(f"left out a part of a message: {reason}")
            continue
        if found is not None:
            usable.append(found)
    return usable


class _UnusableError(Exception):
    """A part cannot be given to a model; says why, and nothing of its content."""


def _model_part(part: ContentPart) -> Text | MediaData | MediaUrl | None:
    match part:
        case TextPart():
            return Text(text=part.text) if part.text else None
        case BinaryPart():
            return _legacy(part)
        case ImagePart() | AudioPart() | VideoPart() | DocumentPart():
            source, name = part.source, _filename(part.metadata)
            if source.type == "data":
                return _from_data(source.value, source.mime_type, name)
            if source.type == "url":
                return _from_url(source.value, part.type, source.mime_type, name)
            raise _UnusableError(f"{part.type} held by a provider's file store")
        case _:
            raise _UnusableError(f"unknown kind {type(part).__name__}")


def _legacy(part: BinaryPart) -> MediaData | MediaUrl:
    if part.data:
        return _from_data(part.data, part.mime_type, part.filename)
    if part.url:
        return _from_url(part.url, "binary", part.mime_type or _OCTETS, part.filename)
    raise _UnusableError("binary without data and url")


def _from_data(data: str, media_type: str | None, filename: str | None) -> MediaData:
    if data.startswith("data:"):
        return _from_data_url(data, media_type, filename)
    return MediaData(data=_decoded(data), media_type=media_type or _OCTETS, filename=filename)


def _from_url(url: str, kind: Kind, media_type: str | None, filename: str | None) -> MediaData | MediaUrl:
    url = url.strip()
    try:
        address = urlsplit(url)
        is_sound = bool(address.hostname) and address.port != 0
    except ValueError as error:
        raise _UnusableError(f"{kind} with a malformed URL") from error
    if address.scheme == "data":
        return _from_data_url(url, media_type, filename)
    if address.scheme not in ("http", "https"):
        raise _UnusableError(f"{kind} whose URL is neither http, https nor data")
    if not is_sound or _NOT_IN_URLS.search(url):
        raise _UnusableError(f"{kind} with a malformed URL")
    return MediaUrl(url=url, kind=kind, media_type=media_type)


def _from_data_url(url: str, media_type: str | None, filename: str | None) -> MediaData:
    head, comma, body = url.partition(",")
    if not comma:
        raise _UnusableError("malformed data URL")
    own_type, *parameters = head[len("data:") :].split(";")
    is_base64 = bool(parameters) and parameters[-1].strip().lower() == "base64"
    content = _decoded(unquote_to_bytes(body).decode("latin-1")) if is_base64 else unquote_to_bytes(body)
    return MediaData(data=content, media_type=own_type or media_type or _OCTETS, filename=filename)


def _decoded(text: str) -> bytes:
    """Decode base64 in either alphabet, with or without padding."""
    compact = _SPACE.sub("", text).translate(_STANDARD_ALPHABET).rstrip("=")
    try:
        return b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except (NotBase64, ValueError) as error:
        raise _UnusableError("data that is not base64") from error


def _filename(metadata: Any) -> str | None:
    name = cast("Mapping[str, Any]", metadata).get("filename") if isinstance(metadata, Mapping) else None
    return name if isinstance(name, str) else None
