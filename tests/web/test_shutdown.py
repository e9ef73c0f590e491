"""Starting, draining and closing: what still answers, how runs end, and who closes what."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from jumpseat import (
    Agent,
    AgentRunner,
    CopilotRuntime,
    CorsConfig,
    Hooks,
    InMemoryAgentRunner,
    SqliteAgentRunner,
    StoreUnavailable,
)
from jumpseat.testing.client import AsgiClient
from jumpseat.testing.scripted import ScriptedAgent
from serving import hello, own_tasks, run_body, said, serve, until

DRAINING = {
    "error": "Server is shutting down",
    "message": "Try again in a few seconds",
    "code": "server_draining",
}


async def test_while_draining_new_runs_are_refused_and_the_rest_still_answers(
    runner: AgentRunner, caplog: pytest.LogCaptureFixture
):
    go = asyncio.Event()
    agents = {"default": ScriptedAgent(*said(), go)}
    async with serve(agents, runner=runner, shutdown_grace_seconds=10) as served, served.running() as stream:
        await stream.until("TEXT_MESSAGE_END")
        served.runtime.begin_drain()
        served.runtime.begin_drain()
        for operation in ("run", "suggest"):
            refused = await served.client.post(f"/agent/default/{operation}", content=b"{")
            assert (refused.status, refused.json()) == (503, DRAINING)
            assert refused.headers["retry-after"] == "5"
        assert (await served.client.get("/info")).status == 200
        assert (await served.client.get("/threads")).status == 200
        async with served.connected() as reader:
            assert (await reader.next_event())["type"] == "RUN_STARTED"
        stop = await served.client.post("/agent/default/stop/t1", json={"runId": "other"})
        assert stop.status == 200
        go.set()
        assert (await stream.rest())[-1]["type"] == "RUN_FINISHED"
    # Nothing failed: no traceback of what was refused.
    logged = [entry for entry in caplog.records if entry.levelno >= logging.WARNING]
    said_of = [entry.getMessage().split(" (")[0] for entry in logged]
    assert said_of == ["agent/run refused", "agent/suggest refused"]
    assert not any(entry.exc_info for entry in logged)


async def test_a_run_that_does_not_finish_in_time_ends_sealed_and_survives_the_restart(tmp_path: Path):
    path = tmp_path / "threads.db"
    agents = {"default": ScriptedAgent(said()[0], asyncio.Event())}
    options: dict[str, Any] = {"shutdown_grace_seconds": 0.1}
    async with (
        serve(agents, runner=SqliteAgentRunner(db_path=path), **options) as served,
        served.running() as stream,
    ):
        await stream.until("TEXT_MESSAGE_START")
        served.runtime.begin_drain()
        events = await stream.rest()
        async with asyncio.timeout(5):
            await asyncio.wait([stream.task])
        assert stream.task.exception() is None
    assert [event["type"] for event in events] == ["TEXT_MESSAGE_END", "RUN_ERROR"]
    terminal = {
        "type": "RUN_ERROR",
        "message": "The server was shut down before the run finished",
        "code": "SERVER_SHUTDOWN",
    }
    assert events[-1] == terminal
    async with serve(runner=SqliteAgentRunner(db_path=path)) as served:
        replayed = (await served.connect()).events
        told = [event["value"]["code"] for event in replayed if event["type"] == "CUSTOM"]
        assert told == ["SERVER_SHUTDOWN"]
        assert (await served.run("t1", "r2")).events[-1]["type"] == "RUN_FINISHED"


async def test_draining_can_begin_in_another_thread_and_ends_silent_runs(runner: AgentRunner):
    agents = {"default": ScriptedAgent(asyncio.Event())}
    async with serve(agents, runner=runner, shutdown_grace_seconds=0.1) as served, served.running() as stream:
        await stream.until("RUN_STARTED")
        await asyncio.to_thread(served.runtime.begin_drain)
        assert (await stream.rest())[-1]["code"] == "SERVER_SHUTDOWN"


async def test_a_suggestion_is_ended_with_the_runs():
    agents = {"default": ScriptedAgent(*said(), asyncio.Event())}
    async with serve(agents, shutdown_grace_seconds=0.1) as served:
        request = served.client.stream("POST", "/agent/default/suggest", json=run_body())
        async with request as stream:
            await stream.until("TEXT_MESSAGE_END")
            served.runtime.begin_drain()
            assert (await stream.rest())[-1]["code"] == "SERVER_SHUTDOWN"


async def test_after_the_end_everything_that_needs_the_runner_is_503():
    async with serve() as served:
        await served.run()
        await served.runtime.aclose()
        await served.runtime.aclose()
        for operation in ("run", "connect"):
            answer = await served.client.post(f"/agent/default/{operation}", json=run_body())
            assert (answer.status, answer.json()) == (503, DRAINING)
        assert (await served.client.get("/info")).status == 200


async def test_a_runner_that_cannot_open_fails_the_start(caplog: pytest.LogCaptureFixture):
    class Closed(InMemoryAgentRunner):
        async def open(self) -> None:
            raise StoreUnavailable("no store")

    with pytest.raises(RuntimeError, match="no store"):
        async with serve(runner=Closed()):
            pass
    async with serve(runner=Closed(), lifespan=False) as served:
        answer = await served.run()
        assert (answer.status, answer.json()["code"]) == (503, "store_unavailable")
        listed = await served.client.get("/threads")
        assert (listed.status, listed.json()) == (500, {"error": "Failed to list threads"})
        assert (await served.client.get("/info")).status == 200


async def test_without_lifespan_the_first_request_starts_the_runtime_once():
    opened: list[int] = []

    class Counting(InMemoryAgentRunner):
        async def open(self) -> None:
            opened.append(1)
            await super().open()

    runner = Counting()
    async with serve(runner=runner, lifespan=False) as served:
        answers = await asyncio.gather(*(served.connect(f"t{number}") for number in range(5)))
        assert [answer.status for answer in answers] == [200] * 5
    assert len(opened) >= 1


class Kept(Agent):
    """An agent that counts its lifetimes."""

    def __init__(self, error: BaseException) -> None:
        self.warmed = self.closed = 0
        self.error = error

    async def run(self, input: Any, context: Any) -> Any:  # noqa: A002
        yield {"type": "CUSTOM", "name": "x", "value": 1}

    async def warmup(self) -> None:
        self.warmed += 1

    async def aclose(self) -> None:
        self.closed += 1
        raise self.error


@pytest.mark.parametrize("error", [RuntimeError("cannot close"), SystemExit(3), asyncio.CancelledError()])
async def test_agents_are_warmed_up_and_closed_once_and_a_failing_one_stops_nothing(error: BaseException):
    agent = Kept(error)
    async with serve({"a": agent, "b": agent}) as served:
        await until(lambda: agent.warmed == 1)
        assert (await served.run(agent="a")).status == 200
    assert (agent.warmed, agent.closed) == (1, 1)


async def test_nothing_is_left_behind(runner: AgentRunner):
    before = own_tasks()
    async with serve(runner=runner) as served:
        await served.run()
        await served.connect()
    await until(lambda: own_tasks() <= before)


async def test_one_runtime_serves_two_applications_that_share_its_threads():
    stamps: list[str] = []
    runtime = CopilotRuntime(agents={"default": hello}, dev=True)
    one = runtime.app(hooks=Hooks(on_request=lambda context: stamps.append("one")), cors=True)
    two = runtime.app(
        hooks=Hooks(on_request=lambda context: stamps.append("two")),
        cors=CorsConfig(origins=["https://two.example"]),
        base_path="/two",
    )
    first, second = AsgiClient(one), AsgiClient(two)
    async with first.lifespan():
        async with second.lifespan():
            assert (await first.post("/agent/default/run", json=run_body())).status == 200
            listed = await second.get("/two/threads", headers={"origin": "https://two.example"})
            assert [thread["id"] for thread in listed.json()["threads"]] == ["t1"]
            assert listed.headers["access-control-allow-origin"] == "https://two.example"
        # The second application has stopped, the first still serves.
        assert (await first.post("/agent/default/run", json=run_body("t1", "r2"))).status == 200
    assert stamps == ["one", "two", "one"]
    assert (await first.post("/agent/default/run", json=run_body("t1", "r3"))).status == 503


async def test_a_runner_is_closed_with_the_last_runtime_that_uses_it():
    runner = InMemoryAgentRunner()
    async with serve(runner=runner) as one:
        async with serve(runner=runner) as two:
            await two.run("shared")
        assert len((await one.client.get("/threads")).json()["threads"]) == 1
        assert (await one.run("shared", "r2")).status == 200
    async with serve(runner=runner, lifespan=False) as three:
        assert (await three.run("shared", "r3")).status == 503


async def test_a_host_may_hold_the_runtime_itself():
    runtime = CopilotRuntime(agents={"default": hello}, dev=True)
    client = AsgiClient(runtime.app())
    async with runtime:
        assert (await client.post("/agent/default/run", json=run_body())).status == 200
    assert (await client.post("/agent/default/run", json=run_body())).status == 503
