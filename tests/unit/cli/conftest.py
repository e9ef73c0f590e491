"""Runs the command as a process of its own."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, Queue

import httpx2
import pytest

from mock_provider import KEY_VARIABLES, URL_VARIABLES

START_SECONDS = 30.0
EXIT_SECONDS = 60.0


def without_providers(**variables: str) -> dict[str, str]:
    """The environment without keys, addresses and models of providers, and with these variables."""
    of_providers = {*KEY_VARIABLES, *URL_VARIABLES, "JUMPSEAT_MODEL"}
    return {name: value for name, value in os.environ.items() if name not in of_providers} | variables


class Command:
    """One `jumpseat` process that serves; ``url`` is its origin."""

    def __init__(self, folder: Path, *arguments: str, environment: dict[str, str]) -> None:
        self._log = (folder / "stderr.log").open("w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jumpseat.cli", *arguments],
            cwd=folder,
            env=without_providers(PYTHONUNBUFFERED="1", **environment),
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self._lines: Queue[str] = Queue(maxsize=1000)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.announced = self._first_line()
        found = re.search(r"http://[^/\s]+", self.announced)
        assert found, self.announced
        self.url = found[0]
        self.api = f"{self.url}/api/copilotkit"
        self.http = httpx2.Client(timeout=30.0)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def exit_code(self) -> int:
        """Wait for the end."""
        return self.process.wait(EXIT_SECONDS)

    def stderr(self) -> str:
        """What was logged so far."""
        self._log.seek(0)
        return self._log.read()

    def close(self) -> None:
        """Kill what still runs and let go of everything."""
        self.process.kill()
        self.process.wait(EXIT_SECONDS)
        self._reader.join(EXIT_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()
        self.http.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def _first_line(self) -> str:
        try:
            return self._lines.get(timeout=START_SECONDS)
        except Empty:
            raise AssertionError(f"nothing was announced:\n{self.stderr()}") from None


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """Starts commands in a folder of this test; they are gone when it ends."""
    started: list[Command] = []

    def run(*arguments: str, **environment: str) -> Command:
        started.append(Command(tmp_path, *arguments, "--port", "0", environment=environment))
        return started[-1]

    yield run
    for command in started:
        command.close()


@pytest.fixture
def finish(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command that ends by itself, in a folder of this test."""

    def run(*arguments: str, code: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        how = ["-c", f"{code}\nimport sys\nfrom jumpseat.cli import main\nsys.exit(main())"] if code else None
        return subprocess.run(
            [sys.executable, *(how or ["-m", "jumpseat.cli"]), *arguments],
            cwd=tmp_path,
            env=without_providers(**environment),
            capture_output=True,
            text=True,
            timeout=EXIT_SECONDS,
            check=False,
        )

    return run
