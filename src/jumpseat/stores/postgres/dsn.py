"""Connection strings and the driver that reads them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from jumpseat.errors import ConfigurationError, MissingDependencyError

if TYPE_CHECKING:
    import psycopg

__all__ = [
    "CONNECT_SECONDS",
    "Connection",
    "DriverError",
    "describe",
    "driver",
    "options_of",
    "require_driver",
]

Connection: TypeAlias = "psycopg.AsyncConnection[tuple[Any, ...]]"
DriverError: TypeAlias = "psycopg.Error"

CONNECT_SECONDS: Final = 5
INSTALL: Final = 'the PostgreSQL runner needs psycopg 3: pip install "jumpseat[postgres]"'

_FORM: Final = (
    "dsn is no PostgreSQL connection string: write it as in postgresql://user@host/name, special characters "
    "of the password URL-encoded, or as key=value pairs"
)

# What libpq does unless the DSN says otherwise: a peer that vanished is noticed within half a minute.
_DEFAULTS: Final[dict[str, str | int]] = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "application_name": "jumpseat",
    "client_encoding": "UTF8",
}


def require_driver() -> None:
    """Raise ``MissingDependencyError`` unless the driver is installed; it is imported when it is needed."""
    if find_spec("psycopg") is None:
        raise MissingDependencyError(INSTALL)


def driver() -> Any:
    """Return the driver; called in a thread first, because importing it takes a while."""
    try:
        import_module("psycopg.types.array")
        return import_module("psycopg")
    except ImportError as error:
        raise MissingDependencyError(f"{INSTALL} ({error})") from error


def options_of(dsn: str) -> dict[str, Any]:
    """Return what a connection is made with. Raises ``ConfigurationError``, which never shows the string."""
    psycopg = driver()
    try:
        given: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(dsn)
    except psycopg.Error:
        # The driver quotes what it cannot read, and that may hold a password.
        raise ConfigurationError(_FORM) from None
    if "@" in str(given.get("dbname", "")) and "://" in dsn:
        # Of a password with a bare @ or / libpq takes a part for host and database, and messages name those.
        raise ConfigurationError(_FORM)
    options = _DEFAULTS | given
    if "," in str(given.get("host", "")):
        # Of several hosts only the primary takes writes, and which one that is changes with a failover.
        options.setdefault("target_session_attrs", "read-write")
    return options


def describe(options: Mapping[str, Any]) -> str:
    """Say which database is meant, without user and password."""
    host = options.get("host") or options.get("hostaddr") or "the local socket"
    return f"PostgreSQL at {host}, database {options.get('dbname') or options.get('user') or 'by default'}"
