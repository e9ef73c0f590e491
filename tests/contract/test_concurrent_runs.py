"""A second run on a busy thread: taking its place, or waiting in line."""

from __future__ import annotations

import asyncio

import pytest

from jumpseat.errors import RunnerClosed, ThreadAlreadyRunning
from jumpseat.protocol.events import TextMessageChunk, ToolCallStart
from jumpseat.runners.base import StopRequest
from jumpseat.testing import ScriptedAgent
from jumpseat.testing.requests import collect, connect_to, run_of, take, types, user


def said(message_id, text="hello"):
    return ScriptedAgent(TextMessageChunk(message_id=message_id, delta=text))


async def runs_of(runner):
    return [(run.run_id, run.status) for run in await runner.store.runs(None, "thread", 0, 100)]


async def test_a_newer_run_takes_the_place_of_the_live_one(make_runner):
    runner = make_runner(on_concurrent_run="supersede")
    call = ToolCallStart(tool_call_id="c", tool_call_name="x")
    old = await runner.run(run_of(ScriptedAgent(call, asyncio.Event()), run_id="same", messages=[user("u1")]))
    await take(old, 2)
    new = await runner.run(run_of(said("a2"), run_id="same", messages=[user("u1"), user("u2")]))
    old_rest = await collect(old)
    assert types(old_rest) == ["TOOL_CALL_END", "TOOL_CALL_RESULT", "RUN_FINISHED"]
    assert "superseded" in old_rest[1]["content"]
    assert "TOOL_CALL_START" not in types(await collect(new))
    assert await runs_of(runner) == [("same", "stopped"), ("same", "finished")]


async def test_an_old_run_that_ignores_cancellation_is_overruled_and_fenced(make_runner):
    runner = make_runner(on_concurrent_run="supersede")
    release = asyncio.Event()

    async def stubborn(given, context):
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        yield TextMessageChunk(message_id="late", delta="x")

    await runner.run(run_of(stubborn, run_id="old"))
    async with asyncio.timeout(5):
        events = await collect(await runner.run(run_of(said("a"), run_id="new")))
    release.set()
    assert types(events)[-1] == "RUN_FINISHED"
    assert "late" not in [m["id"] for m in await runner.threads.messages("thread", owner=None)]


async def test_queued_runs_start_in_order_and_see_the_answers_before_them(make_runner):
    runner = make_runner(on_concurrent_run="enqueue")
    gate = asyncio.Event()
    first = await runner.run(
        run_of(
            ScriptedAgent(gate, TextMessageChunk(message_id="a1", delta="x")),
            run_id="r1",
            messages=[user("u1")],
        )
    )
    agents = [said("a2"), said("a3")]
    streams = [
        await runner.run(run_of(agent, run_id=f"r{n}", messages=[user("u1"), user(f"u{n}")]))
        for n, agent in enumerate(agents, 2)
    ]
    gate.set()
    await collect(first)
    for stream in streams:
        assert types(await collect(stream))[-1] == "RUN_FINISHED"
    assert await runs_of(runner) == [("r1", "finished"), ("r2", "finished"), ("r3", "finished")]
    assert [message.id for message in agents[0].inputs[0].messages] == ["u1", "a1", "u2"]
    assert [message.id for message in agents[1].inputs[0].messages] == ["u1", "a1", "u2", "a2", "u3"]


async def test_one_more_than_may_wait_is_refused(make_runner):
    runner = make_runner(on_concurrent_run="enqueue", max_queued_runs=2)
    await runner.run(run_of(ScriptedAgent(asyncio.Event()), run_id="live"))
    for number in range(2):
        await runner.run(run_of(said("x"), run_id=f"queued-{number}"))
    with pytest.raises(ThreadAlreadyRunning):
        await runner.run(run_of(said("x"), run_id="too many"))


async def test_stop_ends_the_live_run_and_all_that_wait_and_keeps_their_messages(make_runner):
    runner = make_runner(on_concurrent_run="enqueue")
    live = await runner.run(run_of(ScriptedAgent(asyncio.Event()), run_id="live", messages=[user("u0")]))
    never = [said("never"), said("never")]
    queued = [
        await runner.run(run_of(agent, run_id=f"q{n}", messages=[user(f"u{n}")]))
        for n, agent in enumerate(never, 1)
    ]
    assert await runner.stop(StopRequest(thread_id="thread")) is True
    assert types(await collect(live))[-1] == "RUN_FINISHED"
    for stream in queued:
        assert types(await collect(stream)) == ["RUN_STARTED", "RUN_FINISHED"]
    async with asyncio.timeout(5):
        while {status for _, status in await runs_of(runner)} != {"stopped"}:
            await asyncio.sleep(0.01)
    assert [m["id"] for m in await runner.threads.messages("thread", owner=None)] == ["u0", "u1", "u2"]
    assert all(agent.inputs == [] for agent in never)


async def test_stop_with_the_id_of_a_waiting_run_ends_only_that_one(make_runner):
    runner = make_runner(on_concurrent_run="enqueue")
    gate = asyncio.Event()
    live = await runner.run(run_of(ScriptedAgent(gate), run_id="live"))
    queued = await runner.run(run_of(said("never"), run_id="queued"))
    assert await runner.stop(StopRequest(thread_id="thread", run_id="queued")) is True
    assert types(await collect(queued)) == ["RUN_STARTED", "RUN_FINISHED"]
    gate.set()
    await collect(live)
    async with asyncio.timeout(5):
        while await runs_of(runner) != [("live", "finished"), ("queued", "stopped")]:
            await asyncio.sleep(0.01)


async def test_a_waiting_run_that_its_client_left_does_not_start_when_that_is_the_policy(make_runner):
    runner = make_runner(on_concurrent_run="enqueue", on_disconnect="cancel")
    gate, never = asyncio.Event(), said("never")
    live = await runner.run(run_of(ScriptedAgent(gate), run_id="live", messages=[user("u0")]))
    queued = await runner.run(run_of(never, run_id="queued", messages=[user("u1")]))
    await queued.aclose()
    gate.set()
    await collect(live)
    async with asyncio.timeout(5):
        while await runs_of(runner) != [("live", "finished"), ("queued", "stopped")]:
            await asyncio.sleep(0.01)
    assert never.inputs == []
    assert [m["id"] for m in await runner.threads.messages("thread", owner=None)] == ["u0", "u1"]


async def test_closing_seals_live_stopping_and_queued_runs_and_leaves_no_task(make_runner):
    runner = make_runner(on_concurrent_run="enqueue")
    before = asyncio.all_tasks()
    live = await runner.run(run_of(ScriptedAgent(asyncio.Event()), "thread", "live"))
    queued = await runner.run(run_of(said("never"), "thread", "queued"))
    quick = await runner.run(run_of(ScriptedAgent(asyncio.Event()), "other", "stopping"))
    stopping = asyncio.create_task(runner.stop(StopRequest(thread_id="other")))
    reads = [asyncio.create_task(collect(stream)) for stream in (live, queued, quick)]
    async with asyncio.timeout(5):
        await runner.aclose(grace=0.05)
        ends = [types(events)[-1] for events in await asyncio.gather(*reads)]
    assert ends == ["RUN_ERROR", "RUN_ERROR", "RUN_FINISHED"]
    await stopping
    assert asyncio.all_tasks() - before == set()
    with pytest.raises(RunnerClosed):
        await runner.run(run_of(said("x"), "new"))


async def test_a_run_that_ends_within_the_grace_ends_normally(make_runner):
    runner = make_runner()
    gate = asyncio.Event()
    stream = await runner.run(run_of(ScriptedAgent(gate)))
    closing = asyncio.create_task(runner.aclose(grace=5))
    await asyncio.sleep(0)
    gate.set()
    assert types(await collect(stream))[-1] == "RUN_FINISHED"
    async with asyncio.timeout(2):
        await closing
    with pytest.raises(RunnerClosed):
        await runner.connect(connect_to())
