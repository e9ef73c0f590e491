"""Calls a factory and gives the stream that it returned, in whatever form it did."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Final, cast

from jumpseat.agents.builtin.converters.base import Converter
from jumpseat.agents.builtin.factory.context import FactoryContext
from jumpseat.agents.builtin.factory.types import Factory
from jumpseat.agents.builtin.failures import AgentFailure
from jumpseat.protocol.inputs import RunAgentInput

__all__ = ["open_stream"]

_EVENT_FIELDS: Final = ("full_stream", "fullStream", "stream_events")


async def open_stream(
    factory: Factory, context: FactoryContext, given: RunAgentInput, stack: AsyncExitStack
) -> Converter:
    """Call the factory and return the converter of its stream; ``stack`` closes what it opened.

    Raises:
        AgentFailure: It returned no stream.
    """
    # On the loop, also when it is not async: libraries begin tasks in the calls that it makes.
    returned: Any = factory.function(context)
    if not _is_stream(returned) and inspect.isawaitable(returned):
        returned = await returned
    if not _is_stream(returned) and isinstance(returned, AbstractAsyncContextManager):
        returned = await stack.enter_async_context(cast("AbstractAsyncContextManager[Any]", returned))
    try:
        if returned is None:
            raise TypeError("a stream")
        return factory.convert(returned, given)
    except TypeError as error:
        found = "nothing" if returned is None else type(returned).__name__
        raise AgentFailure(
            "agent_error",
            f'The factory returned {found}; with type="{factory.type}" it must return {error}',
        ) from error


def _is_stream(value: object) -> bool:
    return isinstance(value, AsyncIterable) or any(hasattr(value, name) for name in _EVENT_FIELDS)
