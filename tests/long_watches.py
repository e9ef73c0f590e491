"""Checks that take a minute of real time: each runs in a process of its own beside all other tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

SECONDS = 100.0

Test = TypeVar("Test", bound=Callable[..., Any])


def watches(script: Path) -> Callable[[Test], Test]:
    """Let a test read, in the argument `seen`, the JSON that a script prints at its end.

    The script starts with the session and the test comes last, so that its minute costs nobody a minute.
    """

    def mark(test: Test) -> Test:
        test.watched_script = script
        return test

    return mark


def script_of(item: Any) -> Path | None:
    """The script that a collected test reads, if it reads one."""
    return getattr(getattr(item, "obj", None), "watched_script", None)


class Watches:
    """The scripts of a session, all of them running."""

    def __init__(self, items: Iterable[Any]) -> None:
        scripts = {script_of(item) for item in items} - {None}
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self._running = {
            script: subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, env=environment)
            for script in scripts
        }

    def seen(self, script: Path) -> Any:
        """Wait for the end of a script and return what it printed."""
        process = self._running[script]
        output, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 0
        return json.loads(output)

    def close(self) -> None:
        """End what no test waited for."""
        for process in self._running.values():
            with process:
                if process.poll() is None:
                    process.terminate()
