"""One converter by itself: a foreign stream as AG-UI events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from jumpseat.agents.builtin.execution import Execution
from jumpseat.agents.builtin.factory.context import FactoryContext
from jumpseat.agents.builtin.factory.run import FactoryRun
from jumpseat.agents.builtin.factory.types import Factory, converter_of
from jumpseat.context import RunContext
from jumpseat.protocol.events import Event
from jumpseat.protocol.inputs import RunAgentInput

__all__ = ["convert_stream"]


async def convert_stream(
    stream: Any,
    *,
    type: str,  # noqa: A002 - the name people know
    input: RunAgentInput,  # noqa: A002 - AG-UI's name
    context: RunContext | None = None,
) -> AsyncIterator[Event]:
    """Yield a stream of the given factory type as the events of one run, RUN_STARTED and terminal included.

    Args:
        stream: What a factory of this type returns.
        type: As for ``BuiltInAgent``.
        input: The run's input: its ids are used, and ids in its messages are not used again.
        context: The run, when there is one.

    Raises:
        ConfigurationError: The type is unknown.
    """

    def give(_: FactoryContext) -> Any:
        return stream

    factory = Factory(give, type, converter_of(type))
    run = context or RunContext(
        thread_id=input.thread_id, run_id=input.run_id, run_key=input.run_id, agent_id=""
    )
    execution = Execution(lambda emit: FactoryRun(factory, input, run, emit), input, run)
    async with aclosing(execution.events()) as events:
        async for event in events:
            yield event
