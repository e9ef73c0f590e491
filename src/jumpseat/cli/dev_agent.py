"""Chooses what `jumpseat dev` serves when it is given nothing: a model whose key is there, or the demo."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from jumpseat.agents.base import Agent
from jumpseat.agents.builtin import BuiltInAgent
from jumpseat.agents.builtin.models.providers import Provider, find_provider
from jumpseat.agents.builtin.models.specs import parse_spec
from jumpseat.cli.demo import DemoAgent
from jumpseat.errors import ConfigurationError, MissingDependencyError, ModelSpecError
from jumpseat.transcription import OpenAITranscriptionService

__all__ = ["DevAgent", "choose_agent"]

_MODEL_VARIABLE: Final = "JUMPSEAT_MODEL"

# In the order of preference: a provider, and a model of it that answers well and fast.
_DEFAULTS: Final = (
    ("openai", "gpt-5"),
    ("anthropic", "claude-sonnet-5"),
    ("google", "gemini-flash-latest"),
)
_DEMO: Final = (
    "the demo agent (a script, no model: none of OPENAI_API_KEY, ANTHROPIC_API_KEY and GOOGLE_API_KEY is set)"
)
_DEMO_INSTEAD: Final = "the demo agent (a script, no model)"

_MAX_STEPS: Final = 8
_PROMPT: Final = """\
You are a helpful assistant in a chat page. Answer briefly, in Markdown. Next to the chat the person sees the
state that you and the page share: keep lists, plans and notes there when you are asked for such things."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DevAgent:
    """What to serve.

    Attributes:
        agent: Answers.
        model: Its model string; ``""`` for the demo agent.
        what: What it is and why, in words; never a key.
        notes: Why a model that somebody may expect is not served, and what to do about it.
        transcription: Turns speech into text, when there is a key for that.
    """

    agent: Agent
    model: str
    what: str
    notes: tuple[str, ...] = ()
    transcription: OpenAITranscriptionService | None = None


def choose_agent() -> DevAgent:
    """Return the agent that the environment has a key for, or the demo agent.

    Raises:
        ConfigurationError: ``JUMPSEAT_MODEL`` names no model, or an address in the environment is none.
    """
    notes: list[str] = []
    transcription = _transcription()
    for spec, provider, reason in _candidates():
        if provider.needs_key and provider.key() is None:
            notes.append(f"{spec} is not served, although {reason}: set {provider.key_variables[0]} as well")
            continue
        try:
            agent = _answering_with(spec)
        except MissingDependencyError as missing:
            notes.append(f"{spec} is not served, although {reason}: {missing}")
            continue
        what = f"{spec} (a BuiltInAgent, because {reason})"
        return DevAgent(agent=agent, model=spec, what=what, notes=tuple(notes), transcription=transcription)
    what = _DEMO_INSTEAD if notes else _DEMO
    return DevAgent(agent=DemoAgent(), model="", what=what, notes=tuple(notes), transcription=transcription)


def _answering_with(spec: str) -> BuiltInAgent:
    return BuiltInAgent(
        model=spec,
        prompt=_PROMPT,
        max_steps=_MAX_STEPS,
        name="assistant",
        description=f"Answers with {spec}.",
    )


def _candidates() -> Iterator[tuple[str, Provider, str]]:
    """Yield model strings, their providers, and why they were thought of."""
    named = os.environ.get(_MODEL_VARIABLE, "").strip()
    if named:
        try:
            yield named, parse_spec(named).provider, f"{_MODEL_VARIABLE} is set"
        except ModelSpecError as error:
            raise ConfigurationError(f"{_MODEL_VARIABLE}: {error}") from error
        return
    for name, model in _DEFAULTS:
        provider = find_provider(name)
        variable = _variable_of_key(provider) if provider is not None else None
        if provider is not None and variable is not None:
            yield f"{name}/{model}", provider, f"{variable} is set"


def _variable_of_key(provider: Provider) -> str | None:
    return next((name for name in provider.key_variables if os.environ.get(name, "").strip()), None)


def _transcription() -> OpenAITranscriptionService | None:
    if not os.environ.get("OPENAI_API_KEY", "").strip():
        return None
    address = os.environ.get("OPENAI_BASE_URL", "").strip()
    return OpenAITranscriptionService(base_url=address) if address else OpenAITranscriptionService()
