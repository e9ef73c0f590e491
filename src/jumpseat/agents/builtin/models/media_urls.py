"""Which URLs of media go to a provider as they are, and loading all others before a library would."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

from jumpseat.agents.builtin.language_model import (
    MediaData,
    MediaUrl,
    ModelMessage,
    Text,
    ToolReturn,
    UserTurn,
)
from jumpseat.agents.builtin.models.downloads import download

__all__ = ["is_fetched", "media_kind", "with_loaded_media"]

# What these providers fetch by themselves. A library that fetches it in their place does so from within this
# network, without a look at the address.
_FETCHED: Final[Mapping[str, frozenset[str]]] = {
    "openai": frozenset({"image"}),
    "anthropic": frozenset({"image", "document"}),
}


def media_kind(media: MediaUrl) -> str:
    """Return ``image``, ``audio``, ``video`` or ``document``."""
    if media.kind != "binary":
        return media.kind
    family = (media.media_type or "").partition("/")[0]
    return family if family in ("image", "audio", "video") else "document"


def is_fetched(media: MediaUrl, kinds: Collection[str]) -> bool:
    """Say whether a provider that fetches media of these kinds fetches this one; of documents only PDFs."""
    if media.url[:5].lower() == "data:":
        return False
    kind = media_kind(media)
    if kind != "document":
        return kind in kinds
    is_pdf = media.media_type == "application/pdf" or urlsplit(media.url).path.lower().endswith(".pdf")
    return is_pdf and kind in kinds


async def with_loaded_media(messages: Sequence[ModelMessage], provider: str) -> list[ModelMessage]:
    """Return messages in which every URL that ``provider`` does not fetch itself is what is behind it.

    Raises:
        AgentFailure: ``invalid_request``: a file cannot be loaded, or must not be.
    """
    kinds = _FETCHED.get(provider, frozenset())
    return [await _loaded(message, kinds) for message in messages]


async def _loaded(message: ModelMessage, kinds: Collection[str]) -> ModelMessage:
    if not isinstance(message, UserTurn | ToolReturn) or isinstance(message.content, str):
        return message
    content: list[Text | MediaData | MediaUrl] = [
        await download(part) if isinstance(part, MediaUrl) and not is_fetched(part, kinds) else part
        for part in message.content
    ]
    return msgspec.structs.replace(message, content=content)
