"""The store contract, on every store that ships."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jumpseat.stores.base import Store
from jumpseat.stores.memory import MemoryStore
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
