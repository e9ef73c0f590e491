"""Which agents a request may name: a fixed mapping, one that is awaited once, or a factory per request."""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias, cast

from starlette.requests import Request

from jumpseat.agents.base import Agent, as_agent
from jumpseat.calling import CallForm, call_form
from jumpseat.errors import ConfigurationError

__all__ = ["AgentRegistry", "Agents"]

AgentMap: TypeAlias = Mapping[str, Any]
Agents: TypeAlias = AgentMap | Awaitable[AgentMap] | Callable[..., AgentMap | Awaitable[AgentMap]]

_logger = logging.getLogger("jumpseat")
# The stock client puts the id of a connect into the URL as it is.
_UNSAFE_ID = re.compile(r"[/?#%]")


class AgentRegistry:
    """The ``agents`` option of a runtime."""

    def __init__(self, option: object) -> None:
        self._fixed: dict[str, Agent] | None = None
        self._awaitable: Awaitable[Any] | None = None
        self._awaiting: asyncio.Future[dict[str, Agent]] | None = None
        self._factory: CallForm | None = None
        if isinstance(option, Mapping):
            self._fixed = _as_agents(cast("object", option))
        elif inspect.isawaitable(option):
            self._awaitable = option
        elif isinstance(option, Agent) or inspect.isasyncgenfunction(option):
            raise ConfigurationError("agents is an agent: give it an id, as in agents={'default': ...}")
        elif callable(option) and not isinstance(option, type):
            self._factory = call_form(option, option="agents", names=("request",), positional=(("request",),))
        else:
            raise ConfigurationError(
                "agents must be a mapping of id to agent, an awaitable of one, or a function of the "
                f"request that returns one, not {type(option).__name__}"
            )

    async def resolve(self, request: Request) -> Mapping[str, Agent]:
        """Return the agents for ``request``.

        Raises whatever the factory or the awaitable raised, and ``ConfigurationError`` for a result that is
        no mapping of agents.
        """
        if self._fixed is not None:
            return self._fixed
        if self._factory is not None:
            return _as_agents(await self._factory({"request": request}))
        if self._awaiting is None:
            self._awaiting = asyncio.ensure_future(self._await_once())
        # Shielded: the request that asked first may be cancelled, the answer is for all.
        return await asyncio.shield(self._awaiting)

    def registered(self) -> list[Agent]:
        """Return the agents that live as long as the runtime, each once."""
        agents = self._fixed or {}
        if self._awaiting is not None and self._awaiting.done() and not self._awaiting.cancelled():
            agents = agents if self._awaiting.exception() else self._awaiting.result()
        return list({id(agent): agent for agent in agents.values()}.values())

    def close(self) -> None:
        """Stop waiting for an awaitable that has not answered."""
        if self._awaiting is not None and not self._awaiting.done():
            self._awaiting.cancel()
        if inspect.iscoroutine(self._awaitable) and self._awaiting is None:
            self._awaitable.close()

    async def _await_once(self) -> dict[str, Agent]:
        assert self._awaitable is not None
        return _as_agents(await self._awaitable)


def _as_agents(mapping: object) -> dict[str, Agent]:
    if not isinstance(mapping, Mapping):
        raise ConfigurationError(f"agents must be a mapping of id to agent, not {type(mapping).__name__}")
    agents: dict[str, Agent] = {}
    for agent_id, entry in cast("Mapping[object, object]", mapping).items():
        if not isinstance(agent_id, str) or not agent_id:
            raise ConfigurationError(f"agents: an id must be a non-empty string, not {agent_id!r}")
        agents[agent_id] = as_agent(entry, f"agents[{agent_id!r}]")
        if _UNSAFE_ID.search(agent_id):
            _warn_unsafe(agent_id)
    return agents


_warned: set[str] = set()


def _warn_unsafe(agent_id: str) -> None:
    if agent_id not in _warned and len(_warned) < 1000:
        _warned.add(agent_id)
        _logger.warning(
            "agent id %r contains one of / ? # %%: browsers will not find it when they connect", agent_id
        )
