"""One suite over every back end: ``make_runner`` opens a runner on the store the test is run for."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from back_ends import SHARED, Place
from jumpseat.runners.event_log import EventLogRunner
from jumpseat.runners.in_memory import InMemoryAgentRunner
from postgres_server import lent_schema, shared_pgbouncer, shared_server
from run_workers import OPTIONS
from shared_redis import redis_cluster_url, redis_url

__all__ = ["redis_cluster_url", "redis_url"]

BACK_ENDS = ("memory", *SHARED, "pgbouncer", "redis_cluster")


@pytest.fixture(params=BACK_ENDS)
def back_end(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def postgres_schema() -> Iterator[str]:
    with lent_schema() as schema:
        yield schema


@pytest.fixture
def place_on(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[str], Place]:
    """Empty data of this test's own, on the back end that is named."""

    def find(back_end: str) -> Place:
        if back_end in {"redis", "redis_cluster"}:
            url = request.getfixturevalue(f"{back_end}_url")
            return Place(back_end, url, {"prefix": f"test-{uuid4().hex}"})
        if back_end in {"postgres", "pgbouncer"}:
            options = {"schema": request.getfixturevalue("postgres_schema"), "pool_size": 4}
            if back_end == "pgbouncer":
                return Place(back_end, shared_pgbouncer(), {**options, "listen": False})
            return Place(back_end, shared_server().dsn(), options)
        return Place(back_end, str(tmp_path / "threads.db"))

    return find


@pytest.fixture(params=SHARED)
def place(request: pytest.FixtureRequest, place_on: Callable[[str], Place]) -> Place:
    """Data that processes can share, on each back end that allows it, or on those that a test names."""
    return place_on(request.param)


@pytest.fixture
async def here(place: Place) -> AsyncIterator[EventLogRunner]:
    """This process's own runner on the data that it shares with others."""
    runner = place.runner(**OPTIONS)
    yield runner
    await runner.aclose()


@pytest.fixture
async def make_runner(
    back_end: str, place_on: Callable[[str], Place]
) -> AsyncIterator[Callable[..., EventLogRunner]]:
    make = InMemoryAgentRunner if back_end == "memory" else place_on(back_end).runner
    async with AsyncExitStack() as stack:

        def opened(**options) -> EventLogRunner:
            runner = make(**{"stop_grace": 0.5, "lease_ttl": 3.0, "heartbeat": 0.5, **options})
            stack.push_async_callback(runner.aclose)
            return runner

        yield opened


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
