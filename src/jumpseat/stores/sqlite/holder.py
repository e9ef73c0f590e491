"""Who holds a claim: a process of this host, named so that its death can be noticed."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Holder", "this_process"]


@dataclass(frozen=True, slots=True)
class Holder:
    """A process: ``host`` names the boot and the pid namespace, ``start`` is when the process began."""

    host: str
    pid: int
    start: str

    def __str__(self) -> str:
        return f"{self.host}/{self.pid}/{self.start}"

    def is_gone(self, other: str | None) -> bool:
        """Say whether the process ``other`` (as text) ran where this one runs and has ended."""
        if other is None or other == str(self):
            return False
        host, pid, start = other.rsplit("/", 2)
        if host != self.host:
            return False
        found = _start_of(int(pid))
        return found is None or (found != start and "" not in {found, start})


def this_process() -> Holder:
    """Return the holder that stands for the running process."""
    pid = os.getpid()
    return Holder(host=_host(), pid=pid, start=_start_of(pid) or "")


def _host() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # A file written under Linux names the namespace: the same pid means another process elsewhere.
        return f"{boot}-{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return socket.gethostname().replace("/", "-")


def _start_of(pid: int) -> str | None:
    """Return when the process began, "" when that cannot be told, ``None`` when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return _exists(pid)
    fields = stat.rpartition(")")[2].split()
    # A zombie holds nothing any more, even while nobody has waited for it.
    return None if fields[0] in {"Z", "X"} else fields[19]


def _exists(pid: int) -> str | None:
    if os.name != "posix":
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        return ""
    return ""
