"""Putting back what a message lacks that reached its client shortened: the reverse of ``shrink``.

A client sends such a message again as it got it. Where it still has a note, and the stored message has a text
or an attachment of the noted size, nobody has changed anything there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias, cast

from jumpseat.protocol.codec import decode_json, decode_message, encode_json, to_wire
from jumpseat.protocol.history import readable
from jumpseat.protocol.inputs import ActivityMessage, Extensible, Message
from jumpseat.protocol.shrink import NOTE_START, data_size, noted_size, text_size

__all__ = ["is_shortened", "restore_message"]

Json: TypeAlias = Any


def is_shortened(message: Message) -> bool:
    """Say whether a message has a note where a text or an attachment may have been.

    An activity message never counts: what a client sends of it is not used.
    """
    # Nearly no message has a note, and encoding it is much quicker than looking at each of its texts.
    if isinstance(message, ActivityMessage) or NOTE_START not in encode_json(message):
        return False
    return any(noted_size(text) is not None for text in _texts(message))


def restore_message(message: Message, stored: bytes) -> Message:
    """Return ``message`` with everything that is noted in it as the stored message of its id has it.

    What is not noted stays as it was sent. A note for which the stored message has nothing of that size is
    a text like any other.
    """
    shown = readable(stored)
    original = cast("dict[str, Json]", decode_json(shown))
    sent = cast("dict[str, Json]", to_wire(message))
    if noted_size(sent.get("content")) == len(shown):
        # All that was left of it is which message it is.
        return decode_message(stored)
    restored = _restored(sent, original)
    return message if restored is sent else decode_message(encode_json(restored))


def _restored(sent: Json, original: Json) -> Json:
    """Return ``sent`` with its notes resolved; the very same object if there was none."""
    size = _noted(sent)
    if size is not None and size == _size(original):
        return original
    if isinstance(sent, dict) and isinstance(original, dict):
        values = cast("dict[str, Json]", original)
        members = cast("dict[str, Json]", sent)
        found = {key: _restored(value, values.get(key)) for key, value in members.items()}
        return found if any(found[key] is not value for key, value in members.items()) else members
    if isinstance(sent, list) and isinstance(original, list):
        items = cast("list[Json]", sent)
        restored = _restored_items(items, cast("list[Json]", original))
        return restored if any(a is not b for a, b in zip(restored, items, strict=True)) else items
    return cast("Json", sent)


def _restored_items(sent: Sequence[Json], original: Sequence[Json]) -> list[Json]:
    """Resolve notes in a list, in place; if items were added, moved or taken out, by the noted size."""
    restored = list(sent)
    if len(sent) == len(original):
        restored = [_restored(one, other) for one, other in zip(sent, original, strict=True)]
    left: defaultdict[int | None, list[Json]] = defaultdict(list)
    used = {id(item) for item in restored}
    for item in reversed(original):
        if id(item) not in used:
            left[_size(item)].append(item)
    for index, item in enumerate(restored):
        size = _noted(item)
        if size is not None and item is sent[index] and left[size]:
            restored[index] = left[size].pop()
    return restored


def _noted(value: Json) -> int | None:
    """Return the size that a note gives, be it a text or a part that is one."""
    return noted_size(_text_of(value))


def _size(value: Json) -> int | None:
    """Return the size that a note would give for a text, a text part or inline data."""
    data = data_size(value)
    text = _text_of(value)
    return data if data is not None or text is None else text_size(text)


def _text_of(value: Json) -> str | None:
    text = cast("dict[str, Json]", value).get("text") if isinstance(value, dict) else value
    return text if isinstance(text, str) else None


def _texts(message: Message) -> Iterator[str]:
    containers: list[Any] = [message]
    while containers:
        for value in _values(containers.pop()):
            if isinstance(value, str):
                yield value
            elif isinstance(value, (dict, list, Extensible)):
                containers.append(value)


def _values(container: Any) -> Iterable[Any]:
    if isinstance(container, Extensible):
        return [getattr(container, name) for name in container.__struct_fields__]
    return cast("dict[str, Json]", container).values() if isinstance(container, dict) else container
