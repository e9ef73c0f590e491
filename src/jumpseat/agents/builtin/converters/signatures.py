"""What a provider wants back with its reasoning, as the AI SDKs keep it: in the metadata of a chunk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from jumpseat.agents.builtin.converters.fields import field

__all__ = ["FoundSignature", "signature_in"]

_ENCRYPTED: Final = ("signature", "reasoning_encrypted_content", "thought_signature")
# Under this id reasoning is kept that only the provider can read.
_REDACTED: Final = "redacted_thinking"


@dataclass(frozen=True, slots=True)
class FoundSignature:
    """A provider's signature, and what the provider calls the signed block."""

    provider: str
    signature: str
    id: str | None = None


def signature_in(metadata: object) -> FoundSignature | None:
    """Return the signature in a chunk's provider metadata (provider -> its own members), if it has one."""
    if not isinstance(metadata, Mapping):
        return None
    for provider, members in cast("Mapping[str, Any]", metadata).items():
        own_id = _text(members, "item_id")
        for name in _ENCRYPTED:
            if (signature := _text(members, name)) is not None:
                return FoundSignature(provider, signature, own_id)
        if (hidden := _text(members, "redacted_data")) is not None:
            return FoundSignature(provider, hidden, _REDACTED)
    return None


def _text(members: object, name: str) -> str | None:
    value = field(members, name)
    return value if isinstance(value, str) and value else None
