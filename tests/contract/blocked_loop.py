"""Watches, from a process of its own, a run whose owner's event loop is blocked for a minute."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from back_ends import Place
from jumpseat.testing.requests import collect, connect_to, run_of
from postgres_server import postgres_server
from redis_server import Server
from run_workers import idle, worker

BLOCKED_SECONDS = 60.0
OPTIONS = {"lease_ttl": 20.0, "heartbeat": 5.0}


async def watch(place: Place) -> dict:
    runner = place.runner(**OPTIONS)
    try:
        async with worker(place, **OPTIONS) as owner:
            owner.send(do="run", words=50, pause=0.01, block_at=3, block=BLOCKED_SECONDS)
            while (await owner.until("event"))["event"].get("delta") != "2 ":
                pass
            blocked_at = time.monotonic()
            events = await collect(await runner.connect(connect_to()), BLOCKED_SECONDS)
            sealed_after = time.monotonic() - blocked_at
            (sealed,) = await runner.store.runs(None, "thread", 0, 10)
            await collect(await runner.run(run_of(idle, run_id="next")))
            own_events = await owner.events(BLOCKED_SECONDS)
            woken_after = time.monotonic() - blocked_at
            (again, _) = await runner.store.runs(None, "thread", 0, 10)
        return {
            "sealedAfter": sealed_after,
            "wokenAfter": woken_after,
            "events": events,
            "ownEvents": own_events,
            "status": [sealed.status, again.status],
            "lastSeq": [sealed.last_seq, again.last_seq],
        }
    finally:
        await runner.aclose()


async def main() -> None:
    redis = Server()
    try:
        with TemporaryDirectory() as folder, postgres_server() as postgres:
            places = [
                Place("sqlite", str(Path(folder) / "threads.db")),
                Place("redis", redis.url),
                Place("postgres", postgres.dsn()),
            ]
            told = await asyncio.gather(*map(watch, places))
    finally:
        redis.stop()
    print(json.dumps({place.back_end: one for place, one in zip(places, told, strict=True)}))


asyncio.run(main())
