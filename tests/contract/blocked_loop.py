"""Watches, from a process of its own, a run whose owner's event loop is blocked for a minute."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from jumpseat.runners.sqlite import SqliteAgentRunner
from jumpseat.testing.requests import collect, connect_to, run_of
from jumpseat.testing.scripted import ScriptedAgent

WORKER = Path(__file__).with_name("worker.py")
BLOCKED_SECONDS = 60.0


async def watch(path: Path) -> dict:
    owner = await asyncio.create_subprocess_exec(
        sys.executable,
        str(WORKER),
        str(path),
        "{}",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    runner = SqliteAgentRunner(path)
    try:
        assert b"ready" in await owner.stdout.readline()
        command = {"do": "run", "words": 50, "pause": 0.01, "block_at": 3, "block": BLOCKED_SECONDS}
        owner.stdin.write(json.dumps(command).encode() + b"\n")
        while b'"2 "' not in await owner.stdout.readline():
            pass
        blocked_at = time.monotonic()
        events = await collect(await runner.connect(connect_to()), BLOCKED_SECONDS)
        sealed_after = time.monotonic() - blocked_at
        (sealed,) = await runner.store.runs(None, "thread", 0, 10)
        await collect(await runner.run(run_of(ScriptedAgent(), run_id="next")))
        rest = [json.loads(line) for line in (await _until_end(owner)).splitlines()]
        woken_after = time.monotonic() - blocked_at
        owner.stdin.close()
        await owner.wait()
        (again, _) = await runner.store.runs(None, "thread", 0, 10)
        return {
            "sealedAfter": sealed_after,
            "wokenAfter": woken_after,
            "events": events,
            "ownEvents": [line["event"] for line in rest if "event" in line],
            "status": [sealed.status, again.status],
            "lastSeq": [sealed.last_seq, again.last_seq],
        }
    finally:
        if owner.returncode is None:
            owner.kill()
        await owner.wait()
        await runner.aclose()


async def _until_end(owner: asyncio.subprocess.Process) -> bytes:
    lines = b""
    while b'"end"' not in lines:
        lines += await owner.stdout.readline()
    return lines


async def main() -> None:
    with TemporaryDirectory() as folder:
        print(json.dumps(await watch(Path(folder) / "threads.db")))


asyncio.run(main())
