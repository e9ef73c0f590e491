"""Starting runs: who is told when, and what a caller who leaves takes along."""

import asyncio

import pytest

from jumpseat import InMemoryAgentRunner, RunnerClosed
from jumpseat.errors import CallerLeft
from jumpseat.runners.base import RunOptions
from jumpseat.runners.producing import produce
from jumpseat.runners.registry import Registry
from jumpseat.testing.requests import run_of

DEADLINE = 10.0


async def silent(given, context):
    return
    yield


async def test_a_run_that_nobody_wants_any_more_leaves_no_trace():
    asked = []
    runner = InMemoryAgentRunner()
    unwanted = RunOptions(wanted=lambda: bool(asked.append(1)))
    with pytest.raises(CallerLeft):
        await runner.run(run_of(silent, options=unwanted))
    assert asked == [1]
    assert await runner.threads.get("thread", owner=None) is None
    wanted = RunOptions(wanted=lambda: True)
    async with asyncio.timeout(DEADLINE):
        events = [
            event async for page in await runner.run(run_of(silent, options=wanted)) for event in page.events
        ]
    assert [event for _, event in events if b'"RUN_FINISHED"' in event]
    await runner.aclose()


async def test_a_run_whose_thread_is_claimed_elsewhere_is_executed_whoever_left():
    async with asyncio.timeout(DEADLINE):
        events = [data async for data in produce(run_of(silent, options=RunOptions(wanted=lambda: False)))]
    assert b'"RUN_FINISHED"' in events[-1]


async def test_a_caller_goes_on_in_the_turn_behind_the_one_that_has_the_outcome():
    registry = Registry()
    ready = asyncio.Event()
    turns: list[int] = []

    async def work():
        await ready.wait()
        turns.append(0)
        return "started"

    async def count():
        while True:
            await asyncio.sleep(0)
            turns.append(1)

    async def caller():
        outcome, _ = registry.start(work(), "start")
        result = await outcome
        turns.append(2)
        return result

    calling = asyncio.create_task(caller())
    await asyncio.sleep(0)
    counting = asyncio.create_task(count())
    ready.set()
    async with asyncio.timeout(DEADLINE):
        assert await calling == "started"
    counting.cancel()
    assert turns[turns.index(0) : turns.index(2)].count(1) <= 1


async def test_a_caller_that_is_cancelled_leaves_the_start_going():
    registry = Registry()
    ready, done = asyncio.Event(), asyncio.Event()

    async def work():
        await ready.wait()
        done.set()

    outcome, task = registry.start(work(), "start")
    outcome.cancel()
    ready.set()
    async with asyncio.timeout(DEADLINE):
        await done.wait()
        await task


async def test_a_start_that_fails_or_is_ended_tells_its_caller():
    registry = Registry()

    async def fail():
        raise LookupError("no such thing")

    async def hang():
        await asyncio.Event().wait()

    failed, failing = registry.start(fail(), "start that fails")
    hung, hanging = registry.start(hang(), "start that hangs")
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(LookupError, match="no such thing"):
            await failed
        hanging.cancel()
        with pytest.raises(RunnerClosed):
            await hung
        await asyncio.gather(failing, hanging, return_exceptions=True)
