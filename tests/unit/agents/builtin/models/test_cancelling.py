import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from jumpseat.agents.builtin.models.resolving import resolve_model
from jumpseat.agents.builtin.parts import TextDelta
from mock_provider import MockProvider
from model_requests import SPECS, asked

SECONDS = 1.0


@pytest.mark.parametrize("name", SPECS)
async def test_cancelling_closes_the_connection_at_once(name: str, provider: MockProvider, connect: Any):
    provider.add({"match": {}, "response": {"content": "word " * 2_000}, "latency": 20})
    model = await connect(SPECS[name])
    begun = asyncio.Event()

    async def listen() -> None:
        async with aclosing(model.stream(asked("hi"))) as parts:
            async for part in parts:
                if isinstance(part, TextDelta):
                    begun.set()

    task = asyncio.create_task(listen())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(provider.requests[0].hung_up.wait, SECONDS)


@pytest.mark.parametrize("name", SPECS)
async def test_cancelling_before_the_first_byte_closes_the_connection(
    name: str, provider: MockProvider, connect: Any
):
    provider.answer_once(200, stream=[], end="hang")
    model = await connect(SPECS[name])
    task = asyncio.create_task(anext(aiter(model.stream(asked("hi")))))
    await provider.seen()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(provider.requests[0].hung_up.wait, SECONDS)


@pytest.mark.parametrize("name", SPECS)
async def test_leaving_the_stream_closes_the_connection(name: str, provider: MockProvider, connect: Any):
    provider.add({"match": {}, "response": {"content": "word " * 2_000}, "latency": 20})
    model = await connect(SPECS[name])
    async with aclosing(model.stream(asked("hi"))) as parts:
        async for part in parts:
            if isinstance(part, TextDelta):
                break
    assert await asyncio.to_thread(provider.requests[0].hung_up.wait, SECONDS)


async def test_a_resolved_model_answers_and_closes(provider: MockProvider, monkeypatch: pytest.MonkeyPatch):
    provider.use(monkeypatch)
    provider.say("Hello.")
    model: Any = resolve_model("anthropic/claude-sonnet-5", api_key="sk-another-key")
    assert (model.provider, model.model) == ("anthropic", "claude-sonnet-5")
    try:
        async with aclosing(model.stream(asked("hi"))) as parts:
            said = "".join([part.delta async for part in parts if isinstance(part, TextDelta)])
    finally:
        await model.aclose()
    assert said == "Hello."
    assert "sk-another-key" in provider.requests[0].text
