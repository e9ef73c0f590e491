"""The write-ahead log: who moves it into the file, and how long it gets."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jumpseat.stores.sqlite import SqliteStore, checkpoints, database
from jumpseat.stores.sqlite import store as store_module
from jumpseat.stores.sqlite.checkpoints import logged_pages
from jumpseat.testing.store_cases.material import claimed, finish, within

DEADLINE = 30.0
EVENT = b"x" * 8000


class Obstructed:
    """A connection whose checkpoints wait, or fail."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.reached = threading.Event()
        self.may_go = threading.Event()
        self.error: sqlite3.Error | None = None
        self.done = 0

    def execute(self, statement: str) -> sqlite3.Cursor:
        self.reached.set()
        assert self.may_go.wait(DEADLINE)
        if self.error is not None:
            raise self.error
        self.done += 1
        return self.connection.execute(statement)

    def close(self) -> None:
        self.connection.close()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log of two dozen pages is moved, one of a hundred is long."""
    monkeypatch.setattr(checkpoints, "CHECKPOINT_PAGES", 24)
    monkeypatch.setattr(checkpoints, "LONGEST_PAGES", 100)
    monkeypatch.setattr(checkpoints, "LOOK_SECONDS", 0.005)
    monkeypatch.setattr(checkpoints, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(database, "WAL_KEPT_BYTES", 100 * 4096)


@pytest.fixture
def obstructed(monkeypatch: pytest.MonkeyPatch, short: None) -> list[Obstructed]:
    made: list[Obstructed] = []

    def open_checkpointer(*args: Any) -> Obstructed:
        made.append(Obstructed(database.open_checkpointer(*args)))
        return made[-1]

    monkeypatch.setattr(store_module, "open_checkpointer", open_checkpointer)
    return made


async def opened(path: Path) -> SqliteStore:
    store = SqliteStore(path)
    await store.open()
    return store


class Writing:
    """Appends to one run, one commit after the other."""

    def __init__(self, store: SqliteStore, run: Any) -> None:
        self.store = store
        self.run = run
        self.seq = 1

    async def append(self, count: int = 1) -> None:
        for _ in range(count):
            self.seq += 1
            await within(self.store.append(self.run, self.seq, [EVENT]))


async def writing(store: SqliteStore) -> Writing:
    return Writing(store, (await claimed(store, "busy")).run)


def pages_of(path: Path) -> int:
    return logged_pages(path)


async def begins_anew(path: Path, load: Writing) -> None:
    """Write until the log has become shorter."""
    longest = 0
    async with asyncio.timeout(DEADLINE):
        while True:
            await load.append()
            pages = await asyncio.to_thread(pages_of, path)
            if pages < longest:
                return
            longest = pages


async def test_the_length_of_the_log_is_told_as_sqlite_counts_it(path):
    store = await opened(path)
    load = await writing(store)
    with closing(sqlite3.connect(path)) as connection:
        for _ in range(3):
            await load.append(7)
            assert logged_pages(path) == connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
        connection.execute("PRAGMA wal_checkpoint(RESTART)")
        await load.append()
        # The file keeps what an earlier log has left behind.
        assert path.with_name("threads.db-wal").stat().st_size > 20 * 4096
        assert logged_pages(path) == connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
    await store.aclose()
    assert logged_pages(path) == 0


async def test_a_slow_checkpoint_holds_up_neither_claims_nor_appends(path, obstructed):
    store = await opened(path)
    load = await writing(store)
    await load.append(40)
    assert await asyncio.to_thread(obstructed[0].reached.wait, DEADLINE)
    for number in range(20):
        run = await within(claimed(store, f"t{number}"))
        await finish(store, run, compacted=[b"{}"])
    await load.append(20)
    assert obstructed[0].done == 0
    obstructed[0].may_go.set()
    await begins_anew(path, load)
    await store.aclose()


async def test_the_log_begins_anew_again_and_again_under_constant_load(path, short):
    store = await opened(path)
    load = await writing(store)
    for _ in range(5):
        await begins_anew(path, load)
    await store.aclose()


async def test_the_log_begins_anew_and_its_file_shrinks_once_a_long_query_has_ended(path, short):
    store = await opened(path)
    load = await writing(store)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM log").fetchone()
        async with asyncio.timeout(DEADLINE):
            while logged_pages(path) < 400:
                await load.append()
        connection.execute("COMMIT")
    log = path.with_name("threads.db-wal")
    assert log.stat().st_size > 400 * 4096
    async with asyncio.timeout(DEADLINE):
        while log.stat().st_size > 300 * 4096:
            await load.append()
    await store.aclose()


async def test_the_log_begins_anew_while_two_processes_write(path, short, start_child):
    store = await opened(path)
    load = await writing(store)
    child = await start_child()
    assert await child.tell("open") == "open"
    assert await child.tell("claim other KEY") == "Claimed"

    async def other() -> None:
        for seq in range(2, 100_000):
            assert await child.tell(f"append {seq}") == "held"

    task = asyncio.create_task(other())
    for _ in range(3):
        await begins_anew(path, load)
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])
    await store.aclose()


async def test_a_checkpoint_that_fails_is_told_once_and_repeated(path, obstructed, caplog):
    store = await opened(path)
    obstructed[0].error = sqlite3.OperationalError("database or disk is full")
    obstructed[0].may_go.set()
    load = await writing(store)
    async with asyncio.timeout(DEADLINE):
        while logged_pages(path) < 200:
            await load.append()
    with caplog.at_level(logging.WARNING):
        obstructed[0].error = None
        await begins_anew(path, load)
    told = [record for record in caplog.records if "write-ahead log" in record.message]
    assert [record.levelname for record in told] == ["WARNING"]
    await store.aclose()


async def test_what_a_checkpoint_left_is_moved_when_nothing_more_is_written(path, short):
    store = await opened(path)
    load = await writing(store)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM log").fetchone()
        await load.append(40)
        connection.execute("COMMIT")
        async with asyncio.timeout(DEADLINE):
            # The file holds every page of the log once nothing is left to move.
            while path.stat().st_size < 80 * 4096:
                await asyncio.sleep(0.01)
    await store.aclose()


async def test_closing_leaves_no_log_behind(path, short):
    store = await opened(path)
    load = await writing(store)
    await load.append(150)
    await store.aclose()
    assert [file.name for file in path.parent.iterdir()] == ["threads.db"]
    with closing(sqlite3.connect(path)) as connection:
        kept = "SELECT (SELECT count(*) FROM log) + (SELECT count(*) FROM arrivals)"
        assert connection.execute(kept).fetchone()[0] == 151
