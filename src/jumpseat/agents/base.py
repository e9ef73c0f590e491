"""The agent contract, and the wrapping of async generator functions into it."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeAlias, cast

from jumpseat.context import RunContext
from jumpseat.errors import ConfigurationError
from jumpseat.protocol.inputs import RunAgentInput

__all__ = ["Agent", "AgentFunction", "FunctionAgent", "as_agent"]

AgentFunction: TypeAlias = Callable[[RunAgentInput, RunContext], AsyncIterator[Any]]


class Agent(ABC):
    """Base of agents that need more than a function.

    Attributes:
        name: Shown in logs; the registry key is what clients use.
        description: Shown to clients, for example in an agent picker.
        requires_terminal: A stream that ends without RUN_FINISHED or RUN_ERROR was cut (remote agents).
        on_disconnect: Overrides the runner's option: ``"continue"``, ``"cancel"`` or seconds.
    """

    name: str = ""
    description: str = ""
    requires_terminal: bool = False
    on_disconnect: str | float | None = None

    @abstractmethod
    def run(self, input: RunAgentInput, context: RunContext) -> AsyncIterator[Any]:  # noqa: A002
        """Return the stream of one run: event structs, ``ag_ui.core`` models or dicts.

        An exception ends the run with RUN_ERROR. The stream is closed when the run is stopped; work in
        ``finally`` still happens. A terminal event is optional.
        """
        ...

    async def capabilities(self) -> Mapping[str, Any] | None:
        """Return AG-UI capabilities for ``/info``; ``None`` for unknown."""
        return None

    async def warmup(self) -> None:  # noqa: B027 - optional, not abstract
        """Load what the first run would otherwise wait for."""

    async def aclose(self) -> None:  # noqa: B027 - optional, not abstract
        """Release what the agent holds; called once, at shutdown."""


class FunctionAgent(Agent):
    """An async generator function of ``(input, context)`` as an agent."""

    def __init__(self, function: AgentFunction) -> None:
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__)
        self.description = ""

    def run(self, input: RunAgentInput, context: RunContext) -> AsyncIterator[Any]:  # noqa: A002
        """Call the function."""
        return self.function(input, context)


def as_agent(entry: object, where: str) -> Agent:
    """Return ``entry`` as an agent.

    Args:
        entry: An ``Agent``, any object with a ``run(input, context)`` method, or an async generator function.
        where: How to name the entry in an error.

    Raises:
        ConfigurationError: It is none of these.
    """
    if isinstance(entry, Agent):
        return entry
    if inspect.isasyncgenfunction(entry):
        _check_parameters(entry, where)
        return FunctionAgent(cast("AgentFunction", entry))
    run = getattr(entry, "run", None)
    if callable(run) and not isinstance(entry, type):
        _check_parameters(run, f"{where}: its run")
        return _ShapedAgent(entry)
    if callable(entry) and inspect.isasyncgenfunction(getattr(entry, "__call__", None)):  # noqa: B004
        return FunctionAgent(cast("AgentFunction", entry))
    raise ConfigurationError(
        f"{where} is a {type(entry).__name__}: give an Agent, an object with run(input, context), "
        "or an async generator function of (input, context)"
    )


def _check_parameters(function: Callable[..., Any], where: str) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a built-in that tells nothing about itself
        return
    try:
        signature.bind(None, None)
    except TypeError as error:
        raise ConfigurationError(f"{where} must take (input, context), not {signature}") from error


class _ShapedAgent(Agent):
    """An object that has the shape of an agent without the base class."""

    def __init__(self, target: Any) -> None:
        self.target = target
        self.name = str(getattr(target, "name", "") or type(target).__name__)
        self.description = str(getattr(target, "description", "") or "")
        self.requires_terminal = bool(getattr(target, "requires_terminal", False))
        self.on_disconnect = getattr(target, "on_disconnect", None)

    def run(self, input: RunAgentInput, context: RunContext) -> AsyncIterator[Any]:  # noqa: A002
        return self.target.run(input, context)

    async def capabilities(self) -> Mapping[str, Any] | None:
        ask = getattr(self.target, "capabilities", None)
        answer: Any = ask() if callable(ask) else ask
        return await answer if inspect.isawaitable(answer) else answer

    async def warmup(self) -> None:
        if callable(warmup := getattr(self.target, "warmup", None)) and inspect.isawaitable(done := warmup()):
            await done

    async def aclose(self) -> None:
        if callable(close := getattr(self.target, "aclose", None)) and inspect.isawaitable(done := close()):
            await done
