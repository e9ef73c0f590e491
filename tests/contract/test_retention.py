"""Retention on every back end: what goes while threads are in use, and that nobody is harmed."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from jumpseat.protocol.events import Custom, TextMessageChunk, TextMessageContent, TextMessageStart
from jumpseat.runners import event_log
from jumpseat.stores.base import Retention
from jumpseat.testing import ScriptedAgent
from jumpseat.testing.requests import assistant, collect, connect_to, pages_of, run_of, take, types, user

EVERYTHING = Retention(max_age=0, max_runs=1, events_after=0)
SECONDS = 20.0


async def prune(runner, retention=EVERYTHING) -> int:
    total = 0
    while removed := await runner.store.prune(retention, 1000):
        total += removed
    return total


async def until(condition) -> None:
    async with asyncio.timeout(SECONDS):
        while not await condition():
            await asyncio.sleep(0.02)


async def branch(runner) -> list:
    """Two answers to one question, of which the second is shown."""
    u1, a1, u2 = user("u1"), assistant("a1", "one"), user("u2")
    for run_id, messages, answer in (
        ("r1", [u1], "a1"),
        ("r2", [u1, a1, u2], "a2"),
        ("r3", [u1, a1, u2], "a3"),
    ):
        script = (TextMessageChunk(message_id=answer, delta="one"),)
        await collect(await runner.run(run_of(ScriptedAgent(*script), run_id=run_id, messages=messages)))
    return [u1, a1, u2, assistant("a3", "one")]


async def test_a_thread_with_branches_and_a_live_run_shows_the_same_and_the_run_is_unharmed(runner):
    messages = await branch(runner)
    gate = asyncio.Event()
    agent = ScriptedAgent(
        TextMessageStart(message_id="a4"), TextMessageContent(message_id="a4", delta="so "), gate,
        TextMessageContent(message_id="a4", delta="far"),
    )  # fmt: skip
    stream = await runner.run(run_of(agent, run_id="live", messages=[*messages, user("u4")]))
    await take(stream, 3)
    shown = await runner.threads.messages("thread", owner=None)
    prelude = (await pages_of_live(runner))[0]
    assert await prune(runner) > 0
    assert await runner.threads.messages("thread", owner=None) == shown
    assert (await pages_of_live(runner))[0] == prelude
    runs = await runner.store.runs(None, "thread", 0, 10)
    assert [(run.status, run.raw, run.terminal is not None) for run in runs] == [
        ("finished", False, False),
        ("finished", False, False),
        ("finished", False, True),
        ("live", True, False),
    ]
    gate.set()
    events = await collect(stream)
    assert [event["delta"] for event in events if "delta" in event] == ["far"]
    assert types(events)[-1] == "RUN_FINISHED"
    history = await runner.store.history(None, "thread")
    assert [entry.key for entry in history.entries] == ["u1", "a1", "u2", "a3", "u4", "a4"]


async def pages_of_live(runner) -> list:
    """The prelude that a client gets now; the live run behind it is left."""
    stream = await runner.connect(connect_to("thread"))
    async with asyncio.timeout(SECONDS):
        page = await stream.__anext__()
    await stream.aclose()
    return [[data for _, data in page.events if b"RUN_FINISHED" not in data]]


async def test_a_slow_reader_of_a_sealed_run_whose_log_goes_ends_with_its_terminal(make_runner):
    runner = make_runner()
    words = [Custom(name="n", value="x" * 600) for _ in range(3_000)]
    stream = await runner.run(run_of(ScriptedAgent(*words), run_id="long", messages=[user("u1")]))
    await take(stream, 1)

    async def sealed() -> bool:
        return await runner.store.live(None, "thread") is None

    await until(sealed)
    assert await prune(runner) > 0
    events = await collect(stream, SECONDS)
    assert types(events)[-1] == "RUN_FINISHED"
    assert types(events).count("RUN_FINISHED") == 1
    assert len(events) < 3_000


async def test_a_cursor_into_a_log_that_went_gets_the_whole_thread(runner):
    await branch(runner)
    head = (await runner.store.runs(None, "thread", 2, 1))[0]
    cursor = f"{head.run_key}:1"
    resumed = await pages_of(await runner.connect(connect_to("thread", cursor=cursor)))
    assert len(resumed) == head.last_seq - 1
    whole = await pages_of(await runner.connect(connect_to("thread")))
    await prune(runner, Retention(events_after=0))
    assert await pages_of(await runner.connect(connect_to("thread", cursor=cursor))) == whole
    last = f"{head.run_key}:{head.last_seq}"
    assert await pages_of(await runner.connect(connect_to("thread", cursor=last))) == []


async def test_an_idle_thread_goes_as_a_whole_and_begins_anew(runner):
    await branch(runner)
    assert await prune(runner, Retention(max_age=3600)) == 0
    await prune(runner, Retention(max_age=-1))
    assert await pages_of(await runner.connect(connect_to("thread"))) == []
    assert await runner.store.threads.list(None) == []
    assert len(await branch(runner)) == 4


@pytest.fixture
async def piled_up(place):
    """Data with eight finished runs, and a function that opens a runner on it that keeps no logs."""
    options = {"stop_grace": 0.5, "lease_ttl": 3.0}
    before = place.runner(**options, heartbeat=0.5)
    for number in range(8):
        agent = ScriptedAgent(*[Custom(name="n", value=number)] * 5)
        await collect(await before.run(run_of(agent, f"t{number}", messages=[user("u")])))
    await before.aclose()
    async with AsyncExitStack() as stack:

        def reopened(heartbeat):
            runner = place.runner(**options, heartbeat=heartbeat, retention=Retention(events_after=0))
            stack.push_async_callback(runner.aclose)
            return runner

        yield reopened


async def test_a_runner_removes_by_itself_all_that_has_piled_up(piled_up, monkeypatch):
    # As many rows as one step takes are there many times over.
    monkeypatch.setattr(event_log, "PRUNE_ROWS", 2)
    after = piled_up(heartbeat=0.5)
    await after.open()

    async def gone() -> bool:
        runs = [await after.store.runs(None, f"t{number}", 0, 10) for number in range(8)]
        return not any(run.raw for (run,) in runs)

    await until(gone)
    assert len(await after.store.threads.list(None)) == 8


async def test_removing_much_leaves_the_sweep_its_turn(piled_up, monkeypatch):
    monkeypatch.setattr(event_log, "PRUNE_LONGEST_SECONDS", 0.0)
    monkeypatch.setattr(event_log, "PRUNE_ROWS", 1)
    runner = piled_up(heartbeat=0.02)
    turns: list[str] = []
    store = runner.store

    def noted(name):
        verb = getattr(store, name)

        async def note(*given):
            turns.append(name)
            return await verb(*given)

        monkeypatch.setattr(store, name, note)

    noted("prune")
    noted("expired")
    await runner.open()

    async def enough() -> bool:
        return turns.count("prune") >= 3

    await until(enough)
    assert turns[:5] == ["expired", "prune", "expired", "prune", "expired"]
