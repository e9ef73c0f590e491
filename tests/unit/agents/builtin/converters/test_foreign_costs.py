"""Long deltas and many chunks: what one of them costs does not depend on how much came before."""

import time
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic_ai.messages import PartDeltaEvent, PartStartEvent, TextPart, TextPartDelta

from builtin_agents import given
from chat_models import says
from converting import only, said, streamed
from jumpseat.agents.builtin.converters.anthropic import open_anthropic
from jumpseat.agents.builtin.converters.base import OpenConverter
from jumpseat.agents.builtin.converters.langchain import open_langchain
from jumpseat.agents.builtin.converters.openai import open_openai
from jumpseat.agents.builtin.converters.openai_agents import open_openai_agents
from jumpseat.agents.builtin.converters.pydantic_ai import open_pydantic_ai
from jumpseat.agents.builtin.parts import TextDelta, ToolInputDelta

LONG = "Ü" * 100_000
CHUNKS = 20_000
# Measured on a busy machine of two cores: 2 to 15 microseconds.
MOST_SECONDS_PER_CHUNK = 200e-6


def response_text(words: str) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "delta": words}


def response_arguments(words: str) -> dict[str, Any]:
    return {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": words}


CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": ""}
TOOL_USE = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}


def chat(**delta: Any) -> dict[str, Any]:
    return {"id": "1", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def block(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": kind, **fields}}


# For each kind of stream: what comes first, and a chunk with the given words.
TEXTS: dict[str, tuple[OpenConverter, list[Any], Any]] = {
    "pydantic_ai": (
        open_pydantic_ai,
        [PartStartEvent(index=0, part=TextPart(""))],
        lambda words: PartDeltaEvent(index=0, delta=TextPartDelta(words)),
    ),
    "langchain": (open_langchain, [], lambda words: says(words, id="m1")),
    "langgraph": (open_langchain, [], lambda words: ("messages", (says(words, id="m1"), {}))),
    "responses": (open_openai, [], response_text),
    "chat": (open_openai, [], lambda words: chat(content=words)),
    "anthropic": (open_anthropic, [], lambda words: block("text_delta", text=words)),
    "openai_agents": (
        open_openai_agents,
        [],
        lambda words: SimpleNamespace(type="raw_response_event", data=response_text(words)),
    ),
}
ARGUMENTS: dict[str, tuple[OpenConverter, list[Any], Any]] = {
    "responses": (
        open_openai,
        [{"type": "response.output_item.added", "output_index": 0, "item": CALL}],
        response_arguments,
    ),
    "chat": (
        open_openai,
        [chat(tool_calls=[{"index": 0, "id": "c1", "function": {"name": "f", "arguments": ""}}])],
        lambda words: chat(tool_calls=[{"index": 0, "function": {"arguments": words}}]),
    ),
    "anthropic": (
        open_anthropic,
        [{"type": "content_block_start", "index": 0, "content_block": TOOL_USE}],
        lambda words: block("input_json_delta", partial_json=words),
    ),
}


@pytest.mark.parametrize("kind", TEXTS)
async def test_a_delta_of_100_000_characters_is_one_delta(kind: str):
    opened, before, make = TEXTS[kind]
    parts = await said(opened, [*before, make(LONG)])
    assert [part.delta for part in only(TextDelta, parts) if part.delta] == [LONG]


@pytest.mark.parametrize("kind", ARGUMENTS)
async def test_arguments_of_100_000_characters_are_one_delta(kind: str):
    opened, before, make = ARGUMENTS[kind]
    parts = await said(opened, [*before, make(LONG)])
    assert [part.delta for part in only(ToolInputDelta, parts)] == [LONG]


@pytest.mark.parametrize("kind", TEXTS)
async def test_a_chunk_costs_the_same_at_the_end_of_a_long_stream(kind: str):
    opened, before, make = TEXTS[kind]
    converter = opened(streamed([]), given())
    for chunk in before:
        list(converter.feed(chunk))
    chunk = make("word ")
    assert [part.delta for part in converter.feed(chunk)] == ["word "]  # type: ignore[union-attr]
    begun = time.perf_counter()
    for _ in range(CHUNKS):
        for _ in converter.feed(chunk):
            pass
    assert (time.perf_counter() - begun) / CHUNKS < MOST_SECONDS_PER_CHUNK
