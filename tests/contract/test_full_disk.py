"""A SQLite file that may not grow for a while, in the middle of runs: what SQLite calls a full disk."""

from __future__ import annotations

import asyncio

import pytest

from jumpseat.errors import StoreUnavailable
from jumpseat.protocol.events import TextMessageContent, TextMessageStart
from jumpseat.runners.sqlite import SqliteAgentRunner
from jumpseat.testing import ScriptedAgent
from jumpseat.testing.requests import collect, connect_to, run_of, take, types, user

PART = "word " * 2000


class Disk:
    """The disk under a runner's file."""

    def __init__(self, runner: SqliteAgentRunner) -> None:
        self.runner = runner

    async def fill(self) -> None:
        """Leave no page beyond those that the file has."""
        await self._limit("(SELECT page_count FROM pragma_page_count)")

    async def free(self) -> None:
        await self._limit("1073741823")

    async def _limit(self, pages: str) -> None:
        def change(session) -> int:
            (wanted,) = session.execute(f"SELECT {pages}").fetchone()
            return session.execute(f"PRAGMA max_page_count = {wanted}").fetchone()[0]

        await self.runner.store.change(change)


@pytest.fixture
async def runner(tmp_path):
    runner = SqliteAgentRunner(tmp_path / "threads.db", lease_ttl=20.0, heartbeat=0.2, stop_grace=0.5)
    await runner.open()
    yield runner
    await runner.aclose()


def parts(count: int, message_id: str = "m"):
    words = [TextMessageContent(message_id=message_id, delta=f"{number} {PART}") for number in range(count)]
    return [TextMessageStart(message_id=message_id), *words]


def said(events) -> list[str]:
    return [event["delta"].split()[0] for event in events if "delta" in event]


async def test_a_run_that_meets_a_full_disk_goes_on_when_there_is_room_and_loses_and_repeats_nothing(runner):
    disk, gate, silent = Disk(runner), asyncio.Event(), asyncio.Event()
    await collect(await runner.run(run_of(ScriptedAgent(*parts(2)), "old", messages=[user("u-old")])))
    other = await runner.run(run_of(ScriptedAgent(silent), "silent"))
    agent = ScriptedAgent(*parts(3), gate, *parts(300)[4:])
    stream = await runner.run(run_of(agent, messages=[user("u")]))
    seen = await take(stream, 5)

    await disk.fill()
    gate.set()
    with pytest.raises(StoreUnavailable, match="disk is full"):
        await runner.run(run_of(ScriptedAgent(), "new", messages=[user("u", PART * 10)]))
    # What is stored can be read, the run is still there and its lease is renewed.
    assert types(await collect(await runner.connect(connect_to("old"))))[-1] == "RUN_FINISHED"
    before = (await runner.store.live(None, "thread")).last_seq
    await asyncio.sleep(1)
    live = await runner.store.live(None, "thread")
    assert (live.expired, live.last_seq) == (False, before)
    assert (await runner.store.live(None, "silent")).expired is False

    await disk.free()
    seen += await collect(stream)
    assert said(seen) == [str(number) for number in range(300)]
    assert types(seen)[-2:] == ["TEXT_MESSAGE_END", "RUN_FINISHED"]
    (run,) = await runner.store.runs(None, "thread", 0, 10)
    assert (run.status, run.last_seq) == ("finished", len(seen))
    silent.set()
    assert types(await collect(other))[-1] == "RUN_FINISHED"
    assert types(await collect(await runner.run(run_of(ScriptedAgent(), "new"))))[-1] == "RUN_FINISHED"


async def test_a_run_that_ends_on_a_full_disk_is_sealed_when_there_is_room(runner):
    disk, gate = Disk(runner), asyncio.Event()
    agent = ScriptedAgent(*parts(100), gate)
    stream = await runner.run(run_of(agent, messages=[user("u")]))
    seen = await take(stream, 102)
    await disk.fill()
    gate.set()
    await agent.closed.wait()
    await asyncio.sleep(0.5)
    assert (await runner.store.live(None, "thread")).last_seq == 102
    await disk.free()
    seen += await collect(stream)
    assert types(seen)[-2:] == ["TEXT_MESSAGE_END", "RUN_FINISHED"]
    shown = await runner.threads.messages("thread", owner=None)
    assert [message["id"] for message in shown] == ["u", "m"]
    assert len(shown[1]["content"]) == sum(len(f"{number} {PART}") for number in range(100))
