"""Retention: what goes, and what never does."""

# ruff: noqa: D102 - the names of the tests say what holds

from __future__ import annotations

from jumpseat.stores.base import Hold, LogPage, Plan, Retention, Store
from jumpseat.testing.store_cases.material import add, claimed, finish, queued, seal_of, within

NOTHING_GOES = Retention()
LOGS_GO = Retention(events_after=0)


async def prune(store: Store, retention: Retention, limit: int = 1000) -> int:
    """Prune until nothing more goes and return how much went; every step keeps to its limit."""
    total = 0
    while removed := await within(store.prune(retention, limit)):
        assert removed <= limit
        total += removed
    return total


class RetentionCases:
    """What is removed."""

    async def test_by_default_a_fresh_thread_keeps_everything(self, store: Store) -> None:
        claim = await claimed(store)
        await finish(store, claim)
        assert await prune(store, NOTHING_GOES) == 0
        assert await within(store.read("thread", claim.run.run_key, 0, 0)) == LogPage(
            events=[b'{"type":"RUN_STARTED"}', b"end"], ended=True
        )

    async def test_the_raw_log_of_a_sealed_run_goes_and_its_summary_stays(self, store: Store) -> None:
        claim = await claimed(store)
        await store.append(claim.run, 2, [b"x"])
        await store.seal(claim.run, seal_of(3, record=b"r", pending=b"p"))
        assert await prune(store, LOGS_GO) > 0
        header = await store.run(None, "thread", claim.run.run_key)
        assert header is not None
        assert (header.raw, header.last_seq) == (False, 3)
        assert (header.terminal, header.record, header.pending) == (b"end", b"r", b"p")
        assert len((await store.events(None, "thread", 0, 10))[0].events) == 2
        for after in range(3):
            page = await within(store.read("thread", claim.run.run_key, after, 60))
            assert page == LogPage(events=[], gone=True)
        assert await within(store.read("thread", claim.run.run_key, 3, 60)) == LogPage(events=[], ended=True)

    async def test_a_long_log_goes_in_small_steps(self, store: Store) -> None:
        claim = await claimed(store)
        for seq in range(2, 50):
            await store.append(claim.run, seq, [b"x"])
        await store.seal(claim.run, seal_of(50))
        assert await prune(store, LOGS_GO, limit=7) > 0
        assert await within(store.read("thread", claim.run.run_key, 0, 0)) == LogPage(events=[], gone=True)

    async def test_live_and_queued_runs_are_never_touched(self, store: Store) -> None:
        live = await claimed(store, plan=Plan(add=(add(10, "u1"),)), state=b"s")
        new, run = await queued(store, input=b"input")
        assert await prune(store, Retention(max_age=0, max_runs=1, events_after=0)) == 0
        assert await store.append(live.run, 2, [b"x"]) is Hold.HELD
        assert await store.extend(run, 60) is Hold.HELD
        page = await within(store.read("thread", live.run.run_key, 0, 0))
        assert len(page.events) == 2
        history = await store.history(None, "thread")
        assert history is not None
        assert (len(history.entries), history.state) == (1, b"s")
        assert new.run_key in {header.run_key for header in await store.runs(None, "thread", 0, 10)}

    async def test_old_runs_lose_events_and_hidden_entries_but_no_visible_message(self, store: Store) -> None:
        await finish(store, await claimed(store, plan=Plan(add=(add(10, "u1"), add(20, "u2")))))
        for number in range(3, 8):
            plan = Plan(hide=(20,), add=(add(20, f"u{number}"),))
            await finish(store, await claimed(store, plan=plan), state=b"s", pending=b"p")
        await claimed(store)
        assert await prune(store, Retention(max_runs=2, events_after=3600)) > 0
        history = await store.history(None, "thread")
        assert history is not None
        assert history.head is not None
        assert [entry.key for entry in history.entries] == ["u1", "u7"]
        assert (history.head.ordinal, history.head.pending, history.head.raw) == (6, b"p", True)
        assert [run.ordinal for run in await store.events(None, "thread", 0, 100)] == [6]
        headers = await store.runs(None, "thread", 0, 100)
        assert [header.raw for header in headers] == [False] * 5 + [True] * 2
        assert [header.terminal for header in headers] == [None] * 5 + [b"end", None]
        older = await store.history(None, "thread", 1)
        assert older is not None
        assert [entry.key for entry in older.entries] == ["u1"]
        assert await prune(store, Retention(max_runs=2, events_after=3600)) == 0

    async def test_old_runs_go_in_small_steps_with_the_same_result(self, store: Store) -> None:
        for number in range(10):
            await finish(store, await claimed(store, plan=Plan(hide_after=0, add=(add(10, f"u{number}"),))))
        assert await prune(store, Retention(max_runs=3), limit=1) > 0
        assert [run.ordinal for run in await store.events(None, "thread", 0, 100)] == [8, 9, 10]
        for at, expected in ((8, ["u7"]), (9, ["u8"]), (10, ["u9"])):
            history = await store.history(None, "thread", at)
            assert history is not None
            assert [entry.key for entry in history.entries] == expected

    async def test_a_live_run_does_not_push_out_the_newest_sealed_one(self, store: Store) -> None:
        await finish(store, await claimed(store), pending=b"p")
        await claimed(store)
        await prune(store, Retention(max_runs=1, events_after=0))
        history = await store.history(None, "thread")
        assert history is not None
        assert history.head is not None
        assert (history.head.pending, history.head.terminal) == (b"p", b"end")
        assert [run.ordinal for run in await store.events(None, "thread", 0, 100)] == [1]

    async def test_idle_threads_go_as_a_whole(self, store: Store) -> None:
        old = await claimed(store, "old", plan=Plan(add=(add(10, "u1"),)), state=b"s")
        await finish(store, old)
        busy = await claimed(store, "busy")
        assert await prune(store, Retention(max_age=3600)) == 0
        assert await prune(store, Retention(max_age=-1), limit=2) > 0
        assert [record.id for record in await store.threads.list(None)] == ["busy"]
        assert await store.history(None, "old") is None
        assert await within(store.read("old", old.run.run_key, 0, 60)) == LogPage(events=[], gone=True)
        assert await store.append(busy.run, 2, [b"x"]) is Hold.HELD
        fresh = await claimed(store, "old")
        assert (fresh.created, fresh.ordinal, fresh.state) == (True, 1, None)

    async def test_new_runs_on_a_pruned_thread_work_as_before(self, store: Store) -> None:
        for _ in range(4):
            await finish(store, await claimed(store), state=b"s", pending=b"p")
        await prune(store, Retention(max_runs=1, events_after=0))
        following = await claimed(store)
        assert (following.ordinal, following.state, following.pending) == (5, b"s", b"p")
        await finish(store, following)
        await prune(store, Retention(max_runs=1, events_after=0))
        assert [run.ordinal for run in await store.events(None, "thread", 0, 100)] == [5]
