"""Leases that run out: what everyone else sees, and who may take over."""

# ruff: noqa: D102 - the names of the tests say what holds

from __future__ import annotations

import asyncio

import pytest

from jumpseat.errors import ClaimLost
from jumpseat.stores.base import Busy, Hold, LogPage, Plan, Store
from jumpseat.testing.store_cases.material import FIRST, LEASE, claimed, gather, new_run, queued, within


class LeaseCases:
    """A writer that went silent."""

    async def test_an_expired_run_is_reported_everywhere(self, store: Store) -> None:
        claim = await claimed(store, owner="ann")
        _, waiting = await queued(store, owner="ann")
        await claimed(store, "other")
        assert await store.expired(10) == []
        assert await store.extend(claim.run, 0) is Hold.HELD
        assert await store.extend(waiting, 0) is Hold.HELD
        live = await store.live("ann", "thread")
        assert live is not None
        assert live.expired
        assert {run.run_key for run in await store.expired(10)} == {claim.run.run_key, waiting.run_key}
        assert len(await store.expired(1)) == 1
        result = await store.claim(new_run(owner="ann"), LEASE, Plan(), FIRST)
        assert isinstance(result, Busy)
        assert (result.run, result.expired) == (claim.run, True)

    async def test_an_expired_run_can_still_be_written_and_renewed_by_its_holder(self, store: Store) -> None:
        claim = await claimed(store)
        await store.extend(claim.run, 0)
        assert await store.append(claim.run, 2, [b"x"]) is Hold.HELD
        assert await store.extend(claim.run, LEASE) is Hold.HELD
        assert await store.expired(10) == []
        assert await store.take(claim.run, LEASE) is None

    async def test_of_ten_who_meet_an_expired_run_one_takes_it(self, store: Store) -> None:
        claim = await claimed(store)
        await store.extend(claim.run, 0)
        results = await within(gather(store.take(claim.run, LEASE) for _ in range(10)))
        assert [result.run.epoch for result in results if result is not None] == [2]
        with pytest.raises(ClaimLost):
            await store.append(claim.run, 2, [b"x"])
        assert await store.expired(10) == []

    async def test_a_reader_of_an_expired_run_gets_its_events_and_is_told(self, store: Store) -> None:
        claim = await claimed(store)
        await store.extend(claim.run, 0)
        assert (await within(store.read("thread", claim.run.run_key, 0, 60))).events == [FIRST]
        page = await within(store.read("thread", claim.run.run_key, 1, 60))
        assert page == LogPage(events=[], expired=True)

    async def test_a_waiting_reader_is_released_when_the_lease_runs_out(self, store: Store) -> None:
        claim = await claimed(store)
        await store.extend(claim.run, 0.2)
        page = await within(store.read("thread", claim.run.run_key, 1, 60))
        assert page == LogPage(events=[], expired=True)

    async def test_a_renewed_lease_keeps_a_reader_waiting(self, store: Store) -> None:
        claim = await claimed(store)
        await store.extend(claim.run, 0.3)
        reader = asyncio.create_task(store.read("thread", claim.run.run_key, 1, 60))
        await asyncio.sleep(0)
        await store.extend(claim.run, LEASE)
        done, _ = await asyncio.wait((reader,), timeout=0.6)
        assert not done
        await store.append(claim.run, 2, [b"x"])
        assert await within(reader) == LogPage(events=[b"x"])
