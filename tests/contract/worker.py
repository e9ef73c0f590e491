"""A process with a runner on a file or in a database: obeys one JSON command per line of its input."""

from __future__ import annotations

import asyncio
import json
import sys
import time

from jumpseat.errors import JumpseatError
from jumpseat.protocol.events import TextMessageContent, TextMessageStart
from jumpseat.runners.base import StopRequest
from jumpseat.runners.event_log import EventLogRunner
from jumpseat.runners.postgres import PostgresAgentRunner
from jumpseat.runners.sqlite import SqliteAgentRunner
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


async def show(stream, thread) -> None:
    async for page in stream:
        for cursor, data in page.events:
            say(event=json.loads(data), cursor=cursor, thread=thread, at=time.time())
    say(end=True)


async def obey(runner: EventLogRunner, command: dict) -> None:
    thread = command.get("thread", "thread")
    try:
        match command["do"]:
            case "run":
                request = run_of(
                    talk,
                    thread,
                    command.get("run", "run"),
                    [user(f"u-{command.get('run', 'run')}")],
                    forwarded_props=command,
                )
                stream = await runner.run(request)
                say(claimed=True)
                await show(stream, thread)
            case "connect":
                await show(await runner.connect(connect_to(thread)), thread)
            case "stop":
                say(stopped=await runner.stop(StopRequest(thread_id=thread)))
            case "close":
                await runner.aclose()
                say(closed=True)
    except JumpseatError as error:
        say(refused=str(error))


async def main() -> None:
    options = json.loads(sys.argv[2])
    where = sys.argv[1]
    kind = PostgresAgentRunner if where.startswith("postgresql:") else SqliteAgentRunner
    runner = kind(where, **options)
    await runner.open()
    say(ready=True)
    loop = asyncio.get_running_loop()
    tasks = set()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        task = asyncio.create_task(obey(runner, json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await runner.aclose()


asyncio.run(main())
