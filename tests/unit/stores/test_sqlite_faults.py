"""Files that cannot be used, and what is said about them."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest

from jumpseat.errors import SchemaTooNew, StoreUnavailable
from jumpseat.stores.base import Hold
from jumpseat.stores.sqlite import SqliteStore, database
from jumpseat.testing.store_cases.material import claimed, finish, within


async def filled(path) -> None:
    store = SqliteStore(path)
    await store.open()
    for number in range(50):
        await finish(store, await claimed(store, f"t{number}"), compacted=[b"x" * 1000], state=b"s" * 1000)
    await store.aclose()


async def test_a_file_of_a_newer_version_is_refused_and_not_touched(path):
    await filled(path)
    known = len(await asyncio.to_thread(database.migrations))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.read_bytes()
    store = SqliteStore(path)
    with pytest.raises(SchemaTooNew, match="99") as caught:
        await store.open()
    assert str(path) in str(caught.value)
    assert (caught.value.found, caught.value.known) == (99, known)
    await store.aclose()
    assert path.read_bytes() == before


async def test_a_newer_version_that_is_still_in_the_write_ahead_log_is_refused_too(path):
    await filled(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
        before = path.read_bytes()
        with pytest.raises(SchemaTooNew):
            await SqliteStore(path).open()
        assert path.read_bytes() == before


async def test_an_older_file_is_migrated_and_keeps_its_threads(path, monkeypatch):
    await filled(path)
    scripts = await asyncio.to_thread(database.migrations)
    monkeypatch.setattr(
        database, "migrations", lambda: [*scripts, "CREATE TABLE later (\n  x INTEGER -- why;\n) STRICT;\n"]
    )
    newer = SqliteStore(path)
    await newer.open()
    assert len(await newer.threads.list(None)) == 50
    await newer.aclose()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(scripts) + 1,)
        assert connection.execute("SELECT count(*) FROM later").fetchone() == (0,)
    monkeypatch.undo()
    with pytest.raises(SchemaTooNew):
        await SqliteStore(path).open()


async def test_a_failed_migration_leaves_the_file_as_it_was(path, monkeypatch):
    await filled(path)
    scripts = await asyncio.to_thread(database.migrations)
    broken = "CREATE TABLE later (x INTEGER) STRICT;\nINSERT INTO nowhere VALUES (1);\n"
    monkeypatch.setattr(database, "migrations", lambda: [*scripts, broken])
    with pytest.raises(StoreUnavailable, match="nowhere"):
        await SqliteStore(path).open()
    monkeypatch.undo()
    store = SqliteStore(path)
    await store.open()
    assert len(await store.threads.list(None)) == 50
    await store.aclose()


async def test_the_database_of_another_program_is_refused_and_not_touched(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(StoreUnavailable, match="another program"):
        await SqliteStore(path).open()
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_named(path):
    path.write_bytes(b"this is not a database, it is a text file" * 100)
    with pytest.raises(StoreUnavailable, match="no SQLite database") as caught:
        await SqliteStore(path).open()
    assert str(path) in str(caught.value)


async def test_a_folder_in_place_of_the_file_is_named(path):
    path.mkdir()
    with pytest.raises(StoreUnavailable, match=r"threads\.db: it is a folder: name a file in it"):
        await SqliteStore(path).open()


async def test_a_damaged_file_fails_the_verb_and_not_the_process(path):
    await filled(path)
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    store = SqliteStore(path)

    async def look() -> None:
        await store.open()
        await store.history(None, "t1")

    with pytest.raises(StoreUnavailable) as caught:
        await look()
    assert str(path) in str(caught.value)
    await store.aclose()


async def test_a_locked_file_fails_writes_in_time_and_works_when_it_is_free(path, monkeypatch):
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.3)
    store = SqliteStore(path)
    await store.open()
    claim = await claimed(store)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked") as caught:
            await within(store.append(claim.run, 2, [b"x"]))
        assert str(path) in str(caught.value)
        with pytest.raises(StoreUnavailable, match="locked"):
            await within(store.extend(claim.run, 1))
        assert (await within(store.read("thread", claim.run.run_key, 0, 0))).events
        other.execute("ROLLBACK")
    assert await store.append(claim.run, 2, [b"x"]) is Hold.HELD
    await store.aclose()


async def test_a_file_that_stays_locked_cannot_be_opened(path, monkeypatch):
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.3)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailable, match="locked"):
            await within(SqliteStore(path).open())


async def test_a_short_lock_is_waited_for(store, path):
    claim = await claimed(store)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(store.append(claim.run, 2, [b"x"]))
        done, _ = await asyncio.wait((waiting,), timeout=0.2)
        assert not done
        other.execute("ROLLBACK")
    assert await within(waiting) is Hold.HELD


async def test_a_full_disk_fails_what_does_not_fit_and_nothing_else(path, start_child):
    child = await start_child()
    await child.tell("open")
    await child.tell("claim small A")
    await child.tell("claim large B")
    assert await child.tell("limit 2000000") == "limited"
    answer = await child.tell("large 2 8000000")
    assert answer.startswith("held StoreUnavailable")
    assert str(path) in answer
    assert await child.tell("large 3 10") == "held Gap:event 3 does not follow event 1"
    assert await child.tell("append 2") == "held"
    store = SqliteStore(path)
    await store.open()
    assert (await store.read("small", "A", 0, 0)).events == [b"1", b"small", b"small"]
    assert (await store.read("large", "B", 0, 0)).events == [b"1", b"2"]
    await store.aclose()


async def test_a_read_only_file_is_named(path, start_child):
    await filled(path)
    path.chmod(0o444)
    path.parent.chmod(0o555)
    for folder in path.parents[1:3]:
        folder.chmod(0o755)
    try:
        child = await start_child()
        assert await child.tell("drop-root") == "dropped"
        answer = await child.tell("open")
        assert answer.startswith("StoreUnavailable")
        assert str(path) in answer
    finally:
        path.parent.chmod(0o755)
        path.chmod(0o644)


async def test_a_file_that_only_reads_in_a_folder_that_writes_is_refused_at_the_start(path, start_child):
    await filled(path)
    path.chmod(0o444)
    path.parent.chmod(0o777)
    for folder in path.parents[1:3]:
        folder.chmod(0o755)
    child = await start_child()
    assert await child.tell("drop-root") == "dropped"
    answer = await child.tell("open")
    assert answer.startswith("StoreUnavailable")
    assert "it cannot be written: check the permissions" in answer
