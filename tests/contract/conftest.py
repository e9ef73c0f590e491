"""One suite over every back end: ``make_runner`` opens a runner on the store the test is run for."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from jumpseat.runners.event_log import EventLogRunner
from jumpseat.runners.in_memory import InMemoryAgentRunner
from jumpseat.runners.postgres import PostgresAgentRunner
from jumpseat.runners.redis import RedisAgentRunner
from jumpseat.runners.sqlite import SqliteAgentRunner
from postgres_server import lent_schema, shared_server
from shared_redis import redis_cluster_url, redis_url

__all__ = ["redis_cluster_url", "redis_url"]

BACK_ENDS = ("memory", "sqlite", "redis", "postgres")


@pytest.fixture(params=BACK_ENDS)
def back_end(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def postgres_schema() -> Iterator[str]:
    with lent_schema() as schema:
        yield schema


@pytest.fixture
async def make_runner(
    back_end: str, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Callable[..., EventLogRunner]]:
    prefix = f"test-{uuid4().hex}"
    async with AsyncExitStack() as stack:

        def make(**options) -> EventLogRunner:
            options = {"stop_grace": 0.5, "lease_ttl": 3.0, "heartbeat": 0.5, **options}
            if back_end == "memory":
                runner: EventLogRunner = InMemoryAgentRunner(**options)
            elif back_end == "redis":
                runner = RedisAgentRunner(request.getfixturevalue("redis_url"), prefix=prefix, **options)
            elif back_end == "postgres":
                schema = request.getfixturevalue("postgres_schema")
                runner = PostgresAgentRunner(shared_server().dsn(), schema=schema, **options)
            else:
                runner = SqliteAgentRunner(tmp_path / "threads.db", **options)
            stack.push_async_callback(runner.aclose)
            return runner

        yield make


@pytest.fixture
async def runner(make_runner: Callable[..., EventLogRunner]) -> EventLogRunner:
    return make_runner()


@pytest.fixture(autouse=True)
def quiet_agents() -> Iterator[None]:
    """Failing agents are the subject here; their logged exceptions would only hide a real one."""
    logger = logging.getLogger("jumpseat.runs")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)
