"""Requests for runners and the reading of their streams, in one line each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any, cast

import msgspec

from jumpseat.agents.base import Agent
from jumpseat.context import RunContext
from jumpseat.protocol.codec import accept, encode
from jumpseat.protocol.inputs import AssistantMessage, Message, RunAgentInput, UserMessage
from jumpseat.runners.base import ConnectRequest, EventStream, Page, RunOptions, RunRequest

__all__ = [
    "Deadline",
    "assistant",
    "collect",
    "connect_to",
    "cursors",
    "pages_of",
    "run_of",
    "take",
    "types",
    "user",
]

Deadline = 10.0


def user(id: str, content: str = "hi") -> UserMessage:  # noqa: A002
    """Return a user message."""
    return UserMessage(id=id, content=content)


def assistant(id: str, content: str) -> AssistantMessage:  # noqa: A002
    """Return an assistant message."""
    return AssistantMessage(id=id, content=content)


def run_of(
    agent: Agent | Callable[[RunAgentInput, RunContext], AsyncIterator[Any]],
    thread_id: str = "thread",
    run_id: str = "run",
    messages: Sequence[Message] = (),
    *,
    owner: str | None = None,
    agent_id: str = "default",
    options: RunOptions | None = None,
    **fields: Any,
) -> RunRequest:
    """Return a request to run ``agent``: an ``Agent`` or an async generator function."""
    given = RunAgentInput(thread_id=thread_id, run_id=run_id, messages=list(messages), **fields)
    return RunRequest(
        thread_id=thread_id,
        agent=agent.run if isinstance(agent, Agent) else agent,
        agent_id=agent_id,
        input=given,
        context=RunContext(thread_id=thread_id, run_id=run_id, run_key="", agent_id=agent_id),
        owner=owner,
        options=options or RunOptions(),
    )


def connect_to(thread_id: str = "thread", **fields: Any) -> ConnectRequest:
    """Return a request to connect to a thread."""
    return ConnectRequest(thread_id=thread_id, agent_id="default", **fields)


async def pages_of(stream: EventStream, seconds: float = Deadline) -> list[tuple[str | None, bytes]]:
    """Read a stream to its end, or fail after ``seconds``: (cursor, encoded event) in order."""
    entries: list[tuple[str | None, bytes]] = []
    async with asyncio.timeout(seconds), aclosing(cast("Any", stream)):
        async for item in stream:
            entries += _entries(item)
    return entries


async def collect(stream: EventStream, seconds: float = Deadline) -> list[dict[str, Any]]:
    """Read a stream to its end, or fail after ``seconds``: the decoded events."""
    return [msgspec.json.decode(data) for _, data in await pages_of(stream, seconds)]


async def cursors(stream: EventStream, seconds: float = Deadline) -> list[str | None]:
    """Read a stream to its end and return the cursors of its events."""
    return [cursor for cursor, _ in await pages_of(stream, seconds)]


async def take(stream: EventStream, count: int, seconds: float = Deadline) -> list[dict[str, Any]]:
    """Read until at least ``count`` events came, leaving the stream open."""
    events: list[dict[str, Any]] = []
    async with asyncio.timeout(seconds):
        while len(events) < count:
            events += [msgspec.json.decode(data) for _, data in _entries(await stream.__anext__())]
    return events


def _entries(item: Any) -> Sequence[tuple[str | None, bytes]]:
    if isinstance(item, Page):
        return item.events
    return [(None, item if isinstance(item, bytes) else encode(accept(item)))]


def types(events: Sequence[dict[str, Any]]) -> list[str]:
    """Return the types of decoded events."""
    return [event["type"] for event in events]
