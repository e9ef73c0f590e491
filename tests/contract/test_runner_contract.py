"""The shipped runners, and one from scratch, keep the contract that is shipped for everybody's runners."""

from __future__ import annotations

import pytest

from jumpseat.testing.runner_contract import RunnerContract
from plain_runner import PlainRunner


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
