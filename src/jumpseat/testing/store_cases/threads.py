"""Thread records: listing, changing, deleting, and whose they are."""

# ruff: noqa: D102 - the names of the tests say what holds

from __future__ import annotations

import asyncio

import pytest

from jumpseat.errors import ClaimLost
from jumpseat.stores.base import Claimed, Hold, LogPage, Plan, Store, ThreadChange, ThreadRecord
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


async def record_of(store: Store, thread_id: str = "thread", owner: str | None = None) -> ThreadRecord:
    """Return a record that must exist."""
    record = await store.threads.get(owner, thread_id)
    assert record is not None
    return record


async def listed(store: Store, owner: str | None = None, **options: object) -> list[str]:
    """Return the ids of a list."""
    return [record.id for record in await store.threads.list(owner, **options)]  # type: ignore[arg-type]


async def next_millisecond(store: Store) -> None:
    """Return when the clock of the store shows another millisecond than before."""
    probe = await claimed(store, "probe", owner="probe")
    before = (await record_of(store, "probe", "probe")).last_run_at
    async with asyncio.timeout(10):
        while (await record_of(store, "probe", "probe")).last_run_at == before:
            await store.seal(probe.run, seal_of(2))
            probe = await claimed(store, "probe", owner="probe")
    await store.threads.delete("probe", "probe")


class ThreadCases:
    """The records of threads."""

    async def test_a_thread_is_listed_from_its_first_claim_on(self, store: Store) -> None:
        assert await listed(store) == []
        await claimed(store, name="Hello", agent_id="a", owner="ann")
        (record,) = await store.threads.list("ann")
        assert (record.id, record.name, record.agent_id, record.owner) == ("thread", "Hello", "a", "ann")
        assert (record.archived, record.renamed) == (False, False)
        assert record.created_at == record.updated_at == record.last_run_at > 1_600_000_000_000

    async def test_threads_belong_to_one_owner(self, store: Store) -> None:
        for owner in ("ann", "bob", None, ""):
            await claimed(store, f"of-{owner}", owner=owner)
        for owner in ("ann", "bob", None, ""):
            assert await listed(store, owner) == [f"of-{owner}"]
            assert await store.threads.get(owner, "of-cid") is None
        change = ThreadChange(set_name=True, name="mine", archived=True)
        for owner in ("bob", None, ""):
            assert await store.threads.get(owner, "of-ann") is None
            assert await store.threads.update(owner, "of-ann", change) is None
            assert await store.threads.delete(owner, "of-ann") is False
        assert (await record_of(store, "of-ann", "ann")).name is None

    async def test_a_run_moves_its_thread_to_the_top_and_its_end_does_not(self, store: Store) -> None:
        for thread_id in ("a", "b"):
            await finish(store, await claimed(store, thread_id))
            await next_millisecond(store)
        assert await listed(store) == ["b", "a"]
        before = await record_of(store, "a")
        claim = await claimed(store, "a", agent_id="another")
        started = await record_of(store, "a")
        assert started.last_run_at == started.updated_at > before.last_run_at
        assert (started.created_at, started.agent_id) == (before.created_at, "default")
        assert await listed(store) == ["a", "b"]
        await next_millisecond(store)
        await finish(store, claim)
        assert await record_of(store, "a") == started

    async def test_pages_follow_each_other_without_gaps_and_repeats(self, store: Store) -> None:
        for number in range(11):
            await claimed(store, f"t{number}")
        everything = await store.threads.list(None)
        keys = [(record.last_run_at, record.id) for record in everything]
        assert keys == sorted(keys, reverse=True)
        assert len(keys) == 11
        found: list[ThreadRecord] = []
        after: tuple[int, str] | None = None
        while page := await store.threads.list(None, limit=3, after=after):
            assert len(page) <= 3
            found += page
            after = (page[-1].last_run_at, page[-1].id)
        assert found == everything

    async def test_a_list_can_be_of_one_agent_and_with_the_archived(self, store: Store) -> None:
        for thread_id, agent_id in (("1", "a"), ("2", "a"), ("3", "b")):
            await claimed(store, thread_id, agent_id=agent_id)
        await store.threads.update(None, "2", ThreadChange(archived=True))
        assert sorted(await listed(store)) == ["1", "3"]
        assert sorted(await listed(store, archived=True)) == ["1", "2", "3"]
        assert await listed(store, agent_id="a") == ["1"]
        assert sorted(await listed(store, agent_id="a", archived=True)) == ["1", "2"]
        assert await listed(store, agent_id="c", archived=True) == []

    async def test_a_name_is_given_once_and_a_users_name_stays(self, store: Store) -> None:
        await finish(store, await claimed(store))
        await finish(store, await claimed(store, name="first"))
        await finish(store, await claimed(store, name="second"))
        assert (await record_of(store)).name == "first"
        automatic = ThreadChange(set_name=True, name="better", automatic=True)
        named = await store.threads.update(None, "thread", automatic)
        assert named is not None
        assert (named.name, named.renamed) == ("better", False)
        renamed = await store.threads.update(None, "thread", ThreadChange(set_name=True, name=None))
        assert renamed is not None
        assert (renamed.name, renamed.renamed) == (None, True)
        await store.threads.update(None, "thread", automatic)
        await finish(store, await claimed(store, name="third"))
        assert (await record_of(store)).name is None

    async def test_a_users_name_wins_over_an_automatic_one_that_comes_at_the_same_time(
        self, store: Store
    ) -> None:
        by_user = ThreadChange(set_name=True, name="mine")
        automatic = ThreadChange(set_name=True, name="better", automatic=True)
        for number in range(20):
            thread_id = f"t{number}"
            await finish(store, await claimed(store, thread_id, name="first"))
            changes = (by_user, automatic) if number % 2 else (automatic, by_user)
            await gather(store.threads.update(None, thread_id, change) for change in changes)
            record = await record_of(store, thread_id)
            assert (record.name, record.renamed) == ("mine", True)

    async def test_a_change_moves_the_time_and_one_that_changes_nothing_does_not(self, store: Store) -> None:
        await finish(store, await claimed(store, name="n"))
        before = await record_of(store)
        await next_millisecond(store)
        for idle in (ThreadChange(), ThreadChange(archived=False), ThreadChange(name="ignored")):
            assert await store.threads.update(None, "thread", idle) == before
        after = await store.threads.update(None, "thread", ThreadChange(archived=True))
        assert after is not None
        assert (after.archived, after.last_run_at) == (True, before.last_run_at)
        assert after.updated_at > before.updated_at
        assert await store.threads.update(None, "thread", ThreadChange(archived=True)) == after
        same = await store.threads.update(None, "thread", ThreadChange(set_name=True, name="n"))
        assert same is not None
        assert (same.name, same.renamed, same.updated_at) == ("n", True, after.updated_at)
        assert await store.threads.update(None, "other", ThreadChange(archived=True)) is None

    async def test_a_run_on_an_archived_thread_leaves_it_archived(self, store: Store) -> None:
        await finish(store, await claimed(store))
        await store.threads.update(None, "thread", ThreadChange(archived=True))
        await claimed(store)
        assert (await record_of(store)).archived

    async def test_a_deleted_thread_is_gone_for_every_verb(self, store: Store) -> None:
        claim = await claimed(store, state=b"s", plan=Plan(add=(add(10, "u1"),)))
        await finish(store, claim, plan=Plan(add=(add(20, "a1"),)))
        assert await store.threads.delete(None, "thread") is True
        assert await store.threads.get(None, "thread") is None
        assert await listed(store, archived=True) == []
        assert await store.history(None, "thread") is None
        assert await store.run(None, "thread", claim.run.run_key) is None
        assert await store.runs(None, "thread", 0, 10) == []
        assert await store.events(None, "thread", 0, 10) == []
        assert await store.request_stop(None, "thread", None, "x") is None
        assert (await store.locate(None, "thread", ["u1"])).version == 0
        assert await within(store.read("thread", claim.run.run_key, 0, 60)) == LogPage(events=[], gone=True)

    async def test_deleting_again_is_true_for_the_same_owner_until_the_thread_is_new(
        self, store: Store
    ) -> None:
        assert await store.threads.delete("ann", "thread") is False
        await finish(store, await claimed(store, owner="ann"))
        for _ in range(3):
            assert await store.threads.delete("ann", "thread") is True
        assert await store.threads.delete("bob", "thread") is False
        assert await store.threads.delete(None, "thread") is False
        fresh = await claimed(store, owner="bob")
        assert (fresh.created, fresh.ordinal, fresh.state) == (True, 1, None)
        assert await store.threads.delete("ann", "thread") is False
        assert (await record_of(store, owner="bob")).id == "thread"

    async def test_deleting_revokes_the_claim_and_the_writer_cannot_bring_the_thread_back(
        self, store: Store
    ) -> None:
        claim = await claimed(store)
        reader = asyncio.create_task(store.read("thread", claim.run.run_key, 1, 60))
        await asyncio.sleep(0)
        assert await store.threads.delete(None, "thread") is True
        assert await within(reader) == LogPage(events=[], gone=True)
        with pytest.raises(ClaimLost):
            await store.append(claim.run, 2, [b"x"])
        with pytest.raises(ClaimLost):
            await store.seal(claim.run, seal_of(2))
        assert await store.extend(claim.run, LEASE) is Hold.LOST
        assert await store.take(claim.run, LEASE, force=True) is None
        assert await listed(store, archived=True) == []

    async def test_clear_deletes_all_threads_of_one_owner(self, store: Store) -> None:
        for number in range(3):
            await claimed(store, f"ann{number}", owner="ann")
        await finish(store, await claimed(store, "ann3", owner="ann"))
        claim = await claimed(store, "bob", owner="bob")
        assert sorted(await store.threads.clear("ann")) == ["ann0", "ann1", "ann2", "ann3"]
        assert await store.threads.clear("ann") == []
        assert await listed(store, "ann", archived=True) == []
        assert await store.threads.delete("ann", "ann0") is True
        assert await store.append(claim.run, 2, [b"x"]) is Hold.HELD
        assert await listed(store, "bob") == ["bob"]

    async def test_a_thread_deleted_and_made_anew_starts_empty(self, store: Store) -> None:
        await finish(store, await claimed(store, state=b"s", name="n", plan=Plan(add=(add(10, "u1"),))))
        await store.threads.delete(None, "thread")
        result = await store.claim(new_run(), LEASE, Plan(version=0), FIRST)
        assert isinstance(result, Claimed)
        history = await store.history(None, "thread")
        assert history is not None
        assert (history.entries, history.state, history.head) == ([], None, None)
        assert (await record_of(store)).name is None
