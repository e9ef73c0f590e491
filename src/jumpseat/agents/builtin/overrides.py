"""What a client may change of a run through its forwarded properties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import msgspec

from jumpseat.agents.builtin.language_model import ModelSettings, ToolChoice
from jumpseat.agents.builtin.settings import (
    SETTING_CHECKS,
    parsed_tool_choice,
    snake_case,
    without_transport_options,
)
from jumpseat.protocol.inputs import RunAgentInput

__all__ = ["OVERRIDABLE", "Effective", "overridden"]

SUGGESTION_TOOL: Final = "copilotkitSuggest"
# A provider's bag may hold them too. There a client could set what it was not given to set.
_SETTINGS: Final = frozenset(
    {
        *SETTING_CHECKS,
        "max_tokens",
        "tool_choice",
        "timeout",
        "request_timeout",
        "first_event_timeout",
    }
)
# By option, the spelling that clients send.
OVERRIDABLE: Final[Mapping[str, str]] = {
    "model": "model",
    "tool_choice": "toolChoice",
    "temperature": "temperature",
    "top_p": "topP",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "max_output_tokens": "maxOutputTokens",
    "top_k": "topK",
    "seed": "seed",
    "max_retries": "maxRetries",
    "stop_sequences": "stopSequences",
    "provider_options": "providerOptions",
    "prompt": "prompt",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """What one run goes by.

    Attributes:
        model: A model string that replaces the configured model.
        prompt: A prompt that replaces the configured one.
        client_tool: A tool that the client forces because it is the client's own.
        is_suggestion: The client asks for suggestions: one forced call and nothing else.
    """

    settings: ModelSettings
    tool_choice: ToolChoice
    provider_options: Mapping[str, Any]
    model: str | None = None
    prompt: str | None = None
    client_tool: str | None = None
    is_suggestion: bool = False


def overridden(
    configured: Effective, allowed: Mapping[str, frozenset[Any] | None], given: RunAgentInput
) -> Effective:
    """Return ``configured`` with what the client may change and did; all else it sends is ignored."""
    sent: Any = given.forwarded_props
    if not isinstance(sent, Mapping):
        return configured
    props = cast("Mapping[str, Any]", sent)
    effective = configured
    for name, limit in allowed.items():
        value = props.get(OVERRIDABLE[name])
        if value is not None and _permitted(value, limit):
            effective = _changed(effective, name, value)
    return _forced_by_client(effective, given, props)


def _permitted(value: Any, limit: frozenset[Any] | None) -> bool:
    if limit is None:
        return True
    try:
        return value in limit
    except TypeError:  # a list or an object cannot be among the listed values
        return False


def _changed(effective: Effective, name: str, value: Any) -> Effective:
    if name in ("model", "prompt"):
        return replace(effective, **{name: value}) if isinstance(value, str) else effective
    if name == "tool_choice":
        choice = parsed_tool_choice(value)
        return effective if choice is None else replace(effective, tool_choice=choice)
    if name == "provider_options":
        if not isinstance(value, Mapping):
            return effective
        return replace(effective, provider_options=_options(cast("Mapping[str, Any]", value)))
    check, _ = SETTING_CHECKS[name]
    if not check(value) or (name == "max_retries" and not 0 <= value <= _MOST_RETRIES):
        return effective
    return replace(effective, settings=msgspec.structs.replace(effective.settings, **{name: value}))


def _forced_by_client(effective: Effective, given: RunAgentInput, props: Mapping[str, Any]) -> Effective:
    # A client may force a tool of its own: it makes nobody do anything but itself.
    choice = parsed_tool_choice(props.get("toolChoice"))
    names = [tool.name for tool in given.tools]
    if not isinstance(choice, tuple) or choice[1] not in names:
        return effective
    return replace(effective, client_tool=choice[1], is_suggestion=names == [SUGGESTION_TOOL])


def _options(sent: Mapping[str, Any]) -> dict[str, Any]:
    return {
        provider: {
            name: value
            for name, value in without_transport_options(bag).items()
            if snake_case(name) not in _SETTINGS
        }
        for provider, bag in sent.items()
        if isinstance(bag, Mapping)
    }


_MOST_RETRIES: Final = 10
