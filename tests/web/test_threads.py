"""The thread routes: what a client gets for each of its requests, right and wrong ones."""

import asyncio
import json
import re
from contextlib import asynccontextmanager

import pytest

from documents import ROOT, code, quoted, table, tables
from jumpseat.errors import StoreUnavailable
from jumpseat.runners.base import AgentRunner
from jumpseat.runners.in_memory import InMemoryAgentRunner
from jumpseat.runtime import CopilotRuntime
from old_threads import add_threads
from web.live import client_of, connection

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
KEYS = [
    "id",
    "name",
    "agentId",
    "organizationId",
    "createdById",
    "archived",
    "createdAt",
    "updatedAt",
    "lastRunAt",
]


async def talker(given, context):
    yield {"type": "TEXT_MESSAGE_CHUNK", "messageId": f"m-{given.run_id}", "delta": "Hello"}
    yield {"type": "STATE_SNAPSHOT", "snapshot": given.state}


@asynccontextmanager
async def served(**options):
    """A runtime's application; in owned mode the header `x-user` says who asks."""
    runtime = CopilotRuntime(agents={"a": talker, "b": talker}, **options)
    try:
        yield runtime.app()
    finally:
        await runtime.aclose()


def by_header(request):
    return request.headers.get("x-user")


def run_body(thread_id: str = "t", run_id: str = "r", text: str = "Hi", **fields) -> dict:
    messages = [{"id": f"u-{run_id}", "role": "user", "content": text}]
    return {"threadId": thread_id, "runId": run_id, "messages": messages, **fields}


async def run(client, thread_id: str = "t", agent: str = "a", **fields) -> None:
    answer = await client.post(f"/agent/{agent}/run", json=run_body(thread_id, **fields))
    assert answer.status_code == 200


async def listed(client, query: str = "") -> list[str]:
    return [record["id"] for record in (await client.get(f"/threads{query}")).json()["threads"]]


async def test_a_record_has_all_keys_in_order_and_times_in_milliseconds(runner):
    async with (
        served(runner=runner, identify_user=by_header) as app,
        client_of(app, x_user="alice") as client,
    ):
        await run(client, text="# Plan my week, please.")
        answer = await client.get("/threads")
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        body = answer.json()
        assert list(body) == ["threads", "nextCursor"]
        (record,) = body["threads"]
        assert list(record) == KEYS
        assert {key: record[key] for key in KEYS[:6]} == {
            "id": "t",
            "name": "Plan my week, please",
            "agentId": "a",
            "organizationId": "",
            "createdById": "alice",
            "archived": False,
        }
        assert all(TIME.fullmatch(record[key]) for key in KEYS[6:])
        assert record["createdAt"] == record["updatedAt"] == record["lastRunAt"]


async def test_without_users_a_thread_has_no_creator(runner):
    async with served(runner=runner) as app, client_of(app) as client:
        await run(client)
        assert (await client.get("/threads")).json()["threads"][0]["createdById"] == ""


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1.5", "", "+1", "1e2", "٣", "00"])
async def test_a_limit_that_is_no_positive_number_is_refused(limit):
    async with served() as app, client_of(app) as client:
        answer = await client.get("/threads", params={"limit": limit})
        assert (answer.status_code, answer.json()) == (400, {"error": "Invalid limit"})


async def test_pages_follow_each_other_by_their_cursor(runner):
    async with served(runner=runner) as app, client_of(app) as client:
        for number in range(5):
            await run(client, f"t{number}")
        first = (await client.get("/threads", params={"limit": "2"})).json()
        rest = (
            await client.get("/threads", params={"limit": "9" * 30, "cursor": first["nextCursor"]})
        ).json()
        assert len(first["threads"]) == 2
        assert rest["nextCursor"] is None
        assert {r["id"] for r in first["threads"] + rest["threads"]} == {f"t{number}" for number in range(5)}


@pytest.mark.parametrize("query", ["", "?limit=1000", "?limit=200"])
async def test_of_450_threads_a_list_shows_200_and_says_where_the_next_begin(query, runner):
    await runner.open()
    await add_threads(runner.store, [f"t{number:03}" for number in range(450)])
    async with served(runner=runner) as app, client_of(app) as client:
        seen, answer = [], (await client.get(f"/threads{query}")).json()
        while True:
            seen.append([record["id"] for record in answer["threads"]])
            if answer["nextCursor"] is None:
                break
            answer = (await client.get("/threads", params={"cursor": answer["nextCursor"]})).json()
    assert [len(page) for page in seen] == [200, 200, 50]
    assert len({name for page in seen for name in page}) == 450


async def test_a_cursor_that_is_none_is_refused():
    async with served() as app, client_of(app) as client:
        answer = await client.get("/threads?cursor=zzz")
        assert (answer.status_code, answer.json()) == (400, {"error": "Invalid cursor"})


async def test_the_list_is_filtered_by_agent_and_hides_archived_threads(runner):
    async with served(runner=runner) as app, client_of(app) as client:
        await run(client, "ta", "a")
        await run(client, "tb", "b")
        await run(client, "ta", "b", run_id="r2")
        assert await listed(client, "?agentId=a&includeArchived=false") == ["ta"]
        assert await listed(client, "?agentId=b") == ["tb"]
        await client.post("/threads/ta/archive")
        assert await listed(client) == await listed(client, "?agentId=&includeArchived=1") == ["tb"]
        assert set(await listed(client, "?includeArchived=true")) == {"ta", "tb"}


async def test_a_rename_answers_with_the_record(runner):
    async with served(runner=runner) as app, client_of(app) as client:
        await run(client)
        for given, name in (("  A\x00 b\n ", "A b"), ("x" * 256, "x" * 256), ("  ", None), (None, None)):
            answer = await client.patch("/threads/t", json={"agentId": "a", "name": given})
            assert answer.status_code == 200
            assert list(answer.json()) == KEYS
            assert answer.json()["name"] == name


async def test_a_name_set_by_a_user_is_not_replaced_by_a_later_run(runner):
    async with served(runner=runner) as app, client_of(app) as client:
        await run(client)
        await client.patch("/threads/t", json={"name": None})
        await run(client, run_id="r2")
        assert (await client.get("/threads")).json()["threads"][0]["name"] is None


async def test_both_changes_of_a_patch_happen(runner):
    async with served(runner=runner) as app, client_of(app) as client:
        await run(client)
        record = (await client.patch("/threads/t", json={"name": "N", "archived": True})).json()
        assert (record["name"], record["archived"]) == ("N", True)
        assert (await client.patch("/threads/t", json={"archived": False})).json()["archived"] is False


@pytest.mark.parametrize("body", ["", "{}", '{"userId":"bob","agentId":"b","mine":[1]}'])
async def test_a_patch_that_changes_nothing_answers_with_the_unchanged_record(body, runner):
    async with served(runner=runner) as app, client_of(app) as client:
        await run(client)
        before = (await client.get("/threads")).json()["threads"][0]
        answer = await client.patch("/threads/t", content=body)
        assert (answer.status_code, answer.json()) == (200, before)


BAD_BODIES = ["[]", "{", "null", "5", '"x"', "\xff"]
BAD_CHANGES = [
    '{"name":5}',
    '{"name":["x"]}',
    json.dumps({"name": "x" * 257}),
    '{"archived":"yes"}',
    '{"archived":null}',
    '{"archived":1}',
]


@pytest.mark.parametrize("body", BAD_BODIES + BAD_CHANGES)
async def test_a_patch_that_cannot_be_meant_is_refused_and_changes_nothing(body):
    async with served() as app, client_of(app) as client:
        await run(client)
        answer = await client.patch("/threads/t", content=body.encode("latin-1"))
        assert (answer.status_code, answer.json()) == (400, {"error": "Invalid request body"})
        record = (await client.get("/threads")).json()["threads"][0]
        assert (record["name"], record["archived"]) == ("Hi", False)


@pytest.mark.parametrize("body", BAD_BODIES)
async def test_a_body_that_is_no_object_is_refused_before_the_thread_is_looked_up(body):
    async with served() as app, client_of(app) as client:
        for method, path in (
            ("PATCH", "/threads/x"),
            ("DELETE", "/threads/x"),
            ("POST", "/threads/x/archive"),
        ):
            answer = await client.request(method, path, content=body.encode("latin-1"))
            assert (answer.status_code, answer.json()) == (400, {"error": "Invalid request body"})


async def test_archive_and_delete_answer_what_they_did_and_may_be_repeated(runner):
    async with served(runner=runner) as app, client_of(app) as client:
        await run(client)
        for _ in range(2):
            answer = await client.post("/threads/t/archive", json={"agentId": "a"})
            assert (answer.status_code, answer.json()) == (200, {"threadId": "t", "archived": True})
        for _ in range(2):
            answer = await client.request("DELETE", "/threads/t", json={"agentId": "a"})
            assert (answer.status_code, answer.json()) == (200, {"threadId": "t", "deleted": True})
        assert await listed(client, "?includeArchived=true") == []


async def test_an_unknown_thread_cannot_be_changed_and_is_empty_to_look_at(runner):
    async with served(runner=runner) as app, client_of(app) as client:
        not_found = {"error": "Thread not found", "message": "Thread 'a/b' does not exist"}
        for method, path in (("PATCH", ""), ("DELETE", ""), ("POST", "/archive")):
            answer = await client.request(method, f"/threads/a%2Fb{path}")
            assert (answer.status_code, answer.json()) == (404, not_found)
        for part, empty in (("messages", []), ("events", []), ("state", None)):
            answer = await client.get(f"/threads/a%2Fb/{part}")
            assert (answer.status_code, answer.json()) == (200, {part: empty})


async def test_somebody_elses_thread_is_an_unknown_one(runner):
    async with (
        served(runner=runner, identify_user=by_header) as app,
        client_of(app, x_user="alice") as alice,
        client_of(app, x_user="bob") as bob,
    ):
        await run(alice)
        before = (await alice.get("/threads")).json()
        tricks = {"userId": "alice", "createdById": "alice", "agentId": "a"}
        requests = [
            ("PATCH", "", {**tricks, "name": "mine"}),
            ("DELETE", "", tricks),
            ("POST", "/archive", tricks),
            ("GET", "/messages?userId=alice", None),
            ("GET", "/events?owner=alice", None),
            ("GET", "/state", None),
        ]
        for method, path, body in requests:
            for client, thread_id in ((bob, "t"), (alice, "unknown")):
                answer = await client.request(method, f"/threads/{thread_id}{path}", json=body)
                expected = {"error": "Thread not found", "message": f"Thread '{thread_id}' does not exist"}
                assert (answer.status_code, answer.json()) == (404, expected)
        answer = await bob.post("/agent/a/run", json=run_body())
        assert answer.status_code == 404
        assert await listed(bob, "?userId=alice&includeArchived=true") == []
        assert (await alice.get("/threads")).json() == before


async def test_a_caller_who_is_nobody_is_refused_before_the_body_is_looked_at():
    async with served(identify_user=by_header) as app, client_of(app) as client:
        for method, path in (
            ("GET", "/threads"),
            ("PATCH", "/threads/t"),
            ("DELETE", "/threads/t"),
            ("POST", "/threads/t/archive"),
            ("POST", "/threads/clear"),
            ("POST", "/threads/subscribe"),
            ("GET", "/threads/t/messages"),
            ("GET", "/threads/t/events"),
            ("GET", "/threads/t/state"),
            ("GET", "/threads/t/runs?limit=x"),
            ("GET", "/threads/t/messages?at="),
            ("GET", "/threads/t/state?at=r"),
        ):
            answer = await client.request(method, path, content=b"{")
            assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized"})


async def test_requests_that_start_no_run_leave_no_thread(runner):
    async with served(runner=runner) as app, client_of(app) as client:
        body = run_body()
        assert (await client.post("/agent/nobody/run", json=body)).status_code == 404
        assert (await client.post("/agent/a/run", content=b"{")).status_code == 400
        assert (await client.post("/agent/a/connect", json=body)).status_code == 200
        assert (await client.post("/agent/a/suggest", json=body)).status_code == 200
        assert (await client.post("/agent/a/stop/t")).status_code == 200
        assert await listed(client) == []


async def test_a_refused_run_makes_no_thread_and_moves_no_record(runner):
    gate = asyncio.Event()

    async def waiter(given, context):
        yield {"type": "CUSTOM", "name": "begun", "value": 1}
        await gate.wait()

    runtime = CopilotRuntime(
        agents={"a": waiter, "b": talker}, runner=runner, identify_user=by_header, max_live_runs=1
    )
    app = runtime.app()
    body = json.dumps(run_body()).encode()
    async with (
        client_of(app, x_user="alice") as alice,
        client_of(app, x_user="bob") as bob,
        client_of(app) as nobody,
        connection(app, "POST", "/agent/a/run", body=body, x_user="alice") as stream,
    ):
        await stream.until(b"begun")
        before = (await alice.get("/threads")).json()
        refusals = [(nobody, "new", 401), (alice, "new", 503)]
        assert [
            (await client.post("/agent/b/run", json=run_body(thread_id, "r2"))).status_code
            for client, thread_id, _ in refusals
        ] == [status for _, _, status in refusals]
        runtime.live_runs.limit = None
        assert (await alice.post("/agent/b/run", json=run_body(run_id="r2"))).status_code == 409
        assert (await bob.post("/agent/b/run", json=run_body(run_id="r2"))).status_code == 404
        assert (await alice.get("/threads")).json() == before
        gate.set()
        await stream.to_end()
        assert (await alice.get("/threads")).json() == before
        runtime.begin_drain()
        assert (await alice.post("/agent/b/run", json=run_body("new", "r2"))).status_code == 503
        assert (await alice.get("/threads")).json() == before
        assert await listed(bob, "?includeArchived=true") == []
    await runtime.aclose()


async def test_messages_events_and_state_of_a_thread_are_told(runner):
    async with served(runner=runner) as app, client_of(app) as client:
        await run(client, state={"n": 1})
        assert (await client.get("/threads/t/messages")).json() == {
            "messages": [
                {"id": "u-r", "role": "user", "content": "Hi"},
                {"id": "m-r", "role": "assistant", "content": "Hello"},
            ]
        }
        events = (await client.get("/threads/t/events")).json()
        assert list(events) == ["events"]
        assert [event["type"] for event in events["events"]] == [
            "RUN_STARTED",
            "TEXT_MESSAGE_START",
            "TEXT_MESSAGE_CONTENT",
            "TEXT_MESSAGE_END",
            "STATE_SNAPSHOT",
            "RUN_FINISHED",
        ]
        assert (await client.get("/threads/t/state")).json() == {"state": {"n": 1}}
        await run(client, run_id="r2", state=[1])
        assert (await client.get("/threads/t/state")).json() == {"state": None}


async def test_events_beyond_ten_thousand_are_cut_and_said_to_be(runner):
    async def counter(given, context):
        for number in range(10_001):
            yield {"type": "CUSTOM", "name": "n", "value": number}

    runtime = CopilotRuntime(agents={"a": counter}, runner=runner)
    async with client_of(runtime.app()) as client:
        await run(client)
        body = (await client.get("/threads/t/events")).json()
        assert (len(body["events"]), body["truncated"]) == (10_000, True)
    await runtime.aclose()


async def test_deleting_a_thread_ends_the_stream_of_its_live_run_with_one_terminal(runner):
    async def waiter(given, context):
        yield {"type": "TEXT_MESSAGE_CHUNK", "messageId": "m", "delta": "x"}
        await asyncio.Event().wait()

    runtime = CopilotRuntime(agents={"a": waiter}, runner=runner)
    app = runtime.app()
    body = json.dumps(run_body()).encode()
    async with client_of(app) as client, connection(app, "POST", "/agent/a/run", body=body) as stream:
        await stream.until(b"TEXT_MESSAGE_CONTENT")
        assert (await client.get("/threads/t/messages")).json()["messages"][-1]["content"] == "x"
        assert (await client.request("DELETE", "/threads/t")).status_code == 200
        received = await stream.to_end()
        assert received.count(b'"type":"RUN_FINISHED"') + received.count(b'"type":"RUN_ERROR"') == 1
        assert (await client.get("/threads")).json() == {"threads": [], "nextCursor": None}
        assert (await client.get("/threads/t/messages")).json() == {"messages": []}
    await runtime.aclose()


@pytest.mark.parametrize("options", [{"dev": True}, {"allow_clear_threads": True}])
async def test_all_threads_are_cleared_where_that_is_allowed(options, runner):
    async with served(runner=runner, **options) as app, client_of(app) as client:
        await run(client)
        answer = await client.post("/threads/clear")
        assert (answer.status_code, answer.content) == (204, b"")
        assert await listed(client) == []


async def test_shared_threads_are_not_cleared_by_default():
    async with served() as app, client_of(app) as client:
        await run(client)
        answer = await client.post("/threads/clear")
        assert (answer.status_code, answer.json()) == (403, {"error": "Clearing threads is not allowed"})
        assert await listed(client) == ["t"]


async def test_a_user_clears_only_their_own_threads(runner):
    async with (
        served(runner=runner, identify_user=by_header) as app,
        client_of(app, x_user="alice") as alice,
        client_of(app, x_user="bob") as bob,
    ):
        await run(alice, "ta")
        await run(bob, "tb")
        assert (await bob.post("/threads/clear")).status_code == 204
        assert (await listed(alice), await listed(bob)) == (["ta"], [])


async def test_there_is_nothing_to_subscribe_to():
    async with served() as app, client_of(app) as client:
        answer = await client.post("/threads/subscribe", content=b"{")
        assert (answer.status_code, answer.json()) == (
            422,
            {"error": "Realtime is not enabled on this runtime"},
        )


class Threadless(AgentRunner):
    """A runner of somebody else's that keeps no threads."""

    async def run(self, request):
        raise NotImplementedError

    async def connect(self, request):
        raise NotImplementedError

    async def is_running(self, request):
        return False

    async def stop(self, request):
        return None


async def test_a_runner_without_threads_says_so_on_every_thread_route_and_in_info():
    async with served(runner=Threadless()) as app, client_of(app) as client:
        for method, path in (
            ("GET", ""),
            ("POST", "/clear"),
            ("POST", "/subscribe"),
            ("PATCH", "/t"),
            ("DELETE", "/t"),
            ("POST", "/t/archive"),
            ("GET", "/t/messages"),
            ("GET", "/t/events"),
            ("GET", "/t/state"),
            ("GET", "/t/runs"),
            ("GET", "/t/messages?at=r"),
            ("GET", "/t/state?at="),
        ):
            answer = await client.request(method, f"/threads{path}")
            assert (answer.status_code, answer.json()) == (
                422,
                {"error": "This runner does not support threads"},
            )
        flags = (await client.get("/info")).json()["threadEndpoints"]
        assert flags == dict.fromkeys(("list", "inspect", "mutations", "realtimeMetadata"), False)


async def test_no_answer_claims_a_licence(runner):
    async with served(runner=runner) as app, client_of(app) as client:
        await run(client)
        for path in ("/info", "/threads", "/threads/t/messages", "/threads/t/events", "/threads/t/state"):
            text = (await client.get(path)).text
            assert "licenseStatus" not in text
            assert "runtimeEntitlements" not in text


async def test_a_store_that_is_away_is_a_500_with_the_routes_own_title(monkeypatch):
    runner = InMemoryAgentRunner()

    async def away(*_, **__):
        raise StoreUnavailable("database password is hunter2")

    async with served(runner=runner, allow_clear_threads=True) as app, client_of(app) as client:
        await run(client)
        for verb in ("list", "update", "delete", "clear", "get"):
            monkeypatch.setattr(runner.store.threads, verb, away)
        monkeypatch.setattr(runner.store, "history", away)
        for method, path, title in (
            ("GET", "", "Failed to list threads"),
            ("PATCH", "/t", "Failed to update thread"),
            ("DELETE", "/t", "Failed to delete thread"),
            ("POST", "/clear", "Failed to clear threads"),
            ("POST", "/t/archive", "Failed to archive thread"),
            ("GET", "/t/messages", "Failed to fetch thread messages"),
            ("GET", "/t/events", "Failed to fetch thread events"),
            ("GET", "/t/state", "Failed to fetch thread state"),
        ):
            answer = await client.request(method, f"/threads{path}")
            assert (answer.status_code, answer.json()["error"]) == (500, title)
            assert "hunter2" not in answer.text


REFERENCE = ROOT / "docs" / "reference" / "threads.md"
REQUESTS = table(REFERENCE, "request", "answer")


def test_the_record_of_the_reference_has_all_fields_in_order():
    record = json.loads(code(REFERENCE, "json")[0])
    assert list(record) == KEYS
    assert all(TIME.fullmatch(record[key]) for key in KEYS[6:])
    (fields,) = [rows for rows in tables(REFERENCE) if "createdById" in str(rows[0:2])]
    assert {name for row in fields for name in quoted(row["field"])} < set(KEYS)


@pytest.mark.parametrize("row", REQUESTS, ids=[row["request"] for row in REQUESTS])
async def test_each_request_of_the_reference_answers_as_it_says(row):
    method, path = quoted(row["request"])[0].replace("<id>", "t").replace("<run>", "r").split(" R")
    # A parameter without a value is only named there.
    path = re.sub(r"\w+=(&|$)", "", path)
    change = {"name": "N", "archived": True} if method == "PATCH" else None
    async with served(dev=True) as app, client_of(app) as client:
        await run(client)
        answer = await client.request(method, path, json=change)
        if row["answer"].startswith("204"):
            assert (answer.status_code, answer.content) == (204, b"")
            return
        told = [re.findall(r'"(\w+)"', text) for text in quoted(row["answer"])]
        expected = told[0] if told else KEYS if change else ["messages"]
        assert (answer.status_code, list(answer.json())) == (200, expected)
