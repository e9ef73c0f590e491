"""An interpreter with Vercel's ``ai`` package for Python, which needs 3.12: installed once and kept."""

import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

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
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])}
    done = subprocess.run(
        [str(ai_python()), "-W", "error", str(script), *arguments],
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    return json.loads(done.stdout.splitlines()[-1])


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
