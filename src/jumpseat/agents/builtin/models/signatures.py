"""Signed reasoning between pydantic-ai's parts and the neutral ones, there and back."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Final, cast

from jumpseat.agents.builtin.language_model import Thinking
from jumpseat.agents.builtin.parts import ReasoningEnd
from jumpseat.protocol.codec import decode_json, encode_json

__all__ = ["call_details", "call_signature", "is_base64", "reasoning_end", "thinking_fields"]

# Where pydantic-ai keeps what Gemini wants back with a part.
_THOUGHT: Final = "thought_signature"
# The same of Gemini behind an interface like OpenAI's: an object that has to come back as it was.
_EXTRA: Final = "extra_content"


def reasoning_end(part: Any, provider: str, *, visible: bool) -> ReasoningEnd:
    """Return the end of a thinking part, with its signature if it has one."""
    signature = part.signature
    details: dict[str, Any] | None = None
    if not signature:
        signature = _detail(part, _THOUGHT)
        details = {"signs": "thought"} if signature else None
    if not signature:
        return ReasoningEnd()
    if not visible and details is None and not part.id:
        # Tells it from the signature of a call, which it travels with.
        details = {"signs": "hidden thought"}
    return ReasoningEnd(id=part.id, signature=signature, provider=provider, details=details)


def thinking_fields(thinking: Thinking) -> dict[str, Any]:
    """Return the fields of the thinking part that ``thinking`` once was."""
    if (thinking.details or {}).get("signs") == "thought":
        return {"provider_details": {_THOUGHT: thinking.signature}}
    return {"id": thinking.id, "signature": thinking.signature}


def call_signature(part: Any) -> str | None:
    """Return what the provider wants back with a call, if anything."""
    signature = _detail(part, _THOUGHT)
    if isinstance(signature, str):
        return signature
    extra = _detail(part, _EXTRA)
    return encode_json({_EXTRA: extra}).decode() if isinstance(extra, Mapping) else None


def call_details(signature: str | None) -> dict[str, Any] | None:
    """Return the details of the call that ``signature`` was once taken from."""
    if signature is None:
        return None
    if not signature.startswith("{"):
        return {_THOUGHT: signature}
    try:
        details = decode_json(signature.encode())
    except ValueError:
        return None
    return cast("dict[str, Any]", details) if isinstance(details, dict) else None


def is_base64(signature: str) -> bool:
    """Say whether a signature can be decoded, which Google's have to be before they are sent."""
    try:
        b64decode(signature)
    except ValueError:
        return False
    return True


def _detail(part: Any, name: str) -> Any:
    details: dict[str, Any] | None = part.provider_details
    return (details or {}).get(name)
