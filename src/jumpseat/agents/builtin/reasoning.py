"""What a provider wants back with its reasoning, as the one text that clients keep for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from jumpseat.protocol.codec import encode_json

__all__ = ["Signature", "encrypted_value", "parse_encrypted_value", "parse_encrypted_values"]


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
# A client keeps one text for each call; several blocks of hidden reasoning before a call share it.
_EARLIER: Final = "earlier"


def encrypted_value(
    provider: str,
    signature: str,
    id: str | None = None,  # noqa: A002
    details: Mapping[str, Any] | None = None,
    *,
    earlier: Sequence[Signature] = (),
) -> str:
    """Return the JSON text that carries a signature through a client; ``parse_encrypted_values`` reads it.

    ``earlier``: signatures of hidden reasoning that came before and have no text of their own.

    Raises:
        TypeError: ``details`` holds what JSON cannot.
    """
    kept = {**(details or {}), **({_EARLIER: [*earlier]} if earlier else {})} or None
    return encode_json(Signature(provider=provider, signature=signature, id=id, details=kept)).decode()


def parse_encrypted_values(text: str | None) -> list[Signature]:
    """Return the signatures in a message's or call's ``encrypted_value``, in order; none if it has none.

    The last is the one of the message or call itself, those before it are of hidden reasoning.
    """
    found = parse_encrypted_value(text)
    if found is None or found.details is None or _EARLIER not in found.details:
        return [] if found is None else [found]
    details = {name: value for name, value in found.details.items() if name != _EARLIER}
    try:
        earlier = msgspec.convert(found.details[_EARLIER], list[Signature])
    except (ValueError, RecursionError):
        earlier = list[Signature]()
    own = msgspec.structs.replace(found, details=details or None)
    return [*(one for one in earlier if one.provider and one.signature), own]


def parse_encrypted_value(text: str | None) -> Signature | None:
    """Return the whole of such a text, or ``None`` if it is none."""
    if not text:
        return None
    try:
        found = _decoder.decode(text)
    except (ValueError, RecursionError):
        # Other servers keep their own texts in this field.
        return None
    return found if found.provider and found.signature else None
