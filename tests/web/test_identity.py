"""Users and their threads: who is let in, and what nobody sees of others."""

from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from jumpseat import AgentRunner, ConfigurationError, CopilotRuntime, User
from jumpseat.testing.scripted import ScriptedAgent
from serving import hello, serve, until

ROUTES = [
    ("POST", "/agent/default/run"), ("POST", "/agent/default/connect"), ("GET", "/agent/default/connect"),
    ("POST", "/agent/default/stop/t1"), ("POST", "/agent/default/suggest"), ("POST", "/transcribe"),
    ("GET", "/threads"), ("POST", "/threads/clear"), ("POST", "/threads/subscribe"), ("PATCH", "/threads/t1"),
    ("DELETE", "/threads/t1"), ("POST", "/threads/t1/archive"), ("GET", "/threads/t1/messages"),
    ("GET", "/threads/t1/events"), ("GET", "/threads/t1/state"), ("GET", "/threads/t1/runs?limit=x"),
    ("GET", "/threads/t1/messages?at="), ("GET", "/threads/t1/state?at=r1"), ("GET", "/cpk-debug-events"),
    ("GET", "/inspector-metadata"), ("GET", "/inspector-learning"), ("POST", "/annotate"),
]  # fmt: skip
ALICE, BOB = {"x-user": "alice"}, {"x-user": "bob"}


def by_header(request: Request) -> str | None:
    return request.headers.get("x-user")


async def test_without_a_user_everything_but_info_and_preflights_is_401(runner: AgentRunner):
    async with serve(identify_user=by_header, runner=runner, app={"cors": True}) as served:
        for method, path in ROUTES:
            answer = await served.client.request(method, path)
            assert (answer.status, answer.json()) == (401, {"error": "Unauthorized"}), path
            assert (await served.client.request("OPTIONS", path)).status == 204
        assert (await served.client.get("/info")).status == 200


def broken(request: Request) -> str:
    raise RuntimeError("the directory is down")


@pytest.mark.parametrize(
    "answer", [7, "", "x" * 257, "a\nb", "a\x00", "\ud800", User(""), User(5), ["alice"], True, broken]
)
async def test_an_unusable_user_is_a_500_that_says_nothing(answer: Any):
    identify = answer if callable(answer) else lambda request: answer
    async with serve(identify_user=identify) as served:
        refused = await served.client.get("/threads")
        assert (refused.status, refused.json()) == (500, {"error": "Failed to identify user"})


@pytest.mark.parametrize("answer", ["alice", "x" * 256, User("alice", name="Alice"), "ünïcode"])
async def test_a_user_may_be_a_text_or_a_user(answer: Any):
    agent = ScriptedAgent()
    async with serve({"default": agent}, identify_user=lambda request: answer) as served:
        assert (await served.run()).status == 200
    assert agent.contexts[0].user == (answer if isinstance(answer, User) else User(answer))


async def test_identify_user_may_answer_by_itself():
    async def identify(request: Request) -> str:
        raise HTTPException(429, detail="slow down")

    async with serve(identify_user=identify) as served:
        answer = await served.client.get("/threads")
        assert (answer.status, answer.json()) == (429, {"error": "slow down"})


async def test_identify_user_is_asked_once_per_request_and_not_for_info():
    asked: list[str] = []

    async def identify(request: Request) -> str:
        asked.append(request.url.path)
        return "alice"

    async with serve(identify_user=identify) as served:
        await served.client.get("/info")
        await served.run()
        await served.client.get("/threads")
    assert asked == ["/agent/default/run", "/threads"]


async def test_a_user_id_in_the_body_counts_for_nothing():
    async with serve(identify_user=by_header) as served:
        await served.run(headers=ALICE)
        changed = await served.client.request(
            "PATCH", "/threads/t1", json={"name": "x", "userId": "alice"}, headers=BOB
        )
        assert changed.status == 404
        assert (await served.client.get("/threads?userId=alice", headers=BOB)).json()["threads"] == []


async def test_somebody_elses_thread_answers_as_an_unknown_one(runner: AgentRunner):
    async with serve(identify_user=by_header, runner=runner) as served:
        ran = await served.run("mine", headers=ALICE)
        cursor = ran.frames[3].id
        assert cursor
        for method, path in (
            ("POST", "/agent/default/stop/{}"), ("GET", "/threads/{}/messages"),
            ("GET", "/threads/{}/events"), ("GET", "/threads/{}/state"), ("PATCH", "/threads/{}"),
            ("DELETE", "/threads/{}"), ("POST", "/threads/{}/archive"), ("GET", "/threads/{}/runs"),
            ("GET", "/threads/{}/messages?at=r1"), ("GET", "/threads/{}/state?at=r1"),
        ):  # fmt: skip
            foreign = await served.client.request(method, path.format("mine"), headers=BOB)
            unknown = await served.client.request(method, path.format("none"), headers=BOB)
            assert foreign.status == unknown.status == 404, path
            assert foreign.body == unknown.body.replace(b"none", b"mine")
        refused = await served.run("mine", "r2", headers=BOB)
        assert (refused.status, refused.json()) == (
            404,
            {"error": "Thread not found", "message": "Thread 'mine' does not exist"},
        )
        for more in ({}, {"lastSeenEventId": cursor}):
            foreign = await served.connect("mine", headers=BOB, **more)
            assert (foreign.status, foreign.body) == (200, b": connected\n\n")
        with_header = await served.connect("mine", headers={**BOB, "last-event-id": cursor})
        assert with_header.body == b": connected\n\n"
        assert (
            await served.connect("other", headers={**BOB, "last-event-id": cursor})
        ).body == b": connected\n\n"
        by_get = await served.client.get(
            f"/agent/default/connect?threadId=mine&lastSeenEventId={cursor}", headers=BOB
        )
        assert (by_get.status, by_get.body) == (204, b"")
        assert (await served.client.get("/threads", headers=BOB)).json()["threads"] == []
        mine = (await served.client.get("/threads", headers=ALICE)).json()["threads"]
        assert [(thread["id"], thread["createdById"]) for thread in mine] == [("mine", "alice")]


async def test_threads_of_nobody_and_of_users_are_invisible_to_each_other(runner: AgentRunner):
    async with serve(runner=runner) as shared, serve(identify_user=by_header, runner=runner) as owned:
        await shared.run("of-nobody")
        await owned.run("of-alice", headers=ALICE)
        for served, thread_id, headers in ((shared, "of-alice", {}), (owned, "of-nobody", ALICE)):
            refused = await served.run(thread_id, "r2", headers=headers)
            assert (refused.status, refused.json()["error"]) == (404, "Thread not found")
            for method in ("PATCH", "DELETE"):
                answer = await served.client.request(method, f"/threads/{thread_id}", headers=headers)
                assert answer.status == 404
            listed = (await served.client.get("/threads?includeArchived=true", headers=headers)).json()
            assert thread_id not in [thread["id"] for thread in listed["threads"]]
            assert (await served.connect(thread_id, headers=headers)).body == b": connected\n\n"


async def test_clearing_removes_the_callers_threads_only(runner: AgentRunner):
    async with serve(identify_user=by_header, runner=runner, dev=False) as served:
        await served.run("a", headers=ALICE)
        await served.run("b", headers=BOB)
        assert (await served.client.post("/threads/clear", headers=BOB)).status == 204
        assert (await served.client.get("/threads", headers=BOB)).json()["threads"] == []
        assert len((await served.client.get("/threads", headers=ALICE)).json()["threads"]) == 1


@pytest.mark.parametrize(
    ("options", "status"),
    [({"dev": False}, 403), ({"dev": True}, 204), ({"dev": False, "allow_clear_threads": True}, 204)],
)
async def test_without_users_clearing_needs_to_be_opened(
    options: dict[str, Any], status: int, runner: AgentRunner
):
    async with serve(runner=runner, **options) as served:
        await served.run()
        cleared = await served.client.post("/threads/clear")
        assert cleared.status == status
        if status == 403:
            assert cleared.json() == {"error": "Clearing threads is not allowed"}
        left = (await served.client.get("/threads")).json()["threads"]
        assert len(left) == (1 if status == 403 else 0)


async def test_a_thread_is_continued_connected_and_stopped_through_any_agent(runner: AgentRunner):
    quiet = ScriptedAgent({"type": "CUSTOM", "name": "begun", "value": 1}, lambda *_: forever())

    async with serve({"a": hello, "b": quiet}, runner=runner) as served:
        await served.run("t1", agent="a")
        async with served.running("t1", "r2", agent="b") as stream:
            await stream.until("CUSTOM")
            connected = served.connected("t1", agent="a")
            async with connected as other:
                assert (await other.next_event())["type"] == "RUN_STARTED"
                stopped = await served.client.post("/agent/a/stop/t1")
                assert stopped.json()["stopped"] is True
                assert (await other.rest())[-1]["type"] in ("RUN_FINISHED", "RUN_ERROR")
            assert (await stream.rest())[-1]["type"] in ("RUN_FINISHED", "RUN_ERROR")


def forever() -> Any:
    import asyncio

    return asyncio.Event()


@pytest.mark.parametrize("content", [b"", b"{", None])
@pytest.mark.parametrize("path", ["/agent/none/run", "/agent/none/connect", "/agent/none/suggest"])
async def test_an_unknown_agent_is_404_before_the_body_is_read(path: str, content: bytes | None):
    async def unread() -> Any:
        raise AssertionError("the body was read")
        yield b""

    async with serve() as served:
        chunks = unread() if content is None else None
        async with served.client.stream("POST", path, content=content, chunks=chunks) as answer:
            assert answer.status == 404


async def test_an_unknown_agent_is_named():
    async with serve() as served:
        answer = await served.run(agent="n%2Fa")
        assert answer.json() == {"error": "Agent not found", "message": "Agent 'n/a' does not exist"}


@pytest.mark.parametrize("value", ["x", 5, User])
def test_identify_user_must_be_callable(value: Any):
    with pytest.raises(ConfigurationError, match="identify_user"):
        CopilotRuntime(agents={"default": hello}, identify_user=value)


async def test_a_runtime_without_users_says_so_once_unless_in_development(caplog: pytest.LogCaptureFixture):
    async with serve(dev=True):
        pass
    assert caplog.records == []
    async with serve(dev=False) as served:
        await served.run()
        await until(lambda: True)
    assert [record.message.startswith("identify_user is not set") for record in caplog.records] == [True]
