"""Streams of libraries read in a task of their own."""

import asyncio
from contextlib import aclosing, asynccontextmanager

import pytest

from jumpseat.agents.builtin.models.reading import read

SECONDS = 5


class Upstream:
    """A chain of generators like those of a library; says how it was left."""

    def __init__(self, *items: object, endless: bool = False) -> None:
        self.items = items
        self.endless = endless
        self.given = 0
        self.unwound = asyncio.Event()
        self.left = False

    @asynccontextmanager
    async def opened(self):
        try:
            yield self._outer()
        finally:
            self.left = True

    async def _outer(self):
        async for item in self._inner():
            yield item

    async def _inner(self):
        try:
            for item in self.items:
                if isinstance(item, BaseException):
                    raise item
                self.given += 1
                yield item
            if self.endless:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.unwound.set()
            raise


async def consumed(stream, into: list) -> None:
    async with aclosing(stream) as items:
        async for item in items:
            into += [item]


@pytest.fixture(autouse=True)
async def deadline():
    async with asyncio.timeout(SECONDS):
        yield


async def test_everything_arrives_in_order():
    upstream = Upstream(*range(100))
    assert [item async for item in read(upstream.opened())] == list(range(100))
    assert upstream.left


async def test_none_is_an_item_like_any_other():
    assert [item async for item in read(Upstream(None, 1, None).opened())] == [None, 1, None]


async def test_an_error_of_the_upstream_arrives_after_what_came_before():
    got: list = []
    with pytest.raises(ValueError, match="gone"):
        await consumed(read(Upstream(1, 2, ValueError("gone")).opened()), got)
    assert got == [1, 2]


async def test_leaving_early_unwinds_the_upstream_from_the_inside():
    upstream = Upstream(1, 2, endless=True)
    async with aclosing(read(upstream.opened())) as stream:
        assert await anext(stream) == 1
    assert upstream.unwound.is_set()
    assert upstream.left


async def test_leaving_while_more_is_there_than_has_room_unwinds_it_too():
    upstream = Upstream(*range(200), endless=True)
    async with aclosing(read(upstream.opened())) as stream:
        assert await anext(stream) == 0
        await asyncio.sleep(0)
        assert upstream.given < 50
    assert upstream.unwound.is_set()


async def test_cancelling_the_reader_unwinds_the_upstream():
    upstream = Upstream(1, endless=True)
    first = asyncio.Event()

    async def consume() -> None:
        async with aclosing(read(upstream.opened())) as stream:
            async for _ in stream:
                first.set()

    task = asyncio.create_task(consume())
    await first.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert upstream.unwound.is_set()


async def test_when_the_time_has_passed_it_raises_and_unwinds_the_upstream():
    upstream = Upstream(1, endless=True)
    with pytest.raises(TimeoutError):
        await consumed(read(upstream.opened(), 0.05), [])
    assert upstream.unwound.is_set()
