"""Factories that yield AG-UI events themselves: structs, ``ag_ui.core`` models, dicts."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from typing import Any, Final, cast

from jumpseat.agents.builtin.converters.base import Converter, Item
from jumpseat.agents.builtin.converters.fields import with_readable_usage
from jumpseat.agents.builtin.failures import AgentFailure
from jumpseat.errors import InvalidEvent, UnsendableEvent
from jumpseat.protocol.codec import accept
from jumpseat.protocol.events import BaseEvent
from jumpseat.protocol.inputs import RunAgentInput

__all__ = ["fitting_type", "open_custom"]

# By the package that a foreign value's class comes from, the type of factory that reads it.
_TYPES: Final = {
    "ai": "aisdk",
    "agents": "openai_agents",
    "anthropic": "anthropic",
    "langchain_core": "langchain",
    "langgraph": "langchain",
    "openai": "openai",
    "pydantic_ai": "pydantic_ai",
}


class _Custom:
    def __init__(self, stream: AsyncIterable[Any]) -> None:
        self.stream = stream

    def feed(self, chunk: Any) -> Iterable[Item]:
        try:
            return (accept(with_readable_usage(chunk)),)
        except InvalidEvent as error:
            if isinstance(error, UnsendableEvent) and _is_event(chunk):
                raise
            raise AgentFailure("agent_error", _foreign(chunk, error)) from error

    def end(self) -> Iterable[Item]:
        return ()


def open_custom(returned: Any, given: RunAgentInput) -> Converter:
    """Return the converter of a stream of AG-UI events."""
    if not isinstance(returned, AsyncIterable):
        raise TypeError("an async iterable of AG-UI events")
    return _Custom(cast("AsyncIterable[Any]", returned))


def _is_event(chunk: object) -> bool:
    """Say whether a chunk is at least meant as an event: others have types of their own."""
    return isinstance(chunk, Mapping | BaseEvent) or type(chunk).__module__.partition(".")[0] == "ag_ui"


def fitting_type(chunk: object) -> str | None:
    """Return the type of factory that reads what a chunk's package yields, ``None`` when nobody knows."""
    return _TYPES.get(type(chunk).__module__.partition(".")[0])


def _foreign(chunk: object, error: InvalidEvent) -> str:
    kind = type(chunk)
    fitting = fitting_type(chunk)
    if fitting is not None:
        return (
            f"The factory yielded {kind.__module__}.{kind.__qualname__}, which is no AG-UI event: "
            f'give BuiltInAgent type="{fitting}"'
        )
    if isinstance(chunk, dict):
        return f"The factory yielded a dict that is no AG-UI event: {error}"
    return f"The factory yielded {kind.__qualname__}, which is no AG-UI event"
