"""Two stores on the same data: one truth, whoever asks."""

# ruff: noqa: D102 - the names of the tests say what holds

from __future__ import annotations

import asyncio

import pytest

from jumpseat.errors import ClaimLost
from jumpseat.stores.base import Busy, Claimed, Hold, LogPage, Plan, Store, ThreadChange
from jumpseat.testing.store_cases.material import (
    FIRST,
    LEASE,
    add,
    claimed,
    finish,
    gather,
    new_run,
    queued,
    seal_of,
    within,
)


class SharingCases:
    """What one store does, the other sees."""

    async def test_of_fifty_claims_through_two_stores_one_wins(
        self, store: Store, second_store: Store
    ) -> None:
        stores = [store, second_store] * 25
        results = await within(gather(one.claim(new_run(), LEASE, Plan(), FIRST) for one in stores))
        assert sum(isinstance(result, Claimed) for result in results) == 1
        assert sum(isinstance(result, Busy) for result in results) == 49

    async def test_a_reader_follows_a_run_of_the_other_store_to_its_end(
        self, store: Store, second_store: Store
    ) -> None:
        claim = await claimed(store)

        async def follow() -> list[bytes]:
            events: list[bytes] = []
            while True:
                page = await second_store.read("thread", claim.run.run_key, len(events), 30)
                events += page.events
                if page.ended:
                    return events

        follower = asyncio.create_task(follow())
        for seq in range(2, 52):
            await store.append(claim.run, seq, [str(seq).encode()])
        await store.seal(claim.run, seal_of(52))
        assert await within(follower) == [FIRST, *(str(seq).encode() for seq in range(2, 52)), b"end"]

    async def test_a_waiting_reader_is_woken_by_the_other_store(
        self, store: Store, second_store: Store
    ) -> None:
        claim = await claimed(store)
        reader = asyncio.create_task(second_store.read("thread", claim.run.run_key, 1, 60))
        done, _ = await asyncio.wait((reader,), timeout=0.3)
        assert not done
        await store.append(claim.run, 2, [b"x"])
        assert await within(reader) == LogPage(events=[b"x"])

    async def test_taking_over_through_the_other_store_fences_the_writer(
        self, store: Store, second_store: Store
    ) -> None:
        claim = await claimed(store)
        assert await store.append(claim.run, 2, [b"x"]) is Hold.HELD
        taken = await second_store.take(claim.run, LEASE, force=True)
        assert taken is not None
        assert taken.last_seq == 2
        with pytest.raises(ClaimLost):
            await store.append(claim.run, 3, [b"old"])
        assert await second_store.append(taken.run, 3, [b"new"]) is Hold.HELD
        await second_store.seal(taken.run, seal_of(4, status="lost"))
        page = await within(store.read("thread", claim.run.run_key, 0, 0))
        assert page.events == [FIRST, b"x", b"new", b"end"]
        assert isinstance(await store.claim(new_run(), LEASE, Plan(), FIRST), Claimed)

    async def test_a_writer_may_use_either_store(self, store: Store, second_store: Store) -> None:
        claim = await claimed(store)
        for seq in range(2, 22):
            writer = (store, second_store)[seq % 2]
            assert await writer.append(claim.run, seq, [str(seq).encode()]) is Hold.HELD
        page = await within(store.read("thread", claim.run.run_key, 1, 0))
        assert page.events == [str(seq).encode() for seq in range(2, 22)]

    async def test_a_stop_through_the_other_store_reaches_the_next_append(
        self, store: Store, second_store: Store
    ) -> None:
        claim = await claimed(store)
        assert await second_store.request_stop(None, "thread", None, "enough") == [claim.run]
        assert await store.append(claim.run, 2, [b"x"]) is Hold.STOPPING
        assert await store.request_stop(None, "thread", None, "again") == []

    async def test_queued_runs_of_both_stores_start_in_order_of_arrival(
        self, store: Store, second_store: Store
    ) -> None:
        live = await claimed(store)
        first, _ = await queued(second_store)
        second, _ = await queued(store)
        await finish(store, live)
        assert not isinstance(await store.claim(second, LEASE, Plan(), FIRST), Claimed)
        started = await second_store.claim(first, LEASE, Plan(), FIRST)
        assert isinstance(started, Claimed)
        await finish(second_store, started)
        assert isinstance(await store.claim(second, LEASE, Plan(), FIRST), Claimed)

    async def test_both_show_the_same_thread(self, store: Store, second_store: Store) -> None:
        await finish(store, await claimed(store, plan=Plan(add=(add(10, "u1"),))), state=b"s")
        await second_store.threads.update(None, "thread", ThreadChange(set_name=True, name="n"))
        assert await store.history(None, "thread") == await second_store.history(None, "thread")
        assert await store.threads.list(None) == await second_store.threads.list(None)
        located = [await one.locate(None, "thread", ["u1"]) for one in (store, second_store)]
        assert located[0] == located[1]

    async def test_deleting_through_the_other_store_fences_the_writer_and_ends_its_readers(
        self, store: Store, second_store: Store
    ) -> None:
        claim = await claimed(store)
        reader = asyncio.create_task(store.read("thread", claim.run.run_key, 1, 60))
        await asyncio.sleep(0)
        assert await second_store.threads.delete(None, "thread") is True
        assert await within(reader) == LogPage(events=[], gone=True)
        with pytest.raises(ClaimLost):
            await store.append(claim.run, 2, [b"x"])
        assert await store.threads.delete(None, "thread") is True
