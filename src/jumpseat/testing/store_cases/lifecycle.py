"""Opening and closing."""

# ruff: noqa: D102 - the names of the tests say what holds

from __future__ import annotations

import asyncio

import pytest

from jumpseat.errors import StoreUnavailable
from jumpseat.stores.base import Plan, Store
from jumpseat.testing.store_cases.material import FIRST, LEASE, claimed, new_run, within


class LifecycleCases:
    """A store that opens and closes."""

    async def test_opening_and_closing_twice_is_harmless(self, store: Store) -> None:
        await store.open()
        await claimed(store)
        await store.aclose()
        await store.aclose()

    async def test_a_closed_store_says_so(self, store: Store) -> None:
        claim = await claimed(store)
        await store.aclose()
        with pytest.raises(StoreUnavailable):
            await store.claim(new_run(), LEASE, Plan(), FIRST)
        with pytest.raises(StoreUnavailable):
            await store.append(claim.run, 2, [b"x"])
        with pytest.raises(StoreUnavailable):
            await store.read("thread", claim.run.run_key, 0, 0)
        with pytest.raises(StoreUnavailable):
            await store.history(None, "thread")
        with pytest.raises(StoreUnavailable):
            await store.threads.list(None)

    async def test_closing_ends_a_waiting_reader(self, store: Store) -> None:
        claim = await claimed(store)
        reader = asyncio.create_task(store.read("thread", claim.run.run_key, 1, 60))
        await asyncio.sleep(0)
        await store.aclose()
        with pytest.raises(StoreUnavailable):
            await within(reader)
