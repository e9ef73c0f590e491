"""Which model answers one run, and with which key."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from jumpseat.agents.builtin.failures import AgentFailure, developer_failure
from jumpseat.agents.builtin.language_model import LanguageModel
from jumpseat.agents.builtin.models.resolving import ConfiguredModel, configured_model
from jumpseat.calling import call_user
from jumpseat.context import RunContext
from jumpseat.errors import ConfigurationError, MissingDependencyError

__all__ = ["FoundModel", "ModelOfRun"]

# Clients may choose among many models; what was made for one of them is kept for its next run.
MOST_OVERRIDES: Final = 32


@dataclass(frozen=True, slots=True)
class FoundModel:
    """The model of one run, what usage is reported under, and texts that must not leave the server."""

    language_model: LanguageModel
    provider: str
    model: str
    secrets: tuple[str, ...] = ()


class ModelOfRun:
    """Finds the model of each run of one agent.

    Args:
        configured: The agent's model.
        api_key: A key, or a callable of the run's context; only given to the configured model's provider.
    """

    def __init__(self, configured: ConfiguredModel, api_key: str | Callable[..., Any] | None) -> None:
        self._configured = configured
        self._api_key = api_key
        self._overrides: OrderedDict[str, ConfiguredModel] = OrderedDict()

    async def find(self, override: str | None, context: RunContext) -> FoundModel:
        """Return the configured model, or the one that the model string ``override`` names.

        Raises:
            AgentFailure: The string names none (``invalid_request``), there is no key
                (``authentication_error``), or the key callable failed (``agent_error``).
        """
        configured = self._configured if override is None else await self._named(override)
        key = await self._key(context) if configured.provider == self._configured.provider else None
        language_model = await configured.language_model(key)
        return FoundModel(language_model, configured.provider, configured.model, configured.secrets(key))

    async def warmup(self) -> None:
        """Import the provider's library, in a thread."""
        await self._configured.warmup()

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        for configured in (self._configured, *self._overrides.values()):
            await configured.aclose()

    async def _key(self, context: RunContext) -> str | None:
        if self._api_key is None or isinstance(self._api_key, str):
            return self._api_key
        try:
            key = await call_user(self._api_key, context)
        except Exception as error:
            raise developer_failure(error) from error
        if key is not None and not isinstance(key, str):
            raise AgentFailure("agent_error", f"api_key returned {type(key).__name__}, not a string")
        if (key is None or not key.strip()) and self._configured.needs_key:
            # The environment's key is for runs that nobody else pays for.
            raise AgentFailure("authentication_error", "api_key returned no key for this run.")
        return key or None

    async def _named(self, spec: str) -> ConfiguredModel:
        if spec in self._overrides:
            self._overrides.move_to_end(spec)
            return self._overrides[spec]
        try:
            # Looks for installed packages, which reads directories.
            made = await asyncio.to_thread(configured_model, spec)
        except (ConfigurationError, MissingDependencyError) as error:
            raise AgentFailure("invalid_request", str(error)) from error
        self._overrides[spec] = made
        if len(self._overrides) > MOST_OVERRIDES:
            _, oldest = self._overrides.popitem(last=False)
            await oldest.aclose()
        return made
