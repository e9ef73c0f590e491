"""nginx as the deployment documents configure it, as a process of the test's own on a free port."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import httpx2

from documents import ROOT
from postgres_server import free_port

CONFIGURATION = ROOT / "docs" / "deploy" / "nginx.conf"
SECONDS = 15.0

# What the file leaves to the nginx that it is put into.
_AROUND = """\
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    types {{
        text/html html;
        text/css css;
        text/javascript js;
        image/svg+xml svg;
        font/woff2 woff2;
    }}
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


class Nginx:
    """A running nginx that serves a folder and sends what is for the runtime to processes in turn."""

    def __init__(self, folder: Path, root: Path, ports: Sequence[int]) -> None:
        program = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
        assert program, "the tests need nginx: run scripts/require-services.sh"
        self._folder = folder
        self.port = free_port()
        (folder / "site.conf").write_text(_site(self.port, root, ports))
        # Its workers would give up the rights of root, and could not read the folders of the tests then.
        user = "user root;" if os.getuid() == 0 else ""
        (folder / "nginx.conf").write_text(_AROUND.format(folder=folder, user=user))
        arguments = ["-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]
        self._process = subprocess.Popen([program, *arguments], stdin=subprocess.DEVNULL)
        try:
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise

    @property
    def origin(self) -> str:
        """The scheme, host and port."""
        return f"http://127.0.0.1:{self.port}"

    def logged(self) -> str:
        """What it reported so far."""
        log = self._folder / "error.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def close(self) -> None:
        """End it, with everything that it still carries."""
        self._process.terminate()
        try:
            self._process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(SECONDS)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self.logged()
            try:
                httpx2.get(self.origin, timeout=SECONDS)
            except httpx2.TransportError:
                time.sleep(0.02)
            else:
                return
        raise TimeoutError(f"nginx does not answer: {self.logged()}")


def _site(port: int, root: Path, ports: Sequence[int]) -> str:
    """Return the documented configuration with the addresses of a test in it."""
    site = CONFIGURATION.read_text(encoding="utf-8")
    changes = {
        "listen 80;": f"listen 127.0.0.1:{port};",
        "root /srv/chat;": f"root {root};",
        "server 127.0.0.1:8001 ": f"server 127.0.0.1:{ports[0]} ",
        "server 127.0.0.1:8002 ": f"server 127.0.0.1:{ports[1]} ",
    }
    for documented, own in changes.items():
        assert site.count(documented) == 1, f"{CONFIGURATION} has no line {documented!r}"
        site = site.replace(documented, own)
    return site
