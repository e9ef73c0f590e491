"""Foreign streams through a run: what a client gets of them."""

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from typing import Any

from builtin_agents import given, wired
from jumpseat.agents.builtin.factory.convert import convert_stream
from jumpseat.protocol.inputs import RunAgentInput

SECONDS = 30.0


async def events_of(kind: str, stream: Any, run_input: RunAgentInput | None = None) -> list[dict[str, Any]]:
    """A foreign stream as the events of a run, on the wire."""
    converted = convert_stream(stream, type=kind, input=run_input or given())
    async with asyncio.timeout(SECONDS), aclosing(converted) as events:  # type: ignore[type-var]
        return wired([event async for event in events])


def text_of(events: Iterable[dict[str, Any]]) -> str:
    """All text that a client would show."""
    return "".join(event["delta"] for event in events if event["type"] == "TEXT_MESSAGE_CONTENT")
