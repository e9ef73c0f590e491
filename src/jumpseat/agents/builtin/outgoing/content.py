"""Contents of a conversation in the forms that libraries ask for: base64, data URLs, file names, JSON."""

from __future__ import annotations

from base64 import b64encode
from pathlib import PurePosixPath
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from jumpseat.agents.builtin.language_model import MediaData, MediaUrl, Text, Thinking
from jumpseat.protocol.codec import encode_json

__all__ = [
    "Content",
    "Family",
    "base64_text",
    "data_url",
    "family",
    "file_name",
    "is_redacted",
    "json_text",
    "media_type",
    "text_of",
]

Content: TypeAlias = str | list[Text | MediaData | MediaUrl]
Family: TypeAlias = Literal["image", "audio", "video", "document"]

_TYPES: Final = {
    ".avif": "image/avif",
    ".csv": "text/csv",
    ".gif": "image/gif",
    ".html": "text/html",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".m4a": "audio/mp4",
    ".md": "text/markdown",
    ".mov": "video/quicktime",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".ogg": "audio/ogg",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".wav": "audio/wav",
    ".webm": "video/webm",
    ".webp": "image/webp",
}
_OCTETS: Final = "application/octet-stream"
_REDACTED: Final = "redacted_thinking"


def base64_text(media: MediaData) -> str:
    """Return the bytes as base64."""
    return b64encode(media.data).decode("ascii")


def data_url(media: MediaData) -> str:
    """Return the bytes as a ``data`` URL."""
    return f"data:{media.media_type};base64,{base64_text(media)}"


def media_type(media: MediaData | MediaUrl) -> str:
    """Return the media type as the message says it, else by the URL's ending."""
    known = media.media_type
    if isinstance(media, MediaUrl) and known in (None, "", _OCTETS):
        return _TYPES.get(PurePosixPath(urlsplit(media.url).path).suffix.lower(), known or _OCTETS)
    return known or _OCTETS


def family(media: MediaData | MediaUrl) -> Family:
    """Return which kind of media it is: what the message calls it, else what its type begins with."""
    if isinstance(media, MediaUrl) and media.kind != "binary":
        return media.kind
    match media_type(media).partition("/")[0]:
        case "image":
            return "image"
        case "audio":
            return "audio"
        case "video":
            return "video"
        case _:
            return "document"


def file_name(media: MediaData) -> str:
    """Return the file's name, or one that fits its type where a name is required."""
    if media.filename:
        return media.filename
    ending = next((end for end, known in _TYPES.items() if known == media.media_type), ".bin")
    return f"{family(media)}{ending}"


def text_of(content: Content) -> str:
    """Return the texts of a content, joined."""
    if isinstance(content, str):
        return content
    return "".join(part.text for part in content if isinstance(part, Text))


def json_text(value: Any) -> str:
    """Return a call's arguments as compact JSON."""
    return encode_json(value).decode()


def is_redacted(part: Thinking) -> bool:
    """Say whether Anthropic kept this reasoning from being read: its signature is then its content."""
    details = part.details or {}
    return _REDACTED in (part.id, details.get("type")) or details.get("redacted") is True
