"""Runners that the web tests are run on."""

from pathlib import Path
from typing import Any

import pytest

from jumpseat import AgentRunner, InMemoryAgentRunner, SqliteAgentRunner


@pytest.fixture(params=["memory", "sqlite"])
def runner(request: pytest.FixtureRequest, tmp_path: Path) -> AgentRunner:
    """A real runner, on each of the back ends that need no server."""
    options: dict[str, Any] = {"stop_grace": 0.5}
    if request.param == "memory":
        return InMemoryAgentRunner(**options)
    return SqliteAgentRunner(db_path=tmp_path / "threads.db", **options)
