"""Small appends of all runs lie together first, and are merged into the log of each run later."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jumpseat.stores.base import Append, Retention, Run, Store
from jumpseat.stores.sqlite import SqliteStore, appends, arrived, database, session, writer
from jumpseat.stores.sqlite.holder import this_process
from jumpseat.stores.sqlite.session import Session
from jumpseat.testing.store_cases.material import FIRST, claimed, seal_of, within

LARGE = b"y" * (appends.SMALL_BYTES + 1)


@pytest.fixture
def often(monkeypatch):
    """Merge after every few appends."""
    monkeypatch.setattr(session, "FEWEST_ROWS", 5)
    monkeypatch.setattr(session, "MERGE_ROWS_PER_RUN", 2)


async def log_of(store: Store, run: Run) -> list[bytes]:
    """Read all events of a run that are stored."""
    events: list[bytes] = []
    while page := (await within(store.read(run.thread_id, run.run_key, len(events), 0))).events:
        events += page
    return events


def rows_in(path: Path, table: str) -> list[tuple[int, int]]:
    """Return run and last number of each row with events."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT run, last FROM {table} WHERE run > 0 ORDER BY id").fetchall()


@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.lists(st.binary(max_size=9), min_size=1, max_size=4), st.booleans())
    ),
    st.integers(1, 40),
)
def test_every_arrived_event_is_in_one_row_under_its_number(appended, row_bytes):
    kept = arrived.Arrived()
    numbered: dict[tuple[int, int], bytes] = {}
    lasts = dict.fromkeys((1, 2, 3), 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrived, "ROW_BYTES", row_bytes)
        for run, events, elsewhere in appended:
            if not elsewhere:
                kept.add(run, lasts[run] + len(events), events, sum(map(len, events)))
                numbered |= {(run, lasts[run] + place): event for place, event in enumerate(events, 1)}
            lasts[run] += len(events)
    rows = [(run, last, msgspec.msgpack.decode(data)) for run, last, data in kept.rows()]
    found = [
        ((run, number), event)
        for run, last, events in rows
        for number, event in enumerate(events, last - len(events) + 1)
    ]
    assert [place for place, _ in found] == sorted(numbered)
    assert dict(found) == numbered
    assert bool(kept) == bool(numbered)


async def test_every_event_is_read_once_and_in_order_whenever_it_was_merged(store, path, often):
    other = SqliteStore(path)
    await other.open()
    chance = random.Random(7)
    runs = [await claimed(store, f"t{number}") for number in range(6)]
    expected = {claim.run.run_key: [FIRST] for claim in runs}
    for step in range(300):
        claim = chance.choice(runs)
        log = expected[claim.run.run_key]
        events = [
            LARGE if chance.random() < 0.1 else b"%d" % step for _ in range(chance.choice((1, 1, 1, 5)))
        ]
        await within(chance.choice((store, other)).append(claim.run, len(log) + 1, events))
        log += events
        if step % 10 == 0:
            for one in runs:
                assert await log_of(other, one.run) == expected[one.run.run_key]
    for claim in runs:
        live = await other.live(None, claim.run.thread_id)
        assert live is not None
        assert live.last_seq == len(expected[claim.run.run_key])
    await other.aclose()
    assert len(rows_in(path, "log")) < 300
    assert len(rows_in(path, "arrivals")) < 30


async def test_what_was_sent_again_is_stored_once_and_a_gap_is_refused_behind_a_merge(store, path, often):
    other = SqliteStore(path)
    await other.open()
    claim, busy = await claimed(store), await claimed(store, "busy")
    await store.append(claim.run, 2, [b"2", b"3"])
    for number in range(2, 30):
        await other.append(busy.run, number, [b"x"])
    assert rows_in(path, "log")
    await store.append(claim.run, 2, [b"2", b"3", b"4"])
    await other.append(claim.run, 3, [b"3", b"4", b"5"])
    with pytest.raises(ValueError, match="does not follow"):
        await store.append(claim.run, 7, [b"7"])
    assert await log_of(store, claim.run) == [FIRST, b"2", b"3", b"4", b"5"]
    await other.aclose()


async def test_events_of_a_deleted_thread_do_not_come_back_with_a_merge(store, path, often):
    gone, busy = await claimed(store, "gone"), await claimed(store, "busy")
    await store.append(gone.run, 2, [b"2"])
    await store.threads.delete(None, "gone")
    for number in range(2, 30):
        await store.append(busy.run, number, [b"x"])
    assert {run for run, _ in rows_in(path, "log") + rows_in(path, "arrivals")} == {2}


async def test_a_commit_writes_few_pages_however_many_runs_are_in_it(store, path):
    runs = [await claimed(store, f"t{number}") for number in range(200)]
    log = Path(f"{path}-wal")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    items = [Append(claim.run, 2, [b"x" * 100]) for claim in runs]
    told: list[Sequence[Append]] = []
    store.append_group(items, told.append)
    # Answered behind the group, in the order in which they came.
    await within(store.live(None, "t0"))
    await within(store.append(runs[0].run, 3, [b"x"]))
    assert [len(group) for group in told] == [200]
    assert log.stat().st_size < 20 * 4096


async def test_what_arrived_is_read_from_a_file_that_was_closed_or_left(path):
    first = SqliteStore(path)
    await first.open()
    claim = await claimed(first)
    await first.append(claim.run, 2, [b"2"])
    assert rows_in(path, "arrivals") == [(1, 1), (1, 2)]
    assert rows_in(path, "log") == []
    second = SqliteStore(path)
    await second.open()
    assert await log_of(second, claim.run) == [FIRST, b"2"]
    await first.aclose()
    await second.append(claim.run, 3, [b"3"])
    assert await log_of(second, claim.run) == [FIRST, b"2", b"3"]
    await second.aclose()


async def test_nothing_that_arrived_outlives_its_thread_or_its_time(store, path):
    kept, deleted, old = [await claimed(store, name) for name in ("kept", "deleted", "old")]
    for claim in (kept, deleted, old):
        await store.append(claim.run, 2, [b"2"])
    assert await store.threads.delete(None, "deleted")
    await store.seal(old.run, seal_of(3))
    assert {run for run, _ in rows_in(path, "arrivals")} == {1, 3}
    await store.prune(Retention(events_after=0), 1000)
    assert rows_in(path, "arrivals") == []
    assert rows_in(path, "log") == [(1, 2)]
    assert await log_of(store, kept.run) == [FIRST, b"2"]


async def test_a_sealed_run_is_read_to_its_end_from_both_places(store, often):
    claim, busy = await claimed(store), await claimed(store, "busy")
    await store.append(claim.run, 2, [b"2"])
    for number in range(2, 12):
        await store.append(busy.run, number, [b"x"])
    await store.append(claim.run, 3, [b"3"])
    await store.seal(claim.run, seal_of(4))
    page = await store.read("thread", claim.run.run_key, 1, 0)
    assert (page.events, page.ended) == ([b"2", b"3", b"end"], True)


async def test_a_merge_that_fails_costs_nothing_but_room(store, path, often, monkeypatch):
    def full(_: Session) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(writer, "merge", full)
    claim = await claimed(store)
    for number in range(2, 30):
        await store.append(claim.run, number, [b"%d" % number])
    assert len(rows_in(path, "arrivals")) == 29
    assert rows_in(path, "log") == []
    monkeypatch.undo()
    monkeypatch.setattr(session, "FEWEST_ROWS", 5)
    for number in range(30, 60):
        await store.append(claim.run, number, [b"%d" % number])
    assert rows_in(path, "log")
    assert await log_of(store, claim.run) == [FIRST, *[b"%d" % number for number in range(2, 60)]]


def test_what_was_looked_up_in_a_change_that_is_undone_is_forgotten(path):
    one = Session(database.open_writer(path, "normal"), this_process())
    with closing(one.connection):
        one.execute(
            "INSERT INTO threads (id, agent_id, created_at, updated_at, last_run_at, active_at, version)"
            " VALUES ('thread', 'a', 0, 0, 0, 0, 1)"
        )
        one.execute(
            "INSERT INTO runs (tid, ordinal, run_key, run_id, agent_id, status, epoch, expires, created_at)"
            " VALUES (1, 1, 'key', 'run', 'a', 'live', 1, 0, 0)"
        )
        run = Run("thread", "key", 1)
        one.execute("BEGIN IMMEDIATE")
        one.refresh()
        appends.append_in_transaction(one, [Append(run, 1, [b"1"])])
        one.held.clear()
        held = one.lookup(run)
        assert held is not None
        assert held.last_seq == 1
        one.connection.rollback()
        one.forget()
        one.execute("BEGIN IMMEDIATE")
        held = one.lookup(run)
        assert held is not None
        assert held.last_seq == 0


async def test_a_file_without_arrivals_is_migrated_and_its_live_run_goes_on(path):
    scripts = await asyncio.to_thread(database.migrations)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(scripts[0])
        connection.execute(f"PRAGMA application_id = {database.APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        connection.execute(
            "INSERT INTO threads (id, agent_id, created_at, updated_at, last_run_at, active_at, version)"
            " VALUES ('thread', 'a', 0, 0, 0, 0, 1)"
        )
        connection.execute(
            "INSERT INTO runs (tid, ordinal, run_key, run_id, agent_id, status, epoch, expires, created_at)"
            " VALUES (1, 1, 'key', 'run', 'a', 'live', 1, 9000000000000, 0)"
        )
        connection.execute(
            "INSERT INTO log (run, last, data) VALUES (1, 2, ?)", (msgspec.msgpack.encode([b"1", b"2"]),)
        )
    store = SqliteStore(path)
    await store.open()
    run = Run("thread", "key", 1)
    assert await log_of(store, run) == [b"1", b"2"]
    await store.append(run, 3, [b"3"])
    assert await log_of(store, run) == [b"1", b"2", b"3"]
    await store.aclose()
