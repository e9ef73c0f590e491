"""Runners that the web tests are run on."""

from collections.abc import Callable

import pytest

from contract.conftest import back_end, make_runner, place, place_on, postgres_schema, redis_url
from jumpseat.runners.event_log import EventLogRunner

__all__ = ["back_end", "make_runner", "place", "place_on", "postgres_schema", "redis_url"]


@pytest.fixture
def runner(make_runner: Callable[..., EventLogRunner]) -> EventLogRunner:
    """A real runner, on each of the back ends."""
    return make_runner()
