"""An interpreter with Vercel's ``ai`` package for Python, which needs 3.12: installed once and kept."""

import json
import os
import re
import shutil
import subprocess
import threading
from functools import cache
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from installing import alone

ROOT = Path(__file__).parents[1]
VENV = ROOT / ".venvs" / "ai"
PACKAGES = [
    "ai>=0.8,<1",
    "openai>=3,<4",
    "anthropic>=2,<3",
    "msgspec>=0.19,<1",
    "starlette>=0.46,<2",
    "python-multipart>=0.0.20,<1",
    "httpx2>=2.10,<3",
    "pytest>=8.3",
]
NAMES = ("python3.14", "python3.13", "python3.12")
FOLDERS = ("~/.local/share/uv/python/*/bin", "~/.pyenv/versions/*/bin", "/opt/homebrew/bin", "/usr/local/bin")
MISSING = "The ai package needs Python 3.12 or newer: install python3.12, or run `uv python install 3.12`."
INSTALL_SECONDS = 600
RUN_SECONDS = 120


@cache
def ai_python() -> Path:
    """Return an interpreter that can ``import ai``; the test fails when no Python is new enough."""
    python = VENV / ("Scripts" if os.name == "nt" else "bin") / "python"
    done = VENV / "installed"
    with alone(VENV):
        if not done.exists() or done.read_text() != "\n".join(PACKAGES):
            found = next((path for path in _candidates() if _is_new_enough(path)), None)
            if found is None:
                pytest.fail(MISSING)
            subprocess.run([found, "-m", "venv", "--clear", str(VENV)], check=True, timeout=INSTALL_SECONDS)
            install = [str(python), "-m", "pip", "install", "--quiet", *PACKAGES]
            subprocess.run(install, check=True, timeout=INSTALL_SECONDS, capture_output=True)
            done.write_text("\n".join(PACKAGES))
    return python


def answers(script: Path, *arguments: str) -> Any:
    """Run a script with that interpreter and return the JSON that it prints."""
    done = subprocess.run(
        [*_command(script), *arguments],
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        env=_environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    return json.loads(done.stdout.splitlines()[-1])


class Conversation:
    """A script that answers each line of JSON with one, so that it imports its libraries only once."""

    def __init__(self, script: Path, log: Path) -> None:
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                _command(script), stdin=PIPE, stdout=PIPE, stderr=output, text=True, env=_environment()
            )

    def ask(self, question: Any) -> Any:
        """Return the answer; the process is ended when it takes too long."""
        guard = threading.Timer(RUN_SECONDS, self._process.kill)
        guard.start()
        try:
            print(json.dumps(question), file=self._process.stdin, flush=True)
            answer = self._process.stdout.readline()
        finally:
            guard.cancel()
        assert answer, self._log.read_text()[-4_000:]
        return json.loads(answer)

    def end(self) -> None:
        """End the script."""
        self._process.communicate(timeout=RUN_SECONDS)


def _command(script: Path) -> list[str]:
    return [str(ai_python()), "-W", "error", str(script)]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])}


def _candidates() -> list[str]:
    on_path = [found for name in NAMES if (found := shutil.which(name))]
    elsewhere = [
        str(path)
        for pattern in FOLDERS
        for name in NAMES
        for path in sorted(Path("/").glob(str(Path(pattern).expanduser() / name).lstrip("/")))
    ]
    return [*on_path, *elsewhere]


def _is_new_enough(python: str) -> bool:
    try:
        shown = subprocess.run([python, "--version"], capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return False
    version = re.match(r"Python 3\.(\d+)", shown.stdout)
    return shown.returncode == 0 and version is not None and int(version[1]) >= 12
