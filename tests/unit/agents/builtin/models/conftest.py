"""A model that talks to the mock of the providers, whose connections are closed when the test ends."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from jumpseat.agents.builtin.language_model import LanguageModel
from jumpseat.agents.builtin.models.resolving import ConfiguredModel, configured_model
from mock_provider import MockProvider

Connect = Callable[[str], Awaitable[LanguageModel]]


@pytest_asyncio.fixture
async def connect(provider: MockProvider, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Connect]:
    provider.use(monkeypatch)
    made: list[ConfiguredModel] = []

    async def connected(spec: str) -> LanguageModel:
        made.append(configured_model(spec))
        return await made[-1].language_model()

    yield connected
    for model in made:
        await model.aclose()
