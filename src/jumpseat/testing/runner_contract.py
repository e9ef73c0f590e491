"""The tests that every runner must pass: subclass ``RunnerContract`` and override its ``runner`` fixture."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from jumpseat.context import RunContext
from jumpseat.errors import ThreadAlreadyRunning
from jumpseat.protocol.events import TextMessageChunk
from jumpseat.protocol.inputs import RunAgentInput
from jumpseat.runners.base import AgentRunner, IsRunningRequest, StopRequest
from jumpseat.testing.requests import collect, connect_to, run_of, take, types, user
from jumpseat.testing.scripted import ScriptedAgent

__all__ = ["RunnerContract"]

TERMINALS = ("RUN_FINISHED", "RUN_ERROR")


async def _say(given: RunAgentInput, context: RunContext) -> AsyncIterator[Any]:
    yield TextMessageChunk(message_id=f"said-{context.run_id}", delta="Hello ")
    yield TextMessageChunk(delta="world")


class RunnerContract:
    """What the HTTP surface relies on.

    Example::

        class TestMyRunner(RunnerContract):
            @pytest.fixture
            async def runner(self):
                runner = MyRunner()
                yield runner
                await runner.aclose()
    """

    @pytest.fixture
    async def runner(self) -> AsyncIterator[AgentRunner]:
        """Yield a fresh runner and close it afterwards."""
        raise NotImplementedError("override the 'runner' fixture")
        yield

    async def test_a_run_streams_a_legal_sequence_with_one_terminal_that_has_its_ids(
        self, runner: AgentRunner
    ) -> None:
        events = await collect(await runner.run(run_of(_say, "t", "r", [user("u")])))
        assert types(events) == [
            "RUN_STARTED",
            "TEXT_MESSAGE_START",
            "TEXT_MESSAGE_CONTENT",
            "TEXT_MESSAGE_CONTENT",
            "TEXT_MESSAGE_END",
            "RUN_FINISHED",
        ]
        assert (events[0]["threadId"], events[0]["runId"]) == ("t", "r")
        assert (events[-1]["threadId"], events[-1]["runId"]) == ("t", "r")

    async def test_a_second_run_on_a_busy_thread_is_refused_before_its_agent_is_touched(
        self, runner: AgentRunner
    ) -> None:
        gate = asyncio.Event()
        first = await runner.run(
            run_of(ScriptedAgent(gate, TextMessageChunk(message_id="m", delta="x")), "t")
        )
        second = ScriptedAgent()
        with pytest.raises(ThreadAlreadyRunning) as refused:
            await runner.run(run_of(second, "t", "other", agent_id="another-agent"))
        assert str(refused.value) == "Thread already running"
        assert second.inputs == []
        gate.set()
        assert types(await collect(first))[-1] == "RUN_FINISHED"

    async def test_of_simultaneous_runs_on_one_thread_exactly_one_starts(self, runner: AgentRunner) -> None:
        gate = asyncio.Event()
        starts = await asyncio.gather(
            *(runner.run(run_of(ScriptedAgent(gate), "t", f"r{number}")) for number in range(20)),
            return_exceptions=True,
        )
        streams = [start for start in starts if not isinstance(start, BaseException)]
        assert len(streams) == 1
        assert all(isinstance(start, ThreadAlreadyRunning) for start in starts if start is not streams[0])
        gate.set()
        await collect(streams[0])

    async def test_other_threads_are_not_held_up_by_a_busy_one(self, runner: AgentRunner) -> None:
        gate = asyncio.Event()
        busy = await runner.run(run_of(ScriptedAgent(gate), "busy", "same"))
        assert types(await collect(await runner.run(run_of(_say, "free", "same"))))[-1] == "RUN_FINISHED"
        gate.set()
        await collect(busy)

    async def test_the_thread_is_free_when_the_stream_has_ended(self, runner: AgentRunner) -> None:
        for number in range(50):
            await collect(await runner.run(run_of(_say, "t", f"r{number}")))
        assert await runner.is_running(IsRunningRequest(thread_id="t")) is False

    async def test_a_run_outlives_the_stream_that_started_it(self, runner: AgentRunner) -> None:
        gate = asyncio.Event()
        agent = ScriptedAgent(gate, TextMessageChunk(message_id="late", delta="still here"))
        stream = await runner.run(run_of(agent, "t"))
        await take(stream, 1)
        await stream.aclose()
        follower = await runner.connect(connect_to("t"))
        await take(follower, 1)
        gate.set()
        events = await collect(follower)
        assert "still here" in [event.get("delta") for event in events]

    async def test_two_readers_of_a_live_run_see_the_same_events(self, runner: AgentRunner) -> None:
        gate = asyncio.Event()
        agent = ScriptedAgent(gate, *[TextMessageChunk(message_id="m", delta=str(n)) for n in range(20)])
        stream = await runner.run(run_of(agent, "t"))
        followers = [await runner.connect(connect_to("t")) for _ in range(2)]
        preludes = [await take(follower, 1) for follower in followers]
        gate.set()
        events = await collect(stream)
        one, other = [
            [*prelude, *await collect(follower)]
            for prelude, follower in zip(preludes, followers, strict=True)
        ]
        assert one == other
        assert one[-len(events) :] == events

    async def test_an_exception_becomes_run_error_behind_everything_said_before(
        self, runner: AgentRunner
    ) -> None:
        events = await collect(
            await runner.run(
                run_of(ScriptedAgent(TextMessageChunk(message_id="m", delta="x"), OSError("boom")))
            )
        )
        assert types(events)[-3:] == ["TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END", "RUN_ERROR"]
        assert events[-1]["message"] == "boom"

    async def test_connect_to_an_unknown_thread_is_an_empty_stream(self, runner: AgentRunner) -> None:
        assert await collect(await runner.connect(connect_to("never seen"))) == []

    async def test_connect_replays_a_finished_thread_the_same_each_time(self, runner: AgentRunner) -> None:
        await collect(await runner.run(run_of(_say, "t", "r1", [user("u1")])))
        once = await collect(await runner.connect(connect_to("t")))
        again = await collect(await runner.connect(connect_to("t")))
        assert once == again
        assert types(once)[0] == "RUN_STARTED"
        assert types(once)[-1] == "RUN_FINISHED"

    async def test_stop_ends_a_silent_run_and_says_so_once(self, runner: AgentRunner) -> None:
        agent = ScriptedAgent(asyncio.Event())
        stream = await runner.run(run_of(agent, "t", "r"))
        await asyncio.wait_for(agent.started.wait(), 5)
        assert await runner.stop(StopRequest(thread_id="t", run_id="another")) is False
        assert await runner.is_running(IsRunningRequest(thread_id="t")) is True
        assert await runner.stop(StopRequest(thread_id="t", run_id="r")) is True
        assert not await runner.stop(StopRequest(thread_id="t", run_id="r"))
        events = await collect(stream)
        assert sum(event["type"] in TERMINALS for event in events) == 1
        await asyncio.wait_for(agent.closed.wait(), 5)

    async def test_stop_of_a_thread_that_never_ran_ends_nothing(self, runner: AgentRunner) -> None:
        assert not await runner.stop(StopRequest(thread_id="never seen"))

    async def test_a_run_right_after_a_stop_starts(self, runner: AgentRunner) -> None:
        for number in range(200):
            await runner.run(run_of(ScriptedAgent(asyncio.Event()), "t", f"stopped-{number}"))
            assert await runner.stop(StopRequest(thread_id="t")) is True
        assert types(await collect(await runner.run(run_of(_say, "t"))))[-1] == "RUN_FINISHED"
