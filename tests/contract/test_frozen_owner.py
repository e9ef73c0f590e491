"""Deleting a thread whose run belongs to a process that no longer answers."""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

from freezing import freeze
from jumpseat.runners.sqlite import SqliteAgentRunner
from jumpseat.testing.requests import collect, connect_to, pages_of, run_of, take
from jumpseat.testing.scripted import ScriptedAgent

SCRIPT = Path(__file__).parent / "frozen_owner.py"
STOP_GRACE = 0.5


async def test_a_frozen_owner_cannot_keep_its_thread_and_what_it_writes_later_is_refused(tmp_path):
    path = tmp_path / "threads.db"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    owner = await asyncio.create_subprocess_exec(
        sys.executable,
        str(SCRIPT),
        str(path),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environment,
    )
    runner = SqliteAgentRunner(path, stop_grace=STOP_GRACE, heartbeat=0.5)
    try:
        async with asyncio.timeout(45):
            assert await owner.stdout.readline() == b"live\n"
            reader = await runner.connect(connect_to("t"))
            await take(reader, 3)
            freeze(owner, path)

            start = time.monotonic()
            assert await runner.threads.delete("t", owner=None)
            assert time.monotonic() - start < STOP_GRACE + 3 + 2
            rest = [json.loads(data) for _, data in await pages_of(reader)]
            assert rest[-1] == {
                "type": "RUN_ERROR",
                "message": "The thread was deleted",
                "code": "THREAD_DELETED",
            }

            await collect(await runner.run(run_of(ScriptedAgent(), "t", "new")))
            owner.send_signal(signal.SIGCONT)
            owner.stdin.write(b"\n")
            await owner.stdin.drain()
            assert b"over" in await owner.stdout.read()
            events, _ = await runner.threads.events("t", owner=None)
            assert [json.loads(event)["runId"] for event in events] == ["new", "new"]
            assert await runner.threads.messages("t", owner=None) == []
    finally:
        if owner.returncode is None:
            owner.kill()
        await owner.wait()
        await runner.aclose()
