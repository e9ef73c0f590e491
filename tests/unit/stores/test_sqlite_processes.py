"""Several processes on one file."""

from __future__ import annotations

import asyncio

from jumpseat.stores.base import Busy, LogPage, Plan
from jumpseat.testing.store_cases.material import FIRST, LEASE, new_run, within


async def test_a_reader_follows_a_run_of_another_process_to_its_end(store, start_child):
    child = await start_child()
    assert await child.tell("open") == "open"
    assert await child.tell("claim thread KEY") == "Claimed"
    reader = asyncio.create_task(store.read("thread", "KEY", 1, 60))
    assert await child.tell("append 2") == "held"
    assert await within(reader) == LogPage(events=[b"2"])
    reader = asyncio.create_task(store.read("thread", "KEY", 2, 60))
    assert await child.tell("seal 3") == "sealed"
    assert await within(reader) == LogPage(events=[b"end"], ended=True)


async def test_a_take_over_fences_the_writer_in_the_other_process(store, start_child):
    child = await start_child()
    await child.tell("open")
    await child.tell("claim thread KEY")
    assert await child.tell("append 2") == "held"
    live = await store.live(None, "thread")
    assert live is not None
    assert not live.expired
    assert await store.take(live.run, LEASE) is None
    taken = await store.take(live.run, LEASE, force=True)
    assert taken is not None
    assert taken.last_seq == 2
    assert (await child.tell("append 3")).startswith("ClaimLost")
    assert (await child.tell("seal 3")).startswith("ClaimLost")
    assert (await within(store.read("thread", "KEY", 0, 0))).events == [b"1", b"2"]


async def test_a_stop_reaches_the_writer_in_the_other_process(store, start_child):
    child = await start_child()
    await child.tell("open")
    await child.tell("claim thread KEY")
    assert await child.tell("append 2") == "held"
    flagged = await store.request_stop(None, "thread", None, "enough")
    assert [run.run_key for run in flagged] == ["KEY"]
    assert await child.tell("append 3") == "stopping"


async def test_a_killed_process_loses_its_claim_at_once_and_nothing_that_was_acknowledged(store, start_child):
    child = await start_child()
    await child.tell("open")
    await child.tell("claim thread KEY")
    for seq in range(2, 30):
        assert await child.tell(f"append {seq}") == "held"
    assert await store.expired(10) == []
    reader = asyncio.create_task(store.read("thread", "KEY", 29, 60))
    await asyncio.sleep(0)
    await child.kill()
    assert await within(reader) == LogPage(events=[], expired=True)
    live = await store.live(None, "thread")
    assert live is not None
    assert live.expired
    assert await store.expired(10) == [live.run]
    busy = await store.claim(new_run(), LEASE, Plan(), FIRST)
    assert busy == Busy(run=live.run, run_id="r", expired=True)
    taken = await store.take(live.run, LEASE)
    assert taken is not None
    assert taken.last_seq == 29
    page = await within(store.read("thread", "KEY", 0, 0))
    assert page.events == [str(seq).encode() for seq in range(1, 30)]


async def test_of_four_processes_one_claims_the_thread(store, start_child):
    children = [await start_child() for _ in range(4)]
    await asyncio.gather(*(child.tell("open") for child in children))
    answers = await asyncio.gather(
        *(child.tell(f"claim thread KEY{number}") for number, child in enumerate(children))
    )
    assert sorted(answers) == ["Busy", "Busy", "Busy", "Claimed"]


async def test_four_processes_may_make_the_file_together(path, start_child):
    children = [await start_child() for _ in range(4)]
    assert await asyncio.gather(*(child.tell("open") for child in children)) == ["open"] * 4
    for number, child in enumerate(children):
        assert await child.tell(f"claim thread{number} KEY{number}") == "Claimed"
