"""What all tests share: no asynchronous test waits for ever."""

import asyncio
import functools
import inspect

import pytest

TEST_SECONDS = 120.0


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
