"""An agent that follows a script: for tests of runners, middleware and front ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from types import FunctionType, MethodType
from typing import Any, cast

from jumpseat.agents.base import Agent
from jumpseat.context import RunContext
from jumpseat.protocol.inputs import RunAgentInput

__all__ = ["ScriptedAgent"]


class ScriptedAgent(Agent):
    """Yields what its script says.

    A step is an event (struct, dict or model), an ``asyncio.Event`` to wait for, an exception to raise, or a
    function of ``(input, context)`` whose result is a step, a list of steps, or ``None``.

    Attributes:
        inputs: What each run was given, in order.
        started: Set when a run has begun.
        closed: Set when a run's generator has been closed, by its end or by cancellation.
    """

    name = "scripted"

    def __init__(self, *script: Any) -> None:
        self.script = script
        self.inputs: list[RunAgentInput] = []
        self.contexts: list[RunContext] = []
        self.started = asyncio.Event()
        self.closed = asyncio.Event()

    async def run(self, input: RunAgentInput, context: RunContext) -> AsyncIterator[Any]:  # noqa: A002
        """Follow the script once."""
        self.inputs.append(input)
        self.contexts.append(context)
        self.started.set()
        try:
            async for item in _play(self.script, input, context):
                yield item
        finally:
            self.closed.set()


async def _play(steps: Iterable[Any], given: RunAgentInput, context: RunContext) -> AsyncIterator[Any]:
    for step in steps:
        if isinstance(step, asyncio.Event):
            await step.wait()
        elif isinstance(step, BaseException):
            raise step
        elif _is_function(step):
            made = step(given, context)
            async for item in _play(
                cast("list[Any]", made) if isinstance(made, list) else [made], given, context
            ):
                yield item
        elif step is not None:
            yield step


def _is_function(step: object) -> bool:
    return isinstance(step, (FunctionType, MethodType))
