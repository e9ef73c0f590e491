"""Running a tool's function: on the event loop if it is async, else in a worker thread."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

from jumpseat.agents.builtin.tools.channel import Channel
from jumpseat.agents.builtin.tools.results import json_text
from jumpseat.calling import being_cancelled
from jumpseat.daemon_threads import DaemonThreads

__all__ = ["Failed", "is_async", "run_function"]

_MISSING: Final = object()
# Of its own, so that a tool that never returns takes no thread from name look-ups and files.
_threads: Final = DaemonThreads("tool", 64)


@dataclass(frozen=True, slots=True)
class Failed:
    """A function that raised."""

    error: BaseException


def is_async(function: Callable[..., Any]) -> bool:
    """Say whether calling the function does nothing but make a coroutine or an async generator."""
    while isinstance(function, partial):
        function = cast("partial[Any]", function).func
    candidates = (function, type(function).__call__)
    return any(
        inspect.iscoroutinefunction(candidate) or inspect.isasyncgenfunction(candidate)
        for candidate in candidates
    )


async def run_function(function: Callable[[], Any], channel: Channel, *, in_thread: bool) -> str | Failed:
    """Return the JSON of what a function returns, or what it raised.

    The last value of a generator is its result; the earlier ones are sent as progress, each when the next
    one is there. Cancelling cancels a coroutine and closes a generator; a thread goes on, its result is
    discarded.
    """
    try:
        made = await _threads.run(partial(_work, function, channel)) if in_thread else function()
        return made if in_thread and isinstance(made, str | Failed) else await _settled(made, channel)
    except asyncio.CancelledError as error:
        # A tool may have waited for something that somebody else cancelled: that is its failure.
        if being_cancelled():
            raise
        return Failed(error)
    except (Exception, SystemExit) as error:
        return Failed(error)


async def _settled(made: Any, channel: Channel) -> str | Failed:
    """Return what a call on the event loop comes to in the end."""
    if inspect.isawaitable(made):
        made = await made
    if inspect.isasyncgen(made):
        made = await _last_async(cast("AsyncGenerator[Any, None]", made), channel)
    elif inspect.isgenerator(made):
        return await _threads.run(partial(_work, lambda: made, channel))
    return json_text(made)


async def _last_async(values: AsyncGenerator[Any, None], channel: Channel) -> Any:
    held: Any = _MISSING
    async with aclosing(values):
        async for value in values:
            if held is not _MISSING:
                await channel.progress(held)
            held = value
    return None if held is _MISSING else held


def _work(function: Callable[[], Any], channel: Channel) -> Any:
    """Run a function in its thread to the JSON of its result.

    JSON is made here, because what a function returns may belong to its thread. What is still to be awaited
    is returned as it is; nothing is raised, because a future cannot hold every exception.
    """
    try:
        channel.check()
        made = function()
        if inspect.isgenerator(made):
            made = _last(cast("Generator[Any, Any, Any]", made), channel)
        if inspect.isawaitable(made) or inspect.isasyncgen(made):
            return made
        return json_text(made)
    except BaseException as error:
        return Failed(error)


def _last(values: Generator[Any, Any, Any], channel: Channel) -> Any:
    """Return the last value of a generator: what it returns, if it does, else what it yields last."""
    held: Any = _MISSING
    with closing(values):
        while True:
            channel.check()
            try:
                value = next(values)
            except StopIteration as end:
                value = end.value
                break
            if held is not _MISSING:
                channel.wait_for(partial(channel.progress, held))
            held = value
        if value is None:
            return None if held is _MISSING else held
        if held is not _MISSING:
            channel.wait_for(partial(channel.progress, held))
        return value
