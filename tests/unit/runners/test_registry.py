"""Starting runs: what claims a thread is not cut off, and its failure reaches whoever waits."""

from __future__ import annotations

import asyncio

import pytest

from jumpseat.errors import RunnerClosed, ThreadNotFound
from jumpseat.runners.registry import Registry


def nobody(task: asyncio.Task[str]) -> None:
    raise AssertionError("the result is wanted")


async def test_a_start_gives_its_result():
    async def work() -> str:
        await asyncio.sleep(0)
        return "started"

    assert await Registry().start(work(), "start", unwanted=nobody) == "started"


async def test_a_start_that_fails_raises_what_it_raised():
    async def work() -> str:
        raise ThreadNotFound("t")

    with pytest.raises(ThreadNotFound):
        await Registry().start(work(), "start", unwanted=nobody)


async def test_a_start_that_the_runner_ends_raises_that_it_is_closed():
    registry = Registry()
    waiting = asyncio.create_task(registry.start(asyncio.sleep(60, "late"), "start", unwanted=nobody))
    await asyncio.sleep(0)
    await registry.cancel_all()
    with pytest.raises(RunnerClosed):
        await waiting


@pytest.mark.parametrize("together", [False, True])
async def test_a_start_goes_on_when_its_caller_leaves_and_hands_over_what_nobody_wants(together):
    registry = Registry()
    loop = asyncio.get_running_loop()
    may_end = asyncio.Event()
    unwanted: asyncio.Future[str] = loop.create_future()

    async def work() -> str:
        await may_end.wait()
        if together:
            # The caller leaves in the turn of the loop in which it would get the result.
            loop.call_soon(waiting.cancel)
        return "started"

    waiting = asyncio.create_task(
        registry.start(work(), "start", unwanted=lambda task: unwanted.set_result(task.result()))
    )
    await asyncio.sleep(0)
    if not together:
        waiting.cancel()
        await asyncio.wait([waiting])
    may_end.set()
    async with asyncio.timeout(10):
        assert await unwanted == "started"
        await asyncio.wait([waiting])
    assert waiting.cancelled()
    await registry.started(10)
