"""PostgreSQL servers of the tests' own, made from the installed binaries on a free port."""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import psycopg

SECONDS = 60
FAST = ["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off"]


def binaries() -> Path:
    """The folder of the newest installed server."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    assert folders, "the tests need a PostgreSQL server: run scripts/require-services.sh"
    return folders[-1].parent


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def account() -> dict:
    """Arguments that make a server run as somebody it accepts: it refuses root."""
    if os.getuid() != 0:
        return {}
    postgres = pwd.getpwnam("postgres")
    return {"user": postgres.pw_uid, "group": postgres.pw_gid, "extra_groups": []}


class PostgresServer:
    """A cluster that can be stopped, killed and started again."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self.folder = folder
        self.port = free_port()
        self.options = [] if durable else FAST

    def make(self) -> None:
        self.run("initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-N", "-D", self.data)

    @property
    def data(self) -> str:
        return str(self.folder / "data")

    def run(self, program: str, *arguments: str) -> None:
        with (self.folder / "log").open("ab") as log:
            subprocess.run(
                [str(binaries() / program), *arguments],
                check=True, timeout=SECONDS, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                cwd=self.folder, **account(),
            )  # fmt: skip

    def start(self) -> None:
        settings = ["-p", str(self.port), "-k", "", "-h", "127.0.0.1", "-c", "max_connections=200"]
        options = " ".join(word or "''" for word in settings + self.options)
        self.run(
            "pg_ctl", "start", "-w", "-D", self.data, "-l", str(self.folder / "server.log"), "-o", options
        )

    def stop(self, mode: str = "fast") -> None:
        self.run("pg_ctl", "stop", "-w", "-D", self.data, "-m", mode)

    def dsn(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def standby(self):
        """A running server that follows this one."""
        with _folder() as folder:
            other = PostgresServer(folder, durable=True)
            other.run("pg_basebackup", "-d", self.dsn(), "-D", other.data, "-R", "-X", "stream", "-c", "fast")
            with other.started():
                yield other

    def until_it_has(self, primary: PostgresServer) -> None:
        """Wait until this standby has what its primary has."""
        wanted = primary.sql("SELECT pg_current_wal_lsn()")
        deadline = time.monotonic() + SECONDS
        while self.sql(f"SELECT pg_last_wal_replay_lsn() >= '{wanted}'") != "t":
            assert time.monotonic() < deadline
            time.sleep(0.05)

    @contextmanager
    def started(self):
        """Run until the end of the block."""
        self.start()
        try:
            yield
        finally:
            if Path(self.data, "postmaster.pid").exists():
                self.stop("immediate")

    def sql(self, text: str, database: str = "postgres") -> str:
        done = subprocess.run(
            [str(binaries() / "psql"), "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.dsn(database)],
            input=text, check=False, timeout=SECONDS, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@contextmanager
def _folder():
    folder = Path(tempfile.mkdtemp(prefix="jumpseat-postgres-"))
    if os.getuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres_server(*, durable: bool = False):
    """A running server, gone with its files at the end."""
    with _folder() as folder:
        server = PostgresServer(folder, durable=durable)
        server.make()
        with server.started():
            yield server


@contextmanager
def pgbouncer(server: PostgresServer, *lines: str):
    """The port of a PgBouncer in transaction mode that hands every transaction to another connection."""
    folder = Path(tempfile.mkdtemp(prefix="jumpseat-pgbouncer-"))
    port = free_port()
    (folder / "users").write_text('"postgres" ""\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host=127.0.0.1 port={server.port}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = trust\nauth_file = {folder}/users\npool_mode = transaction\n"
        "server_round_robin = 1\ndefault_pool_size = 6\nmin_pool_size = 3\nmax_client_conn = 300\n"
        f"logfile = {folder}/log\n" + "".join(f"{line}\n" for line in lines)
    )
    if os.getuid() == 0:
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, "postgres", "postgres")
    process = subprocess.Popen(
        ["pgbouncer", "-q", str(folder / "pgbouncer.ini")], stderr=subprocess.DEVNULL, **account()
    )
    try:
        _wait_for_port(port)
        yield port
    finally:
        process.terminate()
        process.wait(SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"nothing listens on port {port}")


@functools.cache
def shared_pgbouncer() -> str:
    """The DSN of the shared server through one PgBouncer for all tests of this process."""
    server = shared_server()
    context = pgbouncer(server)
    port = context.__enter__()
    atexit.register(context.__exit__, None, None, None)
    return server.dsn().replace(str(server.port), str(port))


@functools.cache
def shared_server() -> PostgresServer:
    """One server for all tests of this process, started when the first of them needs it."""
    context = postgres_server()
    server = context.__enter__()
    atexit.register(context.__exit__, None, None, None)
    return server


_free: list[str] = []
_schemas = itertools.count(1)


@contextmanager
def lent_schema():
    """The name of an empty schema on the shared server. Emptying one takes less time than making one."""
    schema = _free.pop() if _free else f"test_{next(_schemas)}"
    with psycopg.connect(shared_server().dsn(), autocommit=True) as connection:
        listed = "SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename <> 'schema_version'"
        tables = [f"{schema}.{name}" for (name,) in connection.execute(listed, (schema,))]
        if tables:
            connection.execute(f"TRUNCATE {', '.join(tables)}")
    yield schema
    _free.append(schema)
