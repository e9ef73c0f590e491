"""Runs an app of these tests in a server process that can be killed, stopped and started again."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2

from mock_provider import KEY_VARIABLES, URL_VARIABLES

TESTS = Path(__file__).parent.parent
BASE_PATH = "/api/copilotkit"
START_SECONDS = 30.0
STOP_SECONDS = 30.0
PROBE_SECONDS = 0.05

_OF_PROVIDERS = frozenset((*KEY_VARIABLES, *URL_VARIABLES, "JUMPSEAT_MODEL"))

# A server may log what an agent raised; these say that something went wrong in the server itself.
_SERVER_FAULTS = (
    "Exception in ASGI application",
    "Exception in callback",
    "was never retrieved",
    "Task was destroyed",
)


class Server:
    """A server process on a port of its own.

    Args:
        folder: Where its log goes, and where it runs.
        command: The arguments for Python that start it, with ``{port}`` where the port belongs.
        probe: A path that answers 200 once it is ready.
        control: Where the app has the tests' way in.
        environment: Variables for the process. Keys and addresses of model providers come only from here.
        configuration: Reaches the apps of these tests as JSON.
    """

    def __init__(
        self,
        folder: Path,
        command: list[str],
        *,
        probe: str,
        control: str = "/control",
        environment: Mapping[str, str] | None = None,
        **configuration: Any,
    ) -> None:
        self._folder = folder
        self._probe = probe
        self._control = control
        self._environment = dict(environment or {})
        self._configuration = configuration
        self._log = folder / "server.log"
        self._port = _free_port()
        self._command = [sys.executable, *(part.replace("{port}", str(self._port)) for part in command)]
        self._process: subprocess.Popen[bytes] | None = None
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=15.0)

    @property
    def port(self) -> int:
        """The port on this machine's loopback address."""
        return self._port

    @property
    def origin(self) -> str:
        """The scheme, host and port."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        """The address of the runtime, as a client is given it."""
        return f"{self.origin}{BASE_PATH}"

    def start(self) -> "Server":
        """Start, and return once the app answers."""
        path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH", "")]))
        own = {name: value for name, value in os.environ.items() if name not in _OF_PROVIDERS}
        environment = {
            **own,
            "PYTHONPATH": path,
            "JUMPSEAT_E2E": json.dumps(self._configuration),
            **self._environment,
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder, env=environment, stdout=log, stderr=log
            )
        self._wait_until_ready()
        return self

    def kill(self) -> None:
        """End the process as `kill -9` does: nothing in it gets to run any more."""
        self._end(signal.SIGKILL)

    def terminate(self, *, within: float = STOP_SECONDS) -> int:
        """Ask the process to stop, give it some seconds, and return its exit code."""
        return self._end(signal.SIGTERM, within)

    def restart(self) -> None:
        """Kill the process and start another one with the same configuration."""
        self.kill()
        self.start()

    def open_gate(self, name: str) -> None:
        """Let agents that wait, or will wait, at the gate go on."""
        self.http.post(f"{self._control}/gates/{name}").raise_for_status()

    def wait_at_gate(self, name: str) -> None:
        """Wait until an agent has come to the gate."""
        self.http.get(f"{self._control}/gates/{name}").raise_for_status()

    def wait_until_idle(self, thread_id: str) -> None:
        """Wait until no run is live on a thread."""
        self.http.get(f"{self._control}/idle/{thread_id}").raise_for_status()

    def inputs(self, thread_id: str) -> list[dict[str, Any]]:
        """What the agents of this process were given on a thread, oldest first."""
        return (
            self.http.get(f"{self._control}/inputs", params={"threadId": thread_id}).raise_for_status().json()
        )

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

    def _end(self, how: signal.Signals, within: float = STOP_SECONDS) -> int:
        assert self._process is not None, "the server does not run"
        self._process.send_signal(how)
        try:
            code = self._process.wait(within)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
            raise AssertionError(
                f"the server lived on {within} s after {how.name}:\n{self.logged()[-6000:]}"
            ) from None
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
                self.http.get(self._probe).raise_for_status()
            except httpx2.HTTPError:
                time.sleep(PROBE_SECONDS)
            else:
                return
        raise AssertionError(f"the server did not answer within {START_SECONDS} s:\n{self.logged()[-6000:]}")


def scripted_server(folder: Path, app: str = "scripted", /, **configuration: Any) -> Server:
    """An app of these tests under uvicorn, mounted below the tests' own routes."""
    command = ["-m", "uvicorn", f"e2e.apps.{app}:app", "--host", "127.0.0.1", "--port", "{port}"]
    probe = "/control/inputs?threadId="
    return Server(folder, [*command, "--log-level", "warning"], probe=probe, **configuration)


def command_line_server(
    folder: Path, *arguments: str, probe: str = f"{BASE_PATH}/info", **configuration: Any
) -> Server:
    """The package's own command, for example ``dev``, with its threads in the folder."""
    command = ["-m", "jumpseat.cli", *arguments, "--port", "{port}"]
    return Server(folder, command, probe=probe, **configuration)


def chat_server(folder: Path) -> Server:
    """``jumpseat dev`` with a demo agent whose long story waits at gates; its threads are in the folder."""
    return _dev_server(folder, "e2e.apps.paced_demo:runtime")


def built_in_server(folder: Path, *options: str, **configuration: Any) -> Server:
    """``jumpseat dev`` with the BuiltInAgents of these tests; its threads are in the folder."""
    return _dev_server(folder, "e2e.apps.builtin:runtime", *options, **configuration)


def _dev_server(folder: Path, target: str, *options: str, **configuration: Any) -> Server:
    arguments = ("dev", target, "--db", str(folder / "threads.db"), *options)
    return command_line_server(folder, *arguments, control=f"{BASE_PATH}/control", **configuration)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
