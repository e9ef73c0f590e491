"""The system prompt: the developer's words, the application's context and its shared state."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from jumpseat.protocol.codec import encode_json, scrub
from jumpseat.protocol.inputs import Context, RunAgentInput

__all__ = ["state_block", "system_prompt"]


def system_prompt(
    prompt: str | None,
    input: RunAgentInput,  # noqa: A002
    *,
    state_tools: bool,
) -> str | None:
    """Return the text of the system message, or ``None`` when there is nothing to say.

    Args:
        prompt: The developer's prompt.
        input: The run's input: its context and its state. State that is null or an empty object or list
            is left out; ``0``, ``false`` and ``""`` are state.
        state_tools: The model can edit the state, and is told how.
    """
    pieces = [prompt or ""]
    if input.context:
        pieces += _context(input.context)
    block = state_block(input.state)
    if block is not None:
        pieces += _state(block, editable=state_tools)
    # The developer's words, unlike the input, may still hold what no request can carry.
    return scrub("".join(pieces)) or None


def state_block(state: Any) -> str | None:
    """Return the state as a fenced block of indented JSON; ``None`` for null and an empty object or list."""
    if state is None or (isinstance(state, (dict, list)) and not state):
        return None
    text = msgspec.json.format(encode_json(state), indent=2).decode()
    return f"```json\n{text}\n```"


def _context(entries: Iterable[Context]) -> list[str]:
    return [
        "\n## Context from the application\n",
        *(f"{entry.description}:\n{entry.value}\n" for entry in entries),
    ]


def _state(block: str, *, editable: bool) -> list[str]:
    how = "; edit it by calling AGUISendStateSnapshot or AGUISendStateDelta" if editable else ""
    return [
        "\n## Application State\n",
        f"This is the current state of the application{how}.\n",
        f"{block}\n",
    ]
