"""The `jumpseat migrate` command: makes or updates the tables of a PostgreSQL database."""

from __future__ import annotations

import argparse
import asyncio
import os
from typing import Any, Final

from jumpseat.cli.databases import DATABASE_VARIABLE, describe_database
from jumpseat.errors import ConfigurationError
from jumpseat.stores.postgres.migrating import migrate_database

__all__ = ["add_migrate", "migrate"]

# The second is what platforms call the database of an application.
_VARIABLES: Final = (DATABASE_VARIABLE, "DATABASE_URL")
_DESCRIPTION: Final = f"""\
Makes the tables of PostgresAgentRunner, or brings those of an older Jumpseat up to date, in one
transaction; any number of these may run at once. A runner does the same when it starts, unless it has
migrate=False: then its database role needs no right to create anything. Without a connection string
{" or ".join(_VARIABLES)} names the database, which keeps its password out of the list of processes."""


def add_migrate(commands: Any) -> None:
    """Add the command to those of the parser."""
    command = commands.add_parser(
        "migrate", help="make or update the tables in PostgreSQL", description=_DESCRIPTION
    )
    command.add_argument("dsn", nargs="?", help="connection string, as in postgresql://user@host/name")
    command.add_argument(
        "--schema", default="jumpseat", help="schema that holds the tables (default: %(default)s)"
    )
    command.set_defaults(access_log=False, log_level="warning")


def migrate(options: argparse.Namespace) -> None:
    """Run it and say what was done."""
    dsn = options.dsn or next(filter(None, map(os.environ.get, _VARIABLES)), "")
    if not dsn:
        raise ConfigurationError(
            "jumpseat migrate needs to know the database: give a connection string as in "
            f"postgresql://user@host/name, or set {DATABASE_VARIABLE}"
        )
    if describe_database(dsn) == "Redis":
        print("Redis has no tables: there is nothing to migrate")
        return
    before, after = asyncio.run(migrate_database(dsn, options.schema))
    if before == after:
        print(f"Schema {options.schema} has version {after} already")
    else:
        print(f"Schema {options.schema} migrated from version {before} to {after}")
