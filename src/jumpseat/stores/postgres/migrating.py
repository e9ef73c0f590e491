"""Bringing the schema of a database up to date: once, whoever else tries at the same moment."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from jumpseat.errors import SchemaTooNew, StoreUnavailable
from jumpseat.stores.postgres.connections import Connections
from jumpseat.stores.postgres.dsn import require_driver
from jumpseat.stores.postgres.statements import checked_schema, migrations

if TYPE_CHECKING:
    from jumpseat.stores.postgres.connections import Connection

__all__ = ["check", "migrate", "migrate_database"]

OLDEST_SERVER = 130_000
# Any number will do, as long as nobody else uses it: "jump" and "seat" in ASCII.
LOCK = (0x6A756D70, 0x73656174)


async def check(connections: Connections, schema: str) -> None:
    """Raise unless the schema is the present one: ``SchemaTooNew`` or ``StoreUnavailable``."""
    scripts = await asyncio.to_thread(migrations, schema)
    async with connections.transaction() as connection:
        version = await _version(connection, connections.where, schema)
    if version < len(scripts):
        raise StoreUnavailable(
            f"{connections.where}: schema {schema!r} has version {version}, and {len(scripts)} is needed: "
            "run `jumpseat migrate`"
        )


async def migrate(connections: Connections, schema: str) -> tuple[int, int]:
    """Run what is missing in one transaction; return the version before and after.

    Raises ``SchemaTooNew`` and ``StoreUnavailable``: then nothing was changed.
    """
    scripts = await asyncio.to_thread(migrations, schema)
    async with connections.transaction() as connection:
        version = await _version(connection, connections.where, schema)
        if version == len(scripts):
            return version, version
        await connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", LOCK)
        version = await _version(connection, connections.where, schema)
        if version < len(scripts):
            # Whoever may use a schema that somebody else made need not have the right to make one.
            named = f"SELECT 1 FROM pg_namespace WHERE nspname = '{schema}'"  # noqa: S608
            if await _one(connection, named) is None:
                await connection.execute(f"CREATE SCHEMA {schema}".encode())
            await connection.execute(
                f"CREATE TABLE IF NOT EXISTS {schema}.schema_version (version integer NOT NULL)".encode()
            )
            for script in scripts[version:]:
                await connection.execute(script)
            await connection.execute(f"DELETE FROM {schema}.schema_version".encode())  # noqa: S608
            await connection.execute(
                f"INSERT INTO {schema}.schema_version VALUES ({len(scripts)})".encode()  # noqa: S608
            )
    return version, len(scripts)


async def _version(connection: Connection, where: str, schema: str) -> int:
    server = connection.info.server_version
    if server < OLDEST_SERVER:
        raise StoreUnavailable(f"{where} is version {server // 10_000}: PostgreSQL 13 or newer is needed")
    # Asked of the catalogue itself: a name that was not there is remembered by the session for a while.
    listed = f"SELECT 1 FROM pg_tables WHERE schemaname = '{schema}' AND tablename = 'schema_version'"  # noqa: S608
    if await _one(connection, listed) is None:
        return 0
    found = await _one(connection, f"SELECT max(version) FROM {schema}.schema_version") or 0  # noqa: S608
    if found > len(migrations(schema)):
        raise SchemaTooNew(f"{where}, schema {schema!r},", found=found, known=len(migrations(schema)))
    return found


async def _one(connection: Connection, statement: str) -> Any:
    row = await (await connection.execute(statement.encode())).fetchone()
    return row[0] if row is not None else None


async def migrate_database(dsn: str, schema: str) -> tuple[int, int]:
    """Bring a schema up to date without opening a store; as ``migrate``."""
    checked_schema(schema)
    require_driver()
    connections = Connections(dsn, 1, schema)
    await connections.prepare()
    return await migrate(connections, schema)
