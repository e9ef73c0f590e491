"""Threads go from every back end to every other, and nobody can tell the difference."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from uuid import uuid4

import pytest

from jumpseat import ImportReport, InvalidExport, export, import_
from jumpseat.errors import ThreadAlreadyRunning
from jumpseat.protocol.events import (
    Custom,
    Interrupt,
    RunFinished,
    RunOutcome,
    StateSnapshot,
    TextMessageChunk,
    ToolCallChunk,
)
from jumpseat.runners.event_log import EventLogRunner
from jumpseat.runners.in_memory import InMemoryAgentRunner
from jumpseat.runners.postgres import PostgresAgentRunner
from jumpseat.runners.redis import RedisAgentRunner
from jumpseat.runners.sqlite import SqliteAgentRunner
from jumpseat.stores.base import Plan, ThreadChange
from jumpseat.stores.sqlite import SqliteStore
from jumpseat.testing import ScriptedAgent
from jumpseat.testing.requests import assistant, collect, connect_to, pages_of, run_of, take, user
from jumpseat.testing.store_cases.dumps import picture
from jumpseat.testing.store_cases.material import claimed, seal_of
from postgres_server import lent_schema, shared_pgbouncer, shared_server

BACK_ENDS = ("memory", "sqlite", "postgres", "redis")
OPTIONS = {"stop_grace": 0.5, "lease_ttl": 30.0, "heartbeat": 10.0}
# What a process may need for a long thread beyond what it needs for a short one.
MEMORY_KIB = 40 << 10

Make = Callable[[str], EventLogRunner]


@pytest.fixture
async def make(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Make]:
    """Opens a runner on empty data on the back end that is named, as often as it is called."""
    async with AsyncExitStack() as stack:
        numbers = count()

        def on(back_end: str) -> EventLogRunner:
            match back_end:
                case "memory":
                    runner: EventLogRunner = InMemoryAgentRunner(**OPTIONS)
                case "sqlite":
                    runner = SqliteAgentRunner(tmp_path / f"threads{next(numbers)}.db", **OPTIONS)
                case "redis" | "redis_cluster":
                    url = request.getfixturevalue(f"{back_end}_url")
                    runner = RedisAgentRunner(url, prefix=f"test-{uuid4().hex}", **OPTIONS)
                case "pgbouncer":
                    schema = stack.enter_context(lent_schema())
                    runner = PostgresAgentRunner(shared_pgbouncer(), schema=schema, listen=False, **OPTIONS)
                case _:
                    schema = stack.enter_context(lent_schema())
                    runner = PostgresAgentRunner(shared_server().dsn(), schema=schema, **OPTIONS)
            stack.push_async_callback(runner.aclose)
            return runner

        yield on


async def say(
    runner: EventLogRunner, thread_id: str, run_id: str, messages, *script, owner=None, **fields
) -> None:
    stream = await runner.run(
        run_of(ScriptedAgent(*script), thread_id, run_id, messages, owner=owner, **fields)
    )
    await collect(stream)


async def live_through_much(runner: EventLogRunner) -> None:
    """Threads with branches, open calls and questions, failures, state, odd texts, names and two owners."""
    u1, a1, u2 = user("u1", "a \x00 b"), assistant("a1", "é"), user("u2", "😀")
    await say(runner, "branches", "r1", [u1], TextMessageChunk(message_id="a1", delta="é"), state={"n": 1})
    await say(runner, "branches", "r2", [u1, a1, u2], TextMessageChunk(message_id="a2", delta="\x00"))
    await say(runner, "branches", "r3", [u1, a1, u2], TextMessageChunk(message_id="a3", delta="again"))
    await say(
        runner, "branches", "r2", [u1, a1, user("u3", "edited")], StateSnapshot(snapshot={"n": [2, None]})
    )
    call = ToolCallChunk(tool_call_id="c1", tool_call_name="pick", delta='{"a":"\\u0000"}')
    await say(runner, "open call", "r1", [user("u1")], call, owner="ü:1")
    asked = RunFinished(
        thread_id="",
        run_id="",
        outcome=RunOutcome(type="interrupt", interrupts=[Interrupt(id="i", reason="ask")]),
    )
    await say(runner, "question", "r1", [user("u1")], asked)
    await say(runner, "question", "r1", [], ValueError("no luck"))
    await say(runner, "old question", "r1", [user("u")], Custom(name="on_interrupt", value={"q": "\x00"}))
    await say(runner, "failed", "r1", [user("u1", "x" * 200_000)], ValueError("no luck"))
    change = ThreadChange(set_name=True, name="Renamed", archived=True)
    await runner.store.threads.update(None, "failed", change)


async def seen(runner: EventLogRunner, owner: str | None, thread_id: str) -> list:
    """What is seen of a thread: connects with and without cursors, and all its branches."""
    found: list = [await pages_of(await runner.connect(connect_to(thread_id, owner=owner, cursor=None)))]
    runs = await runner.store.runs(owner, thread_id, 0, 100)
    for run in runs:
        for seq in {0, 1, run.last_seq - 1, run.last_seq}:
            request = connect_to(thread_id, owner=owner, cursor=f"{run.run_key}:{seq}")
            found.append(await pages_of(await runner.connect(request)))
    found += [
        await runner.threads.messages(thread_id, owner=owner),
        await runner.threads.state(thread_id, owner=owner),
    ]
    return [*found, await picture(runner.store, owner, thread_id)]


async def all_seen(runner: EventLogRunner) -> dict:
    lists = [await runner.store.threads.list(owner, archived=True) for owner in (None, "ü:1")]
    names = [(record.owner, record.id) for records in lists for record in records]
    return {"lists": lists} | {name: await seen(runner, *name) for name in names}


async def exported(runner: EventLogRunner, **options) -> list[bytes]:
    await runner.open()
    return [line async for line in export(runner.store, **options)]


@pytest.mark.parametrize("target", BACK_ENDS)
@pytest.mark.parametrize("source", BACK_ENDS)
async def test_everything_is_as_it_was_on_the_other_back_end(make: Make, source: str, target: str):
    one, other = make(source), make(target)
    await live_through_much(one)
    before = await all_seen(one)
    assert len(before) == 6
    lines = await exported(one)
    await other.open()
    assert await import_(other.store, lines) == ImportReport(loaded=5)
    assert await all_seen(other) == before
    assert await import_(other.store, lines) == ImportReport(skipped=5)
    assert await all_seen(other) == before
    assert await import_(other.store, lines, replace=True) == ImportReport(replaced=5)
    assert await all_seen(other) == before
    assert sorted(await exported(other)) == sorted(lines)
    await say(other, "branches", "r9", [user("new")], TextMessageChunk(message_id="m9", delta="on and on"))
    assert (await other.store.runs(None, "branches", 4, 10))[0].run_id == "r9"


@pytest.mark.parametrize("through", ["pgbouncer", "redis_cluster"])
async def test_through_a_pooler_and_on_a_cluster_it_is_the_same(make: Make, through: str):
    one, other = make(through), make(through)
    await live_through_much(one)
    await other.open()
    assert await import_(other.store, await exported(one)) == ImportReport(loaded=5)
    assert await all_seen(other) == await all_seen(one)


@pytest.mark.parametrize("target", BACK_ENDS)
async def test_of_a_file_that_is_cut_off_the_threads_before_stay(make: Make, target: str):
    one, other = make("memory"), make(target)
    await live_through_much(one)
    lines = await exported(one)
    starts = [number for number, line in enumerate(lines) if line.startswith(b'{"kind":"thread"')]
    before = await all_seen(one)
    await other.open()
    cut = [*lines[: starts[3] + 1], lines[starts[3] + 1][:40]]
    with pytest.raises(InvalidExport, match=f"^line {starts[3] + 2}: ") as caught:
        await import_(other.store, cut)
    assert caught.value.line == starts[3] + 2
    after = await all_seen(other)
    assert len(after) == 4
    assert {name: what for name, what in after.items() if name != "lists"}.items() <= before.items()
    assert await import_(other.store, lines) == ImportReport(loaded=2, skipped=3)
    assert await all_seen(other) == before


@pytest.mark.parametrize("back_end", BACK_ENDS)
async def test_a_live_run_is_left_out_and_goes_on_and_its_thread_is_not_replaced(make: Make, back_end: str):
    runner = make(back_end)
    await live_through_much(runner)
    lines = await exported(runner)
    gate = asyncio.Event()
    agent = ScriptedAgent(TextMessageChunk(message_id="a9", delta="so far"), gate)
    stream = await runner.run(run_of(agent, "branches", "the live one", [user("u9")]))
    await take(stream, 3)
    told: list[str] = []
    assert sorted(await exported(runner, notice=told.append)) != []
    assert told == ["run 'the live one' of thread 'branches' is not finished: left out"]
    report = await import_(runner.store, lines, replace=True, notice=told.append)
    assert report == ImportReport(replaced=4, busy=["branches"])
    with pytest.raises(ThreadAlreadyRunning):
        await runner.run(run_of(ScriptedAgent(), "branches", "another", [user("u10")]))
    gate.set()
    assert (await collect(stream))[-1]["type"] == "RUN_FINISHED"
    assert await import_(runner.store, lines, replace=True) == ImportReport(replaced=5)


PROGRAM = """
import asyncio, json, resource, sys
from contextlib import aclosing
from jumpseat import export, import_
from jumpseat.stores.sqlite import SqliteStore

async def main():
    one, other = SqliteStore(sys.argv[1]), SqliteStore(sys.argv[2])
    async with aclosing(export(one)) as lines:
        report = await import_(other, lines)
    await one.aclose()
    await other.aclose()
    return report.loaded

loaded = asyncio.run(main())
print(json.dumps([loaded, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""


async def a_thread_of(path: Path, runs: int, events: int) -> None:
    store = SqliteStore(path)
    await store.open()
    for _ in range(runs):
        run = await claimed(store, "thread", Plan())
        data = [b'{"type":"CUSTOM","name":"n","value":"%s"}' % (b"x" * 1_000)] * (events - 1)
        await store.seal(run.run, seal_of(2, data))
    await store.aclose()


async def test_a_thread_of_50_000_events_moves_within_the_memory_that_a_small_one_needs(tmp_path: Path):
    needed = {}
    for name, runs in (("small", 1), ("large", 50)):
        await a_thread_of(tmp_path / f"{name}.db", runs, 1_000)
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", PROGRAM, tmp_path / f"{name}.db", tmp_path / f"{name}-again.db"],
            capture_output=True,
            text=True,
            timeout=90,
            check=True,
        )
        loaded, needed[name] = json.loads(done.stdout)
        assert loaded == 1
    again = SqliteStore(tmp_path / "large-again.db")
    await again.open()
    kept = await again.events(None, "thread", 0, 1 << 30)
    await again.aclose()
    assert [len(run.events) for run in kept] == [1_000] * 50
    assert needed["large"] - needed["small"] < MEMORY_KIB, needed
