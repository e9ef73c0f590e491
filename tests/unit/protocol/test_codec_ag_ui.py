"""Models of both majors of the ag_ui package are accepted as the events they are."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = Path(__file__).with_name("ag_ui_models.py")
INSTALL_SECONDS = 180
RUN_SECONDS = 60

# Event types that AG-UI had before reasoning events and that no client of today knows.
RETIRED = {
    "ThinkingStartEvent",
    "ThinkingEndEvent",
    "ThinkingTextMessageStartEvent",
    "ThinkingTextMessageContentEvent",
    "ThinkingTextMessageEndEvent",
}


def _own_dependencies() -> list[str]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]


@pytest.fixture(scope="session", params=["0.1.22", "1.0.0"])
def outcomes(request) -> dict[str, dict]:
    """What the codec makes of every model; the two majors cannot be installed side by side."""
    environment = ROOT / ".venvs" / f"ag-ui-{request.param}"
    python = environment / "bin" / "python"
    if not (environment / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", environment], check=True, timeout=INSTALL_SECONDS)
        packages = [f"ag-ui-protocol=={request.param}", *_own_dependencies()]
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True, timeout=INSTALL_SECONDS)
        (environment / "ready").touch()
    done = subprocess.run(
        [python, SCRIPT],
        check=True,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    return json.loads(done.stdout)


def test_every_event_model_is_accepted_and_only_retired_types_are_dropped(outcomes):
    refused = {name: outcome["error"] for name, outcome in outcomes.items() if "error" in outcome}
    assert set(refused) <= RETIRED
    assert set(refused.values()) <= {"UnknownEventType"}
    assert len(outcomes) - len(refused) == 31


def test_what_is_sent_is_what_the_model_says(outcomes):
    for name, outcome in outcomes.items():
        if "error" not in outcome:
            assert outcome["sent"] == outcome["given"], name
            assert outcome["stable"], name
