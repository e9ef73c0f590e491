"""What an error of the driver means to the store, and what to do about it."""

from __future__ import annotations

from typing import Final

from jumpseat.errors import InvalidInput, StoreUnavailable
from jumpseat.stores.postgres.dsn import DriverError, driver

__all__ = ["READ_ONLY", "UNDONE", "driver_error", "line_of", "meaning"]

# Two transactions met and this one was undone: nothing happened.
UNDONE: Final = frozenset({"40001", "40P01"})
READ_ONLY: Final = "25006"

_BAD_VALUE: Final = "JS001"
_USED_KEY: Final = "23505"
_TOO_LARGE: Final = "54000"
_NO_SCHEMA: Final = frozenset({"3F000", "42P01", "42883", "42704"})
_NO_RIGHT: Final = "42501"
_LOCKED: Final = "55P03"


def driver_error() -> tuple[type[Exception], ...]:
    """Return what the driver raises."""
    return (driver().Error,)


def line_of(error: BaseException) -> str:
    """Return the text of an error in one line."""
    return " ".join(str(error).split())


def meaning(error: DriverError, where: str, schema: str) -> Exception:
    """Return ``StoreUnavailable``, ``InvalidInput`` for too long an id, ``ValueError`` for a wrong value."""
    reason = error.diag.message_primary or line_of(error) or type(error).__name__
    if error.sqlstate in {_BAD_VALUE, _USED_KEY}:
        return ValueError(reason)
    if error.sqlstate == _TOO_LARGE:
        return InvalidInput(f"an id is too long for an index of PostgreSQL: {reason}")
    if isinstance(error, driver().DataError):
        return ValueError(reason)
    if error.sqlstate in _NO_SCHEMA:
        reason = f"{reason}: run `jumpseat migrate`"
    elif error.sqlstate == _NO_RIGHT:
        reason = f"{reason}: {_rights(schema)}"
    elif error.sqlstate == _LOCKED:
        reason = f"{reason}: another process holds what this one needs"
    return StoreUnavailable(f"{where}: {reason}")


def _rights(schema: str) -> str:
    return (
        "let a role that may create things run `jumpseat migrate`, and give this one "
        f"GRANT USAGE ON SCHEMA {schema}; "
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema}; "
        f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema}"
    )
