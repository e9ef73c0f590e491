"""Freezing a process that shares a SQLite file, outside of its transactions."""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

SECONDS = 10.0


def freeze(process, path: Path) -> None:
    """Stop ``process`` where it holds no lock on the file; inside a write it would lock out all others."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        process.send_signal(signal.SIGSTOP)
        _until_stopped(process.pid, deadline)
        if _is_free(path):
            return
        process.send_signal(signal.SIGCONT)
    raise TimeoutError("the process was inside a transaction each time it was stopped")


def _until_stopped(pid: int, deadline: float) -> None:
    status = Path(f"/proc/{pid}/status")
    while status.exists() and "State:\tT" not in status.read_text():
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {pid} did not stop")
        time.sleep(0.001)


def _is_free(path: Path) -> bool:
    with closing(sqlite3.connect(path, timeout=0.1)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        connection.rollback()
        return True
