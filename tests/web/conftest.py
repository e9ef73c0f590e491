"""Runners that the web tests are run on."""

from collections.abc import Callable

import pytest

from back_ends import SHARED
from contract.conftest import make_runner, place, place_on, postgres_schema, redis_url
from jumpseat.runners.event_log import EventLogRunner

__all__ = ["make_runner", "place", "place_on", "postgres_schema", "redis_url"]


@pytest.fixture(params=("memory", *SHARED))
def back_end(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def runner(make_runner: Callable[..., EventLogRunner]) -> EventLogRunner:
    """A real runner, on each of the back ends."""
    return make_runner()
