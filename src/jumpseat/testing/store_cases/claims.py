"""Claims: one live run per thread, whoever asks; fencing; stop requests."""

# ruff: noqa: D102 - the names of the tests say what holds

from __future__ import annotations

import asyncio

import pytest

from jumpseat.errors import ClaimLost
from jumpseat.stores.base import Busy, Claimed, Foreign, Hold, Moved, Plan, Run, Store
from jumpseat.testing.store_cases.material import (
    FIRST,
    LEASE,
    add,
    claimed,
    finish,
    gather,
    new_run,
    seal_of,
    within,
)


class ClaimCases:
    """Who may write."""

    async def test_a_first_claim_makes_the_thread_and_the_run(self, store: Store) -> None:
        claim = await claimed(store, run_id="r1", agent_id="a", owner="ann", state=b'{"n":1}')
        assert claim.created
        assert (claim.run_id, claim.agent_id, claim.owner) == ("r1", "a", "ann")
        assert (claim.ordinal, claim.last_seq, claim.run.epoch) == (1, 1, 1)
        assert (claim.state, claim.pending, claim.stop_reason, claim.input) == (b'{"n":1}', None, None, None)
        header = await store.run("ann", "thread", claim.run.run_key)
        assert header is not None
        assert (header.status, header.raw, header.last_seq, header.sealed_at) == ("live", True, 1, None)

    async def test_a_second_claim_is_refused_and_names_the_live_run(self, store: Store) -> None:
        first = await claimed(store, run_id="r1")
        second = await store.claim(new_run(run_id="r2", agent_id="other"), LEASE, Plan(), FIRST)
        assert second == Busy(run=first.run, run_id="r1", expired=False)
        assert len(await store.runs(None, "thread", 0, 10)) == 1

    async def test_of_fifty_simultaneous_claims_one_wins(self, store: Store) -> None:
        attempts = (store.claim(new_run(), LEASE, Plan(), FIRST) for _ in range(50))
        results = await within(gather(attempts))
        assert sum(isinstance(result, Claimed) for result in results) == 1
        assert sum(isinstance(result, Busy) for result in results) == 49

    async def test_a_sealed_run_frees_its_thread(self, store: Store) -> None:
        await finish(store, await claimed(store), pending=b"open")
        following = await claimed(store, parent=1)
        assert (following.ordinal, following.created, following.pending) == (2, False, b"open")
        header = await store.run(None, "thread", following.run.run_key)
        assert header is not None
        assert header.parent == 1

    async def test_runs_of_two_threads_are_independent(self, store: Store) -> None:
        one, two = await claimed(store, "one", run_id="same"), await claimed(store, "two", run_id="same")
        await finish(store, one)
        assert await store.append(two.run, 2, [b"x"]) is Hold.HELD

    async def test_somebody_elses_thread_cannot_be_claimed(self, store: Store) -> None:
        await finish(store, await claimed(store, owner="ann"))
        for owner in ("bob", None, ""):
            assert await store.claim(new_run(owner=owner), LEASE, Plan(), FIRST) == Foreign()
        assert len(await store.runs("ann", "thread", 0, 10)) == 1

    async def test_a_plan_for_another_version_changes_nothing(self, store: Store) -> None:
        assert (await store.locate(None, "thread", [])).version == 0
        assert isinstance(await store.claim(new_run(), LEASE, Plan(version=7), FIRST), Moved)
        assert await store.threads.get(None, "thread") is None
        first = await claimed(store, plan=Plan(version=0))
        before = (await store.locate(None, "thread", [])).version
        await finish(store, first)
        now = (await store.locate(None, "thread", [])).version
        assert now != before
        stale = Plan(version=before, add=(add(10, "m"),))
        assert await store.claim(new_run(state=b"1", name="n"), LEASE, stale, FIRST) == Moved(now)
        history = await store.history(None, "thread")
        assert history is not None
        assert (history.entries, history.state, history.live, history.version) == ([], None, None, now)
        await claimed(store, plan=Plan(version=now))

    async def test_a_plan_for_a_deleted_thread_does_not_fit_its_successor(self, store: Store) -> None:
        await finish(store, await claimed(store))
        old = (await store.locate(None, "thread", [])).version
        await store.threads.delete(None, "thread")
        await finish(store, await claimed(store))
        # The same number of changes later, and still not the same version.
        assert isinstance(await store.claim(new_run(), LEASE, Plan(version=old), FIRST), Moved)

    async def test_a_state_in_the_claim_replaces_the_threads_and_none_keeps_it(self, store: Store) -> None:
        await finish(store, await claimed(store, state=b"1"), state=b"2")
        kept = await claimed(store)
        assert kept.state == b"2"
        await finish(store, kept, state=b"2")
        assert (await claimed(store, state=b"3")).state == b"3"

    async def test_a_run_key_of_another_thread_is_refused(self, store: Store) -> None:
        first = await claimed(store, "one")
        with pytest.raises(ValueError, match=first.run.run_key):
            await store.claim(new_run("two", run_key=first.run.run_key), LEASE, Plan(), FIRST)
        assert await store.threads.get(None, "two") is None

    async def test_a_held_lease_cannot_be_taken_without_force(self, store: Store) -> None:
        claim = await claimed(store)
        assert await store.take(claim.run, LEASE) is None
        assert await store.append(claim.run, 2, [b"x"]) is Hold.HELD

    async def test_taking_over_fences_the_old_writer(self, store: Store) -> None:
        claim = await claimed(store, owner="ann", run_id="r", agent_id="a", state=b"s")
        await store.append(claim.run, 2, [b"x"])
        taken = await store.take(claim.run, LEASE, force=True)
        assert taken is not None
        assert taken.run == Run("thread", claim.run.run_key, 2)
        assert (taken.run_id, taken.agent_id, taken.owner) == ("r", "a", "ann")
        assert (taken.last_seq, taken.state, taken.ordinal, taken.created) == (2, b"s", 1, False)
        with pytest.raises(ClaimLost):
            await store.append(claim.run, 3, [b"old"])
        with pytest.raises(ClaimLost):
            await store.seal(claim.run, seal_of(3))
        assert await store.extend(claim.run, LEASE) is Hold.LOST
        assert await store.append(taken.run, 3, [b"new"]) is Hold.HELD
        page = await within(store.read("thread", claim.run.run_key, 0, 0))
        assert page.events == [FIRST, b"x", b"new"]

    async def test_a_run_that_was_taken_over_is_over_for_everyone(self, store: Store) -> None:
        claim = await claimed(store)

        async def over() -> list[bool]:
            live, busy = (
                await store.live(None, "thread"),
                await store.claim(new_run(), LEASE, Plan(), FIRST),
            )
            assert live is not None
            assert isinstance(busy, Busy)
            assert not live.expired
            assert not busy.expired
            return [live.over, busy.over]

        assert await over() == [False, False]
        assert await store.take(claim.run, LEASE, force=True) is not None
        assert await over() == [True, True]

    async def test_of_ten_takers_one_wins(self, store: Store) -> None:
        claim = await claimed(store)
        takers = (store.take(claim.run, LEASE, force=True) for _ in range(10))
        results = await within(gather(takers))
        assert [result.run.epoch for result in results if result is not None] == [2]

    async def test_what_is_sealed_or_unknown_cannot_be_taken(self, store: Store) -> None:
        claim = await claimed(store)
        await finish(store, claim)
        assert await store.take(claim.run, LEASE, force=True) is None
        assert await store.take(Run("thread", "nobody", 1), LEASE, force=True) is None
        assert await store.take(Run("elsewhere", claim.run.run_key, 1), LEASE, force=True) is None

    async def test_extend_says_who_holds_the_run(self, store: Store) -> None:
        claim = await claimed(store)
        assert await store.extend(claim.run, LEASE) is Hold.HELD
        await store.request_stop(None, "thread", None, "enough")
        assert await store.extend(claim.run, LEASE) is Hold.STOPPING
        await finish(store, claim)
        assert await store.extend(claim.run, LEASE) is Hold.LOST
        assert await store.extend(Run("thread", "nobody", 1), LEASE) is Hold.LOST
        assert await store.extend(Run("elsewhere", claim.run.run_key, 1), LEASE) is Hold.LOST

    async def test_a_stop_is_granted_once_and_reaches_the_writer(self, store: Store) -> None:
        claim = await claimed(store, run_id="r1")
        assert await store.request_stop(None, "thread", "another", "x") == []
        assert await store.append(claim.run, 2, [b"x"]) is Hold.HELD
        assert await store.request_stop(None, "thread", "r1", "enough") == [claim.run]
        assert await store.request_stop(None, "thread", "r1", "again") == []
        assert await store.request_stop(None, "thread", None, "again") == []
        assert await store.append(claim.run, 3, [b"y"]) is Hold.STOPPING
        live = await store.live(None, "thread")
        assert live is not None
        assert (live.stopping, live.stop_reason) == (True, "enough")
        taken = await store.take(claim.run, LEASE, force=True)
        assert taken is not None
        assert taken.stop_reason == "enough"

    async def test_a_stop_of_an_idle_thread_flags_nothing_and_of_a_foreign_one_is_none(
        self, store: Store
    ) -> None:
        assert await store.request_stop(None, "thread", None, "x") is None
        claim = await claimed(store, owner="ann")
        assert await store.request_stop("bob", "thread", None, "x") is None
        assert await store.request_stop(None, "thread", None, "x") is None
        await finish(store, claim)
        assert await store.request_stop("ann", "thread", None, "x") == []
        following = await claimed(store, owner="ann")
        assert following.stop_reason is None

    async def test_live_shows_the_live_run_to_its_owner_only(self, store: Store) -> None:
        assert await store.live("ann", "thread") is None
        claim = await claimed(store, owner="ann", run_id="r", agent_id="a")
        await store.append(claim.run, 2, [b"x", b"y"])
        live = await store.live("ann", "thread")
        assert live is not None
        assert (live.run, live.run_id, live.agent_id) == (claim.run, "r", "a")
        assert (live.ordinal, live.last_seq, live.stopping, live.expired) == (1, 3, False, False)
        assert await store.live("bob", "thread") is None
        assert await store.live(None, "thread") is None
        await store.seal(claim.run, seal_of(4))
        assert await store.live("ann", "thread") is None

    async def test_a_cancelled_claim_happened_or_not_but_never_half(self, store: Store) -> None:
        plan = Plan(add=(add(10, "m"),))
        for number in range(20):
            thread_id = f"thread{number}"
            task = asyncio.create_task(store.claim(new_run(thread_id, state=b"s"), LEASE, plan, FIRST))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait((task,))
            history = await within(store.history(None, thread_id))
            if history is not None:
                assert history.live is not None
                assert ([entry.key for entry in history.entries], history.state) == (["m"], b"s")
