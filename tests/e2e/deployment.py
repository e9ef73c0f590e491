"""Two `jumpseat serve` processes on one store behind nginx, which sends them requests in turn."""

import itertools
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2

from documents import ROOT
from e2e.server import BASE_PATH, STOP_SECONDS, Server, command_line_server
from nginx_server import Nginx
from serving import run_body

PAGE = ROOT / "src" / "jumpseat" / "cli" / "page"
NAMES = ("north", "south")
DRAIN_SECONDS = 10.0
RUN_SECONDS = 10.0

_users = itertools.count(1)


class Deployment:
    """The processes, and what stands before them."""

    def __init__(self, servers: dict[str, Server], proxy: Nginx) -> None:
        self.servers = servers
        self.proxy = proxy
        self._open = ExitStack()

    def user(self) -> "User":
        """Somebody whom no other test knows."""
        user = User(self, f"user-{next(_users)}")
        self._open.callback(user.http.close)
        return user

    @contextmanager
    def replaced(self, name: str) -> "Iterator[Future[int]]":
        """Ask a process to stop; the block has its exit code to come, and begins once it refuses runs.

        After the block it is started again.
        """
        server = self.servers[name]
        with ThreadPoolExecutor(1) as stopping:
            ended = stopping.submit(server.terminate)
            try:
                self._wait_until_draining(server)
                yield ended
            finally:
                ended.result(STOP_SECONDS)
                server.start()

    def _wait_until_draining(self, server: Server) -> None:
        headers = {"Cookie": f"user=nobody-{uuid.uuid4().hex}"}
        deadline = time.monotonic() + DRAIN_SECONDS
        for number in itertools.count():
            path, body = f"{BASE_PATH}/agent/default/run", run_body(f"t{number}")
            if server.http.post(path, json=body, headers=headers).status_code == 503:
                return
            assert time.monotonic() < deadline, "the process still takes runs"

    def close(self) -> None:
        """Close what the users have open."""
        self._open.close()

    def open_gate(self, name: str) -> None:
        """Let agents that wait, or will wait, at the gate go on, in whatever process."""
        for server in self.servers.values():
            server.open_gate(name)


class User:
    """Somebody with threads of their own."""

    def __init__(self, deployment: Deployment, name: str) -> None:
        self.deployment = deployment
        self.name = name
        self.cookies = {"user": name}
        self.http = httpx2.Client(
            base_url=f"{deployment.proxy.origin}{BASE_PATH}", cookies=self.cookies, timeout=15.0
        )

    def run(self, thread_id: str) -> str:
        """What comes of a run without a page, by way of the proxy."""
        deadline = time.monotonic() + RUN_SECONDS
        body = run_body(thread_id, f"run-{thread_id}", thread_id)
        came: list[str] = []
        with self.http.stream("POST", "agent/default/run", json=body) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                came.append(line)
                assert time.monotonic() < deadline, f"the run does not end: {came}"
        return "\n".join(came)

    def next_goes_to(self, name: str) -> None:
        """See to it that the next request that comes to the proxy is sent on to this process."""
        (other,) = set(NAMES) - {name}
        for _ in range(4):
            if self.http.get("/control/process").raise_for_status().json() == other:
                return
        raise AssertionError("the proxy does not send requests to its processes in turn")

    def requests(self, name: str, kind: str) -> list[float]:
        """When a process was asked something by this user: `run`, `connect`, `stop` or `threads`."""
        server = self.deployment.servers[name]
        asked = server.http.get(f"{BASE_PATH}/control/requests/{self.name}").raise_for_status().json()
        return [at for path, at in asked if kind in path.split("/")]

    def runs_on(self) -> str:
        """The process that got this user's only run."""
        (name,) = [name for name in NAMES if self.requests(name, "run")]
        return name

    def get(self, path: str, *, from_process: str | None = None) -> Any:
        """The JSON answer of a GET, by way of the proxy or from one process."""
        if from_process is None:
            return self.http.get(path).raise_for_status().json()
        server = self.deployment.servers[from_process]
        return server.get(path, headers={"Cookie": f"user={self.name}"})

    def runs(self, thread_id: str) -> list[dict[str, Any]]:
        """The runs of a thread, oldest first."""
        return self.get(f"threads/{thread_id}/runs")["runs"]

    def messages(self, thread_id: str) -> list[dict[str, Any]]:
        """The messages of a thread, on which the processes agree."""
        north, south = (self.get(f"threads/{thread_id}/messages", from_process=name) for name in NAMES)
        assert north == south
        return north["messages"]


@contextmanager
def deployed(folder: Path, runner: str, **options: Any) -> Iterator[Deployment]:
    """Processes whose runners, `postgres` or `redis`, have these options, and the proxy before them."""
    with ExitStack() as stack:
        servers: dict[str, Server] = {}
        for name in NAMES:
            own = folder / name
            own.mkdir()
            servers[name] = command_line_server(
                own,
                "serve",
                "e2e.apps.deployed:runtime",
                probe=f"{BASE_PATH}/control/process",
                control=f"{BASE_PATH}/control",
                process=name,
                runner=runner,
                options=options,
            )
            stack.callback(servers[name].close)
        with ThreadPoolExecutor() as starting:
            list(starting.map(Server.start, servers.values()))
        before = folder / "nginx"
        before.mkdir()
        proxy = Nginx(before, PAGE, [server.port for server in servers.values()])
        stack.callback(proxy.close)
        made = Deployment(servers, proxy)
        stack.callback(made.close)
        yield made
