"""A blocked event loop is found, and where."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from jumpseat.runners.loop_watch import BLOCKED_SECONDS, TICK_SECONDS, LoopWatch

# Long enough to be seen, and the detector of blocking calls in the tests does not know a busy loop.
LONG = BLOCKED_SECONDS + 6 * TICK_SECONDS


def a_busy_function(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sum(range(1_000))


@asynccontextmanager
async def watched() -> AsyncIterator[None]:
    watching = asyncio.create_task(LoopWatch().run())
    await asyncio.sleep(TICK_SECONDS)
    yield
    watching.cancel()
    await asyncio.wait([watching], timeout=10.0)
    assert watching.cancelled()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


async def test_each_time_is_told_once_with_the_place(caplog: pytest.LogCaptureFixture):
    async with watched():
        for _ in range(2):
            a_busy_function(LONG)
            await asyncio.sleep(2 * TICK_SECONDS)
    told = warnings(caplog)
    assert len(told) == 2
    assert "The event loop has been blocked for 1." in told[0]
    assert "a_busy_function" in told[0]
    assert "test_loop_watch.py" in told[0]


@pytest.mark.parametrize("work", [lambda: a_busy_function(0.5), lambda: None])
async def test_short_work_and_waiting_are_not_told(
    work: Callable[[], None], caplog: pytest.LogCaptureFixture
):
    async with watched():
        work()
        await asyncio.sleep(LONG)
    assert warnings(caplog) == []


async def test_its_thread_ends_with_it():
    async with watched():
        assert any(thread.name == "jumpseat loop watch" for thread in threading.enumerate())
    assert not any(thread.name == "jumpseat loop watch" for thread in threading.enumerate())
