"""The shipped runners keep the contract that is shipped for everybody's runners."""

from __future__ import annotations

import pytest

from jumpseat.testing.runner_contract import RunnerContract


class TestShippedRunners(RunnerContract):
    @pytest.fixture
    async def runner(self, make_runner):
        return make_runner()
