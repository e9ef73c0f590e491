"""The store contract on PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from jumpseat.stores.base import Store
from jumpseat.stores.postgres import PostgresStore
from jumpseat.testing.store_contract import LeaseContract, SharedStoreContract, StoreContract
from postgres_server import lent_schema, shared_pgbouncer, shared_server


class PostgresCases(StoreContract, LeaseContract, SharedStoreContract):
    """The same whatever stands between the store and its server."""

    @pytest.fixture
    def schema(self) -> Iterator[str]:
        with lent_schema() as schema:
            yield schema

    @pytest.fixture
    def dsn(self) -> str:
        return shared_server().dsn()

    @pytest.fixture
    def options(self) -> dict:
        return {}

    @pytest.fixture
    async def store(self, dsn: str, schema: str, options: dict) -> AsyncIterator[Store]:
        store = PostgresStore(dsn, schema=schema, **options)
        await store.open()
        yield store
        await store.aclose()

    @pytest.fixture
    async def second_store(self, store: Store, dsn: str, schema: str, options: dict) -> AsyncIterator[Store]:
        second = PostgresStore(dsn, schema=schema, **options)
        await second.open()
        yield second
        await second.aclose()


class TestPostgresStore(PostgresCases):
    """Straight to the server."""


class TestPostgresStoreBehindPgBouncer(PostgresCases):
    """Through a pooler in transaction mode, where every statement may run on another connection."""

    @pytest.fixture
    def dsn(self) -> str:
        return shared_pgbouncer()

    @pytest.fixture
    def options(self) -> dict:
        return {"listen": False}


async def test_four_processes_that_migrate_at_once_make_one_schema():
    server = shared_server()
    server.sql("DROP SCHEMA IF EXISTS raced CASCADE")
    command = [sys.executable, "-m", "jumpseat.cli", "migrate", server.dsn(), "--schema", "raced"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment
        )
        for _ in range(4)
    ]
    answers = [await process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, answers
    made = sorted(out.decode().split()[2] for out, _ in answers)
    assert made == ["has", "has", "has", "migrated"]
    assert server.sql("SELECT count(*) FROM raced.schema_version") == "1"
