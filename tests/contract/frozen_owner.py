"""A process that owns a live run on a SQLite file, to be frozen by the test that started it."""

import asyncio
import sys

from jumpseat import SqliteAgentRunner
from jumpseat.errors import JumpseatError
from jumpseat.testing.requests import run_of, take


async def main(path: str) -> None:
    woken = asyncio.Event()

    async def agent(given, context):
        yield {"type": "TEXT_MESSAGE_CHUNK", "messageId": "m", "delta": "before"}
        await woken.wait()
        yield {"type": "TEXT_MESSAGE_CHUNK", "messageId": "m", "delta": "after"}

    runner = SqliteAgentRunner(path, stop_grace=0.5, heartbeat=0.5, lease_ttl=60.0)
    stream = await runner.run(run_of(agent, "t"))
    await take(stream, 3)
    print("live", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    woken.set()
    try:
        async with asyncio.timeout(10):
            async for _ in stream:
                pass
    except JumpseatError as error:
        print(type(error).__name__, flush=True)
    print("over", flush=True)
    await runner.aclose()


asyncio.run(main(sys.argv[1]))
