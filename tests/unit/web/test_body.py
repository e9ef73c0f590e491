"""Asking whether a client is still there."""

from __future__ import annotations

import asyncio
from typing import Any

from jumpseat.web.body import RequestBody

LIMIT = 1000
DISCONNECT = {"type": "http.disconnect"}


class Connection:
    """Delivers the messages that were put in, then waits."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        for message in messages:
            self.messages.put_nowait(message)

    async def receive(self) -> dict[str, Any]:
        return await self.messages.get()


async def turns_of(polling: asyncio.Task[bool]) -> int:
    turns = 0
    while not polling.done():
        turns += 1
        assert turns < 100
        await asyncio.sleep(0)
    return turns


async def test_a_client_that_is_there_is_asked_in_one_turn_of_the_loop():
    body = RequestBody(Connection().receive, limit=LIMIT, ready=b"")
    polling = asyncio.ensure_future(body.poll_disconnect())
    # The task's own start, and the turn that is granted to the message.
    assert await turns_of(polling) <= 2
    assert polling.result() is False


async def test_a_client_that_has_left_is_noticed_at_once():
    body = RequestBody(Connection(DISCONNECT).receive, limit=LIMIT, ready=b"")
    assert await body.poll_disconnect() is True


async def test_what_comes_after_the_question_is_not_lost():
    connection = Connection()
    body = RequestBody(connection.receive, limit=LIMIT, ready=b"")
    assert await body.poll_disconnect() is False
    connection.messages.put_nowait(DISCONNECT)
    async with asyncio.timeout(10):
        assert await body.receive() == DISCONNECT
    assert await body.poll_disconnect() is True


async def test_a_body_is_read_whole_although_it_was_asked_for_its_client_before():
    connection = Connection()
    body = RequestBody(connection.receive, limit=LIMIT)
    assert await body.poll_disconnect() is False
    connection.messages.put_nowait({"type": "http.request", "body": b"ab", "more_body": True})
    assert await body.poll_disconnect() is False
    connection.messages.put_nowait({"type": "http.request", "body": b"cd", "more_body": False})
    async with asyncio.timeout(10):
        assert await body.read() == b"abcd"
