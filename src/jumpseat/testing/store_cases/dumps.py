"""Dumping and loading: whole threads come out of a store and go into one, and nothing else changes."""

# ruff: noqa: D102 - the names of the tests say what holds

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest

from jumpseat.errors import StoreUnavailable
from jumpseat.stores.base import (
    DumpedEvents,
    DumpedGone,
    DumpedRun,
    DumpedThread,
    DumpPage,
    DumpPart,
    Entry,
    Loaded,
    LogPage,
    Moved,
    Plan,
    Retention,
    Store,
    ThreadChange,
)
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

ODD = b'\x00\xff\xfe{"a":"\xc3\xa4\\u0000"}'
NAMES = "abcuvwü"


class Contents:
    """A dumped thread in a list; ``fault`` is raised at its end."""

    def __init__(self, parts: Sequence[DumpPart], fault: Exception | None = None) -> None:
        thread, *rest = parts
        assert isinstance(thread, DumpedThread)
        self.thread = thread
        self.rest = [part for part in rest if isinstance(part, DumpedRun | Entry | DumpedEvents)]
        self._fault = fault

    def parts(self) -> Iterator[DumpedRun | Entry | DumpedEvents]:
        yield from self.rest
        if self._fault is not None:
            raise self._fault


async def pages(store: Store) -> list[DumpPage]:
    """Dump everything."""
    found = [await within(store.dump())]
    while found[-1].next is not None:
        found.append(await within(store.dump(found[-1].next)))
    return found


async def dumped(store: Store, fault: Exception | None = None) -> dict[str, Contents]:
    """Dump everything and return the threads by id."""
    threads: list[list[DumpPart]] = []
    for page in await pages(store):
        for part in page.parts:
            if isinstance(part, DumpedThread):
                threads.append([])
            threads[-1].append(part)
    found = [Contents(parts, fault) for parts in threads]
    return {contents.thread.record.id: contents for contents in found}


async def picture(store: Store, owner: str | None = None, thread_id: str = "thread") -> list[Any]:
    """Return everything that can be read of a thread, its version aside."""
    runs = await store.runs(owner, thread_id, 0, 10_000)
    seen: list[Any] = [await store.threads.get(owner, thread_id), runs]
    for at in (None, *(run.ordinal for run in runs[:20])):
        history = await store.history(owner, thread_id, at)
        assert history is not None
        seen += [history.entries, history.state, history.head, history.live]
    located = await store.locate(owner, thread_id, list(NAMES))
    seen += [located.found, located.last_position, located.runs, located.digest]
    seen.append(await store.events(owner, thread_id, 0, 100_000))
    for run in runs:
        seen.append(await store.find(owner, thread_id, run.run_id))
        after, page = 0, LogPage(events=[])
        while after == 0 or page.events:
            page = await within(store.read(thread_id, run.run_key, after, 0))
            seen.append(page)
            after += len(page.events) or 1
    return seen


async def branches(store: Store, owner: str | None = None, thread_id: str = "thread") -> None:
    """Make a thread with four runs, of which the second and third hide what was shown before."""
    first = await claimed(
        store,
        thread_id,
        Plan(add=(add(10, "a", ODD), add(20, "b", b"", aliases=("u", "ü"))), digest=b"\xff1"),
        owner=owner,
        name="A name \x01 ü",
        state=b"s0",
    )
    await store.append(first.run, 2, [ODD, b"", b"x" * 5])
    ending = seal_of(
        5,
        plan=Plan(add=(add(30, "c"),)),
        state=ODD,
        record=ODD,
        pending=b"",
        terminal=ODD,
        compacted=[ODD, b""],
    )
    await within(store.seal(first.run, ending))
    other = (Plan(hide_after=10, add=(add(25, "u"),)), Plan(hide=(10,), add=(add(10, "a"),)))
    for number, plan in enumerate(other):
        run = await claimed(store, thread_id, plan, owner=owner, parent=1, run_id=f"r{number}")
        await finish(store, run, status="failed", state=None, compacted=[])
    last = await claimed(store, thread_id, owner=owner)
    await finish(store, last, state=b"end", plan=Plan(add=(add(40, "v"),), digest=ODD))


async def many_entries(store: Store) -> None:
    """Make a thread of 80 runs, every other of which hides the eight messages of the two before."""
    for number in range(80):
        new = tuple(add(10 * number + place, f"{number}.{place}") for place in range(1, 5))
        plan = Plan(hide_after=None if number % 2 else 0, add=new)
        await finish(store, await claimed(store, plan=plan))


class DumpCases:
    """Out of the store and into it again."""

    async def test_an_empty_store_dumps_nothing(self, store: Store) -> None:
        assert await pages(store) == [DumpPage(parts=[], next=None)]

    async def test_a_thread_comes_back_as_it_was(self, store: Store) -> None:
        await branches(store)
        await store.threads.update(None, "thread", ThreadChange(set_name=True, name="ü", archived=True))
        before = await picture(store)
        contents = (await dumped(store))["thread"]
        assert await store.threads.delete(None, "thread")
        assert await within(store.load(contents)) is Loaded.LOADED
        assert await picture(store) == before
        again = (await dumped(store))["thread"]
        assert (again.thread, again.rest) == (contents.thread, contents.rest)

    async def test_the_dump_of_a_thread_is_in_order(self, store: Store) -> None:
        await branches(store)
        contents = (await dumped(store))["thread"]
        assert (contents.thread.runs, contents.thread.trimmed, contents.thread.left_out) == (4, 0, ())
        assert contents.thread.digest == ODD
        kinds = [type(part).__name__ for part in contents.rest]
        assert kinds == ["DumpedRun"] * 4 + ["Entry"] * 6 + ["DumpedEvents"] * 8
        events = [part for part in contents.rest if isinstance(part, DumpedEvents)]
        assert [(part.raw, part.first, len(part.events)) for part in events] == [
            (False, 1, 2),
            (False, 1, 0),
            (False, 1, 0),
            (False, 1, 2),
            (True, 1, 5),
            (True, 1, 2),
            (True, 1, 2),
            (True, 1, 2),
        ]

    async def test_threads_of_all_owners_are_dumped_and_stay_theirs(self, store: Store) -> None:
        await branches(store, None, "of nobody")
        await branches(store, "ü:", "of ü")
        await branches(store, "", "of the empty name")
        contents = await dumped(store)
        seen = [await picture(store, one.thread.record.owner, name) for name, one in contents.items()]
        for owner in (None, "ü:", ""):
            assert len(await store.threads.clear(owner)) == 1
        for one in contents.values():
            assert await within(store.load(one)) is Loaded.LOADED
        assert [await picture(store, one.thread.record.owner, name) for name, one in contents.items()] == seen
        assert [record.id for record in await store.threads.list("ü:", archived=True)] == ["of ü"]
        assert await store.history(None, "of ü") is None

    async def test_live_and_queued_runs_are_left_out_with_all_they_did(self, store: Store) -> None:
        await branches(store)
        before = await picture(store)
        live = await claimed(
            store, "thread", Plan(hide_after=0, add=(add(50, "w"),)), state=b"live", run_id="live one"
        )
        await queued(store, run_id="queued one")
        contents = (await dumped(store))["thread"]
        assert (contents.thread.runs, contents.thread.digest) == (4, None)
        assert contents.thread.left_out == ("live one", "queued one")
        await store.seal(live.run, seal_of(2))
        assert await store.threads.delete(None, "thread")
        assert await within(store.load(contents)) is Loaded.LOADED
        after = await picture(store)
        assert after[1:18] == before[1:18]

    async def test_a_thread_without_a_sealed_run_has_no_runs(self, store: Store) -> None:
        await claimed(store, plan=Plan(add=(add(10, "a"),)), run_id="the first")
        contents = (await dumped(store))["thread"]
        assert (contents.thread.runs, contents.thread.left_out, contents.rest) == (0, ("the first",), [])

    async def test_what_is_there_is_left_alone(self, store: Store) -> None:
        await branches(store)
        contents = (await dumped(store))["thread"]
        await finish(store, await claimed(store))
        before = await picture(store)
        assert await within(store.load(contents)) is Loaded.EXISTS
        assert await picture(store) == before

    async def test_what_is_there_is_replaced_on_demand_whoever_owns_it(self, store: Store) -> None:
        await branches(store)
        before = await picture(store)
        contents = (await dumped(store))["thread"]
        await store.threads.delete(None, "thread")
        late = await claimed(store, owner="somebody", plan=Plan(add=(add(7, "w"),)))
        await finish(store, late, state=b"late")
        assert await within(store.load(contents, replace=True)) is Loaded.REPLACED
        assert await picture(store) == before
        assert await store.threads.list("somebody") == []
        assert await within(store.read("thread", late.run.run_key, 0, 60)) == LogPage(events=[], gone=True)
        assert await within(store.load(contents, replace=True)) is Loaded.REPLACED
        assert await picture(store) == before

    async def test_a_thread_that_runs_is_not_replaced(self, store: Store) -> None:
        await branches(store)
        contents = (await dumped(store))["thread"]
        live = await claimed(store)
        before = await picture(store)
        assert await within(store.load(contents, replace=True)) is Loaded.BUSY
        assert await picture(store) == before
        await finish(store, live)

    async def test_a_run_key_of_another_thread_is_refused_and_nothing_stored(self, store: Store) -> None:
        await branches(store)
        contents = (await dumped(store))["thread"]
        record = msgspec.structs.replace(contents.thread.record, id="another")
        contents.thread = msgspec.structs.replace(contents.thread, record=record)
        before = await picture(store)
        # Each store says it in words of its own.
        with pytest.raises(ValueError):  # noqa: PT011
            await within(store.load(contents))
        assert await store.threads.get(None, "another") is None
        assert await store.history(None, "another") is None
        assert await picture(store) == before

    async def test_a_load_that_fails_in_the_middle_leaves_nothing(self, store: Store) -> None:
        await branches(store)
        before = await picture(store)
        contents = (await dumped(store, OSError("the disk is gone")))["thread"]
        with pytest.raises(OSError, match="the disk is gone"):
            await within(store.load(contents, replace=True))
        assert await picture(store) == before
        await store.threads.delete(None, "thread")
        with pytest.raises(OSError, match="the disk is gone"):
            await within(store.load(contents))
        assert await store.threads.list(None, archived=True) == []
        assert (await claimed(store)).created

    async def test_runs_go_on_after_a_load(self, store: Store) -> None:
        await branches(store)
        contents = (await dumped(store))["thread"]
        version = (await store.locate(None, "thread", ())).version
        await store.threads.delete(None, "thread")
        await within(store.load(contents))
        # A plan for the thread as it was before never fits the one that was loaded.
        moved = await within(store.claim(new_run(), LEASE, Plan(version=version), FIRST))
        assert isinstance(moved, Moved)
        following = await claimed(store, "thread", Plan(version=moved.version, hide_after=10))
        assert (following.ordinal, following.state, following.created) == (5, b"end", False)
        assert following.last_position == 10
        await finish(store, following)
        assert [run.ordinal for run in await store.runs(None, "thread", 0, 10)] == [1, 2, 3, 4, 5]

    async def test_what_retention_took_stays_away_and_the_rest_can_go(self, store: Store) -> None:
        await branches(store)
        while await store.prune(Retention(max_runs=2, events_after=0), 1000):
            pass
        before = await picture(store)
        contents = (await dumped(store))["thread"]
        assert contents.thread.trimmed == 2
        await store.threads.delete(None, "thread")
        await within(store.load(contents))
        assert await picture(store) == before
        assert (await dumped(store))["thread"].rest == contents.rest
        while await store.prune(Retention(max_runs=1, events_after=0), 1000):
            pass
        assert [run.ordinal for run in await store.events(None, "thread", 0, 100)] == [4]
        while await store.prune(Retention(max_age=-1), 1000):
            pass
        assert await store.threads.list(None) == []

    async def test_the_logs_of_a_loaded_thread_go_when_their_time_comes(self, store: Store) -> None:
        await branches(store)
        contents = (await dumped(store))["thread"]
        await store.threads.delete(None, "thread")
        await within(store.load(contents))
        while await store.prune(Retention(events_after=0), 1000):
            pass
        assert not any(run.raw for run in await store.runs(None, "thread", 0, 10))
        assert not any(
            isinstance(part, DumpedEvents) and part.raw for part in (await dumped(store))["thread"].rest
        )

    async def test_long_threads_come_in_small_pages(self, store: Store) -> None:
        await many_entries(store)
        large = await claimed(store)
        for seq in range(2, 14):
            await store.append(large.run, seq, [b"x" * 500_000])
        await store.append(large.run, 14, [b"y"] * 600)
        await store.seal(large.run, seal_of(614))
        found = await pages(store)
        assert len(found) > 3
        for page in found:
            payloads = [part.events for part in page.parts if isinstance(part, DumpedEvents)]
            assert len(page.parts) < 2 * 256
            assert sum(len(event) for events in payloads for event in events) <= 2 << 20
        before = await picture(store)
        contents = (await dumped(store))["thread"]
        await store.threads.delete(None, "thread")
        await within(store.load(contents))
        assert await picture(store) == before

    async def test_many_small_threads_share_a_page(self, store: Store) -> None:
        for number in range(60):
            await finish(store, await claimed(store, f"thread{number}"))
        found = await pages(store)
        assert len(found) < 10
        ids = [part.record.id for page in found for part in page.parts if isinstance(part, DumpedThread)]
        assert sorted(ids) == sorted(f"thread{number}" for number in range(60))

    async def test_changes_between_two_pages_do_not_mix(self, store: Store) -> None:
        await many_entries(store)
        contents = (await dumped(store))["thread"]
        page = await within(store.dump())
        parts = list(page.parts)
        while page.next is not None:
            plan = Plan(hide_after=0, add=(add(5, "w"),))
            await finish(store, await claimed(store, plan=plan))
            page = await within(store.dump(page.next))
            parts += page.parts
        mixed = Contents(parts)
        assert (mixed.thread, mixed.rest) == (contents.thread, contents.rest)

    async def test_a_thread_that_is_deleted_between_two_pages_is_void(self, store: Store) -> None:
        await many_entries(store)
        first = await within(store.dump())
        assert first.next is not None
        await store.threads.delete(None, "thread")
        await finish(store, await claimed(store, "thread"))
        second = await within(store.dump(first.next))
        assert second.parts[0] == DumpedGone("thread")
        assert not any(isinstance(part, DumpedRun | Entry) for part in second.parts)

    async def test_a_place_that_is_not_in_a_dump_is_refused(self, store: Store) -> None:
        with pytest.raises(ValueError, match="no place in a dump"):
            await within(store.dump(b"nowhere"))

    async def test_a_closed_store_neither_dumps_nor_loads(self, store: Store) -> None:
        await branches(store)
        contents = (await dumped(store))["thread"]
        await store.aclose()
        with pytest.raises(StoreUnavailable):
            await store.dump()
        with pytest.raises(StoreUnavailable):
            await store.load(contents)
