"""What the SQLite store promises beyond the contract."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from jumpseat.errors import ConfigurationError, StoreUnavailable
from jumpseat.stores.base import Append, Claimed, Hold, Plan
from jumpseat.stores.sqlite import SqliteStore, appends, claims, ends
from jumpseat.stores.sqlite.database import open_writer
from jumpseat.stores.sqlite.holder import this_process
from jumpseat.stores.sqlite.session import Session
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
from jumpseat.threads import ThreadChange


@pytest.mark.parametrize("options", [{"db_path": ""}, {"db_path": 3}, {"db_path": None}, {"durability": "x"}])
def test_wrong_options_are_refused(options):
    with pytest.raises(ConfigurationError):
        SqliteStore(**options)


async def test_a_store_that_is_not_open_says_so(path):
    store = SqliteStore(path)
    with pytest.raises(StoreUnavailable, match="open"):
        await store.live(None, "thread")
    await store.aclose()
    assert not path.exists()


async def test_missing_folders_are_made_and_odd_names_work(tmp_path):
    path = tmp_path / "a b" / "é?#%41" / "t'h.db"
    store = SqliteStore(str(path))
    await store.open()
    await claimed(store)
    await store.aclose()
    assert path.exists()


async def test_threads_survive_closing_and_opening(path):
    for ordinal in (1, 2):
        store = SqliteStore(path)
        await store.open()
        claim = await claimed(store)
        assert (claim.ordinal, claim.state) == (ordinal, None if ordinal == 1 else b"s")
        await finish(store, claim, state=b"s")
        await store.aclose()


async def test_a_memory_path_warns_and_leaves_no_file(caplog, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with caplog.at_level(logging.WARNING):
        store = SqliteStore(":memory:")
    assert "temporary" in caplog.text
    await store.open()
    await claimed(store)
    assert list(tmp_path.iterdir())
    await store.aclose()
    assert not list(tmp_path.iterdir())


async def test_full_durability_works(path):
    store = SqliteStore(path, durability="full")
    await store.open()
    claim = await claimed(store)
    assert await store.append(claim.run, 2, [b"x"]) is Hold.HELD
    await store.aclose()


async def test_closing_leaves_no_thread_and_no_file_open(path):
    before = set(threading.enumerate())
    store = SqliteStore(path)
    await store.open()
    claim = await claimed(store)
    reader = asyncio.create_task(store.read("thread", claim.run.run_key, 1, 60))
    await asyncio.sleep(0)
    appending = [asyncio.create_task(store.append(claim.run, 2, [b"x"]))]
    await asyncio.sleep(0)
    await store.aclose()
    await asyncio.wait((reader, *appending))
    assert appending[0].result() is Hold.HELD
    assert isinstance(reader.exception(), StoreUnavailable) or reader.result().events == [b"x"]
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert not [name for name in left if name.startswith("jumpseat")]
    open_files = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.exists()]
    assert not [name for name in open_files if name.startswith(str(path))]


async def test_a_cancelled_open_leaves_nothing_behind(path):
    store = SqliteStore(path)
    opening = asyncio.create_task(store.open())
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait((opening,))
    await store.open()
    await claimed(store)
    await store.aclose()


def commits_in(wal: Path) -> int:
    """Count the commits in a write-ahead log: frames that name a database size."""
    content = wal.read_bytes()
    frames = range(32, len(content) - 23, 24 + 4096)
    salt = content[16:24]
    return sum(content[at + 8 : at + 16] == salt and content[at + 4 : at + 8] != bytes(4) for at in frames)


async def test_thirty_two_runs_share_commits(store, path):
    running = [await claimed(store, f"t{number}") for number in range(32)]
    before = commits_in(Path(f"{path}-wal"))

    async def stream(claim: Claimed) -> None:
        for seq in range(2, 52):
            await store.append(claim.run, seq, [b"x"])

    await within(gather(stream(claim) for claim in running))
    commits = commits_in(Path(f"{path}-wal")) - before
    assert 50 <= commits < 32 * 50 / 4


def steps(session: Session, work) -> tuple[object, int]:
    """Run ``work`` in a transaction and count the steps of SQLite's machine."""
    count = 0

    def tick() -> int:
        nonlocal count
        count += 1
        return 0

    session.execute("BEGIN IMMEDIATE")
    session.refresh()
    session.tick()
    session.connection.set_progress_handler(tick, 1)
    result = work(session)
    session.connection.set_progress_handler(None, 1)
    session.execute("COMMIT")
    return result, count


def test_the_work_of_a_run_does_not_grow_with_the_age_of_its_thread(path):
    session = Session(open_writer(path, "normal"), this_process())
    costs: dict[int, tuple[int, int, int]] = {}
    last = None
    for number in range(1, 1003):
        position = number * 10
        plan = Plan(hide_after=position - 10, add=(add(position, f"u{number}"),))
        measured = number in {10, 11, 1001, 1002}
        new = new_run(name="n", state=b"s", parent=number - 1)
        claim, claiming = steps(session, claims.claim(new, LEASE, plan, FIRST))
        assert isinstance(claim, Claimed)
        item = Append(claim.run, 2, [b"x"])
        _, appending = steps(
            session, lambda session, item=item: appends.append_in_transaction(session, [item])
        )
        assert item.result is Hold.HELD
        sealing_plan = Plan(add=(add(position + 5, f"a{number}"),))
        if number % 2:
            sealing_plan = msgspec.structs.replace(sealing_plan, hide=(position,))
        _, sealing = steps(session, ends.seal(claim.run, seal_of(3, plan=sealing_plan, state=b"t")))
        if measured:
            costs[number] = (claiming, appending, sealing)
        last = claim
    session.connection.close()
    assert last is not None
    assert last.ordinal == 1002
    assert costs[10] == costs[1002]
    assert costs[11] == costs[1001]


def test_another_process_is_gone_when_it_ended_or_its_pid_names_another():
    me = this_process()
    assert not me.is_gone(None)
    assert not me.is_gone(str(me))
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    start = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[19]
    other = replace(me, pid=child.pid, start=start)
    assert not me.is_gone(str(other))
    assert me.is_gone(str(replace(other, start="1")))
    assert not me.is_gone(str(replace(other, host="elsewhere", start="1")))
    child.kill()
    child.wait()
    child.stdin.close()
    assert me.is_gone(str(other))
    assert not me.is_gone(str(replace(other, host="elsewhere")))


async def test_a_change_that_is_refused_takes_back_only_itself_although_others_share_its_transaction(store):
    waiting, calls = threading.Event(), []

    def renaming(session, name):
        calls.append(name)
        session.execute("UPDATE threads SET name = name || ? WHERE id = 't'", (name,))
        return name

    def refused(session):
        renaming(session, "refused")
        raise LookupError("no")

    def held_up(session):
        waiting.wait(10)

    claim = await claimed(store, "t")
    await store.threads.update(None, "t", ThreadChange(name="", set_name=True))
    changes = [
        held_up,
        lambda session: renaming(session, "a"),
        refused,
        lambda session: renaming(session, "b"),
    ]
    tasks = [asyncio.create_task(store.change(work)) for work in changes]
    await asyncio.sleep(0)
    appending = asyncio.create_task(store.append(claim.run, 2, [b"2"]))
    await asyncio.sleep(0)
    waiting.set()
    async with asyncio.timeout(10):
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert await appending is Hold.HELD
    assert [results[1], type(results[2]), results[3]] == ["a", LookupError, "b"]
    record = await store.threads.get(None, "t")
    assert record.name == "ab"
    assert calls == ["a", "refused", "a", "refused", "b"]
    page = await store.read("t", claim.run.run_key, 0, 0)
    assert page.events == [FIRST, b"2"]
