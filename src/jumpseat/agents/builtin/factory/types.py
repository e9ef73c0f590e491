"""The types of factory, and how one is called."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from jumpseat.agents.builtin.converters.base import OpenConverter
from jumpseat.errors import ConfigurationError

__all__ = ["PASSED_ON", "TYPES", "Factory", "checked_factory", "converter_of"]

_CONVERTERS: Final = {
    "custom": ("custom", "open_custom"),
    "agui": ("agui", "open_agui"),
    "tanstack": ("tanstack", "open_tanstack"),
    "aisdk": ("ai_sdk", "open_ai_sdk"),
    "pydantic_ai": ("pydantic_ai", "open_pydantic_ai"),
    "langchain": ("langchain", "open_langchain"),
    "openai": ("openai", "open_openai"),
    "anthropic": ("anthropic", "open_anthropic"),
    "openai_agents": ("openai_agents", "open_openai_agents"),
}
TYPES: Final = frozenset(_CONVERTERS)
# Their events are the developer's own: ids, state and resumed calls are left as they are.
PASSED_ON: Final = frozenset({"custom", "agui"})


@dataclass(frozen=True, slots=True)
class Factory:
    """A developer's function and how to read what it returns."""

    function: Callable[..., Any]
    type: str
    convert: OpenConverter


def checked_factory(function: object, type: str) -> Factory:  # noqa: A002 - the name people know
    """Return the factory.

    Raises:
        ConfigurationError: It cannot be called with one context, or the type is unknown.
    """
    if not callable(function):
        raise ConfigurationError("factory must be a function of one FactoryContext")
    try:
        inspect.signature(function).bind(None)
    except ValueError:  # a built-in that tells nothing about itself
        pass
    except TypeError as error:
        raise ConfigurationError("factory must take exactly one argument, a FactoryContext") from error
    return Factory(function, type, converter_of(type))


def converter_of(type: str) -> OpenConverter:  # noqa: A002
    """Return what reads the streams of a type. Raises ``ConfigurationError`` for an unknown one."""
    known = _CONVERTERS.get(type) if isinstance(cast("object", type), str) else None
    if known is None:
        raise ConfigurationError(f"Unknown agent config type: {type}")
    module = importlib.import_module(f"jumpseat.agents.builtin.converters.{known[0]}")
    return cast("OpenConverter", getattr(module, known[1]))
