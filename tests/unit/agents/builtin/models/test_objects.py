from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models.function import AgentInfo, DeltaThinkingPart, DeltaToolCall, FunctionModel

from jumpseat.agents.builtin.models.resolving import configured_model
from jumpseat.agents.builtin.parts import ToolInputDelta
from jumpseat.errors import ConfigurationError
from model_requests import WEATHER, answered, asked, calls_of, finish_of, reasoning_of, text_of


async def test_any_object_with_a_stream_is_a_model_as_it_is():
    class Own:
        provider = "mine"
        model = "own-1"

        async def stream(self, request: Any) -> AsyncIterator[Any]:
            yield {"type": "text-delta", "delta": "Hi."}

    own = Own()
    configured = configured_model(own)
    assert (configured.provider, configured.model) == ("mine", "own-1")
    assert await configured.language_model("key") is own
    assert configured.secrets() == ()
    await configured.warmup()
    await configured.aclose()


async def test_a_model_of_pydantic_ai_is_adapted():
    async def answer(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        assert [tool.name for tool in info.function_tools] == ["weather"]
        yield {0: DeltaThinkingPart(content="Think.")}
        yield "Look"
        yield "ing."
        yield {2: DeltaToolCall(name="weather", json_args='{"city":', tool_call_id="call_1")}
        yield {2: DeltaToolCall(json_args='"Rome"}')}

    configured = configured_model(FunctionModel(stream_function=answer, model_name="scripted"))
    assert configured.model == "scripted"
    model = await configured.language_model()
    assert model is await configured.language_model()
    parts = await answered(model, asked("hi", tools=[WEATHER]))
    assert (reasoning_of(parts), text_of(parts)) == ("Think.", "Looking.")
    assert [(call.id, call.input) for call in calls_of(parts)] == [("call_1", '{"city":"Rome"}')]
    assert [part.delta for part in parts if isinstance(part, ToolInputDelta)] == ['{"city":', '"Rome"}']
    assert finish_of(parts).native.parts


async def test_calls_that_are_announced_together_keep_their_arguments():
    async def answer(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        yield {
            0: DeltaToolCall(name="weather", json_args="", tool_call_id="call_1"),
            1: DeltaToolCall(name="weather", json_args="", tool_call_id="call_2"),
        }
        yield {0: DeltaToolCall(json_args='{"city":"Rome"}')}
        yield {1: DeltaToolCall(json_args='{"city":"Oslo"}')}

    model = await configured_model(FunctionModel(stream_function=answer)).language_model()
    parts = await answered(model, asked("hi", tools=[WEATHER]))
    told = {call.id: call.input for call in calls_of(parts)}
    assert told == {"call_1": '{"city":"Rome"}', "call_2": '{"city":"Oslo"}'}
    kinds = [type(part).__name__ for part in parts]
    assert kinds.index("ToolCall") > max(i for i, kind in enumerate(kinds) if kind == "ToolInputDelta")


def test_an_agent_is_no_model():
    with pytest.raises(ConfigurationError, match="model must be"):
        configured_model(Agent())
