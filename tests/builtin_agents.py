"""Runs of a BuiltInAgent without a runner: inputs in one line, events as dicts."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

from jumpseat.agents.base import Agent
from jumpseat.context import RunContext
from jumpseat.protocol.codec import to_wire
from jumpseat.protocol.inputs import RunAgentInput
from jumpseat.protocol.parse import parse_input

SECONDS = 20.0


def given(*messages: Any, **fields: Any) -> RunAgentInput:
    """The input of a run; a string is a user's message."""
    listed = [
        {"id": f"u{number}", "role": "user", "content": message} if isinstance(message, str) else message
        for number, message in enumerate(messages or ("hi",), 1)
    ]
    body = {"threadId": "t1", "runId": "r1", "messages": listed, "tools": [], "context": []}
    return parse_input(body | fields)


def run_context(**fields: Any) -> RunContext:
    return RunContext(
        **({"thread_id": "t1", "run_id": "r1", "run_key": "r1", "agent_id": "default"} | fields)
    )


def wired(events: Sequence[Any]) -> list[dict[str, Any]]:
    """Events as they are on the wire."""
    return [to_wire(event) for event in events]


async def run(
    agent: Agent, run_input: RunAgentInput | None = None, context: RunContext | None = None
) -> list[dict[str, Any]]:
    """All events of one run."""
    stream = agent.run(given() if run_input is None else run_input, context or run_context())
    async with asyncio.timeout(SECONDS), aclosing(stream) as events:
        return wired([event async for event in events])


def types(events: Sequence[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def of(kind: str, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events of one type."""
    return [event for event in events if event["type"] == kind]
