"""The demo agent: picks the scene that fits the last message and plays it at a pace one can read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final

from jumpseat.agents.base import Agent
from jumpseat.cli.demo.intents import read_intent
from jumpseat.cli.demo.scenes import SCENES, booking, page_tools
from jumpseat.cli.demo.turn import Turn
from jumpseat.context import RunContext
from jumpseat.protocol.events import (
    Event,
    ReasoningMessageContent,
    TextMessageContent,
    ToolCallArgs,
    ToolCallChunk,
)
from jumpseat.protocol.inputs import RunAgentInput

__all__ = ["DemoAgent"]

_PACED: Final = (TextMessageContent, ReasoningMessageContent, ToolCallArgs)
_SUGGEST: Final = "copilotkitSuggest"
_SUGGESTIONS: Final = (
    ("A long story", "Tell me a long story"),
    ("Shared state", "Add milk and eggs to my list"),
    ("An approval", "Delete my account"),
)


class DemoAgent(Agent):
    """A scripted agent that needs no key.

    Args:
        pause: Seconds between two words.
    """

    name = "demo"
    description = (
        "Demo agent: a script that shows streaming, tools, shared state, reasoning, approvals and errors."
    )

    def __init__(self, pause: float = 0.05) -> None:
        self.pause = pause

    async def run(self, input: RunAgentInput, context: RunContext) -> AsyncIterator[Any]:  # noqa: A002
        """Play one scene. Asked to fail, it raises."""
        for event in _scene(Turn(input, context)):
            if isinstance(event, _PACED):
                await asyncio.sleep(self.pause)
            yield event

    async def capabilities(self) -> Mapping[str, Any]:
        """Return what the scenes use."""
        return {
            "identity": {"name": self.name, "description": self.description},
            "transport": {"streaming": True, "resumable": True},
            "tools": {"supported": True, "clientProvided": True},
            "state": {"snapshots": True, "deltas": True, "persistentState": True},
            "reasoning": {"supported": True, "streaming": True},
            "humanInTheLoop": {"supported": True, "approvals": True, "interrupts": True},
        }


def _scene(turn: Turn) -> Iterator[Event]:
    if [tool.name for tool in turn.input.tools] == [_SUGGEST]:
        return _suggest(turn)
    if turn.input.resume:
        return booking.go_on(turn, turn.input.resume)
    if answered := turn.tool_answer():
        return page_tools.continue_after(turn, *answered)
    intent = read_intent(turn.last_user_text())
    turn.subject = intent.subject
    return SCENES[intent.scene](turn)


def _suggest(turn: Turn) -> Iterator[Event]:
    suggestions = [{"title": title, "message": message} for title, message in _SUGGESTIONS]
    yield ToolCallChunk(
        tool_call_id=turn.new_id(),
        tool_call_name=_SUGGEST,
        delta=json.dumps({"suggestions": suggestions}),
    )
