"""BuiltInAgent: calls a model with tools, or turns the stream of the developer's own call into events."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final, Unpack, cast

from jumpseat.agents.base import Agent
from jumpseat.agents.builtin.execution import Emit, Execution, Work
from jumpseat.agents.builtin.factory.run import FactoryRun
from jumpseat.agents.builtin.factory.types import TYPES, Factory, checked_factory
from jumpseat.agents.builtin.options import (
    SimpleKeywords,
    SimpleOptions,
    all_options,
    checked_capabilities,
    simple_options,
)
from jumpseat.agents.builtin.settings import snake_case
from jumpseat.agents.builtin.simple_run import SimpleRun
from jumpseat.agents.builtin.tracing import prepare_tracing, trace_of
from jumpseat.context import RunContext
from jumpseat.errors import ConfigurationError
from jumpseat.protocol.events import Event
from jumpseat.protocol.inputs import RunAgentInput

__all__ = ["BuiltInAgent"]

logger = logging.getLogger("jumpseat")

INFERRED_CAPABILITIES: Final[Mapping[str, Any]] = {
    "tools": {"supported": True, "clientProvided": True},
    "transport": {"streaming": True},
    "humanInTheLoop": {"interrupts": True},
}


class BuiltInAgent(Agent):
    """The agent that ships with Jumpseat. One object serves any number of runs at once.

    With ``model`` it calls the model itself: it streams text and reasoning, runs server tools and MCP tools,
    leaves the front end's tools to the front end, edits the shared state, asks for approval, and takes care
    that every call has a result. With ``factory`` the developer makes the call and the agent converts its
    stream; ``type`` says what kind of stream that is.

    Every failure ends a run with one RUN_ERROR whose code is one of ``authentication_error``,
    ``rate_limit``, ``context_length``, ``content_filter``, ``timeout``, ``invalid_request``,
    ``provider_error``, ``mcp_error`` and ``agent_error``.
    """

    def __init__(
        self,
        *,
        model: str | object | None = None,
        factory: Callable[..., Any] | None = None,
        type: str = "custom",  # noqa: A002 - the name people know
        name: str = "",
        description: str = "",
        expose_usage: bool = True,
        **options: Unpack[SimpleKeywords],
    ) -> None:
        """Check every option; no provider is imported, nothing is connected.

        Args:
            model: ``"provider/model"``, a model object of pydantic-ai, LangChain or the ``ai`` package, or
                anything with the ``stream`` method of ``LanguageModel``.
            factory: Makes the call instead; it gets one ``FactoryContext``.
            type: What the factory returns: ``custom``, ``agui``, ``tanstack``, ``aisdk``, ``pydantic_ai``,
                ``langchain``, ``openai``, ``anthropic`` or ``openai_agents``.
            name: Shown in logs.
            description: Shown to clients.
            expose_usage: Send token counts with the end of a run; they are on its record anyway.
            **options: For ``model``; see ``SimpleKeywords``. A factory ignores them, with a warning.

        Raises:
            ConfigurationError: An option cannot work; the message names it.
            MissingDependencyError: The package for the model is not installed; the message has the line.
            TypeError: There is no such option.
        """
        given = all_options(options)
        _check_own(name=name, description=description, expose_usage=expose_usage)
        prepare_tracing()
        self.name = name
        self.description = description
        self._expose_usage = expose_usage
        self._running: set[Execution] = set()
        self._capabilities = {**INFERRED_CAPABILITIES}
        self._factory: Factory | None = None
        self._simple: SimpleOptions | None = None
        if factory is not None:
            self._factory = checked_factory(factory, type)
            _warn_of_ignored({"model": model, **options})
            return
        if not isinstance(cast("object", type), str) or type not in TYPES:
            raise ConfigurationError(f"Unknown agent config type: {type}")
        if model is None:
            raise ConfigurationError(
                'BuiltInAgent needs a model, for example model="openai/gpt-5", or a factory'
            )
        self._capabilities.update(checked_capabilities(given["capabilities"]))
        self._simple = simple_options(model, given)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> BuiltInAgent:
        """Return an agent from a mapping; its keys may be camelCase, as configurations for Node.js have them.

        Raises:
            TypeError: A key is no option, or is there in both spellings.
        """
        options: dict[str, Any] = {}
        for key, value in config.items():
            name = _option(key)
            if name in options:
                raise TypeError(f"the configuration has {name!r} in both spellings")
            options[name] = value
        return cls(**options)

    async def run(self, input: RunAgentInput, context: RunContext) -> AsyncIterator[Event]:  # noqa: A002
        """Execute one run: RUN_STARTED, its events, and one terminal; no terminal after an abort.

        Closing the iterator aborts the run: the request to the model is closed, tools are cancelled.
        """
        execution = Execution(lambda emit: self._work(input, context, emit), input, context)
        self._running.add(execution)
        try:
            async with aclosing(execution.events()) as events:
                async for event in events:
                    yield event
        finally:
            self._running.discard(execution)

    def abort_run(self, thread_id: str | None = None, run_id: str | None = None) -> int:
        """Abort the runs of this agent that match, all by default, and return how many there were.

        It may be called from any thread, a tool's among them.
        """
        found = [
            execution
            for execution in tuple(self._running)
            if thread_id in (None, execution.given.thread_id) and run_id in (None, execution.given.run_id)
        ]
        for execution in found:
            execution.abort()
        return len(found)

    async def capabilities(self) -> Mapping[str, Any] | None:
        """Return what a client can rely on."""
        return self._capabilities

    async def warmup(self) -> None:
        """Import what the first run needs, in a thread."""
        if self._simple is not None:
            await self._simple.models.warmup()
            if self._simple.mcp is not None:
                await self._simple.mcp.warmup()

    async def aclose(self) -> None:
        """Close the connections to the model's provider."""
        if self._simple is not None:
            await self._simple.models.aclose()

    def _work(self, given: RunAgentInput, context: RunContext, emit: Emit) -> Work:
        if self._simple is not None:
            return SimpleRun(
                self._simple, given, context, emit, agent=self.name, expose_usage=self._expose_usage
            )
        assert self._factory is not None
        trace = trace_of(context, self.name)
        return FactoryRun(self._factory, given, context, emit, trace=trace, expose_usage=self._expose_usage)


def _check_own(*, name: object, description: object, expose_usage: object) -> None:
    for option, value in (("name", name), ("description", description)):
        if not isinstance(value, str):
            raise ConfigurationError(f"{option} must be a string, not {value!r}")
    if not isinstance(expose_usage, bool):
        raise ConfigurationError(f"expose_usage must be True or False, not {expose_usage!r}")


def _warn_of_ignored(given: Mapping[str, Any]) -> None:
    ignored = [name for name, value in given.items() if value is not None]
    if ignored:
        logger.warning(
            "BuiltInAgent: the factory makes the call, so these options are ignored: %s", ", ".join(ignored)
        )


def _option(key: str) -> str:
    known = {"mcpServers": "mcp_servers", "mcpClients": "mcp_clients"}
    return known.get(key, snake_case(key))
