"""What a provider wants back with its reasoning, as the one text that clients keep for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from jumpseat.protocol.codec import encode_json

__all__ = ["Signature", "encrypted_value", "parse_encrypted_value"]


class Signature(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A provider's proof that a piece of reasoning is its own.

    Attributes:
        provider: Who signed it; nobody else can read it.
        signature: The proof.
        id: The provider's id of the reasoning.
        details: What else the provider wants back.
    """

    provider: str
    signature: str
    id: str | None = None
    details: dict[str, Any] | None = None


_decoder: Final = msgspec.json.Decoder(Signature)


def encrypted_value(
    provider: str,
    signature: str,
    id: str | None = None,  # noqa: A002
    details: Mapping[str, Any] | None = None,
) -> str:
    """Return the JSON text that carries a signature through a client; ``parse_encrypted_value`` reads it.

    Raises:
        TypeError: ``details`` holds what JSON cannot.
    """
    kept = dict(details) if details else None
    return encode_json(Signature(provider=provider, signature=signature, id=id, details=kept)).decode()


def parse_encrypted_value(text: str | None) -> Signature | None:
    """Return the signature in a message's or call's ``encrypted_value``; ``None`` if it is no such text."""
    if not text:
        return None
    try:
        found = _decoder.decode(text)
    except (ValueError, RecursionError):
        # Other servers keep their own texts in this field.
        return None
    return found if found.provider and found.signature else None
