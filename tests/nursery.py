"""Forks workers from a process that has everything imported, so that one starts in milliseconds."""

from __future__ import annotations

import atexit
import functools
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LARGEST_REQUEST = 1 << 16
# What a runner imports when it is made; the stores' modules are among those that are imported late.
MODULES = ("psycopg", "redis.asyncio", "jumpseat.stores.postgres", "jumpseat.stores.redis")


class Nursery:
    """The process that forks workers; what they are to do comes through a socket."""

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__)), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )

    def fork(self, where: str, options: Mapping[str, Any]) -> tuple[int, int, int]:
        """Start a worker: its process id, where to write to it and where to read from it."""
        (their_input, ours_to_write), (ours_to_read, their_output) = os.pipe(), os.pipe()
        try:
            request = json.dumps([where, dict(options)]).encode()
            with self._asking:
                socket.send_fds(self._channel, [request], [their_input, their_output])
                pid = int(self._channel.recv(LARGEST_REQUEST))
        finally:
            os.close(their_input)
            os.close(their_output)
        return pid, ours_to_write, ours_to_read

    def close(self) -> None:
        self._channel.close()
        self._process.wait(20)


@functools.cache
def nursery() -> Nursery:
    """The one that all tests of this process share."""
    shared = Nursery()
    atexit.register(shared.close)
    return shared


def serve(channel: socket.socket) -> None:
    """Fork a worker for each request, until nobody can ask any more."""
    for name in MODULES:
        importlib.import_module(name)
    from contract import worker

    # The system buries the dead, so that a killed worker is gone and no zombie.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        request, descriptors, _, _ = socket.recv_fds(channel, LARGEST_REQUEST, 2)
        if not request:
            return
        pid = os.fork()
        if pid == 0:
            channel.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for target, descriptor in enumerate(descriptors):
                os.dup2(descriptor, target)
                os.close(descriptor)
            worker.work(*json.loads(request))
            return
        for descriptor in descriptors:
            os.close(descriptor)
        channel.send(str(pid).encode())


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
