"""Model strings such as ``openai/gpt-5``: what they mean, and what is wrong with those that mean nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from jumpseat.agents.builtin.models.providers import Provider, find_provider, other_names
from jumpseat.errors import ModelSpecError

__all__ = ["ModelSpec", "parse_spec"]

_SEPARATOR: Final = re.compile("[/:]")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model string taken apart: who serves the model, and the provider's own name of it."""

    provider: Provider
    model: str


def parse_spec(spec: str) -> ModelSpec:
    """Take ``provider/model`` or ``provider:model`` apart. No provider's library is imported.

    Raises:
        ModelSpecError: It has no provider or no model, or nobody knows the provider.
    """
    separator = _SEPARATOR.search(spec)
    name = spec[: separator.start()].strip().lower() if separator else ""
    model = spec[separator.end() :] if separator else ""
    if not name or not model.strip():
        raise ModelSpecError(
            f'Invalid model string "{spec}". Use "openai/gpt-5", "anthropic/claude-sonnet-4.5", '
            'or "google/gemini-2.5-pro".'
        )
    provider = find_provider(name)
    if provider is None:
        raise ModelSpecError(
            f'Unknown provider "{name}" in "{spec}". Supported: openai, anthropic, google (gemini), '
            + ", ".join(other_names())
        )
    return ModelSpec(provider, model)
