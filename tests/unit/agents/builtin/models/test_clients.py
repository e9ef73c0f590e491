import asyncio
import gc
from typing import Any

import pytest

from jumpseat.agents.builtin.models import clients
from jumpseat.agents.builtin.models.clients import borrow_client, release_clients
from jumpseat.agents.builtin.models.library import Upstream
from jumpseat.agents.builtin.models.providers import find_provider
from jumpseat.agents.builtin.models.resolving import configured_model
from mock_provider import MockProvider
from model_requests import answered, asked

OPENAI = find_provider("openai")
CHAT = find_provider("openai-chat")
assert OPENAI is not None
assert CHAT is not None


class Owner:
    """Somebody who needs a client."""


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch, provider: MockProvider) -> list[Upstream]:
    """What was closed, in that order."""
    provider.use(monkeypatch)
    order: list[Upstream] = []
    close = Upstream.aclose

    async def noted(self: Upstream) -> None:
        order.append(self)
        await close(self)

    monkeypatch.setattr(Upstream, "aclose", noted)
    return order


async def test_a_client_is_shared_by_key_and_address(closed: list[Upstream], monkeypatch: pytest.MonkeyPatch):
    one, two = Owner(), Owner()
    first = await borrow_client(OPENAI, "key-1", one)
    assert await borrow_client(OPENAI, "key-1", two) is first
    assert await borrow_client(CHAT, "key-1", two) is first
    assert await borrow_client(OPENAI, "key-2", two) is not first
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    assert await borrow_client(OPENAI, "key-1", two) is not first
    await release_clients(one)
    assert closed == []
    await release_clients(two)
    assert len(closed) == 3


async def test_clients_made_at_the_same_time_are_one(closed: list[Upstream]):
    owner = Owner()
    made = await asyncio.gather(*(borrow_client(OPENAI, "key-1", owner) for _ in range(5)))
    assert len(set(map(id, made))) == 1
    await release_clients(owner)


async def test_a_client_in_use_is_closed_when_it_is_idle(closed: list[Upstream]):
    owner = Owner()
    client = await borrow_client(OPENAI, "key-1", owner)
    async with client.in_use():
        await release_clients(owner)
        assert closed == []
        assert await borrow_client(OPENAI, "key-1", owner) is not client
    assert len(closed) == 1
    await release_clients(owner)
    assert len(closed) == 2


async def test_the_client_that_was_used_longest_ago_makes_room(
    closed: list[Upstream], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(clients, "MAX_CLIENTS", 2)
    owner = Owner()
    first = await borrow_client(OPENAI, "key-1", owner)
    second = await borrow_client(OPENAI, "key-2", owner)
    await borrow_client(OPENAI, "key-1", owner)
    await borrow_client(OPENAI, "key-3", owner)
    assert first.is_usable
    assert not second.is_usable
    assert len(closed) == 1
    await release_clients(owner)
    assert len(closed) == 3


async def test_a_run_whose_client_made_room_for_others_connects_anew(
    provider: MockProvider, closed: list[Upstream], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(clients, "MAX_CLIENTS", 1)
    provider.say("Hello.")
    one, two = configured_model("openai-chat/gpt-4o"), configured_model("anthropic/claude-sonnet-5")
    first = await one.language_model()
    second = await two.language_model()
    for model in (first, second, first):
        await answered(model, asked("hi"))
    await one.aclose()
    await two.aclose()
    assert len(closed) == 5


async def test_a_closed_model_answers_again_with_a_new_client(provider: MockProvider, closed: list[Upstream]):
    provider.say("Hello.")
    model = configured_model("openai-chat/gpt-4o")
    for _ in range(2):
        await answered(await model.language_model(), asked("hi"))
        await model.aclose()
    assert len(closed) == 2


async def test_runs_of_one_agent_share_a_connection(provider: MockProvider, closed: list[Upstream]):
    provider.say("Hello.")
    model = configured_model("openai-chat/gpt-4o")
    await model.warmup()
    await asyncio.gather(*(_answer(model) for _ in range(10)))
    await model.aclose()
    assert len(closed) == 1
    assert len(provider.requests) == 10


async def _answer(model: Any) -> None:
    await answered(await model.language_model(), asked("hi"))


def test_each_loop_has_clients_of_its_own(provider: MockProvider, closed: list[Upstream]):
    provider.say("Hello.")
    model = configured_model("anthropic/claude-sonnet-5")

    async def once() -> None:
        await answered(await model.language_model(), asked("hi"))
        await model.aclose()

    for _ in range(2):
        asyncio.run(once())
    gc.collect()
    assert len(provider.requests) == 2
