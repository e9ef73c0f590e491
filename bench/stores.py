"""The runner for what ``BENCH_STORE`` names: a file, ``postgresql:``, ``redis:``, or nothing for memory."""

from __future__ import annotations

import os

from jumpseat import (
    AgentRunner,
    InMemoryAgentRunner,
    PostgresAgentRunner,
    RedisAgentRunner,
    SqliteAgentRunner,
)


def runner_from_environment() -> AgentRunner:
    """Makes the runner with the defaults that its users get."""
    where = os.environ.get("BENCH_STORE", "")
    if where.startswith("postgresql://"):
        return PostgresAgentRunner(where)
    if where.startswith("redis://"):
        return RedisAgentRunner(where)
    return SqliteAgentRunner(db_path=where) if where else InMemoryAgentRunner()
