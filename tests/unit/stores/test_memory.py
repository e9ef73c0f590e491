"""The bounds of the memory store."""

from __future__ import annotations

import logging
import math

import pytest

from jumpseat.errors import ConfigurationError
from jumpseat.stores.base import Hold, Plan, Store
from jumpseat.stores.memory import MemoryStore
from jumpseat.testing.store_cases.material import add, claimed, finish, queued


async def ids(store: Store) -> set[str]:
    return {record.id for record in await store.threads.list(None, limit=10_000)}


async def thread(store: Store, thread_id: str, **options) -> None:
    await finish(store, await claimed(store, thread_id), **options)


@pytest.mark.parametrize("name", ["max_threads", "max_runs_per_thread", "max_bytes"])
@pytest.mark.parametrize("value", [0, -1, math.nan, -math.inf, "x", 1.5, True, b"1", [1]])
def test_a_bound_that_cannot_work_is_refused_by_name(name, value):
    with pytest.raises(ConfigurationError, match=name):
        MemoryStore(**{name: value})


@pytest.mark.parametrize("name", ["max_threads", "max_runs_per_thread", "max_bytes"])
@pytest.mark.parametrize("value", [1, None, math.inf])
def test_positive_integers_none_and_infinity_are_bounds(name, value):
    MemoryStore(**{name: value})


async def test_the_least_recently_used_thread_goes_first_with_one_warning(caplog):
    store = MemoryStore(max_threads=3)
    for number in range(3):
        await thread(store, f"t{number}")
    await store.history(None, "t0")
    await store.threads.list(None)
    await store.threads.get(None, "t1")
    await store.live(None, "t1")
    with caplog.at_level(logging.WARNING):
        await thread(store, "t3")
        assert await ids(store) == {"t0", "t2", "t3"}
        await thread(store, "t2")
        await thread(store, "t4")
        assert await ids(store) == {"t2", "t3", "t4"}
    assert [record.message.count("max_threads") for record in caplog.records] == [1]


async def test_of_1001_threads_1000_stay():
    store = MemoryStore()
    for number in range(1001):
        await thread(store, f"t{number}")
    left = await ids(store)
    assert len(left) == 1000
    assert "t0" not in left


async def test_live_and_queued_threads_survive_any_pressure():
    store = MemoryStore(max_threads=1, max_bytes=1)
    live = await claimed(store, "live")
    before = await claimed(store, "waiting")
    _, waiting = await queued(store, "waiting")
    await finish(store, before)
    for number in range(5):
        await claimed(store, f"busy{number}")
    assert await ids(store) == {"live", "waiting", *(f"busy{number}" for number in range(5))}
    assert await store.append(live.run, 2, [b"x" * 1000]) is Hold.HELD
    assert await store.extend(waiting, 1) is Hold.HELD


async def test_above_max_bytes_idle_threads_go_and_their_bytes_with_them(caplog):
    store = MemoryStore(max_bytes=10_000)
    for number in range(20):
        await thread(store, f"t{number}", compacted=[b"x" * 1000], state=b"s" * 500)
    left = await ids(store)
    assert 3 <= len(left) <= 6
    assert left == {f"t{number}" for number in range(20 - len(left), 20)}
    live = await claimed(store, "live")
    await store.append(live.run, 2, [b"x" * 9_500])
    assert await ids(store) == {"live"}
    await store.threads.delete(None, "live")
    for number in range(3):
        await thread(store, f"u{number}", compacted=[b"x" * 1000], state=b"s" * 500)
    assert await ids(store) == {"u0", "u1", "u2"}


async def test_above_max_runs_old_runs_lose_events_but_every_message_stays():
    store = MemoryStore(max_runs_per_thread=100)
    for number in range(1, 102):
        plan = Plan(add=(add(number * 10, f"u{number}"),))
        await finish(store, await claimed(store, plan=plan))
    history = await store.history(None, "thread")
    assert history is not None
    assert len(history.entries) == 101
    headers = await store.runs(None, "thread", 0, 1000)
    assert [header.raw for header in headers] == [False] + [True] * 100
    assert [run.ordinal for run in await store.events(None, "thread", 0, 10_000)] == list(range(2, 102))
