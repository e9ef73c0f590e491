"""One run for a runner of somebody else: legal, with one terminal, and not in its reader's hands."""

import asyncio
from contextlib import aclosing

import msgspec
import pytest

from jumpseat import ConfigurationError, Limits
from jumpseat.runners.producing import produce
from jumpseat.testing.requests import run_of, user

DEADLINE = 10.0


async def produced(request, **options):
    async with asyncio.timeout(DEADLINE), aclosing(produce(request, **options)) as events:
        return [msgspec.json.decode(data) async for data in events]


def kinds(events):
    return [event["type"] for event in events]


async def test_chunks_and_a_silent_end_become_a_whole_run():
    async def agent(given, context):
        yield {"type": "TEXT_MESSAGE_CHUNK", "messageId": "a", "role": "assistant", "delta": "Hello"}

    events = await produced(run_of(agent, messages=[user("u")]))
    text = ["TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END"]
    assert kinds(events) == ["RUN_STARTED", *text, "RUN_FINISHED"]
    assert [message["id"] for message in events[0]["input"]["messages"]] == ["u"]


async def test_what_was_open_is_closed_before_the_error_of_an_exception():
    async def agent(given, context):
        yield {"type": "TOOL_CALL_START", "toolCallId": "c", "toolCallName": "look"}
        raise RuntimeError("no luck")

    events = await produced(run_of(agent))
    assert kinds(events)[-3:] == ["TOOL_CALL_END", "TOOL_CALL_RESULT", "RUN_ERROR"]
    assert events[-1]["message"] == "no luck"


async def test_closing_it_leaves_the_agent_going_to_its_end():
    more, ended = asyncio.Event(), asyncio.Event()

    async def agent(given, context):
        yield {"type": "TEXT_MESSAGE_CHUNK", "messageId": "a", "role": "assistant", "delta": "Hello"}
        await more.wait()
        ended.set()

    events = produce(run_of(agent))
    assert b"RUN_STARTED" in await anext(events)
    await events.aclose()
    more.set()
    async with asyncio.timeout(DEADLINE):
        await ended.wait()


@pytest.mark.parametrize("early", [True, False])
async def test_an_abort_ends_it_as_a_stop(early):
    async def agent(given, context):
        yield {"type": "STEP_STARTED", "stepName": "wait"}
        await asyncio.Event().wait()

    request = run_of(agent)
    if early:
        request.context.abort()
    told = []
    async with asyncio.timeout(DEADLINE), aclosing(produce(request, stop_grace=0.5)) as events:
        async for data in events:
            told.append(msgspec.json.decode(data)["type"])
            if told[-1] == "STEP_STARTED":
                request.context.abort()
    middle = [] if early else ["STEP_STARTED", "STEP_FINISHED"]
    assert told == ["RUN_STARTED", *middle, "RUN_FINISHED"]


async def test_limits_count_and_wrong_options_are_refused():
    async def agent(given, context):
        for number in range(20):
            yield {"type": "CUSTOM", "name": "n", "value": number}

    events = await produced(run_of(agent), limits=Limits(max_run_events=10))
    assert events[-1]["code"] == "RUN_TOO_LARGE"
    with pytest.raises(ConfigurationError):
        await produced(run_of(agent), stop_grace=-1)
