"""What a run costs does not depend on how old its thread is, and a slow reader costs one page."""

from __future__ import annotations

import asyncio
import sqlite3
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import pytest

from jumpseat.protocol.events import TextMessageChunk, TextMessageContent, TextMessageStart
from jumpseat.runners.sqlite import SqliteAgentRunner
from jumpseat.stores.base import Plan
from jumpseat.stores.sqlite import SqliteStore
from jumpseat.stores.sqlite.session import Session
from jumpseat.testing import ScriptedAgent
from jumpseat.testing.requests import collect, connect_to, run_of, take, types, user
from jumpseat.testing.store_cases.material import FIRST, LEASE, add, new_run, seal_of
from old_threads import STRIDE, add_runs, add_threads


@dataclass
class Cost:
    """What one call made SQLite do."""

    statements: int
    steps: int
    read_bytes: int

    @property
    def work(self) -> tuple[int, int]:
        """Statements and steps: the steps grow with every row that is looked at."""
        return self.statements, self.steps


class Meter:
    """Counts what the connections that were made since its own making do."""

    def __init__(self) -> None:
        self.connections: list[sqlite3.Connection] = []
        self.statements: list[str] = []
        self.steps = 0

    def start(self) -> None:
        self.statements.clear()
        self.steps = 0
        for connection in self.connections:
            connection.set_trace_callback(self.statements.append)
            connection.set_progress_handler(self._step, 1)

    def stop(self) -> None:
        for connection in self.connections:
            connection.set_trace_callback(None)
            connection.set_progress_handler(None, 0)

    async def cost(self, work) -> Cost:
        """What `work` costs."""
        before = bytes_read()
        self.start()
        await work
        self.stop()
        # The writer and the readers make their own transactions; how many depends on who waits with whom.
        own = [text for text in self.statements if not text.startswith(("BEGIN", "COMMIT", "PRAGMA"))]
        return Cost(len(own), self.steps, bytes_read() - before)

    def _step(self) -> int:
        self.steps += 1
        return 0


def bytes_read() -> int:
    """How many bytes this process has asked files for."""
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.fixture
def meter(monkeypatch):
    meter = Meter()
    connect = sqlite3.connect

    def noted(*args, **kwargs):
        connection = connect(*args, **kwargs)
        # Checkpoints come when they come, whatever the writer and the readers do meanwhile.
        if not str(args[0]).endswith("?mode=rw"):
            meter.connections.append(connection)
        return connection

    monkeypatch.setattr(sqlite3, "connect", noted)
    # Merging goes on behind an answer: beside a test that stops counting, one thread would wait for the
    # connection's lock and the other for the interpreter's.
    monkeypatch.setattr(Session, "merge_due", False)
    return meter


@pytest.fixture
async def store(tmp_path, meter):
    store = SqliteStore(tmp_path / "threads.db")
    await store.open()
    yield store
    await store.aclose()


async def costs_of_a_run(store: SqliteStore, meter: Meter, ordinal: int) -> dict[str, Cost]:
    """Claim, append to and seal run `ordinal`, with hardly a page of the file in memory."""
    await set_pragmas(store, "cache_size = 1", "wal_autocheckpoint = 0")
    new, position, costs = new_run(), 2 * ordinal * STRIDE, {}
    claims = asyncio.create_task(store.claim(new, LEASE, Plan(add=(add(position, f"u{ordinal}"),)), FIRST))
    costs["claim"] = await meter.cost(claims)
    run = claims.result().run
    costs["append"] = await meter.cost(store.append(run, 2, [b"x"]))
    answer = Plan(add=(add(position + STRIDE, f"a{ordinal}"),))
    costs["seal"] = await meter.cost(store.seal(run, seal_of(3, plan=answer)))
    await set_pragmas(store, "cache_size = -16000")
    return costs


async def set_pragmas(store: SqliteStore, *pragmas: str) -> None:
    """Change how the writer's connection works."""
    for pragma in pragmas:
        await store.change(lambda session, pragma=pragma: session.execute(f"PRAGMA {pragma}").fetchall())


async def test_claim_append_and_seal_cost_after_ten_thousand_runs_what_they_cost_after_ten(store, meter):
    await add_runs(store, range(1, 11))
    young = await costs_of_a_run(store, meter, 11)
    await add_runs(store, range(12, 1000))
    grown = await costs_of_a_run(store, meter, 1000)
    await add_runs(store, range(1001, 10_001))
    old = await costs_of_a_run(store, meter, 10_001)
    assert (await store.history(None, "thread")).head.ordinal == 10_001
    for verb, cost in young.items():
        assert cost.work == grown[verb].work == old[verb].work
        # Trees get deeper by a page when there is a hundred times as much in them, and no more than that.
        assert old[verb].read_bytes <= 2.5 * cost.read_bytes
        assert old[verb].read_bytes <= 1.2 * grown[verb].read_bytes + 8192


async def test_a_run_takes_as_many_statements_on_an_old_thread_as_on_a_new_one(tmp_path, meter):
    runner = SqliteAgentRunner(tmp_path / "threads.db", heartbeat=60.0, lease_ttl=300.0)

    async def one(number: int) -> None:
        agent = ScriptedAgent(TextMessageChunk(message_id=f"a{number}", delta="x"))
        # A client that sends its newest messages only: what the request holds does not grow either.
        await collect(await runner.run(run_of(agent, run_id=f"r{number}", messages=[user(f"u{number}")])))

    await runner.open()
    await add_runs(runner.store, range(1, 11))
    young = sorted([(await meter.cost(one(number))).statements for number in range(11, 22)])
    await add_runs(runner.store, range(22, 10_000))
    old = sorted([(await meter.cost(one(number))).statements for number in range(10_000, 10_011)])
    await runner.aclose()
    assert old[5] == young[5]
    assert max(old) <= max(young) + 1


async def test_a_thousand_hidden_branches_cost_a_connect_nothing(store, meter):
    await add_runs(store, range(1, 3), instead=True)
    young = await meter.cost(store.history(None, "thread"))
    await add_runs(store, range(3, 1003), instead=True)
    old = await meter.cost(store.history(None, "thread"))
    assert [entry.key for entry in (await store.history(None, "thread")).entries] == ["u1002", "a1002"]
    assert old.work == young.work
    await add_runs(store, range(1003, 1103))
    assert (await meter.cost(store.history(None, "thread"))).steps > old.steps + 100


async def test_the_deepest_page_of_450_threads_costs_what_the_first_does(store, meter):
    await add_threads(store, [f"t{number:03}" for number in range(450)])
    everything = []
    while len(everything) < 450:
        last = position(everything[-1]) if everything else None
        everything += await store.threads.list(None, limit=90, after=last)
    assert len({record.id for record in everything}) == 450
    second = await meter.cost(store.threads.list(None, limit=20, after=position(everything[19])))
    deepest = await meter.cost(store.threads.list(None, limit=20, after=position(everything[429])))
    first = await meter.cost(store.threads.list(None, limit=20))
    # Rows behind a cursor are compared with it, by id too when their times are equal.
    assert deepest.steps <= 1.2 * second.steps
    assert deepest.steps <= 1.5 * first.steps
    assert deepest.read_bytes <= first.read_bytes + 4096


def position(record) -> tuple[int, str]:
    """Where the page behind a record begins."""
    return record.last_run_at, record.id


async def test_clearing_a_thousand_threads_takes_as_many_statements_as_clearing_one(tmp_path, meter):
    runner = SqliteAgentRunner(tmp_path / "threads.db", heartbeat=60.0, lease_ttl=300.0)
    await runner.open()
    statements: dict[int, list[int]] = {1: [], 1000: []}
    for owner in ("ann", "bob", "carl"):
        for count, counted in statements.items():
            await add_threads(runner.store, [f"{owner}{number}" for number in range(count)], owner)
            counted.append((await meter.cost(runner.threads.clear(owner=owner))).statements)
            assert await runner.threads.list(owner=owner, archived=True) == ([], None)
    # The clean-up that begins with the runner may add its own to one of them.
    assert sorted(statements[1])[1] == sorted(statements[1000])[1]
    await runner.aclose()


async def test_connect_reads_what_is_shown_and_not_what_was_cut(make_runner):
    runner = make_runner()
    for number in range(200):
        agent = ScriptedAgent(TextMessageChunk(message_id=f"a{number}", delta="x" * 1000))
        await collect(await runner.run(run_of(agent, run_id=f"r{number}", messages=[user("u1")])))
    history = await runner.store.history(None, "thread")
    assert [entry.key for entry in history.entries] == ["u1", "a199"]


async def test_a_reader_that_never_reads_costs_no_memory_and_delays_nobody(make_runner, back_end):
    runner = make_runner()
    start = TextMessageStart(message_id="m")
    gate = asyncio.Event()
    script = [start, gate]
    script += [TextMessageContent(message_id="m", delta="word " * 4) for _ in range(100_500)]
    stalled = await runner.run(run_of(ScriptedAgent(*script)))
    await take(stalled, 1)
    reading = await runner.connect(connect_to())
    tracemalloc.start()
    gate.set()
    count = 0
    async with asyncio.timeout(60):
        async for page in reading:
            count += len(page.events)
            last = page.events[-1][1]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert b"RUN_TOO_LARGE" in last
    assert count >= 100_000
    if back_end != "memory":
        # The memory store holds the whole log by design; any other leaves only buffers here.
        assert peak < 24 * 1024 * 1024
    rest = types(await collect(stalled, 60))
    assert rest[-1] == "RUN_ERROR"
    assert len(rest) >= 99_990
