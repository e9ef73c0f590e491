"""The log of a run: appending, reading, waiting, sealing."""

# ruff: noqa: D102 - the names of the tests say what holds

from __future__ import annotations

import asyncio

import pytest

from jumpseat.errors import ClaimLost
from jumpseat.stores.base import Claimed, Hold, LogPage, Plan, Run, Store
from jumpseat.testing.store_cases.material import (
    FIRST,
    LEASE,
    add,
    claimed,
    finish,
    gather,
    seal_of,
    settle,
    within,
)

MEBIBYTE = 1 << 20


async def read_all(store: Store, claim: Claimed, after: int = 0) -> list[bytes]:
    """Read to the end of what is stored now."""
    events: list[bytes] = []
    while True:
        page = await within(store.read("thread", claim.run.run_key, after + len(events), 0))
        assert not page.gone
        events += page.events
        if page.ended or not page.events:
            return events


class LogCases:
    """What a run wrote, and who sees it when."""

    async def test_events_are_read_in_order_from_any_number(self, store: Store) -> None:
        claim = await claimed(store)
        await store.append(claim.run, 2, [b"2", b"3"])
        await store.append(claim.run, 4, [b"4"])
        await store.append(claim.run, 5, [b"5", b"6", b"7"])
        stored = [FIRST, b"2", b"3", b"4", b"5", b"6", b"7"]
        for after in range(8):
            assert await read_all(store, claim, after) == stored[after:]

    async def test_events_already_stored_are_skipped(self, store: Store) -> None:
        claim = await claimed(store)
        await store.append(claim.run, 2, [b"2", b"3"])
        await store.append(claim.run, 2, [b"2", b"3"])
        await store.append(claim.run, 3, [b"3", b"4"])
        await store.append(claim.run, 1, [FIRST, b"2", b"3", b"4", b"5"])
        await store.append(claim.run, 6, [])
        assert await read_all(store, claim) == [FIRST, b"2", b"3", b"4", b"5"]

    async def test_a_gap_is_an_error_and_stores_nothing(self, store: Store) -> None:
        claim = await claimed(store)
        for first_seq in (3, 0, -1):
            with pytest.raises(ValueError, match="follow"):
                await store.append(claim.run, first_seq, [b"x"])
        with pytest.raises(ValueError, match="follow"):
            await store.seal(claim.run, seal_of(3))
        assert await read_all(store, claim) == [FIRST]
        assert await store.append(claim.run, 2, [b"2"]) is Hold.HELD

    async def test_an_append_to_what_is_sealed_or_unknown_is_refused(self, store: Store) -> None:
        claim = await claimed(store)
        await finish(store, claim)
        strangers = (Run("thread", "nobody", 1), Run("elsewhere", claim.run.run_key, 1))
        for run in (claim.run, *strangers):
            with pytest.raises(ClaimLost):
                await store.append(run, 3, [b"x"])
        assert await read_all(store, claim) == [FIRST, b"end"]

    async def test_many_runs_append_at_once_and_each_log_is_its_own(self, store: Store) -> None:
        claims = [await claimed(store, f"thread{number}") for number in range(32)]

        async def write(claim: Claimed) -> None:
            for seq in range(2, 42):
                await store.append(claim.run, seq, [f"{claim.run.thread_id}:{seq}".encode()])

        await within(gather(write(claim) for claim in claims))
        for claim in claims:
            thread_id = claim.run.thread_id
            page = await within(store.read(thread_id, claim.run.run_key, 0, 0))
            assert page.events == [FIRST, *(f"{thread_id}:{seq}".encode() for seq in range(2, 42))]

    async def test_a_refused_append_fails_alone(self, store: Store) -> None:
        fenced, held = await claimed(store, "one"), await claimed(store, "two")
        await store.take(fenced.run, LEASE, force=True)
        results = await settle(
            store.append(fenced.run, 2, [b"x"]),
            store.append(held.run, 2, [b"x"]),
            store.append(held.run, 9, [b"x"]),
            store.append(held.run, 3, [b"y"]),
        )
        assert isinstance(results[0], ClaimLost)
        assert results[1] is Hold.HELD
        assert isinstance(results[2], ValueError)
        assert results[3] is Hold.HELD

    async def test_a_page_holds_at_most_256_events(self, store: Store) -> None:
        claim = await claimed(store)
        numbers = [str(seq).encode() for seq in range(2, 602)]
        await store.append(claim.run, 2, numbers)
        page = await within(store.read("thread", claim.run.run_key, 0, 0))
        assert len(page.events) == 256
        assert await read_all(store, claim) == [FIRST, *numbers]

    async def test_a_page_holds_at_most_one_mebibyte_or_one_larger_event(self, store: Store) -> None:
        claim = await claimed(store)
        events = [b"a" * 600_000, b"b" * 600_000, b"c" * (8 * MEBIBYTE), b"d"]
        await store.append(claim.run, 2, events)
        sizes: list[int] = []
        after = 1
        while after < 5:
            page = await within(store.read("thread", claim.run.run_key, after, 0))
            sizes.append(len(page.events))
            after += len(page.events)
        assert sizes == [1, 1, 1, 1]
        assert await read_all(store, claim, 1) == events

    async def test_bytes_and_names_survive_as_they_are(self, store: Store) -> None:
        odd = "\x00 \u0000é漢字🦀\u2028'\"%_\\"
        claim = await claimed(store, odd, owner=odd, run_id=odd, agent_id=odd, name=odd, state=b"\x00\xff")
        payloads = [b"", b"\x00", b"\xff\xfe", odd.encode(), bytes(range(256))]
        await store.append(claim.run, 2, payloads)
        entry = add(10, odd, b"\x00\xff", aliases=(odd + "a", ""))
        await store.seal(
            claim.run, seal_of(7, [b""], plan=Plan(add=(entry,), digest=b"\x00"), state=b"", pending=b"\x00")
        )
        page = await within(store.read(odd, claim.run.run_key, 1, 0))
        assert page == LogPage(events=[*payloads, b""], ended=True)
        history = await store.history(odd, odd)
        assert history is not None
        assert history.head is not None
        assert (history.state, history.head.pending, history.head.terminal) == (b"", b"\x00", b"")
        shown = history.entries[0]
        assert (shown.key, shown.aliases, shown.data) == (odd, (odd + "a", ""), b"\x00\xff")
        assert set((await store.locate(odd, odd, [odd, odd + "a", ""])).found) == {odd, odd + "a", ""}
        record = await store.threads.get(odd, odd)
        assert record is not None
        assert (record.name, record.agent_id, record.owner) == (odd, odd, odd)

    async def test_reading_without_wait_returns_at_once(self, store: Store) -> None:
        claim = await claimed(store)
        assert await within(store.read("thread", claim.run.run_key, 1, 0)) == LogPage(events=[])

    async def test_a_waiting_reader_gives_up_in_time(self, store: Store) -> None:
        claim = await claimed(store)
        loop = asyncio.get_running_loop()
        began = loop.time()
        page = await within(store.read("thread", claim.run.run_key, 1, 0.2))
        assert page == LogPage(events=[])
        assert 0.15 <= loop.time() - began < 5

    async def test_a_waiting_reader_gets_the_next_event(self, store: Store) -> None:
        claim = await claimed(store)
        readers = [asyncio.create_task(store.read("thread", claim.run.run_key, 1, 60)) for _ in range(3)]
        await asyncio.sleep(0)
        await store.append(claim.run, 2, [b"2"])
        assert await within(gather(readers)) == [LogPage(events=[b"2"])] * 3

    async def test_a_waiting_reader_gets_the_end(self, store: Store) -> None:
        claim = await claimed(store)
        reader = asyncio.create_task(store.read("thread", claim.run.run_key, 1, 60))
        await asyncio.sleep(0)
        await store.seal(claim.run, seal_of(2, [b"x", b"end"]))
        assert await within(reader) == LogPage(events=[b"x", b"end"], ended=True)

    async def test_a_reader_sees_the_terminal_only_when_the_thread_is_free(self, store: Store) -> None:
        for _ in range(20):
            claim = await claimed(store)
            reader = asyncio.create_task(store.read("thread", claim.run.run_key, 1, 60))
            await asyncio.sleep(0)
            sealing = asyncio.create_task(store.seal(claim.run, seal_of(2)))
            page = await within(reader)
            assert page == LogPage(events=[b"end"], ended=True)
            assert await store.live(None, "thread") is None
            await within(sealing)

    async def test_a_cancelled_reader_leaves_the_others_alone(self, store: Store) -> None:
        claim = await claimed(store)
        leaving, staying = (
            asyncio.create_task(store.read("thread", claim.run.run_key, 1, 60)) for _ in range(2)
        )
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait((leaving,))
        await store.append(claim.run, 2, [b"2"])
        assert (await within(staying)).events == [b"2"]

    async def test_only_the_last_page_says_that_the_run_has_ended(self, store: Store) -> None:
        claim = await claimed(store)
        await store.append(claim.run, 2, [b"x"] * 255)
        await store.seal(claim.run, seal_of(257))
        first = await within(store.read("thread", claim.run.run_key, 0, 0))
        assert (len(first.events), first.ended) == (256, False)
        assert await within(store.read("thread", claim.run.run_key, 256, 0)) == LogPage(
            events=[b"end"], ended=True
        )
        assert await within(store.read("thread", claim.run.run_key, 257, 5)) == LogPage(events=[], ended=True)

    async def test_an_unknown_run_is_gone(self, store: Store) -> None:
        claim = await claimed(store)
        for thread_id, run_key in (("thread", "nobody"), ("elsewhere", claim.run.run_key)):
            page = await within(store.read(thread_id, run_key, 0, 60))
            assert page == LogPage(events=[], gone=True)

    async def test_a_reader_follows_the_log_while_it_is_written(self, store: Store) -> None:
        claim = await claimed(store)
        expected = [FIRST, *(str(seq).encode() for seq in range(2, 300)), b"end"]

        async def follow() -> list[bytes]:
            events: list[bytes] = []
            while True:
                page = await store.read("thread", claim.run.run_key, len(events), 30)
                events += page.events
                if page.ended:
                    return events

        followers = [asyncio.create_task(follow()) for _ in range(4)]
        for seq in range(2, 300):
            await store.append(claim.run, seq, [str(seq).encode()])
        await store.seal(claim.run, seal_of(300))
        assert await within(gather(followers)) == [expected] * 4

    async def test_a_seal_keeps_everything_it_says(self, store: Store) -> None:
        claim = await claimed(store, run_id="r", agent_id="a", state=b"before")
        seal = seal_of(
            2,
            [b"x", b"end"],
            status="failed",
            state=b"after",
            compacted=[FIRST, b"end"],
            record=b"record",
            pending=b"pending",
        )
        await store.seal(claim.run, seal)
        header = await store.run(None, "thread", claim.run.run_key)
        assert header is not None
        assert (header.run_key, header.run_id, header.agent_id) == (claim.run.run_key, "r", "a")
        assert (header.status, header.last_seq, header.raw) == ("failed", 3, True)
        assert (header.terminal, header.record, header.pending) == (b"end", b"record", b"pending")
        assert header.sealed_at is not None
        assert header.sealed_at >= header.created_at > 1_600_000_000_000
        history = await store.history(None, "thread")
        assert history is not None
        assert (history.head, history.state, history.live) == (header, b"after", None)
        events = await store.events(None, "thread", 0, 10)
        assert [(run.ordinal, run.events) for run in events] == [(1, [FIRST, b"end"])]

    async def test_a_second_seal_is_refused_and_changes_nothing(self, store: Store) -> None:
        claim = await claimed(store)
        await finish(store, claim, status="stopped")
        with pytest.raises(ClaimLost):
            await store.seal(claim.run, seal_of(2, status="finished", state=b"x"))
        history = await store.history(None, "thread")
        assert history is not None
        assert history.head is not None
        assert (history.head.status, history.state) == ("stopped", None)

    async def test_of_two_simultaneous_seals_one_wins(self, store: Store) -> None:
        claim = await claimed(store)
        results = await settle(*(store.seal(claim.run, seal_of(2)) for _ in range(2)))
        assert sorted(type(result).__name__ for result in results) == ["ClaimLost", "NoneType"]
        assert await read_all(store, claim) == [FIRST, b"end"]

    async def test_a_seal_with_an_impossible_plan_changes_nothing(self, store: Store) -> None:
        await finish(store, await claimed(store, plan=Plan(add=(add(10, "m"),))))
        claim = await claimed(store)
        with pytest.raises(ValueError, match="10"):
            await store.seal(claim.run, seal_of(2, plan=Plan(add=(add(20, "n"), add(10, "o"))), state=b"x"))
        history = await store.history(None, "thread")
        assert history is not None
        assert ([entry.key for entry in history.entries], history.state) == (["m"], None)
        assert history.live is not None
        assert await read_all(store, claim) == [FIRST]
        await store.seal(claim.run, seal_of(2))

    async def test_events_of_a_seal_that_are_stored_already_are_skipped(self, store: Store) -> None:
        claim = await claimed(store)
        await store.append(claim.run, 2, [b"2", b"3"])
        await store.seal(claim.run, seal_of(3, [b"3", b"end"]))
        assert await read_all(store, claim) == [FIRST, b"2", b"3", b"end"]

    async def test_headers_come_in_pages_oldest_first(self, store: Store) -> None:
        for number in range(5):
            await finish(store, await claimed(store, run_id=f"r{number}", owner="ann"))
        await claimed(store, run_id="r5", owner="ann")
        pages = [await store.runs("ann", "thread", after, 2) for after in (0, 2, 4, 6)]
        assert [[header.run_id for header in page] for page in pages] == [
            ["r0", "r1"],
            ["r2", "r3"],
            ["r4", "r5"],
            [],
        ]
        assert [header.status for header in pages[2]] == ["finished", "live"]
        assert await store.runs("bob", "thread", 0, 10) == []
        assert await store.runs("ann", "other", 0, 10) == []

    async def test_a_run_is_found_by_key_and_its_newest_by_id(self, store: Store) -> None:
        first = await claimed(store, run_id="same")
        await finish(store, first)
        second = await claimed(store, run_id="same")
        newest = await store.find(None, "thread", "same")
        assert newest is not None
        assert newest.run_key == second.run.run_key
        assert await store.find(None, "thread", "another") is None
        assert await store.find("bob", "thread", "same") is None
        assert await store.run("bob", "thread", first.run.run_key) is None
        await claimed(store, "elsewhere")
        assert await store.run(None, "elsewhere", first.run.run_key) is None
        assert await store.find(None, "elsewhere", "same") is None

    async def test_compacted_events_come_in_whole_runs(self, store: Store) -> None:
        for number in range(4):
            compacted = [f"{number}{letter}".encode() for letter in "abc"]
            await finish(store, await claimed(store), compacted=compacted)
        await claimed(store)
        for after, limit, newest, expected in (
            (0, 1, False, [1]),
            (0, 3, False, [1]),
            (0, 4, False, [1, 2]),
            (2, 100, False, [3, 4]),
            (0, 4, True, [4, 3]),
            (3, 100, True, [2, 1]),
            (1, 100, True, []),
        ):
            runs = await store.events(None, "thread", after, limit, newest=newest)
            assert [run.ordinal for run in runs] == expected
        assert (await store.events(None, "thread", 3, 1))[0].events == [b"3a", b"3b", b"3c"]
        assert await store.events("bob", "thread", 0, 10) == []
