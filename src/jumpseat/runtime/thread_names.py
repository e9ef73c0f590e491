"""The names that threads get by themselves: one made of the first message, and the form of any other."""

from __future__ import annotations

import re
from collections.abc import Sequence

from jumpseat.protocol import codec
from jumpseat.protocol.inputs import Message, TextPart, UserMessage
from jumpseat.threads import CONTROL_CHARACTERS, MAX_NAME_CHARACTERS

__all__ = ["first_message_name", "one_line_name"]

MAX_WORDS = 8
MAX_CHARACTERS = 80

_GAPS = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_MARKERS = "#>*-\"'`“”„‘’‚«»‹› "
_ENDINGS = ".!?,;: "


def first_message_name(messages: Sequence[Message]) -> str | None:
    """Return a short title from the first user message that has text, ``None`` if none can be made."""
    for message in messages:
        if isinstance(message, UserMessage) and (text := _GAPS.sub(" ", _text(message)).strip()):
            return _title(text)
    return None


def one_line_name(text: str) -> str | None:
    """Return ``text`` as a name: one line of at most 256 characters, ``None`` if nothing is left."""
    line = CONTROL_CHARACTERS.sub("", re.sub(r"\s+", " ", codec.scrub(text)))
    return line.strip()[:MAX_NAME_CHARACTERS].rstrip() or None


def _text(message: UserMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    return " ".join(part.text for part in message.content if isinstance(part, TextPart))


def _title(text: str) -> str | None:
    words = text.lstrip(_MARKERS).rstrip(_ENDINGS).split(" ")[:MAX_WORDS]
    title = " ".join(words)
    if len(title) > MAX_CHARACTERS:
        head, _, _ = title[: MAX_CHARACTERS + 1].rpartition(" ")
        title = head or title[:MAX_CHARACTERS]
    return title.rstrip(_ENDINGS) or None
