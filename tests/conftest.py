"""What all tests share: none waits for ever, and none lets the event loop be blocked."""

import asyncio
import functools
import inspect

import pytest
from blockbuster import blockbuster_ctx

TEST_SECONDS = 120.0


@pytest.fixture(autouse=True)
def no_blocking_call():
    """Fail where our own code sleeps, opens a file, uses a database or waits for a lock on the event loop.

    The command line may: it serves the page's files to one developer.
    """
    with blockbuster_ctx("jumpseat", excluded_modules=["jumpseat.testing", "jumpseat.cli"]):
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every coroutine test a deadline. A fixture could not: it runs in a task of its own."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.obj = _limited(item.obj)


def _limited(test):
    @functools.wraps(test)
    async def limited(*args, **kwargs):
        async with asyncio.timeout(TEST_SECONDS):
            await test(*args, **kwargs)

    return limited
