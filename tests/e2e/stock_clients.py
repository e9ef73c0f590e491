"""Drives the stock clients in Node.js: one process per release, commands and answers as lines of JSON."""

import itertools
import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from installing import alone

NODE_FOLDER = Path(__file__).parent / "node"

CLIENT_RELEASES = ("client57", "client59", "client1")
"""Releases of @ag-ui/client: 0.0.57, 0.0.59 and 1.0."""

CORE_RELEASES = ("core69", "core75")
"""Releases of @copilotkit/core: 1.69 and 1.75, each on the @ag-ui/client that it brings along."""

INSTALL_SECONDS = 300
CALL_SECONDS = 15.0
GRACE_SECONDS = 5.0

_INSTALL = (
    "install",
    "--legacy-peer-deps",
    "--no-audit",
    "--no-fund",
    "--no-package-lock",
    "--loglevel=error",
)


class ClientError(Exception):
    """A command that the client in Node.js refused, or did not finish in time."""


def required_command(name: str, package: str) -> str:
    """The path of a command; raises `RuntimeError` saying what to install when it is absent."""
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(f"the end-to-end tests need `{name}`: install {package} and run them again")
    return found


def install_packages() -> None:
    """Install the stock clients next to their package.json, unless the installed ones are as new as it."""
    node = required_command("node", "Node.js 20 or newer (https://nodejs.org)")
    npm = required_command("npm", "npm, which comes with Node.js 20 or newer (https://nodejs.org)")
    version = subprocess.run(
        [node, "--version"], capture_output=True, text=True, timeout=30, check=True
    ).stdout
    if int(version.strip().lstrip("v").split(".")[0]) < 20:
        raise RuntimeError(f"the end-to-end tests need Node.js 20 or newer, and `node` is {version.strip()}")
    with alone(NODE_FOLDER):
        _install_with(npm)


def _install_with(npm: str) -> None:
    stamp = NODE_FOLDER / "node_modules" / ".installed-from"
    wanted = (NODE_FOLDER / "package.json").read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    done = subprocess.run(
        [npm, *_INSTALL],
        cwd=NODE_FOLDER,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(
            f"npm could not install the stock clients in {NODE_FOLDER}:\n{done.stderr.strip()}"
        )
    stamp.write_text(wanted)


class StockClient:
    """One release of a stock client, or a browser, in a Node.js process of its own."""

    def __init__(self, release: str) -> None:
        self.release = release
        self._process = subprocess.Popen(
            [required_command("node", "Node.js 20 or newer"), "driver.mjs", release],
            cwd=NODE_FOLDER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Future[Any]] = {}
        self._lock = threading.Lock()
        self._printed: queue.Queue[str] = queue.Queue(maxsize=1000)
        self._readers = [
            threading.Thread(target=self._read_answers, daemon=True),
            threading.Thread(target=self._read_prints, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def is_core(self) -> bool:
        """Whether this is @copilotkit/core and not a bare @ag-ui/client."""
        return self.release in CORE_RELEASES

    def begin(self, op: str, /, *, deadline: float = CALL_SECONDS, **parameters: Any) -> "Future[Any]":
        """Send a command and return its answer to come; the driver refuses it after `deadline` seconds."""
        number = next(self._numbers)
        answer: Future[Any] = Future()
        line = json.dumps({"id": number, "op": op, "deadline": int(deadline * 1000), **parameters})
        with self._lock:
            self._waiting[number] = answer
            assert self._process.stdin is not None
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        return answer

    def call(self, op: str, /, *, deadline: float = CALL_SECONDS, **parameters: Any) -> Any:
        """Send a command and wait for its answer; raises `ClientError` when the driver refuses it."""
        return self.begin(op, deadline=deadline, **parameters).result(deadline + GRACE_SECONDS)

    def printed(self) -> str:
        """What the packages printed since the last call."""
        lines: list[str] = []
        while not self._printed.empty():
            lines.append(self._printed.get_nowait())
        return "".join(lines)

    def close(self) -> None:
        """End the process, at the latest by killing it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(GRACE_SECONDS)
        for reader in self._readers:
            reader.join(GRACE_SECONDS)
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()

    def _read_answers(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            reply = json.loads(line)
            with self._lock:
                answer = self._waiting.pop(reply["id"])
            if "error" in reply:
                answer.set_exception(ClientError(f"{reply['error']['name']}: {reply['error']['message']}"))
            else:
                answer.set_result(reply["ok"])
        with self._lock:
            abandoned, self._waiting = list(self._waiting.values()), {}
        for answer in abandoned:
            answer.set_exception(ClientError(f"the {self.release} process ended: {self.printed()[-2000:]}"))

    def _read_prints(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if self._printed.full():
                self._printed.get_nowait()
            self._printed.put_nowait(line)


class Tab:
    """One open page of a client: an agent bound to a thread, with what it has seen."""

    def __init__(self, client: StockClient, session: str) -> None:
        self.client = client
        self.session = session

    def begin(self, op: str, /, **parameters: Any) -> "Future[Any]":
        """A command on this tab whose answer comes later."""
        return self.client.begin(op, session=self.session, **parameters)

    def call(self, op: str, /, **parameters: Any) -> Any:
        """A command on this tab, waited for."""
        return self.client.call(op, session=self.session, **parameters)

    def say(self, text: str, message_id: str) -> None:
        """Add a user message to the page, as typing it does; it travels with the next run."""
        self.call("say", message={"id": message_id, "role": "user", "content": text})

    def begin_run(self, script: list[dict[str, Any]] | None = None, /, **parameters: Any) -> "Future[Any]":
        """Start a run whose agent follows `script`; the answer is the tab's report after it."""
        deadline = parameters.pop("deadline", CALL_SECONDS)
        if script is not None:
            parameters["forwardedProps"] = {**parameters.get("forwardedProps", {}), "script": script}
        return self.begin("run", parameters=parameters, deadline=deadline)

    def run(self, script: list[dict[str, Any]] | None = None, /, **parameters: Any) -> dict[str, Any]:
        """Run to the end and return the tab's report."""
        return self.begin_run(script, **parameters).result(
            parameters.get("deadline", CALL_SECONDS) + GRACE_SECONDS
        )

    def connect(self, **parameters: Any) -> dict[str, Any]:
        """Connect to the thread, to the end of the stream, and return the tab's report."""
        return self.call("connect", **parameters)

    def look(self) -> dict[str, Any]:
        """The tab's report now."""
        return self.call("look")

    def wait(self, **condition: Any) -> None:
        """Wait for a `count` of events (of one `type`), or for `failures`, `asked`, `idle`, `text`."""
        self.call("wait", **condition)


class Tabs:
    """Opens tabs against one server and closes them at the end of a test."""

    def __init__(self) -> None:
        self._names = itertools.count(1)
        self._open: list[Tab] = []

    def open(
        self, client: StockClient, base_url: str, *, thread_id: str, agent_id: str = "default", **options: Any
    ) -> Tab:
        """A fresh page on a thread, with nothing in it yet."""
        tab = Tab(client, f"tab-{id(self)}-{next(self._names)}")
        if client.is_core:
            tab.call("open", runtimeUrl=base_url, agentId=agent_id, threadId=thread_id, **options)
        else:
            tab.call("open", url=f"{base_url}/agent/{agent_id}/run", threadId=thread_id, **options)
        self._open.append(tab)
        return tab

    def close(self, tab: Tab) -> None:
        """Close a page: its requests are cut."""
        self._open.remove(tab)
        tab.call("close")

    def close_all(self) -> None:
        """Close what is still open."""
        for tab in list(self._open):
            self.close(tab)


@contextmanager
def running_client(release: str) -> Iterator[StockClient]:
    """A client process that ends with the block."""
    client = StockClient(release)
    try:
        yield client
    finally:
        client.close()
