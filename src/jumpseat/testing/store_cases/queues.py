"""Queued runs: order of arrival, promotion, stops and take-overs while they wait."""

# ruff: noqa: D102 - the names of the tests say what holds

from __future__ import annotations

import pytest
from msgspec.structs import replace

from jumpseat.errors import ClaimLost
from jumpseat.stores.base import Busy, Claimed, Hold, LogPage, Moved, NewRun, Plan, Queued, Run, Store
from jumpseat.testing.store_cases.material import (
    FIRST,
    LEASE,
    add,
    claimed,
    finish,
    new_run,
    queued,
    seal_of,
    within,
)


async def promote(store: Store, new: NewRun, plan: Plan | None = None) -> Claimed:
    """Claim a queued run that is due."""
    result = await within(store.claim(new, LEASE, plan or Plan(), FIRST))
    assert isinstance(result, Claimed), result
    return result


class QueueCases:
    """Runs that wait for their turn."""

    async def test_an_idle_thread_starts_a_run_that_may_queue_at_once(self, store: Store) -> None:
        result = await store.claim(new_run(queue=True, max_queued=8), LEASE, Plan(), FIRST)
        assert isinstance(result, Claimed)

    async def test_a_waiting_run_shows_nothing_until_it_is_promoted(self, store: Store) -> None:
        live = await claimed(store, state=b"1")
        plan = Plan(add=(add(10, "u1"),))
        new = new_run(queue=True, max_queued=1, state=b"2", name="second", input=b"input")
        assert await store.claim(new, LEASE, plan, FIRST) == Queued(
            run=Run("thread", new.run_key, 1), ahead=1
        )
        history = await store.history(None, "thread")
        assert history is not None
        assert (history.entries, history.state) == ([], b"1")
        assert await within(store.read("thread", new.run_key, 0, 0)) == LogPage(events=[])
        header = await store.run(None, "thread", new.run_key)
        assert header is not None
        assert (header.status, header.ordinal, header.last_seq) == ("queued", 2, 0)
        await finish(store, live, state=b"3", pending=b"open")
        started = await promote(store, new, plan)
        assert (started.ordinal, started.state, started.input) == (2, b"2", b"input")
        assert (started.pending, started.last_position, started.created) == (b"open", 10, False)
        assert await within(store.read("thread", new.run_key, 0, 0)) == LogPage(events=[FIRST])
        record = await store.threads.get(None, "thread")
        assert record is not None
        assert record.name == "second"

    async def test_waiting_runs_start_in_order_of_arrival(self, store: Store) -> None:
        live = await claimed(store)
        waiting = [(await queued(store))[0] for _ in range(3)]
        for turn in range(3):
            for ahead, new in enumerate(waiting[turn:], start=1):
                result = await store.claim(new, LEASE, Plan(), FIRST)
                assert isinstance(result, Queued)
                assert result.ahead == ahead
            await finish(store, live)
            live = await promote(store, waiting[turn])
            assert live.ordinal == turn + 2

    async def test_a_free_thread_with_waiting_runs_is_busy_for_others(self, store: Store) -> None:
        await finish_after_queueing(store)
        (waiting,) = await store.runs(None, "thread", 1, 10)
        result = await store.claim(new_run(), LEASE, Plan(), FIRST)
        assert result == Busy(run=Run("thread", waiting.run_key, 1), run_id="run", expired=False)
        assert isinstance(await store.claim(new_run(queue=True, max_queued=2), LEASE, Plan(), FIRST), Queued)

    async def test_at_most_max_queued_runs_wait(self, store: Store) -> None:
        live = await claimed(store)
        for _ in range(2):
            await queued(store, max_queued=2)
        result = await store.claim(new_run(queue=True, max_queued=2), LEASE, Plan(), FIRST)
        assert result == Busy(run=live.run, run_id="run", expired=False)
        assert len(await store.runs(None, "thread", 0, 10)) == 3
        assert (await store.locate(None, "thread", [])).runs == 3

    async def test_a_promotion_with_an_outdated_plan_is_planned_again(self, store: Store) -> None:
        live = await claimed(store)
        old = (await store.locate(None, "thread", [])).version
        new, _ = await queued(store)
        await finish(store, live)
        result = await store.claim(new, LEASE, Plan(version=old), FIRST)
        assert isinstance(result, Moved)
        await promote(store, new, Plan(version=result.version))

    async def test_a_waiting_run_holds_its_lease_and_cannot_write(self, store: Store) -> None:
        await claimed(store)
        _, run = await queued(store)
        assert await store.extend(run, LEASE) is Hold.HELD
        with pytest.raises(ClaimLost):
            await store.append(run, 1, [FIRST])
        with pytest.raises(ClaimLost):
            await store.seal(run, seal_of(1))

    async def test_a_stop_covers_what_its_run_id_names(self, store: Store) -> None:
        live = await claimed(store, run_id="a")
        _, second = await queued(store, run_id="b")
        _, third = await queued(store, run_id="c")
        assert await store.request_stop(None, "thread", "b", "x") == [second]
        assert await store.extend(second, LEASE) is Hold.STOPPING
        assert await store.extend(third, LEASE) is Hold.HELD
        assert await store.request_stop(None, "thread", None, "y") == [live.run, third]

    async def test_everything_that_an_owner_runs_is_stopped_at_once(self, store: Store) -> None:
        live = await claimed(store, "one", owner="ann")
        _, waiting = await queued(store, "one", owner="ann")
        other = await claimed(store, "two", owner="ann")
        await finish(store, await claimed(store, "idle", owner="ann"))
        stopping = await claimed(store, "stopping", owner="ann")
        await store.request_stop("ann", "stopping", None, "before")
        bob, nobody = await claimed(store, "bob", owner="bob"), await claimed(store, "nobody")
        flagged = await store.request_stop_all("ann", "enough")
        assert sorted(flagged, key=lambda run: run.run_key) == sorted(
            [live.run, waiting, other.run], key=lambda run: run.run_key
        )
        assert await store.request_stop_all("ann", "again") == []
        for run in (live.run, waiting, other.run, stopping.run):
            assert await store.extend(run, LEASE) is Hold.STOPPING
        for run in (bob.run, nobody.run):
            assert await store.extend(run, LEASE) is Hold.HELD
        told = await store.live("ann", "stopping")
        assert told is not None
        assert told.stop_reason == "before"

    async def test_a_stopped_waiting_run_is_still_promoted_and_keeps_its_message(self, store: Store) -> None:
        live = await claimed(store)
        new, run = await queued(store)
        await store.request_stop(None, "thread", None, "enough")
        assert await store.claim(new, LEASE, Plan(), FIRST) == Queued(run=run, ahead=1, stop_reason="enough")
        await finish(store, live)
        started = await promote(store, new, Plan(add=(add(10, "u1"),)))
        assert started.stop_reason == "enough"
        await finish(store, started, status="stopped")
        history = await store.history(None, "thread")
        assert history is not None
        assert [entry.key for entry in history.entries] == ["u1"]

    async def test_a_waiting_run_that_was_taken_over_is_promoted_by_its_taker_only(
        self, store: Store
    ) -> None:
        live = await claimed(store)
        new, run = await queued(store, run_id="r", input=b"input")
        taken = await store.take(run, LEASE, force=True)
        assert taken is not None
        assert (taken.run.epoch, taken.last_seq, taken.input) == (2, 0, b"input")
        await finish(store, live)
        assert await store.claim(new, LEASE, Plan(), FIRST) == Busy(run=taken.run, run_id="r", expired=False)
        assert await store.extend(run, LEASE) is Hold.LOST
        started = await promote(store, replace(new, epoch=2))
        assert started.run == taken.run
        assert started.input == b"input"
        assert await store.append(started.run, 2, [b"x"]) is Hold.HELD

    async def test_a_waiting_run_of_a_deleted_thread_does_not_bring_it_back(self, store: Store) -> None:
        await claimed(store)
        new, run = await queued(store)
        await store.threads.delete(None, "thread")
        result = await store.claim(new, LEASE, Plan(), FIRST)
        assert isinstance(result, Busy)
        assert (result.run.run_key, result.run.epoch > run.epoch) == (new.run_key, True)
        assert await store.threads.get(None, "thread") is None
        assert await store.extend(run, LEASE) is Hold.LOST


async def finish_after_queueing(store: Store) -> None:
    """Leave a thread without a live run and with one that waits."""
    live = await claimed(store)
    await queued(store)
    await finish(store, live)
