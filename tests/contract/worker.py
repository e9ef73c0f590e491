"""A process with a runner on a file or in a database: obeys one JSON command per line of its input."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time

from back_ends import runner_on
from jumpseat.errors import JumpseatError
from jumpseat.protocol.events import (
    ReasoningMessageContent,
    ReasoningMessageEnd,
    ReasoningMessageStart,
    StepFinished,
    StepStarted,
    TextMessageContent,
    TextMessageEnd,
    TextMessageStart,
    ToolCallArgs,
    ToolCallEnd,
    ToolCallStart,
)
from jumpseat.runners.base import StopRequest
from jumpseat.runners.event_log import EventLogRunner
from jumpseat.testing.requests import connect_to, run_of, user


def say(**message) -> None:
    print(json.dumps(message), flush=True)


async def talk(given, context):
    """Say as many words as forwardedProps asks for, at its pace; it may block the loop in between."""
    props = given.forwarded_props
    message_id = f"said-{context.run_key}"
    yield TextMessageStart(message_id=message_id)
    for number in range(props["words"]):
        await asyncio.sleep(props.get("pause", 0))
        if number == props.get("block_at"):
            time.sleep(props["block"])
        yield TextMessageContent(message_id=message_id, delta=f"{number} ")


async def juggle(given, context):
    """Open, fill and close messages, calls, thoughts and steps in an order that ``dice`` gives."""
    props = given.forwarded_props
    dice = random.Random(props["dice"])
    opened: dict[str, str] = {}
    for number in range(props["words"]):
        await asyncio.sleep(props.get("pause", 0))
        kind = dice.choice(["text", "call", "thought", "step"])
        if kind not in opened:
            opened[kind] = f"{kind}-{context.run_key}-{number}"
            yield started(kind, opened[kind])
        elif kind == "step" or dice.random() < 0.05:
            yield ended(kind, opened.pop(kind))
        else:
            yield filled(kind, opened[kind], f"{number} ")


def started(kind, name):
    match kind:
        case "text":
            return TextMessageStart(message_id=name)
        case "call":
            return ToolCallStart(tool_call_id=name, tool_call_name="look_up")
        case "thought":
            return ReasoningMessageStart(message_id=name)
        case _:
            return StepStarted(step_name=name)


def filled(kind, name, delta):
    match kind:
        case "text":
            return TextMessageContent(message_id=name, delta=delta)
        case "call":
            return ToolCallArgs(tool_call_id=name, delta=delta)
        case _:
            return ReasoningMessageContent(message_id=name, delta=delta)


def ended(kind, name):
    match kind:
        case "text":
            return TextMessageEnd(message_id=name)
        case "call":
            return ToolCallEnd(tool_call_id=name)
        case "thought":
            return ReasoningMessageEnd(message_id=name)
        case _:
            return StepFinished(step_name=name)


async def show(stream, thread, *, live: bool) -> None:
    """Tell every event; those of a run's log, in contrast to the history before them, are ``live``."""
    async for page in stream:
        at = time.time()
        for cursor, data in page.events:
            say(event=json.loads(data), cursor=cursor, thread=thread, at=at, live=live)
            # A history ends with the only one of its events that has a cursor.
            live = live or cursor is not None
    say(end=True, thread=thread)


async def obey(runner: EventLogRunner, command: dict) -> None:
    thread = command.get("thread", "thread")
    run_id = command.get("run", "run")
    try:
        match command["do"]:
            case "run":
                agent = juggle if "dice" in command else talk
                asked = [user(f"u-{run_id}")]
                stream = await runner.run(run_of(agent, thread, run_id, asked, forwarded_props=command))
                say(claimed=True, thread=thread)
                await show(stream, thread, live=True)
            case "connect":
                await show(await runner.connect(connect_to(thread)), thread, live=False)
            case "stop":
                say(stopped=await runner.stop(StopRequest(thread_id=thread)), thread=thread)
    except JumpseatError as error:
        say(refused=str(error), thread=thread)


async def serve(where: str, options: dict) -> None:
    runner = runner_on(where, **options)
    await runner.open()
    say(ready=True)
    loop = asyncio.get_running_loop()
    tasks = set()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        task = asyncio.create_task(obey(runner, json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await runner.aclose()


def work(where: str, options: dict) -> None:
    """Serve the data at ``where`` until the input ends; the clock may be some seconds ahead."""
    ahead = options.pop("clock_ahead", 0)
    if ahead:
        clock = time.time
        time.time = lambda: clock() + ahead
    asyncio.run(serve(where, options))
