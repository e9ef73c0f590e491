"""The options of a BuiltInAgent that calls a model itself: checked once, at construction."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypedDict, cast

from jumpseat.agents.builtin.language_model import ModelSettings, ToolChoice
from jumpseat.agents.builtin.mcp_tools import MCPTools, check_on_failure
from jumpseat.agents.builtin.model_of_run import ModelOfRun
from jumpseat.agents.builtin.models.resolving import configured_model
from jumpseat.agents.builtin.overrides import OVERRIDABLE
from jumpseat.agents.builtin.settings import (
    SETTING_CHECKS,
    is_finite_number,
    is_integer,
    parsed_tool_choice,
    snake_case,
)
from jumpseat.agents.builtin.state import STATE_TOOL_NAMES
from jumpseat.agents.builtin.tools import ToolDefinition, state_tools
from jumpseat.errors import ConfigurationError
from jumpseat.mcp import MCPPool, MCPServer

__all__ = [
    "DEFAULTS",
    "SimpleKeywords",
    "SimpleOptions",
    "all_options",
    "checked_capabilities",
    "simple_options",
]

logger = logging.getLogger("jumpseat")

DEFAULT_RETRIES: Final = 2
DEFAULT_CONCURRENT_TOOLS: Final = 16


class SimpleKeywords(TypedDict, total=False):
    """The options of a ``BuiltInAgent`` that calls a model itself.

    Attributes:
        api_key: The key, or ``callable(context)`` that returns it for each run. By default the provider's
            environment variable.
        max_steps: How many generations a run may take. Without it one: server tools are called, and the
            model does not see their results in this run.
        tool_choice: ``"auto"``, ``"required"``, ``"none"`` or ``{"type": "tool", "toolName": NAME}``; holds
            for the first generation of a run.
        max_output_tokens: Longest answer, in tokens.
        temperature: As the provider defines it; so are ``top_p``, ``top_k``, ``presence_penalty``,
            ``frequency_penalty``, ``stop_sequences`` and ``seed``. What a provider does not know is left out
            with a warning.
        max_retries: How often a request is sent again before the first byte of its answer; 2 by default.
        timeout: Seconds for one request to the model; by default the provider's.
        prompt: The system prompt, or ``callable(input, context)`` that returns it.
        tools: What ``define_tool`` returned.
        state_tools: Let the model edit the shared state; on by default.
        max_concurrent_tools: How many tools of one run work at the same time; 16 by default.
        mcp_servers: MCP servers to connect to, each an ``MCPServer`` or a mapping.
        mcp_clients: MCP clients that the developer opens and closes.
        mcp_pool: Keeps MCP connections open between runs.
        on_mcp_failure: What an unreachable MCP server does: ``"log"`` (the default), ``"event"`` or
            ``"fail"``.
        forward_system_messages: Keep the thread's system messages.
        forward_developer_messages: Keep the thread's developer messages, as system messages.
        provider_options: Options of one provider: ``{"openai": {"reasoning_effort": "high"}}``.
        overridable_properties: What clients may override through ``forwardedProps``: names, or
            ``{name: allowed values}``.
        capabilities: Replaces inferred AG-UI capabilities, by top-level category.
    """

    api_key: str | Callable[..., Any] | None
    max_steps: int | None
    tool_choice: str | Mapping[str, Any] | None
    max_output_tokens: int | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    presence_penalty: float | None
    frequency_penalty: float | None
    stop_sequences: Sequence[str] | None
    seed: int | None
    max_retries: int | None
    timeout: float | None
    prompt: str | Callable[..., Any] | None
    tools: Sequence[ToolDefinition]
    state_tools: bool
    max_concurrent_tools: int
    mcp_servers: Sequence[Mapping[str, Any] | MCPServer]
    mcp_clients: Sequence[object]
    mcp_pool: MCPPool | None
    on_mcp_failure: str
    forward_system_messages: bool
    forward_developer_messages: bool
    provider_options: Mapping[str, Any] | None
    overridable_properties: Sequence[str] | Mapping[str, Any]
    capabilities: Mapping[str, Any] | None


DEFAULTS: Final[Mapping[str, Any]] = {
    **dict.fromkeys(SimpleKeywords.__annotations__),
    "tools": (),
    "state_tools": True,
    "max_concurrent_tools": DEFAULT_CONCURRENT_TOOLS,
    "mcp_servers": (),
    "mcp_clients": (),
    "on_mcp_failure": "log",
    "forward_system_messages": False,
    "forward_developer_messages": False,
    "overridable_properties": (),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SimpleOptions:
    """What a simple-mode agent was configured with."""

    models: ModelOfRun
    max_steps: int
    tool_choice: ToolChoice
    settings: ModelSettings
    prompt: str | Callable[..., Any] | None
    tools: tuple[ToolDefinition, ...]
    max_concurrent_tools: int
    mcp: MCPTools | None
    on_mcp_failure: str
    forward_system_messages: bool
    forward_developer_messages: bool
    provider_options: Mapping[str, Any]
    overridable: Mapping[str, frozenset[Any] | None]
    has_state_tools: bool


def all_options(given: SimpleKeywords) -> dict[str, Any]:
    """Return the options with the defaults of those that are not given; lists that are ``None`` are empty.

    Raises:
        TypeError: There is no such option.
    """
    for name in given:
        if name not in DEFAULTS:
            raise TypeError(f"BuiltInAgent() got an unexpected keyword argument {name!r}")
    named = {name: value for name, value in given.items() if value is not None}
    return {**DEFAULTS, **named}


def simple_options(model: object, given: Mapping[str, Any]) -> SimpleOptions:
    """Return what ``all_options`` gave, checked.

    Raises:
        ConfigurationError: One of them cannot work; the message names it.
    """
    api_key, prompt = given["api_key"], given["prompt"]
    if api_key is not None and not isinstance(api_key, str) and not callable(api_key):
        raise ConfigurationError("api_key must be a string or a callable(context) that returns one")
    if prompt is not None and not isinstance(prompt, str) and not callable(prompt):
        raise ConfigurationError("prompt must be a string or a callable(input, context) that returns one")
    own = _tools(given["tools"], given["state_tools"])
    if given["max_steps"] is None and any(not tool.interrupt for tool in given["tools"]):
        logger.warning(
            "BuiltInAgent: tools without max_steps: a run ends when they have run, and the model never sees "
            "what they return. Set max_steps, for example max_steps=5 (or 1, if that is meant)."
        )
    return SimpleOptions(
        models=ModelOfRun(configured_model(model, api_key=api_key), api_key),
        max_steps=_max_steps(given["max_steps"]),
        tool_choice=_tool_choice(given["tool_choice"]),
        settings=_settings(given),
        prompt=prompt,
        tools=own,
        max_concurrent_tools=_positive("max_concurrent_tools", given["max_concurrent_tools"]),
        mcp=_mcp(given),
        on_mcp_failure=given["on_mcp_failure"],
        forward_system_messages=_flag("forward_system_messages", given),
        forward_developer_messages=_flag("forward_developer_messages", given),
        provider_options=_provider_options(given["provider_options"]),
        overridable=_overridable(given["overridable_properties"]),
        has_state_tools=_flag("state_tools", given),
    )


def checked_capabilities(value: Any) -> Mapping[str, Any]:
    """Return capabilities by category.

    Raises:
        ConfigurationError: They are no mapping.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigurationError('capabilities must be a mapping such as {"tools": {"supported": True}}')
    return cast("Mapping[str, Any]", value)


def _max_steps(value: Any) -> int:
    if value is None:
        return 1
    if not is_integer(value) or value < 0:
        raise ConfigurationError(f"max_steps must be an integer of at least 0, not {value!r}")
    return max(value, 1)


def _tool_choice(value: Any) -> ToolChoice:
    if value is None:
        return "auto"
    choice = parsed_tool_choice(value)
    if choice is None:
        raise ConfigurationError(
            'tool_choice must be "auto", "required", "none" or {"type": "tool", "toolName": NAME}, '
            f"not {value!r}"
        )
    return choice


def _settings(given: Mapping[str, Any]) -> ModelSettings:
    values: dict[str, Any] = {}
    for name, (check, wanted) in SETTING_CHECKS.items():
        value = given[name]
        if value is None:
            continue
        if not check(value):
            raise ConfigurationError(f"{name} must be {wanted}, not {value!r}")
        values[name] = list(value) if name == "stop_sequences" else value
    retries = values.setdefault("max_retries", DEFAULT_RETRIES)
    if retries < 0:
        raise ConfigurationError(f"max_retries must be at least 0, not {retries}")
    timeout = given["timeout"]
    if timeout is not None and not (is_finite_number(timeout) and timeout > 0):
        raise ConfigurationError(f"timeout must be a number of seconds above 0, not {timeout!r}")
    return ModelSettings(timeout=timeout, **values)


def _tools(given: Any, with_state: Any) -> tuple[ToolDefinition, ...]:
    if isinstance(given, ToolDefinition) or not isinstance(given, Sequence):
        raise ConfigurationError("tools must be a list of what define_tool returns")
    own: dict[str, ToolDefinition] = {}
    for tool in cast("Sequence[object]", given):
        if not isinstance(tool, ToolDefinition):
            raise ConfigurationError(
                f"tools must hold what define_tool returns, not {type(tool).__name__}: "
                "put @define_tool above the function"
            )
        if tool.name in own:
            raise ConfigurationError(f"tools has two tools of the name {tool.name!r}")
        if with_state and tool.name in STATE_TOOL_NAMES:
            raise ConfigurationError(
                f"tools has a tool of the reserved name {tool.name!r}: rename it or give state_tools=False"
            )
        own[tool.name] = tool
    return (*own.values(), *(state_tools() if with_state else ()))


def _mcp(given: Mapping[str, Any]) -> MCPTools | None:
    check_on_failure(given["on_mcp_failure"])
    if not given["mcp_servers"] and not given["mcp_clients"]:
        return None
    return MCPTools(
        servers=given["mcp_servers"],
        clients=given["mcp_clients"],
        pool=given["mcp_pool"],
        on_failure=given["on_mcp_failure"],
    )


def _provider_options(value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigurationError('provider_options must be a mapping such as {"openai": {...}}')
    options = cast("Mapping[str, Any]", value)
    for provider, bag in options.items():
        if not isinstance(bag, Mapping):
            raise ConfigurationError(
                f"provider_options[{provider!r}] must be a mapping, not {type(bag).__name__}"
            )
    return options


def _overridable(value: Any) -> dict[str, frozenset[Any] | None]:
    if isinstance(value, str) or not isinstance(value, Sequence | set | frozenset | Mapping):
        raise ConfigurationError("overridable_properties must be a list of names, or {name: allowed values}")
    allowed: dict[str, frozenset[Any] | None] = {}
    for name in cast("Sequence[object]", value):
        known = snake_case(name) if isinstance(name, str) else ""
        if known not in OVERRIDABLE:
            raise ConfigurationError(
                f"overridable_properties: {name!r} cannot be overridden by clients; these can: "
                + ", ".join(OVERRIDABLE)
            )
        allowed[known] = None
        if isinstance(value, Mapping):
            allowed[known] = _allowed_values(known, cast("Mapping[Any, Any]", value)[name])
    return allowed


def _allowed_values(name: str, values: Any) -> frozenset[Any] | None:
    if values is None or values is True:
        return None
    if isinstance(values, str) or not isinstance(values, Sequence | set | frozenset):
        raise ConfigurationError(f"overridable_properties[{name!r}] must be a list of allowed values")
    try:
        return frozenset(cast("Sequence[Any]", values))
    except TypeError as error:
        raise ConfigurationError(
            f"overridable_properties[{name!r}]: only strings and numbers can be listed"
        ) from error


def _positive(name: str, value: Any) -> int:
    if not is_integer(value) or value < 1:
        raise ConfigurationError(f"{name} must be an integer of at least 1, not {value!r}")
    return value


def _flag(name: str, given: Mapping[str, Any]) -> bool:
    if not isinstance(given[name], bool):
        raise ConfigurationError(f"{name} must be True or False, not {given[name]!r}")
    return given[name]
