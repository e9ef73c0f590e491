"""Sampling settings and provider options under the names that pydantic-ai's models know."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final, cast

from jumpseat.agents.builtin.language_model import ModelRequest, ModelSettings

__all__ = ["upstream_settings"]

_logger: Final = logging.getLogger("jumpseat")

_NAMES: Final[Mapping[str, str]] = {
    "max_output_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "stop_sequences": "stop_sequences",
    "seed": "seed",
    "max_retries": "max_retries",
    # The one that covers the whole request; the other is a limit for each read.
    "timeout": "request_timeout",
}
_ENFORCED_BY_THE_LIBRARY: Final = frozenset({"request_timeout"})
_QUIETLY_DROPPED: Final = frozenset({"max_retries"})
_SAMPLING: Final = frozenset({"temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty"})
# Keys in these are the developer's own words.
_VERBATIM: Final = frozenset({"metadata", "labels", "logit_bias", "extra_body", "extra_headers"})
_HUMP: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")
_THINKING: Final = re.compile(r"thinking|reasoning|effort")

_MOST_TOLD: Final = 1_000
_told: set[tuple[str, str]] = set()


def upstream_settings(request: ModelRequest, model: Any, *, thinking: bool) -> dict[str, Any]:
    """Return the settings of a request; what the model does not support is dropped with one warning each.

    ``thinking``: False when the provider must not think.
    """
    serving = _serving(model)
    settings = _options(request.provider_options, serving)
    unsupported = _unsupported(serving)
    for name, value in _given(request.settings):
        if name not in unsupported or name in _ENFORCED_BY_THE_LIBRARY:
            settings[name] = value
        elif name not in _QUIETLY_DROPPED:
            _warn(serving, name)
    for name in _refused_sampling(serving.profile, settings, thinking=thinking):
        del settings[name]
        _warn(serving, name)
    choice = request.tool_choice
    if choice != "auto" and request.tools:
        settings["tool_choice"] = [choice[1]] if isinstance(choice, tuple) else choice
    if not thinking:
        for name in [name for name in settings if _THINKING.search(name)]:
            del settings[name]
        settings["thinking"] = False
    return settings


def _given(settings: ModelSettings) -> Iterable[tuple[str, Any]]:
    for own, name in _NAMES.items():
        value = getattr(settings, own)
        if value is not None:
            yield name, value


def _refused_sampling(
    profile: Mapping[str, Any], settings: Mapping[str, Any], *, thinking: bool
) -> list[str]:
    """The settings that a model does not take, or not while it thinks."""
    given = [name for name in settings if name in _SAMPLING]
    if not given:
        return []
    if profile.get("openai_supports_reasoning"):
        efforts = profile.get("openai_reasoning_efforts")
        can_stop = (
            profile.get("openai_supports_reasoning_effort_none") if efforts is None else "none" in efforts
        )
        effort = settings.get("openai_reasoning_effort") if thinking else None
        thinks = effort != "none" if effort is not None else profile.get("thinking_enabled_by_default")
        return given if not can_stop or (thinks and thinking) else []
    if profile.get("anthropic_disallows_sampling_settings"):
        return given
    thought = settings.get("anthropic_thinking") if thinking else None
    if isinstance(thought, Mapping) and cast("Mapping[str, Any]", thought).get("type") != "disabled":
        return [name for name in given if name != "top_p"]
    return []


def _serving(model: Any) -> Any:
    """The model that sends the requests, behind those that only wrap it."""
    for _ in range(8):
        inner = getattr(model, "wrapped", None) or next(iter(getattr(model, "models", None) or ()), None)
        if inner is None:
            break
        model = inner
    return model


def _unsupported(model: Any) -> frozenset[str]:
    by_profile = cast("Iterable[str]", model.profile.get("openai_unsupported_model_settings") or ())
    return frozenset(cast("Iterable[str]", getattr(model, "unsupported_settings", ()))) | frozenset(
        by_profile
    )


def _options(options: Mapping[str, Any], model: Any) -> dict[str, Any]:
    if not options:
        return {}
    known, prefixes = _known(model.__class__)
    settings: dict[str, Any] = {}
    for key, value in options.items():
        plain = _snake(key)
        name = next((name for prefix in prefixes if (name := prefix + plain) in known), None)
        if name is None:
            _warn(model, key)
        else:
            settings[name] = value if plain in _VERBATIM else _snake_keys(value)
    return settings


@cache
def _known(kind: type) -> tuple[frozenset[str], tuple[str, ...]]:
    """The settings that a class of models knows, and what their names may begin with, the surest first."""
    names: set[str] = set()
    prefixes: list[str] = []
    for base in kind.__mro__:
        module = sys.modules.get(base.__module__)
        if module is None or not base.__module__.startswith("pydantic_ai."):
            continue
        for name, member in list(vars(module).items()):
            if name.endswith("ModelSettings") and isinstance(member, type):
                names.update(cast("Any", member).__annotations__)
        prefixes.append(f"{base.__module__.removeprefix('pydantic_ai.models.').partition('.')[0]}_")
    return frozenset(names), (*dict.fromkeys(prefixes), "")


def _snake(name: str) -> str:
    return _HUMP.sub(r"_\1", name).lower()


def _snake_keys(value: Any) -> Any:
    if isinstance(value, Mapping):
        members = cast("Mapping[str, Any]", value)
        return {
            (plain := _snake(key)): member if plain in _VERBATIM else _snake_keys(member)
            for key, member in members.items()
        }
    return [_snake_keys(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value


def _warn(model: Any, name: str) -> None:
    subject = (f"{model.system}:{model.model_name}", name)
    if subject not in _told and len(_told) < _MOST_TOLD:
        _told.add(subject)
        _logger.warning("%s does not support the option %s: it is left out", *subject)
