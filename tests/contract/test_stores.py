"""The store contract, on every store that ships."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from jumpseat.stores.base import Store
from jumpseat.stores.memory import MemoryStore
from jumpseat.stores.redis import RedisStore
from jumpseat.stores.sqlite import SqliteStore
from jumpseat.testing.store_contract import LeaseContract, SharedStoreContract, StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        store = MemoryStore()
        await store.open()
        yield store
        await store.aclose()


class TestSqliteStore(StoreContract, LeaseContract, SharedStoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        store = SqliteStore(tmp_path / "threads.db")
        await store.open()
        yield store
        await store.aclose()

    @pytest.fixture
    async def second_store(self, store: Store, tmp_path: Path) -> AsyncIterator[Store]:
        second = SqliteStore(tmp_path / "threads.db")
        await second.open()
        yield second
        await second.aclose()


class RedisCases(StoreContract, LeaseContract, SharedStoreContract):
    """The same for one server and for a cluster: ``url`` says which."""

    @pytest.fixture
    def prefix(self) -> str:
        return f"test-{uuid4().hex}"

    @pytest.fixture
    async def store(self, url: str, prefix: str) -> AsyncIterator[Store]:
        store = RedisStore(url, prefix=prefix)
        await store.open()
        yield store
        await store.aclose()

    @pytest.fixture
    async def second_store(self, store: Store, url: str, prefix: str) -> AsyncIterator[Store]:
        second = RedisStore(url, prefix=prefix)
        await second.open()
        yield second
        await second.aclose()


class TestRedisStore(RedisCases):
    @pytest.fixture
    def url(self, redis_url: str) -> str:
        return redis_url


class TestRedisStoreOnACluster(RedisCases):
    @pytest.fixture
    def url(self, redis_cluster_url: str) -> str:
        return redis_cluster_url
