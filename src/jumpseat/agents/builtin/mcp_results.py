"""What an MCP tool returned, as the answer that the client, the thread and the model get."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, cast

from jumpseat.agents.builtin.language_model import MediaData, MediaUrl, Text
from jumpseat.agents.builtin.server_tools import ToolAnswer
from jumpseat.protocol.codec import encode_json

__all__ = ["answer", "as_result", "error_answer", "is_unknown_tool"]

Json: TypeAlias = Any

_LONGEST_ERROR: Final = 2000
# Base64: nothing readable is in it, and it is long.
_OPAQUE: Final = frozenset({"data", "blob"})


def as_result(value: object) -> dict[str, Any]:
    """Return what a client's tool returned as an MCP result; what is none becomes its text."""
    plain = _plain(value)
    if isinstance(plain, Mapping):
        members = cast("Mapping[str, Any]", plain)
        if isinstance(members.get("content"), list):
            return dict(members)
        return {"content": [_text(_json(members))], "structuredContent": dict(members)}
    if isinstance(plain, list):
        return {"content": [_block(entry) for entry in cast("list[Any]", plain)]}
    return {"content": [] if plain is None else [_block(plain)]}


def answer(result: Mapping[str, Any], redact: Callable[[str], str]) -> ToolAnswer:
    """Return the answer to a call that the server carried out, be it well or with ``isError``."""
    content: Json = result.get("content")
    whole: dict[str, Any] = {"content": content if isinstance(content, list) else []}
    if result.get("structuredContent") is not None:
        whole["structuredContent"] = result["structuredContent"]
    whole["isError"] = result.get("isError") is True
    whole = _redacted(whole, redact)
    return ToolAnswer(
        content=_json(whole), for_model=_for_model(whole), error="tool_error" if whole["isError"] else None
    )


def error_answer(text: str, redact: Callable[[str], str], *, word: str) -> ToolAnswer:
    """Return the answer to a call that the server did not carry out."""
    return ToolAnswer(content=_json({"error": redact(text)[:_LONGEST_ERROR]}), error=word)


def is_unknown_tool(result: Mapping[str, Any]) -> bool:
    """Say whether a result reports that the server has no such tool, as some do in place of an error."""
    content: Json = result.get("content")
    if result.get("isError") is not True or not isinstance(content, list) or not content:
        return False
    first: Json = cast("list[Any]", content)[0]
    text: Json = cast("Mapping[str, Any]", first).get("text") if isinstance(first, Mapping) else None
    return isinstance(text, str) and "unknown tool" in text.lower()


def _for_model(result: Mapping[str, Any]) -> str | list[Text | MediaData | MediaUrl]:
    blocks = [cast("Mapping[str, Any]", block) for block in result["content"] if isinstance(block, Mapping)]
    images = [image for block in blocks if (image := _image(block)) is not None]
    text = "\n".join(said for block in blocks if (said := _said(block)))
    if not text and "structuredContent" in result:
        text = _json(result["structuredContent"])
    if not images:
        return text
    return [*([Text(text=text)] if text else []), *images]


def _said(block: Mapping[str, Any]) -> str | None:
    """Return what a block says in words; a picture says nothing, other media that they are there."""
    match block.get("type"):
        case "text":
            text = block.get("text")
            return text if isinstance(text, str) else None
        case "image":
            return None if _image(block) is not None else "[image]"
        case "resource":
            resource: Json = block.get("resource")
            text = cast("Mapping[str, Any]", resource).get("text") if isinstance(resource, Mapping) else None
            return text if isinstance(text, str) else "[resource]"
        case "resource_link":
            return f"[resource: {block.get('title') or block.get('name') or block.get('uri')}]"
        case kind:
            return f"[{kind}]" if isinstance(kind, str) else None


def _image(block: Mapping[str, Any]) -> MediaData | None:
    data, media_type = block.get("data"), block.get("mimeType")
    if block.get("type") != "image" or not isinstance(data, str) or not isinstance(media_type, str):
        return None
    try:
        return MediaData(data=b64decode(data, validate=True), media_type=media_type)
    except (binascii.Error, ValueError):
        return None


def _plain(value: Any) -> Json:
    """Return models as the wire has them; all else as it is."""
    if callable(getattr(value, "model_dump", None)):
        return value.model_dump(by_alias=True, mode="json", exclude_none=True)
    if isinstance(value, tuple):
        return [*cast("tuple[Any, ...]", value)]
    return value


def _block(value: Any) -> dict[str, Any]:
    plain = _plain(value)
    data, media_type = getattr(plain, "data", None), getattr(plain, "media_type", None)
    if isinstance(data, bytes) and isinstance(media_type, str):
        kind = media_type.partition("/")[0]
        return {
            "type": kind if kind in ("image", "audio") else "blob",
            "data": b64encode(data).decode("ascii"),
            "mimeType": media_type,
        }
    if isinstance(plain, Mapping) and isinstance(cast("Mapping[str, Any]", plain).get("type"), str):
        return dict(cast("Mapping[str, Any]", plain))
    return _text(plain if isinstance(plain, str) else _json(plain))


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _json(value: Json) -> str:
    try:
        return encode_json(value).decode("utf-8")
    except TypeError:
        return f'"[Unserializable {type(value).__name__}]"'


def _redacted(value: Json, redact: Callable[[str], str]) -> Json:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        pairs = cast("Mapping[str, Any]", value)
        return {
            key: entry if key in _OPAQUE and isinstance(entry, str) else _redacted(entry, redact)
            for key, entry in pairs.items()
        }
    if isinstance(value, list):
        return [_redacted(entry, redact) for entry in cast("list[Any]", value)]
    return value
