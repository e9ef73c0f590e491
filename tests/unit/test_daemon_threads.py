"""Threads for developers' functions: a bounded number, used again, never in the way of a program's end."""

import asyncio
import gc
import subprocess
import sys
import threading
import weakref
from functools import partial

import pytest

from jumpseat.daemon_threads import DaemonThreads


async def test_work_is_done_in_a_thread_and_its_outcome_comes_back():
    threads = DaemonThreads("test", 2)
    assert await threads.run(threading.get_ident) != threading.get_ident()
    with pytest.raises(ValueError, match="no"):
        await threads.run(partial(_raise, ValueError("no")))
    with pytest.raises(SystemExit):
        await threads.run(partial(_raise, SystemExit(3)))
    assert await threads.run(lambda: 5) == 5


def _raise(error: BaseException) -> None:
    raise error


async def test_an_idle_thread_is_used_again():
    threads = DaemonThreads("test", 64)
    used = set()
    for _ in range(20):
        used.add(await threads.run(threading.get_ident))
        # A thread says that it is idle right after its work is done.
        await asyncio.sleep(0.001)
    assert len(used) <= 3


async def test_more_work_than_threads_waits_and_can_be_withdrawn():
    threads, gate = DaemonThreads("test", 2), threading.Event()
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        gate.wait(20)
        return number

    tasks = [asyncio.create_task(threads.run(partial(work, number))) for number in range(4)]
    async with asyncio.timeout(20):
        while len(begun) < 2:
            await asyncio.sleep(0.001)
        tasks[2].cancel()
        await asyncio.wait({tasks[2]})
        gate.set()
        assert [await task for task in (tasks[0], tasks[1], tasks[3])] == [0, 1, 3]
    assert sorted(begun) == [0, 1, 3]


async def test_work_for_which_no_thread_can_be_started_fails_and_never_begins(
    monkeypatch: pytest.MonkeyPatch,
):
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    threads, begun = DaemonThreads("test", 1), []
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            await threads.run(lambda: begun.append(1))
    assert await threads.run(lambda: 2) == 2
    assert begun == []


async def test_nothing_of_the_work_is_kept():
    class Kept:
        pass

    threads, kept = DaemonThreads("test", 1), Kept()
    watched = weakref.ref(kept)
    await threads.run(partial(id, kept))
    del kept
    async with asyncio.timeout(20):
        while watched() is not None:
            gc.collect()
            await asyncio.sleep(0.001)


def test_a_tool_that_never_returns_does_not_keep_the_program_from_ending():
    script = """
import asyncio, threading
from jumpseat import BuiltInAgent, define_tool
from jumpseat.context import RunContext
from jumpseat.protocol.inputs import RunAgentInput, UserMessage
from jumpseat.testing import ScriptedModel

@define_tool(timeout=0.05)
def stuck():
    threading.Event().wait()

async def main():
    model = ScriptedModel([[{"type": "tool-call", "id": "call-1", "name": "stuck"}]])
    agent = BuiltInAgent(model=model, tools=[stuck])
    given = RunAgentInput(thread_id="t", run_id="r", messages=[UserMessage(id="u", content="hi")])
    context = RunContext(thread_id="t", run_id="r", run_key="r", agent_id="a")
    async for event in agent.run(given, context):
        print(getattr(event, "content", ""))

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert "timed out" in done.stdout
