"""The buffer between the writer of a run and the readers in its process."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from jumpseat.runners.tail import MAX_BYTES, MAX_EVENTS, Tail


@given(st.lists(st.lists(st.integers(0, 200_000), max_size=600), max_size=12))
def test_what_the_buffer_still_has_is_right_and_within_its_bounds(batches):
    tail = Tail(0)
    log = []
    for sizes in batches:
        events = [b"%d:" % (len(log) + n) + b"x" * min(size, 3000) for n, size in enumerate(sizes)]
        tail.extend(events)
        log += events
        assert tail.last_seq == len(log)
        for seq in {0, len(log) // 2, max(0, len(log) - 1), len(log)}:
            found = tail.after(seq)
            if found is not None:
                assert found == log[seq : seq + 256]
        assert tail.after(len(log)) == []
        kept = [event for start in range(len(log)) if tail.after(start) for event in [log[start]]]
        assert len(kept) <= MAX_EVENTS
        assert sum(map(len, kept[1:])) <= MAX_BYTES


async def test_a_wait_that_is_given_up_leaves_nothing_behind_and_loses_no_event():
    tail = Tail(0)
    waiter = tail.changed()
    waiter.cancel()
    tail.forget(waiter)
    assert tail._waiters == []
    tail.extend([b"one"])
    assert tail.after(0) == [b"one"]


async def test_every_waiting_reader_is_woken_by_an_event_and_by_the_end():
    tail = Tail(0)
    for change in (lambda: tail.extend([b"x"]), tail.end, tail.detach):
        waiting = [tail.changed() for _ in range(3)]
        change()
        async with asyncio.timeout(1):
            await asyncio.gather(*waiting)
