import logging
import os
import subprocess
import sys

import pytest

from jumpseat.agents.builtin.models.providers import find_provider
from jumpseat.agents.builtin.models.rehearsal import rehearse
from mock_provider import MockProvider
from model_requests import SPECS

SCRIPT = """
import asyncio, sys
from jumpseat.agents.builtin.language_model import ModelRequest, UserTurn
from jumpseat.agents.builtin.models.resolving import configured_model
from jumpseat.context import AbortSignal

async def main():
    model = configured_model(sys.argv[1])
    await model.warmup()
    before = set(sys.modules)
    answer = (await model.language_model()).stream(
        ModelRequest(messages=[UserTurn(content="hi")], abort_signal=AbortSignal())
    )
    parts = [part async for part in answer]
    assert len(parts) > 2, parts
    print(*sorted(set(sys.modules) - before))
    await model.aclose()

asyncio.run(main())
"""


@pytest.mark.parametrize("name", SPECS)
def test_the_first_run_after_a_warmup_imports_nothing(name: str, provider: MockProvider):
    provider.say("Hello.")
    kept = {variable: os.environ[variable] for variable in ("PATH", "HOME") if variable in os.environ}
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", SCRIPT, SPECS[name]],
        env={**kept, **provider.environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
    assert "ResourceWarning" not in done.stderr


@pytest.mark.parametrize("name", ["openai", "openai-chat", "anthropic", "google"])
def test_a_rehearsal_goes_through_to_its_end(name: str, caplog: pytest.LogCaptureFixture):
    provider = find_provider(name)
    assert provider is not None
    rehearse.cache_clear()
    with caplog.at_level(logging.DEBUG, "jumpseat"):
        rehearse(provider)
    assert [record.getMessage() for record in caplog.records if record.name == "jumpseat"] == []
