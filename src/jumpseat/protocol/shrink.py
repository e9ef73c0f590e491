"""A message made small enough for one frame: attachments go first, then the longest texts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

from jumpseat.protocol.codec import decode_json, encode_json

__all__ = ["NOTE_START", "data_size", "noted_size", "shrink_message", "text_size"]

Json: TypeAlias = Any

_KEPT_KEYS: Final = frozenset(
    {"id", "role", "type", "toolCallId", "activityType", "subagentRunId", "mimeType"}
)
# Shorter texts are not worth replacing: the note would be as long.
_SHORTEST: Final = 64
NOTE_START: Final = b"[omitted: "
_NOTE: Final = re.compile(r"\[omitted: ([0-9]{1,20}) bytes\]")
_LONGEST_NOTE: Final = 40


@dataclass(frozen=True, slots=True)
class _Place:
    """Where ``size`` bytes can be saved: a text, or a content part that is inline data."""

    size: int
    container: Json
    key: Json
    is_part: bool = False

    def omit(self) -> int:
        """Replace it by a note and return the number of bytes saved."""
        note = _note(self.size)
        self.container[self.key] = {"type": "text", "text": note} if self.is_part else note
        return self.size - len(note)


def shrink_message(message: bytes, room: int) -> bytes:
    """Return the encoded message in at most ``room`` bytes.

    Inline data parts, then the longest texts, are replaced by ``[omitted: <n> bytes]``, largest first, until
    it fits. A message that is large for another reason keeps only what says which message it is.
    """
    source = cast("dict[str, Json]", decode_json(message))
    shrunk = message
    for find in (_data_parts, _texts):
        excess = len(shrunk) - room
        for place in sorted(find(source), key=lambda place: place.size, reverse=True):
            if excess <= 0:
                break
            excess -= place.omit()
        shrunk = encode_json(source)
        if len(shrunk) <= room:
            return shrunk
    return encode_json(_stub(source, len(message)))


def data_size(part: Json) -> int | None:
    """Return what a note gives as the size of a content part that is inline data; ``None`` for any other."""
    source = _members(_members(part).get("source"))
    return len(str(source.get("value"))) if source.get("type") == "data" else None


def text_size(text: str) -> int:
    """Return what a note gives as the size of a text: its bytes as they are sent."""
    return len(encode_json(text)) - 2


def noted_size(value: Json) -> int | None:
    """Return the size that a note gives, ``None`` for what is no note."""
    if not isinstance(value, str) or len(value) > _LONGEST_NOTE:
        return None
    found = _NOTE.fullmatch(value)
    return int(found[1]) if found is not None else None


def _data_parts(message: dict[str, Json]) -> Iterator[_Place]:
    content = message.get("content")
    parts = cast("list[Json]", content) if isinstance(content, list) else []
    for index, part in enumerate(parts):
        size = data_size(part)
        if size is not None:
            yield _Place(size, parts, index, is_part=True)


def _texts(message: dict[str, Json]) -> Iterator[_Place]:
    containers: list[Json] = [message]
    while containers:
        container = containers.pop()
        for key, value in _items(container):
            if isinstance(value, (dict, list)):
                containers.append(value)
            elif isinstance(value, str) and len(value) > _SHORTEST and key not in _KEPT_KEYS:
                yield _Place(text_size(value), container, key)


def _items(container: Json) -> list[tuple[Json, Json]]:
    if isinstance(container, dict):
        return list(cast("dict[Json, Json]", container).items())
    return list(enumerate(cast("list[Json]", container)))


def _members(value: Json) -> dict[str, Json]:
    return cast("dict[str, Json]", value) if isinstance(value, dict) else {}


def _stub(message: dict[str, Json], size: int) -> dict[str, Json]:
    stub = {key: message[key] for key in ("role", "id", "toolCallId", "activityType") if key in message}
    stub["content"] = {"omitted": _note(size)} if message.get("role") == "activity" else _note(size)
    return stub


def _note(size: int) -> str:
    return f"[omitted: {size} bytes]"
