"""What is asked of a model in tests, and its whole answer."""

from contextlib import aclosing
from typing import Any

from jumpseat.agents.builtin.language_model import (
    LanguageModel,
    ModelRequest,
    ModelTool,
    SystemText,
    UserTurn,
)
from jumpseat.agents.builtin.parts import Finish, ReasoningDelta, StreamPart, TextDelta, ToolCall
from jumpseat.context import AbortSignal

SPECS = {
    "openai": "openai/gpt-5",
    "openai-chat": "openai-chat/gpt-4o",
    "anthropic": "anthropic/claude-sonnet-5",
    "google": "google/gemini-2.5-pro",
}
"""A model of each interface that the mock has."""

WEATHER = ModelTool(
    name="weather",
    description="Tells the weather.",
    parameters={
        "type": "object",
        "properties": {
            "city": {"type": "string", "pattern": "^[A-Z]"},
            "days": {"type": "integer", "minimum": 1},
        },
        "required": ["city"],
    },
)


def asked(*messages: Any, system: str | None = None, **request: Any) -> ModelRequest:
    """A request; a string among the messages is what a user says."""
    turns = [UserTurn(content=message) if isinstance(message, str) else message for message in messages]
    if system is not None:
        turns.insert(0, SystemText(content=system))
    return ModelRequest(messages=turns, abort_signal=AbortSignal(), **request)


async def answered(model: LanguageModel, request: ModelRequest) -> list[StreamPart]:
    """All parts of an answer."""
    async with aclosing(model.stream(request)) as stream:  # type: ignore[type-var]
        return [part async for part in stream]


def text_of(parts: list[StreamPart]) -> str:
    return "".join(part.delta for part in parts if isinstance(part, TextDelta))


def reasoning_of(parts: list[StreamPart]) -> str:
    return "".join(part.delta for part in parts if isinstance(part, ReasoningDelta))


def calls_of(parts: list[StreamPart]) -> list[ToolCall]:
    return [part for part in parts if isinstance(part, ToolCall)]


def finish_of(parts: list[StreamPart]) -> Finish:
    """The end, which has to be there."""
    assert isinstance(parts[-1], Finish)
    return parts[-1]
