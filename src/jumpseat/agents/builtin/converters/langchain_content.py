"""What a LangChain message says: the texts and the reasoning in its content."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, cast

from jumpseat.agents.builtin.converters.base import Item
from jumpseat.agents.builtin.converters.fields import field
from jumpseat.agents.builtin.parts import ReasoningDelta, ReasoningEnd, TextDelta

__all__ = ["content_parts"]


def content_parts(message: Any, message_id: str | None, place: Hashable) -> tuple[Hashable, Sequence[Item]]:
    """Return the parts that a message, or a chunk of one, says.

    Args:
        message: The message, as an object or a dict.
        message_id: The id of its texts.
        place: Where in the message the reasoning stood that came last, ``None`` before any.

    Returns:
        The new place, and the parts.
    """
    content = field(message, "content")
    if isinstance(content, str) and not field(message, "additional_kwargs"):
        return place, ((TextDelta(delta=content, id=message_id),) if content else ())
    parts: list[Item] = []
    for block in _blocks(message, content):
        if text := _text(block):
            parts.append(TextDelta(delta=text, id=message_id))
        elif field(block, "type") in {"reasoning", "thinking"}:
            place = _reasoning(block, place, parts, _provider(message))
    return place, parts


def _blocks(message: Any, content: Any) -> Sequence[Any]:
    # The library's own view of a message is the same for all providers; a dict has none.
    standard = getattr(message, "content_blocks", None)
    if standard is not None:
        return standard
    texts: list[Any] = []
    if thought := field(field(message, "additional_kwargs"), "reasoning_content"):
        texts.append({"type": "reasoning", "reasoning": thought})
    if isinstance(content, list):
        return texts + cast("list[Any]", content)
    return [*texts, {"type": "text", "text": content}] if content else texts


def _text(block: Any) -> str | None:
    if isinstance(block, str):
        return block
    kind = field(block, "type")
    if kind in {"text", "text_delta", "output_text"}:
        return field(block, "text")
    if kind == "non_standard":
        block = field(block, "value")
        kind = field(block, "type")
    return field(block, "refusal") if kind == "refusal" else None


def _reasoning(block: Any, place: Hashable, parts: list[Item], provider: str | None) -> Hashable:
    text = field(block, "reasoning") or field(block, "thinking") or ""
    for summary in field(block, "summary") or ():
        text += field(summary, "text") or ""
    at = field(block, "index")
    if text:
        if at is not None:
            if place is not None and at != place:
                text = "\n\n" + text
            place = at
        parts.append(ReasoningDelta(delta=text))
    if signature := field(block, "signature") or field(_extras(block), "signature"):
        parts.append(ReasoningEnd(signature=signature, provider=provider))
        return None
    return place


def _extras(block: Any) -> Mapping[str, Any]:
    extras = field(block, "extras")
    return cast("Mapping[str, Any]", extras) if isinstance(extras, Mapping) else {}


def _provider(message: Any) -> str | None:
    return field(field(message, "response_metadata"), "model_provider")
