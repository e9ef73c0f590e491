"""The database servers behind the stores under test: each for one measurement, on a port of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# The tests start the same servers; there they are looked after.
TESTS = Path(__file__).parent.parent / "tests"
_TICK = os.sysconf("SC_CLK_TCK")
_INSTALL = 'pip install -e ".[server,postgres,redis]", and PostgreSQL and Redis from the system\'s packages'


class NoDatabase(Exception):
    """A database server cannot be started; the message says what to do."""


@dataclass(frozen=True)
class Database:
    """A running database server.

    ``url`` leads to it, ``pid`` is its first process, ``connections`` says how many clients it has.
    """

    url: str
    pid: int
    connections: Callable[[], int]

    def cpu(self) -> float:
        """CPU seconds of all its processes so far, those that ended included."""
        return (_ticks(self.pid, ended=True) + sum(_ticks(pid) for pid in _children(self.pid))) / _TICK


def _ticks(pid: int, *, ended: bool = False) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(map(int, fields[11 : 15 if ended else 13]))


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def database(store: str, folder: Path) -> Iterator[Database | None]:
    """What ``store`` needs: a server of its own for ``postgres`` and ``redis``, nothing for the others.

    Its files are in a temporary folder, synced as a server in use syncs them. Raises ``NoDatabase``.
    """
    if str(TESTS) not in sys.path:
        sys.path.append(str(TESTS))
    if store == "postgres":
        with _postgres() as server:
            yield server
    elif store == "redis":
        with _redis(folder) as server:
            yield server
    else:
        yield None


@contextmanager
def _postgres() -> Iterator[Database]:
    try:
        from postgres_server import binaries, postgres_server  # noqa: PLC0415

        binaries()
    except (ImportError, AssertionError) as error:
        raise NoDatabase(f"no PostgreSQL ({error}): {_INSTALL}") from error

    with postgres_server(durable=True) as server:
        pid = int((Path(server.data) / "postmaster.pid").read_text().split()[0])
        count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'jumpseat'"
        yield Database(server.dsn(), pid, lambda: int(server.sql(count)))


@contextmanager
def _redis(folder: Path) -> Iterator[Database]:
    try:
        from redis_server import Server  # noqa: PLC0415

        server = Server("--appendonly", "yes", folder=str(folder))
    except (ImportError, AssertionError) as error:
        raise NoDatabase(f"no Redis ({error}): {_INSTALL}") from error

    def connections() -> int:
        # The connection that asks is not counted.
        return len(server.command("CLIENT", "LIST").splitlines()) - 1

    try:
        yield Database(server.url, server.process.pid, connections)
    finally:
        server.stop()
