"""A tool that this server runs: what the model is told of it, and how a call of it becomes an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from jumpseat.agents.builtin.failures import words_of
from jumpseat.agents.builtin.server_tools import Invocation, ToolAnswer
from jumpseat.agents.builtin.state import STATE_TOOL_NAMES, state_events
from jumpseat.agents.builtin.tools.arguments import Arguments, Bound, InvalidArguments, read_object
from jumpseat.agents.builtin.tools.channel import Channel
from jumpseat.agents.builtin.tools.context import ToolContext
from jumpseat.agents.builtin.tools.execution import Failed, is_async, run_function
from jumpseat.agents.builtin.tools.outcomes import failure, unexpected, unserializable
from jumpseat.agents.builtin.tools.results import NotSerializable
from jumpseat.errors import StatePatchError, ToolError

__all__ = ["ToolDefinition"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ToolDefinition:
    """A tool made by ``define_tool``. Calling it calls the plain function.

    Attributes:
        name: What the model calls it.
        description: What the model is told of it.
        execute: The function; ``None`` for an interrupt tool.
        interrupt: A call of it ends the run and waits for an answer from outside.
        interrupt_reason: The reason that the interrupt gives.
        interrupt_message: What the interrupt says, if anything.
        timeout: Seconds that a call may take; ``None`` is no limit.
        arguments: What it takes.
        context_name: The parameter of the function that takes the ``ToolContext``.
    """

    name: str
    description: str
    execute: Callable[..., Any] | None
    interrupt: bool = False
    interrupt_reason: str = "tool_call"
    interrupt_message: str | None = None
    timeout: float | None = None
    arguments: Arguments = field(repr=False)
    context_name: str | None = field(default=None, repr=False)
    _in_thread: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.execute is not None:
            # What tells of functions tells of this one.
            object.__setattr__(self, "__wrapped__", self.execute)
            object.__setattr__(self, "__doc__", getattr(self.execute, "__doc__", None))
            object.__setattr__(self, "__name__", getattr(self.execute, "__name__", self.name))
        object.__setattr__(self, "_in_thread", self.execute is not None and not is_async(self.execute))

    @property
    def parameters(self) -> dict[str, Any]:
        """JSON Schema of its arguments, an object at the root."""
        return self.arguments.schema

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the plain function: no check, no context, no limit."""
        if self.execute is None:
            raise TypeError(f"{self.name} is an interrupt tool and has no function")
        return self.execute(*args, **kwargs)

    async def call(self, invocation: Invocation) -> ToolAnswer:
        """Run the tool for one call.

        Whatever goes wrong in it is told in the answer; only cancellation is raised. Cancelling ends an async
        tool and closes a generator; a thread cannot be ended, its result is discarded.
        """
        if self.execute is None:
            return failure(invocation, f'Tool "{self.name}" waits for an answer from outside', "interrupt")
        try:
            bound = self.arguments.bind(read_object(invocation.arguments))
        except InvalidArguments as error:
            text = f'Invalid arguments for tool "{self.name}": {error}'
            return failure(invocation, text, "invalid_arguments")
        except Exception as error:
            # The developer's own checks may raise anything.
            return await unexpected(invocation, error)
        channel = Channel(invocation)
        limit = asyncio.timeout(self.timeout)
        try:
            async with limit:
                return await self._answer(invocation, channel, self.execute, bound)
        except Exception as error:
            # What the tool raises is an outcome: this is the limit, or a stream that takes no events.
            if not (isinstance(error, TimeoutError) and limit.expired()):
                return await unexpected(invocation, error)
            text = f'Tool "{self.name}" timed out after {self.timeout:g} s'
            return failure(invocation, text, "timeout")
        finally:
            await channel.close()

    async def _answer(
        self, invocation: Invocation, channel: Channel, execute: Callable[..., Any], bound: Bound
    ) -> ToolAnswer:
        named = bound.named
        if self.context_name is not None:
            named = {**named, self.context_name: ToolContext(channel)}
        function = partial(execute, *bound.positional, **named)
        outcome = await run_function(function, channel, in_thread=self._in_thread)
        if isinstance(outcome, Failed):
            return await _failed(invocation, outcome.error)
        if self.name in STATE_TOOL_NAMES:
            try:
                await channel.change_state(lambda: state_events(self.name, outcome, invocation.state))
            except StatePatchError as error:
                return failure(invocation, str(error), "state_patch")
        return ToolAnswer(content=outcome)


async def _failed(invocation: Invocation, error: BaseException) -> ToolAnswer:
    match error:
        case ToolError():
            return failure(invocation, words_of(error) or type(error).__name__, "tool_error")
        case NotSerializable():
            return await unserializable(invocation, error)
        case _:
            return await unexpected(invocation, error)
