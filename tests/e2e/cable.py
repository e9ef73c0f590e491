"""A network path between a client and a server that a test can cut and mend."""

import select
import socket
import threading
from contextlib import suppress

_CHUNK = 65_536
_LOOK_SECONDS = 0.2
_CLOSE_SECONDS = 5.0


class Cable:
    """Forwards TCP connections to a port of this machine until it is cut."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._whole = threading.Event()
        self._whole.set()
        self._closing = threading.Event()
        self._ends: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def cut(self) -> None:
        """End all connections; new ones are refused until `mend`."""
        self._whole.clear()
        for end in list(self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Forward new connections again."""
        self._whole.set()

    def close(self) -> None:
        """Cut for good."""
        self._closing.set()
        self.cut()
        for thread in self._threads:
            thread.join(_CLOSE_SECONDS)
        self._listener.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            if not select.select([self._listener], [], [], _LOOK_SECONDS)[0]:
                continue
            near, _ = self._listener.accept()
            if not self._whole.is_set():
                near.close()
                continue
            thread = threading.Thread(target=self._forward, args=(near,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _forward(self, near: socket.socket) -> None:
        with near, socket.create_connection(("127.0.0.1", self._target_port), timeout=_CLOSE_SECONDS) as far:
            pair = {near: far, far: near}
            self._ends.update(pair)
            try:
                while self._whole.is_set():
                    for source in select.select(list(pair), [], [], _LOOK_SECONDS)[0]:
                        data = source.recv(_CHUNK)
                        if not data:
                            return
                        pair[source].sendall(data)
            except OSError:
                return
            finally:
                self._ends.difference_update(pair)
