"""A process of its own with a runner on Redis: obeys one JSON command per line of its input."""

from __future__ import annotations

import asyncio
import json
import sys
import time

from jumpseat.errors import JumpseatError
from jumpseat.protocol.events import TextMessageContent, TextMessageStart
from jumpseat.runners.redis import RedisAgentRunner
from jumpseat.testing.requests import run_of, user


def say(**message) -> None:
    print(json.dumps(message), flush=True)


async def talk(given, context):
    """Say as many words as forwardedProps asks for, each with the time at which it was said."""
    props = given.forwarded_props
    message_id = f"said-{context.run_key}"
    yield TextMessageStart(message_id=message_id)
    for _ in range(props["words"]):
        await asyncio.sleep(props.get("pause", 0))
        yield TextMessageContent(message_id=message_id, delta=f"{time.time()} ")


async def obey(runner: RedisAgentRunner, command: dict) -> None:
    thread = command.get("thread", "thread")
    try:
        request = run_of(talk, thread, "run", [user("u-run")], forwarded_props=command)
        stream = await runner.run(request)
        say(claimed=thread)
        async for page in stream:
            for _, data in page.events:
                say(event=json.loads(data), thread=thread)
        say(end=thread)
    except JumpseatError as error:
        say(refused=str(error), thread=thread)


async def main() -> None:
    runner = RedisAgentRunner(sys.argv[1], prefix=sys.argv[2], **json.loads(sys.argv[3]))
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
