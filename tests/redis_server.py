"""Redis servers of the tests' own, from Debian's redis-server, on free ports and without a file."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

DEADLINE = 20.0


def free_port() -> int:
    """Find a port whose cluster bus port, 10000 above, is free as well."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            if port >= 55_000:
                continue
            with contextlib.suppress(OSError):
                two.bind(("127.0.0.1", port + 10_000))
                return port


class Server:
    """A running server."""

    def __init__(self, *options: str, port: int | None = None, folder: str | None = None) -> None:
        program = shutil.which("redis-server")
        assert program, "the tests need redis-server: on Debian, apt-get install redis-server"
        self.port = port or free_port()
        self.folder = folder or tempfile.mkdtemp(prefix="jumpseat-redis-")
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process = subprocess.Popen(
            [
                program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder,
                "--save", "", "--appendonly", "no", "--logfile", "log", *options,
            ],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if self.command("PING") == "PONG":
                    return
            assert self.process.poll() is None, (Path(self.folder) / "log").read_text()
            time.sleep(0.01)
        raise TimeoutError("redis-server does not answer")

    def command(self, *words: str) -> str:
        """Send one command over a connection of its own and return the first line of the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE) as connection:
            parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
            connection.sendall(f"*{len(parts)}\r\n{''.join(parts)}".encode())
            with connection.makefile("rb") as answer:
                line = answer.readline().decode().rstrip("\r\n")
                if line.startswith("$") and line != "$-1":
                    return answer.read(int(line[1:])).decode()
        return line[1:]

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Sentinel(Server):
    """A process that watches a server under the name ``threads`` and replaces it when it is gone."""

    def __init__(self, primary: int, *lines: str, settings: Sequence[str] = ()) -> None:
        """``primary`` is its port, ``lines`` are about it, ``settings`` about the sentinel itself."""
        self.folder = tempfile.mkdtemp(prefix="jumpseat-sentinel-")
        self.port = free_port()
        watched = (
            f"monitor threads 127.0.0.1 {primary} 1",
            "down-after-milliseconds threads 300",
            "failover-timeout threads 2000",
        )
        configuration = Path(self.folder) / "sentinel.conf"
        configuration.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\nlogfile log\n"
            + "".join(f"{line}\n" for line in settings)
            + "".join(f"sentinel {line}\n" for line in watched + lines)
        )
        self.url = f"redis+sentinel://127.0.0.1:{self.port}/threads"
        program = shutil.which("redis-server")
        assert program
        self.process = subprocess.Popen(
            [program, str(configuration), "--sentinel"], stdout=subprocess.DEVNULL
        )
        self._wait()

    def until_it_knows(self, replicas: int) -> None:
        """Wait until it has found as many replicas: only those can take over."""
        deadline = time.monotonic() + DEADLINE
        while f"slaves={replicas}" not in self.command("INFO", "sentinel"):
            assert time.monotonic() < deadline, "the sentinel does not find the replicas"
            time.sleep(0.05)


class Cluster:
    """Three servers that share the slots."""

    def __init__(self) -> None:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
        self.servers = [Server(*options) for _ in range(3)]
        self.url = self.servers[0].url
        share = 16384 // 3
        for number, server in enumerate(self.servers):
            first, last = number * share, 16383 if number == 2 else (number + 1) * share - 1
            assert server.command("CLUSTER", "ADDSLOTSRANGE", str(first), str(last)) == "OK"
            server.command("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
            for other in self.servers[:number]:
                server.command("CLUSTER", "MEET", "127.0.0.1", str(other.port))
        deadline = time.monotonic() + DEADLINE
        while not all(self._whole(server) for server in self.servers):
            assert time.monotonic() < deadline, "the cluster does not form"
            time.sleep(0.02)

    def _whole(self, server: Server) -> bool:
        told = server.command("CLUSTER", "INFO")
        return "cluster_state:ok" in told and "cluster_known_nodes:3" in told

    def stop(self) -> None:
        for server in self.servers:
            server.stop()
