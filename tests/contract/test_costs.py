"""What a run costs does not depend on how old its thread is, and a slow reader costs one page."""

from __future__ import annotations

import asyncio
import sqlite3
import tracemalloc

import pytest

from jumpseat.protocol.events import TextMessageChunk, TextMessageContent, TextMessageStart
from jumpseat.runners.sqlite import SqliteAgentRunner
from jumpseat.testing import ScriptedAgent
from jumpseat.testing.requests import assistant, collect, connect_to, run_of, take, types, user


@pytest.fixture
def statements(monkeypatch):
    """Every SQL statement of connections made during the test."""
    executed: list[str] = []
    connect = sqlite3.connect

    def traced(*args, **kwargs):
        connection = connect(*args, **kwargs)
        connection.set_trace_callback(executed.append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced)
    return executed


async def test_a_run_takes_as_many_statements_on_an_old_thread_as_on_a_new_one(tmp_path, statements):
    runner = SqliteAgentRunner(tmp_path / "threads.db", heartbeat=60.0, lease_ttl=300.0)
    counts = {}
    messages = []
    for number in range(1, 2001):
        messages.append(user(f"u{number}"))
        statements.clear()
        agent = ScriptedAgent(TextMessageChunk(message_id=f"a{number}", delta="x"))
        # A client that sends its newest messages only: what the request holds does not grow either.
        await collect(await runner.run(run_of(agent, run_id=f"r{number}", messages=messages[-1:])))
        counts[number] = sum(not text.startswith(("BEGIN", "COMMIT", "PRAGMA")) for text in statements)
        messages.append(assistant(f"a{number}", "x"))
    await runner.aclose()
    typical = sorted(counts[number] for number in range(5, 15))
    late = sorted(counts[number] for number in range(1990, 2000))
    assert late[5] == typical[5]
    assert max(late) <= max(typical) + 1


async def test_connect_reads_what_is_shown_and_not_what_was_cut(make_runner):
    runner = make_runner()
    for number in range(200):
        agent = ScriptedAgent(TextMessageChunk(message_id=f"a{number}", delta="x" * 1000))
        await collect(await runner.run(run_of(agent, run_id=f"r{number}", messages=[user("u1")])))
    history = await runner.store.history(None, "thread")
    assert [entry.key for entry in history.entries] == ["u1", "a199"]


async def test_a_reader_that_never_reads_costs_no_memory_and_delays_nobody(make_runner):
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
    if "Sqlite" in type(runner).__name__:
        # The memory store holds the whole log by design; a store on disk leaves only buffers here.
        assert peak < 24 * 1024 * 1024
    rest = types(await collect(stalled, 60))
    assert rest[-1] == "RUN_ERROR"
    assert len(rest) >= 99_990
