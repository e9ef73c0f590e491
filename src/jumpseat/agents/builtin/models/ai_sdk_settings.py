"""Sampling settings and provider options as request parameters of the Python ``ai`` package."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, cast

from jumpseat.agents.builtin.converters.fields import camel_case
from jumpseat.agents.builtin.language_model import ModelRequest, ToolChoice
from jumpseat.agents.builtin.settings import snake_case

__all__ = ["SAMPLING", "request_parameters"]

_PENALTIES: Final = ("presence_penalty", "frequency_penalty")
_SAMPLERS: Final = {
    "temperature": "TemperatureSamplerParams",
    "top_p": "TopPSamplerParams",
    "top_k": "TopKSamplerParams",
    "seed": "SeedSamplerParams",
}
SAMPLING: Final = frozenset({*_SAMPLERS, *_PENALTIES})
"""Settings that some providers do not support."""

_REASONING: Final = frozenset(
    {"reasoning_effort", "reasoning_summary", "thinking", "thinking_config", "effort"}
)


def request_parameters(
    models: Any, request: ModelRequest, provider: str, left_out: Collection[str], *, gateway: bool
) -> Any:
    """Return ``ai.models.InferenceRequestParams`` for a request.

    Args:
        models: The package's module ``ai.models``.
        request: What is asked for.
        provider: Whose options ``request.provider_options`` are.
        left_out: Settings that the provider does not support.
        gateway: The request goes through the AI Gateway, which passes a provider's options on.
    """
    options = {snake_case(key): value for key, value in request.provider_options.items()}
    if not request.thinking:
        options = {key: value for key, value in options.items() if key not in _REASONING}
    given: dict[str, Any] = {}
    sampling = _sampling(models, request, left_out)
    if sampling:
        given["sampling"] = sampling
    if "reasoning_effort" in options:
        given["reasoning"] = models.ReasoningParams(effort=options.pop("reasoning_effort"))
    output = (
        {}
        if request.settings.max_output_tokens is None
        else {"max_tokens": request.settings.max_output_tokens}
    )
    for name in ("reasoning_summary", "text_verbosity"):
        if name in options:
            output[name] = options.pop(name)
    if output:
        given["output"] = models.OutputParams(**output)
    if request.tools:
        calling = (
            {"parallel_tool_calls": options.pop("parallel_tool_calls")}
            if "parallel_tool_calls" in options
            else {}
        )
        if calling or request.tool_choice != "auto":
            given["tool_calling"] = models.ToolCallingParams(
                tool_choice=_tool_choice(models, request.tool_choice), **calling
            )
    if options:
        given["extra_body"] = (
            {"providerOptions": {provider: _renamed_keys(options, camel_case)}}
            if gateway
            else _renamed_keys(options, snake_case)
        )
    return models.InferenceRequestParams(**given)


def _sampling(models: Any, request: ModelRequest, left_out: Collection[str]) -> dict[Any, Any]:
    samplers: dict[Any, Any] = {}
    for name, kind in _SAMPLERS.items():
        value = getattr(request.settings, name)
        if value is not None and name not in left_out:
            made = getattr(models, kind)
            samplers[made] = made(**{name: value})
    penalties = {
        name: value
        for name in _PENALTIES
        if (value := getattr(request.settings, name)) is not None and name not in left_out
    }
    if penalties:
        samplers[models.RepetitionPenaltyParams] = models.RepetitionPenaltyParams(**penalties)
    return samplers


def _tool_choice(models: Any, choice: ToolChoice) -> Any:
    return models.ToolRef(choice[1]) if isinstance(choice, tuple) else models.ToolChoiceMode(choice)


def _renamed_keys(value: Any, rename: Callable[[str], str]) -> Any:
    if isinstance(value, Mapping):
        members = cast("Mapping[str, Any]", value)
        return {rename(key): _renamed_keys(member, rename) for key, member in members.items()}
    return (
        [_renamed_keys(item, rename) for item in cast("list[Any]", value)]
        if isinstance(value, list)
        else value
    )
