"""Executing one run for a runner that keeps logs its own way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Unpack, cast

from jumpseat.runners.base import Page, RunRequest
from jumpseat.runners.options import RunnerOptionArguments, RunnerOptions
from jumpseat.runners.registry import Registry
from jumpseat.runners.starting import Starter
from jumpseat.stores.base import Run
from jumpseat.stores.memory import MemoryStore

__all__ = ["produce"]

# They keep runs alive whose readers have left: event loops hold tasks by weak references only.
_holding: set[asyncio.Task[None]] = set()


async def produce(request: RunRequest, **options: Unpack[RunnerOptionArguments]) -> AsyncGenerator[bytes]:
    """Execute a run and yield its encoded events, from ``RUN_STARTED`` to exactly one terminal.

    The agent is consumed in a task of its own, which goes on to the run's end when this generator is closed
    or its reader cancelled. What comes out is legal whatever the agent does, as with ``EventLogRunner``
    (docs/life-of-a-run.md). ``request.context.abort()`` ends a run early. That a thread has one live run at a
    time, that others can follow it, and what is kept of it, is the runner's business.

    Args:
        request: The run. Its input's messages and state count as all there is of the thread.
        **options: Of ``RunnerOptions`` those about a run: ``stop_grace``, ``limits``, ``on_disconnect``.

    Raises:
        ConfigurationError: An option has a value that cannot work.
    """
    registry = Registry()
    store = MemoryStore()
    starter = Starter(
        store,
        RunnerOptions(**options),
        registry,
        recover=_nobody_else,
        supersede=_nobody_else,
        begun=_untold,
    )
    # Its runner has claimed the thread, so that it is too late to ask.
    wanted = replace(request, options=replace(request.options, wanted=None))
    stream = await starter.start(wanted)
    holding = asyncio.create_task(_until_sealed(registry), name=f"run {request.context.run_key}")
    _holding.add(holding)
    holding.add_done_callback(_holding.discard)
    async with aclosing(cast("Any", stream)):
        async for page in stream:
            for _, event in cast("Page", page).events:
                yield event


async def _until_sealed(registry: Registry) -> None:
    for live in list(registry.live.values()):
        await live.sealed.wait()


async def _nobody_else(*_: Run | RunRequest) -> None:
    """Do nothing: the store holds one run, and its owner is here."""


def _untold(_owner: str | None, _thread_id: str) -> None:
    """Tell nobody that the run has begun."""
