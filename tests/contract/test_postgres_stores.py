"""The store contract on PostgreSQL."""

from __future__ import annotations

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
