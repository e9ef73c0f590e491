"""Older branches over HTTP: the list of a thread's runs, and what it showed after each of them."""

import asyncio
import json
import re
from typing import Any

import pytest

from documents import ROOT, code, quoted, table
from jumpseat import InMemoryAgentRunner, Retention
from jumpseat.runners.base import ThreadStore
from jumpseat.testing.scripted import ScriptedAgent
from serving import Served, serve

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
KEY = re.compile(r"[0-9A-Z]{26}")
REFERENCE = ROOT / "docs" / "reference" / "threads.md"
ALICE, BOB = {"x-user": "alice"}, {"x-user": "bob"}


def by_header(request: Any) -> str | None:
    return request.headers.get("x-user")


async def answers(given: Any, _: Any) -> Any:
    yield {"type": "TEXT_MESSAGE_CHUNK", "messageId": f"a-{given.run_id}", "delta": "Hello"}
    yield {"type": "STATE_SNAPSHOT", "snapshot": {"run": given.run_id}}


async def fails(given: Any, _: Any) -> Any:
    yield {"type": "RUN_ERROR", "message": "no luck", "code": "E"}


AGENTS = {"default": answers, "failing": fails}


def said(*texts: str) -> list[dict[str, Any]]:
    """User messages whose ids are their texts."""
    return [{"id": text, "role": "user", "content": text} for text in texts]


async def get(served: Served, path: str, headers: Any = None) -> Any:
    answer = await served.client.get(path, headers=headers)
    return answer.status, answer.json()


async def branched(served: Served) -> list[dict[str, Any]]:
    """Two turns, the second of them tried again; what the list says of the three runs."""
    turn = [*said("one"), {"id": "a-r1", "role": "assistant", "content": "Hello"}]
    await served.run(run_id="r1", messages=said("one"))
    await served.run(run_id="r2", messages=[*turn, *said("two")])
    await served.run(run_id="r3", messages=[*turn, *said("three")])
    _, body = await get(served, "/threads/t1/runs")
    return body["runs"]


async def test_the_runs_of_a_thread_are_listed_oldest_first_with_all_their_keys():
    async with serve(AGENTS) as served:
        await served.run(run_id="r1")
        await served.run(run_id="r2", agent="failing")
        answer = await served.client.get("/threads/t1/runs")
        assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
        body = answer.json()
        assert list(body) == ["runs", "nextCursor"]
        assert body["nextCursor"] is None
        first, second = body["runs"]
        assert list(first) == [
            "runKey", "runId", "agentId", "status", "createdAt", "endedAt", "eventCount", "readable",
        ]  # fmt: skip
        assert list(second) == [
            "runKey", "runId", "parentRunKey", "parentRunId", "agentId", "status", "createdAt", "endedAt",
            "eventCount", "readable", "error",
        ]  # fmt: skip
        assert [KEY.fullmatch(run["runKey"]) is not None for run in body["runs"]] == [True, True]
        assert all(TIME.fullmatch(run[key]) for run in body["runs"] for key in ("createdAt", "endedAt"))
        assert {key: first[key] for key in ("runId", "agentId", "status", "eventCount", "readable")} == {
            "runId": "r1", "agentId": "default", "status": "finished", "eventCount": 6, "readable": True,
        }  # fmt: skip
        assert (second["parentRunKey"], second["parentRunId"]) == (first["runKey"], "r1")
        assert (second["status"], second["error"]) == ("failed", {"code": "E", "message": "no luck"})


async def test_messages_and_state_are_read_as_they_were_after_each_run():
    async with serve(AGENTS) as served:
        runs = await branched(served)
        first = ["one", "a-r1"]
        shown = {"r1": first, "r2": [*first, "two", "a-r2"], "r3": [*first, "three", "a-r3"]}
        for run in runs:
            for name in (run["runKey"], run["runId"]):
                status, body = await get(served, f"/threads/t1/messages?at={name}")
                assert (status, [message["id"] for message in body["messages"]]) == (200, shown[run["runId"]])
                assert await get(served, f"/threads/t1/state?at={name}") == (
                    200,
                    {"state": {"run": run["runId"]}},
                )
        assert await get(served, "/threads/t1/messages?at=r3") == await get(served, "/threads/t1/messages")


async def test_pages_of_runs_follow_each_other_by_their_cursor():
    async with serve(AGENTS) as served:
        everything = await branched(served)
        seen, cursor = [], ""
        for _ in range(3):
            status, body = await get(served, f"/threads/t1/runs?limit=1&cursor={cursor}")
            assert (status, len(body["runs"])) == (200, 1)
            seen += body["runs"]
            cursor = body["nextCursor"]
        assert (seen, cursor) == (everything, None)
        assert (await get(served, f"/threads/t1/runs?limit={'9' * 30}"))[1]["runs"] == everything


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1.5", "", "%2B1", "1e2", "00"])
async def test_a_limit_that_is_no_positive_number_is_refused_and_says_what_is_one(limit: str):
    async with serve(AGENTS) as served:
        assert await get(served, f"/threads/t1/runs?limit={limit}") == (
            400,
            {"error": "Invalid limit", "message": "limit must be a whole number from 1 to 200"},
        )


async def test_a_cursor_that_no_list_of_runs_gave_is_refused_and_says_where_to_begin():
    async with serve(AGENTS) as served:
        for thread in ("t1", "t2"):
            await served.run(thread)
        _, threads = await get(served, "/threads?limit=1")
        for cursor in ("zzz", threads["nextCursor"]):
            assert await get(served, f"/threads/t1/runs?cursor={cursor}") == (
                400,
                {
                    "error": "Invalid cursor",
                    "message": "This is not a cursor of a list of runs: start from the first page",
                },
            )


@pytest.mark.parametrize("at", ["", "%00", "a%0Ab", "x" * 513])
@pytest.mark.parametrize("what", ["messages", "state"])
async def test_a_run_that_no_client_can_have_named_is_refused(at: str, what: str):
    async with serve(AGENTS) as served:
        await served.run()
        assert await get(served, f"/threads/t1/{what}?at={at}") == (
            400,
            {"error": "Invalid at", "message": "at must be the runKey or the runId of a run of the thread"},
        )


@pytest.mark.parametrize("what", ["messages", "state"])
async def test_a_run_that_the_thread_does_not_have_is_not_found(what: str):
    async with serve(AGENTS) as served:
        await served.run()
        await served.run("t2", "elsewhere")
        for name, shown in (("nobody", "nobody"), ("elsewhere", "elsewhere"), ("%C3%BC%2F%20", "ü/ ")):
            assert await get(served, f"/threads/t1/{what}?at={name}") == (
                404,
                {
                    "error": "Run not found",
                    "message": f"Thread 't1' has no run '{shown}': name one by its runKey, or its runId",
                },
            )


async def test_an_unknown_thread_has_no_runs_and_cannot_be_read_after_one():
    async with serve(AGENTS) as served:
        assert await get(served, "/threads/t9/runs") == (200, {"runs": [], "nextCursor": None})
        for what in ("messages", "state"):
            assert await get(served, f"/threads/t9/{what}?at=r1") == (
                404,
                {"error": "Thread not found", "message": "Thread 't9' does not exist"},
            )
        assert await get(served, "/threads/t9/events?at=r1") == (200, {"events": []})


async def test_the_runs_of_somebody_elses_thread_are_those_of_an_unknown_one():
    async with serve(AGENTS, identify_user=by_header) as served:
        await served.run(headers=ALICE)
        _, body = await get(served, "/threads/t1/runs", ALICE)
        key = body["runs"][0]["runKey"]
        assert (await get(served, f"/threads/t1/messages?at={key}", ALICE))[0] == 200
        for path in ("runs", "runs?owner=alice", f"messages?at={key}", "messages?at=r1", f"state?at={key}"):
            for thread, user in (("t1", BOB), ("t9", ALICE)):
                assert await get(served, f"/threads/{thread}/{path}", user) == (
                    404,
                    {"error": "Thread not found", "message": f"Thread '{thread}' does not exist"},
                )


async def test_a_live_run_is_listed_without_an_end_and_read_as_the_thread_is_now():
    gate = asyncio.Event()
    script = [{"type": "TEXT_MESSAGE_CHUNK", "messageId": "m", "delta": "so far"}, gate]
    async with serve({"default": ScriptedAgent(*script)}) as served, served.running() as stream:
        await stream.until("TEXT_MESSAGE_CONTENT")
        _, body = await get(served, "/threads/t1/runs")
        (run,) = body["runs"]
        assert (run["status"], "endedAt" in run, run["eventCount"]) == ("live", False, 3)
        read = await get(served, f"/threads/t1/messages?at={run['runKey']}")
        assert read == await get(served, "/threads/t1/messages?at=r1")
        assert read == await get(served, "/threads/t1/messages")
        assert read[1]["messages"][-1]["content"] == "so far"
        gate.set()


async def test_a_run_whose_messages_are_gone_is_listed_as_such_and_says_so_when_it_is_read():
    runner = InMemoryAgentRunner(retention=Retention(max_runs=1))
    async with serve(AGENTS, runner=runner) as served:
        await branched(served)
        await runner.store.prune(runner.options.retention, 1000)
        _, body = await get(served, "/threads/t1/runs")
        assert [run["readable"] for run in body["runs"]] == [False, False, True]
        message = "What thread 't1' showed after its run 'r1' is no longer kept: name a later run"
        assert await get(served, "/threads/t1/messages?at=r1") == (
            404,
            {"error": "Run not found", "message": message},
        )


class OlderThreads:
    """The thread verbs of a runner that was written before there were branches to read."""

    async def list(self, **_: Any) -> Any:
        return [], None

    async def get(self, thread_id: str, *, owner: str | None) -> Any:
        return None

    async def update(self, thread_id: str, change: Any, *, owner: str | None) -> Any:
        return None

    async def delete(self, thread_id: str, *, owner: str | None) -> bool:
        return False

    async def clear(self, *, owner: str | None) -> None:
        return None

    async def messages(self, thread_id: str, *, owner: str | None) -> Any:
        return [{"id": "m", "role": "user", "content": thread_id}]

    async def events(self, thread_id: str, *, owner: str | None) -> Any:
        return [], False

    async def state(self, thread_id: str, *, owner: str | None) -> Any:
        return {"of": thread_id}


async def test_a_runner_that_tells_of_no_branches_says_so_and_is_read_as_before():
    threads: ThreadStore = OlderThreads()
    runner = InMemoryAgentRunner()
    runner.threads = threads
    async with serve(AGENTS, runner=runner) as served:
        for path in ("runs", "messages?at=r1", "messages?at=", "state?at=r1"):
            assert await get(served, f"/threads/t1/{path}") == (
                422,
                {"error": "This runner does not support older branches"},
            )
        assert (await get(served, "/threads/t1/messages"))[1]["messages"][0]["content"] == "t1"
        assert await get(served, "/threads/t1/state") == (200, {"state": {"of": "t1"}})


REFUSED = [
    ["runs?limit=0", "runs?limit=x"],
    ["runs?cursor=x"],
    ["messages?at=", f"state?at={'x' * 513}", "state?at=%0A"],
    ["messages?at=r9", "state?at=r9"],
    ["messages?at=r1", "state?at=r1"],
]


@pytest.mark.parametrize("number", range(7))
async def test_each_refusal_is_as_written_in_the_reference(number: int):
    rows = table(REFERENCE, "asked with")
    assert len(rows) == len(REFUSED) + 2
    (written,) = re.findall(r"`({.*})`", rows[number]["answer"])
    runner = InMemoryAgentRunner(retention=Retention(max_runs=1))
    if number == 6:
        runner.threads = OlderThreads()
    async with serve(AGENTS, runner=runner) as served:
        for run_id in ("r1", "r2"):
            await served.run(run_id=run_id)
        await runner.store.prune(runner.options.retention, 1000)
        for path in [*REFUSED, ["messages?at=r1"], ["runs"]][number]:
            thread, run = ("t9" if number == 5 else "t1"), path.partition("at=")[2]
            status, body = await get(served, f"/threads/{thread}/{path}")
            expected = json.loads(written.replace("<id>", thread).replace("<run>", run))
            assert (f"{status}", body) == (rows[number]["answer"].split()[0], expected)


async def test_a_run_has_the_fields_of_the_reference():
    named = {name for row in table(REFERENCE, "field of a run") for name in quoted(row["field of a run"])}
    (example,) = [json.loads(block) for block in code(REFERENCE, "json") if "runKey" in block]
    assert set(example) == named
    async with serve(AGENTS) as served:
        await served.run(run_id="r1")
        await served.run(run_id="r2", agent="failing")
        _, body = await get(served, "/threads/t1/runs")
    assert list(body["runs"][1]) == list(example)


async def test_what_clients_are_told_in_info_is_what_they_know():
    async with serve(AGENTS) as served:
        _, info = await get(served, "/info")
        assert info["threadEndpoints"] == {
            "list": True, "inspect": True, "mutations": True, "realtimeMetadata": False,
        }  # fmt: skip


async def test_a_branch_is_continued_by_sending_its_messages():
    agent = ScriptedAgent()
    async with serve({"default": answers, "seeing": agent}) as served:
        await branched(served)
        _, older = await get(served, "/threads/t1/messages?at=r2")
        await served.run(run_id="r4", agent="seeing", messages=[*older["messages"], *said("four")])
        (given,) = agent.inputs
        expected = ["one", "a-r1", "two", "a-r2", "four"]
        assert [message.id for message in given.messages] == expected
        _, now = await get(served, "/threads/t1/messages")
        assert [message["id"] for message in now["messages"]] == expected
        assert await get(served, "/threads/t1/messages?at=r2") == (200, older)
