"""Runs an app of these tests in a server process that can be killed, stopped and started again."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2

TESTS = Path(__file__).parent.parent
BASE_PATH = "/api/copilotkit"
START_SECONDS = 30.0
STOP_SECONDS = 30.0
PROBE_SECONDS = 0.05

# A server may log what an agent raised; these say that something went wrong in the server itself.
_SERVER_FAULTS = ("Exception in ASGI application", "was never retrieved", "Task was destroyed")


class Server:
    """One app of these tests on a port of its own; `configuration` reaches it as JSON."""

    def __init__(self, folder: Path, app: str = "scripted", **configuration: Any) -> None:
        self._app = app
        self._configuration = configuration
        self._log = folder / "server.log"
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=15.0)

    @property
    def url(self) -> str:
        """The address a client is given."""
        return f"http://127.0.0.1:{self._port}{BASE_PATH}"

    def start(self) -> "Server":
        """Start, and return once the app answers."""
        environment = {**os.environ, "JUMPSEAT_E2E": json.dumps(self._configuration)}
        command = [
            "-m",
            "uvicorn",
            f"e2e.apps.{self._app}:app",
            "--host",
            "127.0.0.1",
            "--port",
            str(self._port),
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *command, "--log-level", "warning", "--app-dir", str(TESTS)],
                env=environment,
                stdout=log,
                stderr=log,
            )
        self._wait_until_ready()
        return self

    def kill(self) -> None:
        """End the process as `kill -9` does: nothing in it gets to run any more."""
        self._end(signal.SIGKILL)

    def terminate(self) -> int:
        """Ask the process to stop and return its exit code."""
        return self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Kill the process and start another one with the same configuration."""
        self.kill()
        self.start()

    def open_gate(self, name: str) -> None:
        """Let agents that wait, or will wait, at the gate go on."""
        self.http.post(f"/control/gates/{name}").raise_for_status()

    def wait_at_gate(self, name: str) -> None:
        """Wait until an agent has come to the gate."""
        self.http.get(f"/control/gates/{name}").raise_for_status()

    def inputs(self, thread_id: str) -> list[dict[str, Any]]:
        """What the agents of this process were given on a thread, oldest first."""
        return self.http.get("/control/inputs", params={"threadId": thread_id}).raise_for_status().json()

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON answer of a GET below the runtime's address."""
        return self.http.get(f"{BASE_PATH}/{path}", **parameters).raise_for_status().json()

    def logged(self) -> str:
        """What the server printed so far, over all its processes."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def close(self) -> None:
        """Stop what still runs, and check that no process of this server reported a fault of its own."""
        if self._process is not None:
            self._end(signal.SIGKILL)
        self.http.close()
        faults = [
            line for line in self.logged().splitlines() if any(fault in line for fault in _SERVER_FAULTS)
        ]
        assert faults == [], self.logged()[-6000:]

    def _end(self, how: signal.Signals) -> int:
        assert self._process is not None, "the server does not run"
        self._process.send_signal(how)
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
            raise AssertionError(f"the server ignored {how.name}:\n{self.logged()[-6000:]}") from None
        finally:
            self._process = None
        return code

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                code, self._process = self._process.returncode, None
                raise AssertionError(f"the server ended with code {code}:\n{self.logged()[-6000:]}")
            try:
                self.http.get("/control/inputs", params={"threadId": ""}).raise_for_status()
            except httpx2.TransportError:
                time.sleep(PROBE_SECONDS)
            else:
                return
        raise AssertionError(f"the server did not answer within {START_SECONDS} s:\n{self.logged()[-6000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
