"""Stopping a run over HTTP."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from jumpseat import AgentRunner, SqliteAgentRunner
from jumpseat.testing.scripted import ScriptedAgent
from plain_runner import PlainRunner
from serving import own_tasks, run_body, said, serve

STOPPED = {
    "stopped": True,
    "interrupt": {"type": "RUN_ERROR", "message": "Run stopped by user", "code": "STOPPED"},
}


@pytest.mark.parametrize("body", [None, {}, {"runId": "r1"}, {"runId": "r1", "more": 1}])
async def test_a_stop_is_accepted_and_the_stream_ends(runner: AgentRunner, body: Any):
    agent = ScriptedAgent(*said(), asyncio.Event())
    async with serve({"default": agent}, runner=runner) as served, served.running() as stream:
        await stream.until("TEXT_MESSAGE_END")
        answer = await served.client.post("/agent/default/stop/t1", json=body)
        assert (answer.status, answer.json()) == (200, STOPPED)
        assert [event["type"] for event in await stream.rest()] == ["RUN_FINISHED"]
        assert agent.closed.is_set()
        again = await served.client.post("/agent/default/stop/t1", json=body)
        assert again.json() == {"stopped": False, "message": "No active run for thread 't1'."}


async def test_a_runner_of_somebody_else_with_nothing_but_the_four_methods_serves_clients():
    agent, other = ScriptedAgent(*said("Hello"), asyncio.Event()), ScriptedAgent(*said("more", "m2"))
    async with serve({"default": agent, "other": other}, runner=PlainRunner()) as served:
        assert (await served.connect()).events == []
        async with served.running() as stream, served.connected() as reader:
            await stream.until("TEXT_MESSAGE_END")
            await reader.until("TEXT_MESSAGE_END")
            assert (await served.run("t1", "r2", agent="other")).status == 409
            assert (
                await served.client.post("/agent/default/stop/t1", json={"runId": "r1"})
            ).json() == STOPPED
            for one in (stream, reader):
                assert [event["type"] for event in await one.rest()] == ["RUN_FINISHED"]
        assert other.inputs == []
        assert (await served.run("t1", "r2", agent="other")).events[-1]["type"] == "RUN_FINISHED"
        shown = (await served.connect()).events
        assert [event["type"] for event in shown] == ["RUN_STARTED", "MESSAGES_SNAPSHOT", "RUN_FINISHED"]
        assert shown[1]["messages"][-1]["content"] == "more"


async def test_another_run_is_not_stopped(runner: AgentRunner):
    go = asyncio.Event()
    async with serve({"default": ScriptedAgent(go)}, runner=runner) as served, served.running() as stream:
        await stream.until("RUN_STARTED")
        answer = await served.client.post("/agent/default/stop/t1", json={"runId": "other"})
        assert (answer.status, answer.json()) == (
            200,
            {"stopped": False, "message": "Run 'other' is not the active run for thread 't1'."},
        )
        go.set()
        assert (await stream.rest())[-1]["type"] == "RUN_FINISHED"


async def test_a_thread_where_nothing_runs_cannot_be_stopped(runner: AgentRunner):
    async with serve(runner=runner) as served:
        answer = await served.client.post("/agent/default/stop/none", json={"runId": "r1"})
        assert answer.json() == {"stopped": False, "message": "No active run for thread 'none'."}


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"{", "Invalid stop request"), (b"[]", "Invalid stop request"), (b"null", "Invalid stop request"),
        (b"\xff", "Invalid stop request"), (b'{"runId":""}', "Invalid runId"),
        (b'{"runId":" "}', "Invalid runId"),
        (b'{"runId":5}', "Invalid runId"), (b'{"runId":null}', "Invalid runId"),
    ],
)  # fmt: skip
async def test_a_bad_stop_request_is_400(content: bytes, error: str):
    async with serve() as served:
        answer = await served.client.post(
            "/agent/default/stop/t1", content=content, headers={"content-type": "application/json"}
        )
        assert (answer.status, answer.json()) == (400, {"error": error})


async def test_an_unknown_agent_cannot_be_stopped():
    async with serve() as served:
        answer = await served.client.post("/agent/other/stop/t1", json={})
        assert (answer.status, answer.json()["error"]) == (404, "Agent not found")


async def test_a_stop_reaches_a_run_of_another_runner_on_the_same_store(tmp_path: Path):
    path = tmp_path / "threads.db"
    agents = {"default": ScriptedAgent(*said(), asyncio.Event())}
    async with (
        serve(agents, runner=SqliteAgentRunner(db_path=path)) as here,
        serve(agents, runner=SqliteAgentRunner(db_path=path)) as there,
        here.running() as stream,
    ):
        await stream.until("TEXT_MESSAGE_END")
        answer = await there.client.post("/agent/default/stop/t1", json={"runId": "r1"})
        assert answer.json() == STOPPED
        assert (await stream.rest())[-1]["type"] == "RUN_FINISHED"


async def test_a_failure_of_the_runner_is_a_titled_500(monkeypatch: pytest.MonkeyPatch):
    async with serve() as served:

        async def fail(request: Any) -> Any:
            raise RuntimeError("secret")

        monkeypatch.setattr(served.runtime.runner, "stop", fail)
        answer = await served.client.post("/agent/default/stop/t1")
        assert (answer.status, answer.json()) == (
            500, {"error": "Failed to stop agent", "message": "Internal error"},
        )  # fmt: skip


def suggestion_body(thread_id: str = "last", **more: Any) -> dict[str, Any]:
    """A suggestion as clients with one URL send it: a throw-away run."""
    return run_body(
        thread_id,
        "r1",
        messages=[
            {"id": "u1", "role": "user", "content": "hi"},
            {"id": thread_id, "role": "user", "content": "suggest"},
        ],
        tools=[{"name": "copilotkitSuggest", "description": "d", "parameters": {}}],
        forwardedProps={"toolChoice": {"type": "function", "function": {"name": "copilotkitSuggest"}}},
        **more,
    )


SUGGESTS = [("suggest", run_body("last")), ("suggest", suggestion_body()), ("run", suggestion_body())]
CALL = [
    {"type": "TOOL_CALL_CHUNK", "toolCallId": "c1", "toolCallName": "copilotkitSuggest", "delta": '{"a":'},
    {"type": "TOOL_CALL_CHUNK", "delta": "1}"},
]


@pytest.mark.parametrize(("operation", "body"), SUGGESTS)
async def test_a_suggestion_streams_normalised_events_and_leaves_nothing(
    runner: AgentRunner, operation: str, body: dict[str, Any]
):
    agent = ScriptedAgent(*CALL)
    async with serve({"default": agent}, runner=runner) as served:
        before = own_tasks()
        answer = await served.client.post(
            f"/agent/default/{operation}", json=body, headers={"x-tenant": "acme"}
        )
        assert answer.status == 200
        assert [event["type"] for event in answer.events] == [
            "RUN_STARTED", "TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_ARGS", "TOOL_CALL_END",
            "RUN_FINISHED",
        ]  # fmt: skip
        assert answer.events[0] == {"type": "RUN_STARTED", "threadId": "last", "runId": "r1"}
        assert answer.events[-1] == {"type": "RUN_FINISHED", "threadId": "last", "runId": "r1"}
        assert all(frame.id is None for frame in answer.frames)
        assert agent.contexts[0].headers == {"x-tenant": "acme"}
        assert (await served.client.get("/threads")).json()["threads"] == []
        assert (await served.client.get("/threads/last/messages")).json() == {"messages": []}
        assert {task for task in own_tasks() - before if not serves_store(task)} == set()


def serves_store(task: asyncio.Task[Any]) -> bool:
    """Whether it is one of those in which a store opens connections, in the background."""
    file = task.get_coro().cr_code.co_filename
    return "/jumpseat/stores/" in file or "/jumpseat/" not in file


@pytest.mark.parametrize(
    "change",
    [
        {"tools": []}, {"forwardedProps": {}}, {"forwardedProps": {"toolChoice": "auto"}},
        {"messages": [{"id": "u9", "role": "user", "content": "hi"}]}, {"messages": []},
    ],
)  # fmt: skip
async def test_what_only_looks_like_a_suggestion_is_a_run(change: dict[str, Any]):
    async with serve({"default": ScriptedAgent(*CALL)}) as served:
        await served.client.post("/agent/default/run", json=suggestion_body() | change)
        assert len((await served.client.get("/threads")).json()["threads"]) == 1


@pytest.mark.parametrize(("operation", "body"), SUGGESTS)
async def test_a_suggestion_whose_agent_raises_ends_with_run_error(operation: str, body: dict[str, Any]):
    async with serve({"default": ScriptedAgent(CALL[0], RuntimeError("no model"))}) as served:
        answer = await served.client.post(f"/agent/default/{operation}", json=body)
        assert answer.events[-1] == {"type": "RUN_ERROR", "message": "no model", "code": "agent_error"}
        assert [event["type"] for event in answer.events].count("TOOL_CALL_END") == 1


class Odd(BaseException):
    """What some libraries raise to get past ``except Exception``."""


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (Odd("odd"), "odd"),
        (SystemExit("odd"), "odd"),
        (Mute(), "Mute"),
        (asyncio.CancelledError("odd"), "odd"),
        (asyncio.CancelledError(), "CancelledError"),
    ],
)
async def test_no_exception_keeps_the_reader_of_a_suggestion_waiting(error: BaseException, says: str):
    async def agent(given: Any, context: Any):
        yield {"type": "TEXT_MESSAGE_CHUNK", "messageId": "m", "delta": "x"}
        raise error

    async with serve({"default": agent}) as served:
        answer = await served.client.post("/agent/default/suggest", json=run_body())
        assert answer.events[-1] == {"type": "RUN_ERROR", "message": says, "code": "agent_error"}


@pytest.mark.parametrize(
    "bad",
    [{"type": "TEXT_MESSAGE_CONTENT", "messageId": "x", "delta": "y"}, {"type": "TEXT_MESSAGE_START"}, 5],
)
async def test_a_suggestion_that_breaks_the_rules_ends_with_run_error(bad: Any):
    async with serve({"default": ScriptedAgent(*said(), bad)}) as served:
        answer = await served.client.post("/agent/default/suggest", json=run_body())
        assert answer.events[-1]["code"] in ("ILLEGAL_EVENT", "INVALID_EVENT")


@pytest.mark.parametrize(("operation", "body"), SUGGESTS)
async def test_a_client_that_leaves_cancels_its_suggestion(operation: str, body: dict[str, Any]):
    agent = ScriptedAgent(*CALL, asyncio.Event())
    async with serve({"default": agent}) as served:
        async with served.client.stream("POST", f"/agent/default/{operation}", json=body) as stream:
            await stream.until("TOOL_CALL_START")
            await stream.disconnect()
        assert agent.closed.is_set()
        assert agent.contexts[0].abort_signal.aborted


@pytest.mark.parametrize(("user", "stopped"), [("alice", True), ("bob", False)])
async def test_a_suggestion_is_stopped_by_its_own_user_only(user: str, stopped: bool):
    agent = ScriptedAgent(*CALL, asyncio.Event())
    identify = lambda request: request.headers["x-user"]  # noqa: E731
    async with serve({"default": agent}, identify_user=identify) as served:
        request = served.client.stream(
            "POST", "/agent/default/suggest", json=run_body("last"), headers={"x-user": "alice"}
        )
        async with request as stream:
            await stream.until("TOOL_CALL_START")
            answer = await served.client.post("/agent/default/stop/last", headers={"x-user": user})
            if not stopped:
                assert answer.status == 404
                return
            assert answer.json() == STOPPED
            events = await stream.rest()
            assert [event["type"] for event in events][-3:] == [
                "TOOL_CALL_END",
                "TOOL_CALL_RESULT",
                "RUN_FINISHED",
            ]


async def test_an_event_that_clients_could_not_read_ends_a_suggestion():
    async with serve({"default": ScriptedAgent(*said("x" * 9_000_000))}) as served:
        answer = await served.client.post("/agent/default/suggest", json=run_body())
        assert answer.events[-1]["code"] == "EVENT_TOO_LARGE"
        assert "TEXT_MESSAGE_CONTENT" not in [event["type"] for event in answer.events]


async def test_a_suggestion_whose_agent_cancels_itself_still_ends():
    def cancel(given: Any, context: Any) -> None:
        raise asyncio.CancelledError

    async with serve({"default": ScriptedAgent(cancel)}) as served:
        answer = await served.client.post("/agent/default/suggest", json=run_body())
        assert answer.events[-1]["type"] in ("RUN_ERROR", "RUN_FINISHED")


async def test_a_long_suggestion_arrives_whole_with_a_slow_reader():
    many = [{"type": "CUSTOM", "name": str(number), "value": 0} for number in range(2000)]
    async with serve({"default": ScriptedAgent(*many)}) as served:
        request = served.client.stream("POST", "/agent/default/suggest", json=run_body(), buffer=1)
        async with request as stream:
            events = await stream.rest()
        assert [event["name"] for event in events[1:-1]] == [str(number) for number in range(2000)]
