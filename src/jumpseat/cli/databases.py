"""What `--db` names: a SQLite file, a PostgreSQL database, or a Redis server."""

from __future__ import annotations

import os
import re
from typing import Final

from jumpseat.errors import ConfigurationError
from jumpseat.stores.base import Store
from jumpseat.stores.postgres import PostgresStore
from jumpseat.stores.redis import RedisStore
from jumpseat.stores.sqlite import SqliteStore

__all__ = ["DATABASE_VARIABLE", "DEFAULT_DATABASE", "describe_database", "named_database", "open_database"]

DATABASE_VARIABLE: Final = "JUMPSEAT_DB"
DEFAULT_DATABASE: Final = "threads.db"

_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_HOST_AND_PORT: Final = re.compile(r"[\w.-]+:\d{2,5}(/|$)")
_POSTGRES: Final = frozenset({"postgres", "postgresql"})
_REDIS: Final = frozenset({"redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel"})


def named_database(option: str | None) -> str | None:
    """Return what the option names, else the environment, which keeps a password out of the process list.

    Raises ``ConfigurationError`` for an option without a value, as an unset variable of a shell gives.
    """
    if option is not None and not option.strip():
        raise ConfigurationError(
            "--db is empty: name a file, postgresql://... or redis://..., or leave it out"
        )
    return option or os.environ.get(DATABASE_VARIABLE) or None


def open_database(name: str) -> Store:
    """Return the store, not opened yet.

    Raises:
        ConfigurationError: It is a URL of nothing that threads can be kept in.
        MissingDependencyError: The driver is not installed.
    """
    scheme = _scheme(name)
    if not scheme:
        if _HOST_AND_PORT.match(name):
            raise ConfigurationError(
                f"{name!r} looks like a host and a port: write postgresql://... or redis://..."
            )
        return SqliteStore(name)
    if scheme in _POSTGRES:
        return PostgresStore(name)
    if scheme in _REDIS:
        return RedisStore(name)
    raise ConfigurationError(
        f"Threads cannot be kept in {scheme}://: give a file, postgresql://..., or redis://... (or rediss://)"
    )


def describe_database(name: str) -> str:
    """Return words for it that hold no password."""
    scheme = _scheme(name)
    if scheme in _POSTGRES:
        return "PostgreSQL"
    if scheme in _REDIS:
        return "Redis"
    return "a temporary file" if name == ":memory:" else name


def _scheme(name: str) -> str:
    found = _SCHEME.match(name)
    return found[1].lower() if found else ""
