"""Opening the database file: connections, schema versions, and what a failure of SQLite means."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from importlib import resources
from pathlib import Path
from typing import Literal

from jumpseat.errors import SchemaTooNew, StoreUnavailable

__all__ = ["Durability", "migrations", "open_checkpointer", "open_reader", "open_writer", "unavailable"]

Durability = Literal["normal", "full"]

APPLICATION_ID = 0x4A534541
BUSY_SECONDS = 5.0
# A checkpoint that waits for others makes the writer wait too.
CHECKPOINT_BUSY_SECONDS = 0.02
WAL_KEPT_BYTES = 64 << 20

_ADVICE = {
    sqlite3.SQLITE_BUSY: "another program holds it locked: close that program, or try again",
    sqlite3.SQLITE_LOCKED: "another program holds it locked: close that program, or try again",
    sqlite3.SQLITE_READONLY: "it cannot be written: check the permissions of the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: check the path and the permissions of its folder",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk does not read or write it",
    sqlite3.SQLITE_CORRUPT: "it is damaged: restore a backup, or move it away to start anew",
    sqlite3.SQLITE_NOTADB: "it is no SQLite database: choose another path, or move the file away",
}


def unavailable(path: Path, error: sqlite3.Error | OSError) -> StoreUnavailable:
    """Say in one sentence which file cannot be used, and why."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    advice = _ADVICE.get(code & 0xFF) if code is not None else None
    return StoreUnavailable(f"{path}: {advice} ({error})" if advice else f"{path}: {error}")


def _connect(
    path: Path, mode: Literal["ro", "rw", "rwc"], busy_seconds: float = BUSY_SECONDS
) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,
    )


def open_reader(path: Path) -> sqlite3.Connection:
    """Open a connection that cannot write."""
    connection = _connect(path, "ro")
    connection.execute("PRAGMA query_only = ON")
    return connection


def open_checkpointer(path: Path, durability: Durability) -> sqlite3.Connection:
    """Open a connection that moves the write-ahead log into the database, and does nothing else."""
    connection = _connect(path, "rw", CHECKPOINT_BUSY_SECONDS)
    connection.execute(f"PRAGMA synchronous = {durability.upper()}")
    return connection


def open_writer(path: Path, durability: Durability) -> sqlite3.Connection:
    """Open the file for writing, making or migrating it. Raises ``StoreUnavailable``, ``SchemaTooNew``."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _refuse_unusable(path)
        _refuse_unknown(path)
        connection = _connect(path, "rwc")
    except (sqlite3.Error, OSError) as error:
        raise unavailable(path, error) from error
    try:
        _prepare(connection, path, durability)
    except sqlite3.Error as error:
        connection.close()
        raise unavailable(path, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_unusable(path: Path) -> None:
    """Find out at the start what SQLite itself tells only to the first who writes."""
    if path.is_dir():
        raise StoreUnavailable(f"{path}: it is a folder: name a file in it")
    as_us = os.access in os.supports_effective_ids
    if path.exists() and not os.access(path, os.W_OK, effective_ids=as_us):
        raise StoreUnavailable(f"{path}: {_ADVICE[sqlite3.SQLITE_READONLY]}")


def _refuse_unknown(path: Path) -> None:
    """Look at an existing file without being able to change it."""
    if not path.exists() or path.stat().st_size == 0:
        return
    connection = _connect(path, "ro")
    try:
        _check_version(connection, path)
    finally:
        connection.close()


def _check_version(connection: sqlite3.Connection, path: Path) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    tables: int = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application != APPLICATION_ID and (tables or version):
        raise StoreUnavailable(f"{path}: it is the database of another program: choose another path")
    known = len(migrations())
    if version > known:
        raise SchemaTooNew(str(path), found=version, known=known)
    return version


def _prepare(connection: sqlite3.Connection, path: Path, durability: Durability) -> None:
    _use_wal(connection)
    connection.execute(f"PRAGMA synchronous = {durability.upper()}")
    # A commit that moved the log as well would have everyone wait for the disk; another thread does that.
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}")
    connection.execute("PRAGMA cache_size = -16000")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("BEGIN EXCLUSIVE")
    version = _check_version(connection, path)
    for number, script in enumerate(migrations(), start=1):
        if number > version:
            for statement in _statements(script):
                connection.execute(statement)
    if version < len(migrations()):
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(migrations())}")
    connection.execute("COMMIT")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging; SQLite does not wait here for other openers, so this does."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
            time.sleep(0.01)
        else:
            return


def migrations() -> list[str]:
    """Return the scripts that lead from an empty file to the present schema, in order."""
    folder = resources.files("jumpseat.stores.sqlite") / "migrations"
    files = sorted((item for item in folder.iterdir() if item.name.endswith(".sql")), key=lambda f: f.name)
    return [file.read_text(encoding="utf-8") for file in files]


def _statements(script: str) -> list[str]:
    """Split a migration: ``executescript`` would commit the open transaction first."""
    statements: list[str] = []
    current = ""
    for line in re.sub(r"--[^\n]*", "", script).splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            statements.append(current)
            current = ""
    return statements
