"""Starts and stops the servers under test, each in a process of its own, and reads what they cost."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

HERE = Path(__file__).parent
TYPESCRIPT = HERE / "typescript"
PYTHON_PATH = os.pathsep.join((str(HERE), str(HERE.parent / "src")))
START_LIMIT = 60.0
STOP_LIMIT = 15.0
_NPM_INSTALL = (
    "npm install --legacy-peer-deps --no-audit --no-fund --no-package-lock --ignore-scripts --loglevel=error"
)
_QUIET = {"COPILOTKIT_TELEMETRY_DISABLED": "true", "DO_NOT_TRACK": "1", "SCARF_ANALYTICS": "false"}


class BenchError(Exception):
    """A benchmark cannot go on; the message says what to do."""


@dataclass(frozen=True)
class Kind:
    """One column of the report."""

    name: str
    title: str
    connects: bool = True


TYPESCRIPT_MEMORY = Kind("typescript", "TypeScript")
JUMPSEAT_MEMORY = Kind("memory", "Jumpseat memory")
JUMPSEAT_SQLITE = Kind("sqlite", "Jumpseat SQLite")
BARE = Kind("bare", "bare log", connects=False)
KINDS = (TYPESCRIPT_MEMORY, JUMPSEAT_MEMORY, JUMPSEAT_SQLITE, BARE)


@dataclass(frozen=True)
class Server:
    """A running server."""

    kind: Kind
    port: int
    pid: int

    def cpu(self) -> float:
        """CPU seconds of all its threads so far, from the process's CPU clock (nanosecond steps)."""
        return time.clock_gettime(((~self.pid) << 3) | 2)

    def rss(self) -> int:
        """Resident bytes now."""
        return self._status("VmRSS")

    def peak_rss(self) -> int:
        """Resident bytes at the highest point so far."""
        return self._status("VmHWM")

    def _status(self, key: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == key:
                return int(value.split()[0]) * 1024
        raise BenchError(f"/proc/{self.pid}/status has no {key}: the benchmark needs Linux")


def install_typescript() -> None:
    """Installs the npm packages of the TypeScript runtime unless they are there."""
    if (TYPESCRIPT / "node_modules" / "@copilotkit" / "runtime").is_dir():
        return
    if shutil.which("npm") is None:
        raise BenchError("the TypeScript side needs Node.js 20 or newer with npm (or pass --skip-typescript)")
    print("Installing the TypeScript runtime (once) ...", file=sys.stderr, flush=True)
    subprocess.run(
        _NPM_INSTALL.split(), cwd=TYPESCRIPT, check=True, env=os.environ | _QUIET, stdout=sys.stderr
    )


@contextmanager
def serve(kind: Kind) -> Iterator[Server]:
    """A fresh server of this kind, ready to answer; it is gone when the block ends."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        port = free_port()
        with (Path(folder) / "server.log").open("w+b") as log:
            process = start(kind, port, Path(folder), log)
            try:
                wait_until_ready(kind, port, process, log)
                yield Server(kind, port, process.pid)
                complain_if_gone(kind, process, log)
            finally:
                stop(process)


def start(kind: Kind, port: int, folder: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Starts the process; its output goes to ``log``."""
    env = os.environ | _QUIET | {"NODE_ENV": "production", "PORT": str(port), "PYTHONPATH": PYTHON_PATH}
    env.pop("BENCH_DB", None)
    if kind is TYPESCRIPT_MEMORY:
        command = ["node", str(TYPESCRIPT / "server.mjs")]
    elif kind is BARE:
        command = [sys.executable, "-m", "uvicorn", "bare_asgi:app", "--port", str(port), "--no-access-log"]
        command += ["--loop", "uvloop", "--http", "httptools", "--log-level", "warning", "--backlog", "4096"]
    else:
        command = [sys.executable, "-m", "jumpseat.cli", "serve", "jumpseat_app:runtime"]
        command += ["--port", str(port), "--base-path", "/api/copilotkit"]
    if kind is JUMPSEAT_SQLITE:
        env["BENCH_DB"] = str(folder / "threads.db")
    return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)


def wait_until_ready(kind: Kind, port: int, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    """Returns when ``/info`` answers."""
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        complain_if_gone(kind, process, log)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/copilotkit/info", timeout=5) as answer:
                answer.read()
                return
        except OSError:
            time.sleep(0.05)
    raise BenchError(f"{kind.title} did not answer within {START_LIMIT:.0f} s: {output(log)}")


def complain_if_gone(kind: Kind, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    """Raises when the server has ended by itself, with what it said last."""
    if process.poll() is not None:
        raise BenchError(f"{kind.title} ended with {process.returncode}: {output(log)}")


def output(log: IO[bytes]) -> str:
    """The last lines that the server wrote."""
    log.seek(0)
    return log.read().decode(errors="replace")[-2000:]


def stop(process: subprocess.Popen[bytes]) -> None:
    """Asks the process to end, and makes it end when it does not."""
    process.terminate()
    try:
        process.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
