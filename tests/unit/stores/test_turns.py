"""Turns at connections: in order, urgent ones first, and given up when nobody is answered any more."""

from __future__ import annotations

import asyncio
import time

import pytest

from jumpseat.stores.turns import Turns
from jumpseat.testing.store_cases.material import within


def line_up(turns: Turns, order: list[str], name: str, *, urgent: bool = False) -> asyncio.Task[None]:
    async def wait() -> None:
        await turns.take(urgent=urgent)
        order.append(name)

    return asyncio.create_task(wait())


async def settled() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_turns_are_given_in_order_and_urgent_ones_every_other_time():
    turns, order = Turns(1, patience=5), []
    await turns.take()
    tasks = [line_up(turns, order, name) for name in ("a", "b", "c")]
    tasks += [line_up(turns, order, name, urgent=True) for name in ("u", "v", "w", "x")]
    for _ in tasks:
        await settled()
        turns.give_back()
    await within(asyncio.gather(*tasks))
    assert order == ["u", "a", "v", "b", "w", "c", "x"]


async def test_a_turn_of_nobody_is_there_for_the_next():
    turns = Turns(2, patience=0.1)
    for _ in range(5):
        await turns.take()
        turns.give_back()
    await turns.take()
    await turns.take()
    with pytest.raises(TimeoutError):
        await within(turns.take())


async def test_whoever_is_cancelled_leaves_the_turn_to_the_others():
    turns, order = Turns(1, patience=5), []
    await turns.take()
    first, second, third = (line_up(turns, order, name) for name in "abc")
    await settled()
    first.cancel()
    await settled()
    turns.give_back()
    # It has its turn, and is cancelled before it learns of that.
    second.cancel()
    await within(third)
    assert order == ["c"]
    turns.give_back()
    await within(turns.take())


async def test_a_burst_is_waited_for_longer_than_a_server_that_answers_nobody():
    turns, order = Turns(1, patience=0.3, longest=60), []
    await turns.take()
    tasks = [line_up(turns, order, str(number)) for number in range(12)]
    for _ in tasks:
        await asyncio.sleep(0.1)
        turns.answered()
        turns.give_back()
    await within(asyncio.gather(*tasks))
    assert len(order) == 12
    # Turns that end without an answer do not count.
    late = [line_up(turns, order, "late") for _ in range(20)]
    given_up = asyncio.gather(*late, return_exceptions=True)
    while not given_up.done():
        await asyncio.sleep(0.1)
        turns.give_back()
    results = await given_up
    assert [type(result) for result in results].count(TimeoutError) > 10


async def test_the_wait_is_bounded_also_when_the_server_answers():
    turns = Turns(1, patience=0.3, longest=0.6)
    await turns.take()
    waiting = asyncio.create_task(turns.take())
    while not waiting.done():
        await asyncio.sleep(0.05)
        turns.answered()
    with pytest.raises(TimeoutError):
        await waiting
    turns.give_back()
    await within(turns.take())


async def test_time_in_which_the_event_loop_stood_still_is_not_held_against_the_server():
    turns, order = Turns(1, patience=0.3), []
    await turns.take()
    waiting = line_up(turns, order, "a")
    await settled()
    loop = asyncio.get_running_loop()
    # Its answer came meanwhile and is read a little after the timer.
    time.sleep(0.5)
    loop.call_later(0.05, turns.give_back)
    await within(waiting)
    assert order == ["a"]
