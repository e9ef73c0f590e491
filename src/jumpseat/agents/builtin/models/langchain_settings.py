"""Tools, sampling settings and provider options as what LangChain's chat models take."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final, cast

from jumpseat.agents.builtin.language_model import ModelRequest, ModelTool, ToolChoice
from jumpseat.agents.builtin.settings import snake_case

__all__ = ["LangChainSettings"]

logger = logging.getLogger("jumpseat")

# The packages do not agree on names: the first one that a model has is meant.
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "max_output_tokens": ("max_tokens", "max_output_tokens", "max_completion_tokens", "num_predict"),
    "temperature": ("temperature",),
    "top_p": ("top_p",),
    "top_k": ("top_k",),
    "presence_penalty": ("presence_penalty",),
    "frequency_penalty": ("frequency_penalty",),
    "seed": ("seed", "random_seed"),
}
_REASONING: Final = frozenset({"reasoning", "reasoning_effort", "thinking", "effort", "thinking_budget"})


class LangChainSettings:
    """What one model takes, and what it was already warned about.

    Args:
        model: The model, perhaps with settings bound to it.
        inner: The chat model itself.
        provider: Who answers.
    """

    def __init__(self, model: Any, inner: Any, provider: str) -> None:
        self._model = model
        self._inner = inner
        self._provider = provider
        self._known = frozenset(
            cast("Mapping[str, Any]", getattr(cast("Any", type(inner)), "model_fields", {}))
        )
        self._warned: set[str] = set()

    def apply(self, request: ModelRequest) -> tuple[Any, dict[str, Any]]:
        """Return the model to ask, and the options to ask it with."""
        options = cast("dict[str, Any]", _snake_keys(dict(request.provider_options)))
        if not request.thinking:
            options = {key: value for key, value in options.items() if key not in _REASONING}
        for name, candidates in _NAMES.items():
            value = getattr(request.settings, name)
            if value is None:
                continue
            target = next((candidate for candidate in candidates if candidate in self._known), None)
            if target is None:
                self._warn(name, f"{self._name} has no setting {name}, which is left out")
            else:
                options.setdefault(target, value)
        if request.settings.stop_sequences:
            options["stop"] = request.settings.stop_sequences
        asked = self._with_tools(self._thinking_or_not(request), request)
        return _rewrapped(self._model, asked), options

    @property
    def _name(self) -> str:
        return type(self._inner).__name__

    def _thinking_or_not(self, request: ModelRequest) -> Any:
        fields = () if request.thinking else _REASONING & self._known
        off = {name: None for name in fields if getattr(self._inner, name) is not None}
        return self._inner.model_copy(update=off) if off else self._inner

    def _with_tools(self, model: Any, request: ModelRequest) -> Any:
        if not request.tools:
            return model
        tools = [self._tool(tool) for tool in request.tools]
        choice = self._choice(request.tool_choice)
        try:
            return model.bind_tools(tools, **({} if choice is None else {"tool_choice": choice}))
        except (AttributeError, NotImplementedError):
            # What models have that cannot call tools.
            self._warn("tools", f"{self._name} cannot call tools, which are left out")
            return model

    def _tool(self, tool: ModelTool) -> dict[str, Any]:
        function: dict[str, Any] = {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        }
        if self._provider == "openai":
            # Without a word this provider rewrites schemas into its stricter form.
            function["strict"] = tool.strict
        return {"type": "function", "function": function}

    def _choice(self, choice: ToolChoice) -> Any:
        if isinstance(choice, tuple):
            return choice[1]
        if choice == "none":
            # Any text but two is the name of a tool to this package.
            return {"type": "none"} if self._provider == "anthropic" else "none"
        return "any" if choice == "required" else None

    def _warn(self, about: str, text: str) -> None:
        if about not in self._warned:
            self._warned.add(about)
            logger.warning("%s", text)


def _rewrapped(model: Any, inner: Any) -> Any:
    """Return the model with everything that was bound around the chat model in it."""
    bound = getattr(model, "bound", None)
    return inner if bound is None else model.model_copy(update={"bound": _rewrapped(bound, inner)})


def _snake_keys(value: Any) -> Any:
    if isinstance(value, Mapping):
        members = cast("Mapping[str, Any]", value)
        return {snake_case(key): _snake_keys(member) for key, member in members.items()}
    if isinstance(value, list):
        return [_snake_keys(item) for item in cast("list[Any]", value)]
    return value
