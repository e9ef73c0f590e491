"""Runs over HTTP: when they start, what they refuse, what they say of failures."""

import asyncio
import json
import logging
from typing import Any

import pytest

from jumpseat import AgentRunner, DebugConfig, EventLogRunner, InMemoryAgentRunner, StoreUnavailable
from jumpseat.stores.memory import MemoryStore
from jumpseat.testing.scripted import ScriptedAgent
from serving import hello, own_tasks, run_body, said, serve, until

LOCKED = {"error": "Failed to run agent", "message": "Thread already running", "code": "agent_thread_locked"}


async def test_headers_and_the_opening_comment_come_before_the_agent_says_anything(runner: AgentRunner):
    go = asyncio.Event()
    agent = ScriptedAgent(go, *said())
    async with serve({"default": agent}, runner=runner) as served, served.running() as stream:
        assert stream.status == 200
        assert stream.headers["content-type"] == "text/event-stream"
        assert stream.headers["cache-control"] == "no-cache, no-transform"
        assert stream.headers["x-accel-buffering"] == "no"
        assert "content-length" not in stream.headers
        assert "connection" not in stream.headers
        frame = await stream.next_frame()
        assert frame is not None
        assert frame.comment == "connected"
        first = await stream.next_event()
        assert (first["type"], first["threadId"], first["runId"]) == ("RUN_STARTED", "t1", "r1")
        go.set()
        assert [event["type"] for event in await stream.rest()] == [
            "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END", "RUN_FINISHED",
        ]  # fmt: skip


async def test_the_opening_comment_is_sent_before_the_first_page_is_waited_for():
    asked = asyncio.Event()

    class Never(InMemoryAgentRunner):
        async def run(self, request: Any) -> Any:
            return NeverStream(asked)

    async with serve(runner=Never()) as served, served.running() as stream:
        frame = await stream.next_frame()
        assert frame is not None
        assert frame.comment == "connected"
        await asyncio.wait_for(asked.wait(), 5)


class NeverStream:
    def __init__(self, asked: asyncio.Event) -> None:
        self._asked = asked

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        self._asked.set()
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        pass


async def test_a_second_run_on_a_live_thread_is_409_and_disturbs_nothing(runner: AgentRunner):
    go = asyncio.Event()
    async with (
        serve({"default": ScriptedAgent(go, *said())}, runner=runner) as served,
        served.running("t1", "r1") as stream,
    ):
        await stream.until("RUN_STARTED")
        for run_id in ("r2", "r1"):
            busy = await served.run("t1", run_id)
            assert (busy.status, busy.json()) == (409, LOCKED)
            assert busy.headers["content-type"] == "application/json"
            assert "x-accel-buffering" not in busy.headers
        go.set()
        assert (await stream.rest())[-1]["type"] == "RUN_FINISHED"


async def test_of_twenty_simultaneous_runs_on_one_thread_one_is_accepted(runner: AgentRunner):
    go = asyncio.Event()
    async with serve({"default": ScriptedAgent(go)}, runner=runner) as served:
        runs = [asyncio.create_task(served.run("t1", f"r{number}")) for number in range(20)]
        await until(lambda: sum(run.done() for run in runs) == 19)
        go.set()
        statuses = sorted([(await run).status for run in runs])
    assert statuses == [200] + [409] * 19


async def test_a_finished_runs_id_can_be_used_again(runner: AgentRunner):
    async with serve(runner=runner) as served:
        for thread in ("t1", "t1", "t2"):
            answer = await served.run(thread, "r1")
            assert answer.status == 200
            assert answer.events[-1] == {"type": "RUN_FINISHED", "threadId": thread, "runId": "r1"}
        events = (await served.client.get("/threads/t1/events")).json()["events"]
        assert [event["runId"] for event in events if event["type"] == "RUN_STARTED"] == ["r1", "r1"]


@pytest.mark.parametrize("run_id", ["", None])
async def test_a_run_without_an_id_gets_one_that_is_the_same_everywhere(run_id: Any):
    agent = ScriptedAgent()
    async with serve({"default": agent}) as served:
        events = (await served.run("t1", run_id)).events
    given = agent.inputs[0].run_id
    assert len(given) == 36
    assert {events[0]["runId"], events[0]["input"]["runId"], events[-1]["runId"]} == {given}
    assert agent.contexts[0].run_id == given


async def test_the_next_run_can_be_sent_the_instant_the_stream_ends(runner: AgentRunner):
    async with serve(runner=runner) as served:
        for number in range(200):
            assert (await served.run("t1", f"r{number}")).status == 200


async def test_a_run_goes_on_when_its_tab_is_closed_and_connect_replays_it(runner: AgentRunner):
    go = asyncio.Event()
    agent = ScriptedAgent(*said("before", "m1"), go, *said("after", "m2"))
    async with serve({"default": agent}, runner=runner) as served:
        async with served.running() as stream:
            await stream.until("TEXT_MESSAGE_END")
            await stream.disconnect()
        go.set()
        await served.settled()
        replayed = (await served.connect()).events
    snapshot = next(event for event in replayed if event["type"] == "MESSAGES_SNAPSHOT")
    assert [message["content"] for message in snapshot["messages"]] == ["hi", "before", "after"]
    assert replayed[-1]["type"] == "RUN_FINISHED"


async def test_two_readers_see_the_same_events_in_order(runner: AgentRunner):
    go = asyncio.Event()
    agent = ScriptedAgent(go, *said("one", "m1"), *said("two", "m2"))
    async with serve({"default": agent}, runner=runner) as served, served.running() as stream:
        await stream.until("RUN_STARTED")
        async with served.connected() as first, served.connected() as second:
            await first.until("RUN_STARTED")
            await second.until("RUN_STARTED")
            go.set()
            one, two, own = await first.rest(), await second.rest(), await stream.rest()
    texts = [event for event in own if event["type"].startswith("TEXT")]
    assert len(texts) == 6
    assert [event for event in one if event["type"].startswith("TEXT")] == texts
    assert [event for event in two if event["type"].startswith("TEXT")] == texts


async def test_the_agent_gets_user_headers_ids_and_request_id():
    agent = ScriptedAgent()
    async with serve({"default": agent}, identify_user=lambda request: "alice") as served:
        await served.run(
            headers={"authorization": "Bearer x", "cookie": "a=b", "x-tenant": "t", "x-request-id": "req-9"}
        )
    context = agent.contexts[0]
    assert context.headers == {"authorization": "Bearer x", "x-tenant": "t"}
    assert (context.thread_id, context.run_id, context.agent_id, context.request_id) == (
        "t1", "r1", "default", "req-9",
    )  # fmt: skip


@pytest.mark.parametrize("inbound", ["abc.D-1_2", "x" * 128])
async def test_a_request_id_is_kept(inbound: str):
    async with serve() as served:
        assert (await served.client.get("/info", headers={"x-request-id": inbound})).headers[
            "x-request-id"
        ] == inbound


@pytest.mark.parametrize("inbound", [None, "", "x" * 129, "a b", "ä", "a\nb"])
async def test_an_unusable_request_id_is_replaced(inbound: str | None):
    async with serve() as served:
        answer = await served.client.get(
            "/info", headers={"x-request-id": inbound} if inbound is not None else {}
        )
        assert len(answer.headers["x-request-id"]) == 32


def failing_agents(request: Any) -> Any:
    raise RuntimeError("factory secret")


@pytest.mark.parametrize(
    ("expose", "debug", "body", "stream"),
    [
        (None, False, "Internal error", "agent secret"),
        (None, True, "factory secret", "agent secret"),
        (True, False, "factory secret", "agent secret"),
        (False, False, "Internal error", "The agent failed"),
        (False, True, "Internal error", "The agent failed"),
    ],
)
async def test_exception_texts_are_exposed_as_configured(
    expose: bool | None, debug: bool, body: str, stream: str, caplog: pytest.LogCaptureFixture
):
    options: dict[str, Any] = {"expose_errors": expose, "debug": debug}
    async with serve(failing_agents, **options) as served:
        refused = await served.run(headers={"x-request-id": "req-7"})
        assert (refused.status, refused.json()) == (500, {"error": "Failed to run agent", "message": body})
        assert refused.headers["x-request-id"] == "req-7"
        assert "req-7" in caplog.text
        assert "factory secret" in caplog.text
    for script in ([RuntimeError("agent secret")], [*said(), RuntimeError("agent secret")]):
        async with serve({"default": ScriptedAgent(*script)}, **options) as served:
            answer = await served.run()
            assert answer.events[-1] == {"type": "RUN_ERROR", "message": stream, "code": "agent_error"}
            assert "Traceback" not in answer.text


async def test_an_exception_without_text_is_told_by_its_class():
    class Peculiar(Exception):
        pass

    async with serve({"default": ScriptedAgent(Peculiar())}) as served:
        assert (await served.run()).events[-1]["message"] == "Peculiar"


class Away(MemoryStore):
    """A store that cannot be reached while ``away`` is set."""

    away = False

    async def claim(self, *args: Any, **kwargs: Any) -> Any:
        if self.away:
            raise StoreUnavailable("db.internal:5432 refused")
        return await super().claim(*args, **kwargs)

    async def live(self, *args: Any, **kwargs: Any) -> Any:
        if self.away:
            raise StoreUnavailable("db.internal:5432 refused")
        return await super().live(*args, **kwargs)

    async def history(self, *args: Any, **kwargs: Any) -> Any:
        if self.away:
            raise StoreUnavailable("db.internal:5432 refused")
        return await super().history(*args, **kwargs)


@pytest.mark.parametrize("operation", ["run", "connect"])
async def test_a_store_that_is_away_is_503_and_one_line_in_the_log(operation: str, caplog: Any):
    store = Away()
    async with serve(runner=EventLogRunner(store)) as served:
        await served.run("t1", "r0")
        store.away = True
        answer = await served.client.post(f"/agent/default/{operation}", json=run_body("t1", "r1"))
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert answer.json() == {
            "error": "Failed to run agent",
            "message": "Storage is unavailable",
            "code": "store_unavailable",
        }
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "db.internal:5432 refused" in record.getMessage()
    assert record.exc_info is None


class Broken:
    """A stream that breaks after one event."""

    def __init__(self) -> None:
        self.closed = False
        self._items: list[Any] = [b'{"type":"RUN_STARTED","threadId":"t1","runId":"r1"}']

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        if self._items:
            return self._items.pop()
        raise StoreUnavailable("gone")

    async def aclose(self) -> None:
        self.closed = True


async def test_a_stream_that_breaks_ends_with_a_run_error_and_a_clean_end():
    stream = Broken()

    class Breaking(InMemoryAgentRunner):
        async def run(self, request: Any) -> Any:
            return stream

    async with serve(runner=Breaking()) as served:
        answer = await served.run()
        assert [event["type"] for event in answer.events] == ["RUN_STARTED", "RUN_ERROR"]
        assert answer.events[-1] == {
            "type": "RUN_ERROR", "message": "The stream was interrupted", "code": "STREAM_INTERRUPTED",
        }  # fmt: skip
    assert stream.closed


async def test_beyond_the_limit_of_live_runs_there_is_503_until_one_has_ended(runner: AgentRunner):
    go = asyncio.Event()
    agents = {"slow": ScriptedAgent(go), "default": hello}
    async with serve(agents, runner=runner, max_live_runs=2) as served:
        async with served.running("a", agent="slow") as one, served.running("b", agent="slow") as two:
            await one.until("RUN_STARTED")
            await two.until("RUN_STARTED")
            await two.disconnect()
            for operation in ("run", "suggest"):
                refused = await served.client.post(f"/agent/default/{operation}", json=run_body("c"))
                assert (refused.status, refused.headers["retry-after"]) == (503, "1")
                assert refused.json()["code"] == "overloaded"
            go.set()
            await one.rest()
        await until(lambda: served.runtime.live_runs.count == 0)
        for number in range(5):
            assert (await served.run("c", f"r{number}")).status == 200
        assert served.runtime.live_runs.count == 0


async def test_a_refused_run_takes_no_place():
    go = asyncio.Event()
    async with (
        serve({"default": ScriptedAgent(go)}, max_live_runs=3) as served,
        served.running("a") as stream,
    ):
        await stream.until("RUN_STARTED")
        for _ in range(5):
            assert (await served.run("a", "r2")).status == 409
        assert served.runtime.live_runs.count == 1
        go.set()


async def test_a_client_that_left_before_the_claim_starts_nothing():
    agent, gone = ScriptedAgent(), asyncio.Event()

    async def agents(request: Any) -> Any:
        gone.set()
        await asyncio.sleep(0)
        return {"default": agent}

    async with serve(agents) as served:
        content = json.dumps(run_body()).encode()
        messages = [
            {"type": "http.request", "body": content, "more_body": False},
            {"type": "http.disconnect"},
        ]

        async def receive() -> Any:
            return messages.pop(0) if len(messages) > 1 else messages[0]

        async def send(message: Any) -> None:
            raise AssertionError("nobody is there")

        scope = served.client._scope("POST", "/agent/default/run", [("content-type", "application/json")])
        await served.app(scope, receive, send)
        assert (await served.client.get("/threads")).json()["threads"] == []
    assert agent.inputs == []


@pytest.mark.parametrize(
    ("debug", "kinds"),
    [
        (False, []),
        (True, ["TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END", "RUN_FINISHED"]),
        (DebugConfig(events=False), ["RUN_FINISHED"]),
        (DebugConfig(lifecycle=False), ["TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END"]),
    ],
)
async def test_debug_mode_logs_what_it_was_asked_to(
    debug: Any, kinds: list[str], caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, logger="jumpseat.debug")
    async with serve(debug=debug) as served:
        await served.run(headers={"x-request-id": "req-5"})
    records = [record for record in caplog.records if record.name == "jumpseat.debug"]
    logged = [record.message.split()[0] for record in records]
    assert [kind for kind in logged if kind != "RUN_STARTED"] == kinds
    assert all("hello" not in record.message and record.request_id == "req-5" for record in records)


async def test_verbose_debug_mode_logs_events_in_full(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, logger="jumpseat.debug")
    async with serve(debug=DebugConfig(verbose=True)) as served:
        await served.run()
    assert '"delta":"hello"' in caplog.text


async def test_debug_mode_leaves_no_task_behind():
    before = own_tasks()
    async with serve(debug=True) as served:
        await served.run()
    await until(lambda: own_tasks() <= before)


async def test_log_records_carry_the_request_id(caplog: pytest.LogCaptureFixture):
    async with serve(failing_agents) as served:
        await served.client.get("/info", headers={"x-request-id": "req-1"})
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [getattr(record, "request_id", None) for record in errors] == ["req-1"]
