"""Starts and stops the servers under test, each in a process of its own, and reads what they cost."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from databases import Database, NoDatabase, database

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
    """One column of the report; ``store`` is what keeps its threads, where that is no memory."""

    name: str
    title: str
    store: str = ""
    connects: bool = True


TYPESCRIPT_MEMORY = Kind("typescript", "TypeScript")
JUMPSEAT_MEMORY = Kind("memory", "Jumpseat memory")
JUMPSEAT_SQLITE = Kind("sqlite", "Jumpseat SQLite", store="sqlite")
JUMPSEAT_POSTGRES = Kind("postgres", "Jumpseat PostgreSQL", store="postgres")
JUMPSEAT_REDIS = Kind("redis", "Jumpseat Redis", store="redis")
BARE = Kind("bare", "bare log", connects=False)
KINDS = (TYPESCRIPT_MEMORY, JUMPSEAT_MEMORY, JUMPSEAT_SQLITE, JUMPSEAT_POSTGRES, JUMPSEAT_REDIS, BARE)


@dataclass(frozen=True)
class Server:
    """A running server, and the database that it keeps its threads in, if there is one."""

    kind: Kind
    port: int
    pid: int
    database: Database | None = None

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
    installed = TYPESCRIPT / "node_modules" / "@copilotkit"
    if (installed / "runtime").is_dir() and (installed / "aimock").is_dir():
        return
    if shutil.which("npm") is None:
        raise BenchError("the TypeScript side needs Node.js 20 or newer with npm (or pass --skip-typescript)")
    print("Installing the TypeScript runtime (once) ...", file=sys.stderr, flush=True)
    subprocess.run(
        _NPM_INSTALL.split(), cwd=TYPESCRIPT, check=True, env=os.environ | _QUIET, stdout=sys.stderr
    )


@contextmanager
def provider(tokens: int, delta: int) -> Iterator[dict[str, str]]:
    """A mock of OpenAI that answers with ``tokens`` pieces of text; gives the variables that lead there."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        fixtures = Path(folder) / "fixtures.json"
        fixture = {"match": {}, "response": {"content": "x" * delta * tokens}, "chunkSize": delta}
        fixtures.write_text(json.dumps({"fixtures": [fixture]}))
        port = free_port()
        config = Path(folder) / "aimock.json"
        llm = {"fixtures": str(fixtures), "chunkSize": delta}
        config.write_text(json.dumps({"host": "127.0.0.1", "port": port, "strict": True, "llm": llm}))
        program = TYPESCRIPT / "node_modules" / "@copilotkit" / "aimock" / "dist" / "aimock-cli.js"
        with (Path(folder) / "provider.log").open("w+b") as log:
            process = subprocess.Popen(
                ["node", str(program), "--config", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                wait_for(f"http://127.0.0.1:{port}/health", "the mock provider", process, log)
                yield {
                    "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
                    "OPENAI_API_KEY": "sk-bench-0123456789",
                }
            finally:
                stop(process)


@contextmanager
def serve(kind: Kind, variables: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A fresh server of this kind, ready to answer, with a fresh store; both are gone when the block ends."""
    with keeping(kind.store) as (where, backing), tempfile.TemporaryFile() as log:
        port = free_port()
        process = start(kind, port, log, {**({"JUMPSEAT_DB": where} if where else {}), **(variables or {})})
        try:
            wait_for(info_address(port), kind.title, process, log)
            yield Server(kind, port, process.pid, backing)
            complain_if_gone(kind.title, process, log)
        finally:
            stop(process)


@contextmanager
def keeping(store: str) -> Iterator[tuple[str, Database | None]]:
    """A fresh place for threads: its address, and the server behind it unless it is a file or memory."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        try:
            with database(store, Path(folder)) as backing:
                file = str(Path(folder) / "threads.db") if store == "sqlite" else ""
                yield backing.url if backing else file, backing
        except NoDatabase as error:
            raise BenchError(str(error)) from error


def info_address(port: int) -> str:
    """What a server answers to as soon as it is ready."""
    return f"http://127.0.0.1:{port}/api/copilotkit/info"


def start(kind: Kind, port: int, log: IO[bytes], variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Starts the process; its output goes to ``log``."""
    if kind is TYPESCRIPT_MEMORY:
        command = ["node", str(TYPESCRIPT / "server.mjs")]
    elif kind is BARE:
        command = [sys.executable, "-m", "uvicorn", "bare_asgi:app", "--port", str(port), "--no-access-log"]
        command += ["--loop", "uvloop", "--http", "httptools", "--log-level", "warning", "--backlog", "4096"]
    else:
        command = jumpseat_command("jumpseat_app:runtime", port)
    return start_process(command, port, log, variables)


def jumpseat_command(target: str, port: int) -> list[str]:
    """What serves a runtime of this folder."""
    command = [sys.executable, "-m", "jumpseat.cli", "serve", target]
    return [*command, "--port", str(port), "--base-path", "/api/copilotkit"]


def start_process(
    command: Sequence[str], port: int, log: IO[bytes], variables: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Starts a server; of what configures one it gets ``variables`` only."""
    env = {name: value for name, value in os.environ.items() if name not in ("BENCH_MODEL", "JUMPSEAT_DB")}
    env |= {**_QUIET, "NODE_ENV": "production", "PORT": str(port), "PYTHONPATH": PYTHON_PATH, **variables}
    return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)


def wait_for(address: str, title: str, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    """Returns when the address answers."""
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        complain_if_gone(title, process, log)
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                answer.read()
                return
        except OSError:
            time.sleep(0.05)
    raise BenchError(f"{title} did not answer within {START_LIMIT:.0f} s: {output(log)}")


def complain_if_gone(title: str, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    """Raises when the server has ended by itself, with what it said last."""
    if process.poll() is not None:
        raise BenchError(f"{title} ended with {process.returncode}: {output(log)}")


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
