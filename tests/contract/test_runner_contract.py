"""The shipped runners, and one from scratch, keep the contract that is shipped for everybody's runners."""

from __future__ import annotations

import pytest

from jumpseat.runners.postgres import PostgresAgentRunner
from jumpseat.testing.runner_contract import RunnerContract
from plain_runner import PlainRunner
from postgres_server import shared_pgbouncer


class TestShippedRunners(RunnerContract):
    @pytest.fixture
    async def runner(self, make_runner):
        return make_runner()


class TestRunnerOfSomebodyElse(RunnerContract):
    @pytest.fixture
    async def runner(self):
        runner = PlainRunner()
        yield runner
        await runner.aclose()


class TestPostgresRunnerBehindPgBouncer(RunnerContract):
    @pytest.fixture
    async def runner(self, postgres_schema):
        runner = PostgresAgentRunner(
            shared_pgbouncer(),
            schema=postgres_schema,
            listen=False,
            stop_grace=0.5,
            lease_ttl=3.0,
            heartbeat=0.5,
        )
        yield runner
        await runner.aclose()
