"""Calling what a user supplied."""

import asyncio
from typing import Any

import pytest

from jumpseat.calling import call_user


async def test_sync_and_async_functions_return_alike():
    async def later(value: int) -> int:
        return value

    assert await call_user(lambda value: value + 1, 1) == 2
    assert await call_user(later, value=3) == 3
    assert await call_user(lambda: later(4)) == 4


@pytest.mark.parametrize("error", [ValueError("v"), SystemExit(2), asyncio.CancelledError("c")])
async def test_what_a_thread_raises_is_raised(error: BaseException):
    def fail() -> Any:
        raise error

    with pytest.raises(type(error)) as raised:
        await call_user(fail)
    assert raised.value is error


async def test_the_end_of_an_iterator_in_a_thread_is_an_error_and_no_endless_wait():
    async with asyncio.timeout(10):
        with pytest.raises(RuntimeError, match="StopIteration"):
            await call_user(lambda: next(iter(())))
