"""The single-route envelope: every operation through one URL, and every way to get it wrong."""

import json
from typing import Any

import pytest

from serving import Served, run_body, serve

SINGLE = {"mode": "single-route", "base_path": "/api"}


async def call(served: Served, method: str, params: Any = None, body: Any = None, path: str = "/api") -> Any:
    envelope: dict[str, Any] = {"method": method}
    if params is not None:
        envelope["params"] = params
    if body is not None:
        envelope["body"] = body
    return await served.client.post(path, json=envelope)


async def resource(served: Served, path: Any, method: Any = "GET", body: Any = None) -> Any:
    return await call(served, "resource/request", {"path": path, "httpMethod": method}, body)


@pytest.mark.parametrize("path", ["/api", "/api/", "//api//"])
async def test_the_base_path_answers_with_and_without_a_slash(path: str):
    async with serve(app=SINGLE) as served:
        assert (await call(served, "info", path=path)).status == 200


@pytest.mark.parametrize("path", ["/api/x", "/apix", "/", "/api/info", "/api/agent/default/run"])
async def test_any_other_path_is_not_found(path: str):
    async with serve(app=SINGLE) as served:
        answer = await call(served, "info", path=path)
        assert (answer.status, answer.json()) == (404, {"error": "Not found"})


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"])
async def test_only_post_is_allowed(method: str):
    async with serve(app=SINGLE) as served:
        answer = await served.client.request(method, "/api")
        assert (answer.status, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("kind", ["application/json", "APPLICATION/JSON; charset=utf-8", "Application/Json"])
async def test_a_json_content_type_is_recognised_in_any_case_with_parameters(kind: str):
    async with serve(app=SINGLE) as served:
        content = b'\xef\xbb\xbf{"method":"info"}'
        answer = await served.client.post("/api", content=content, headers={"content-type": kind})
        assert answer.status == 200


@pytest.mark.parametrize("kind", [None, "text/plain", "application/jsonx", "multipart/form-data"])
async def test_another_content_type_is_415(kind: str | None):
    async with serve(app=SINGLE) as served:
        headers = {"content-type": kind} if kind else {}
        answer = await served.client.post("/api", content=b'{"method":"info"}', headers=headers)
        assert (answer.status, answer.json()) == (
            415,
            {"error": "invalid_request", "message": "Single-route endpoint expects JSON payloads"},
        )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "Invalid JSON payload"),
        ("{", "Invalid JSON payload"),
        ("NaN", "Invalid JSON payload"),
        ("[" * 100_000, "Invalid JSON payload"),
        ("null", "Missing method field"),
        ("[]", "Missing method field"),
        ('"info"', "Missing method field"),
        ("{}", "Missing method field"),
        ('{"method":""}', "Missing method field"),
        ('{"method":null}', "Missing method field"),
        ('{"method":"nonsense"}', "Unsupported method 'nonsense'"),
        ('{"method":["info"]}', "Unsupported method '[\"info\"]'"),
        ('{"method":"agent/run"}', "Missing or invalid parameter 'agentId'"),
        ('{"method":"agent/run","params":[]}', "Missing or invalid parameter 'agentId'"),
        ('{"method":"agent/run","params":{"agentId":" "}}', "Missing or invalid parameter 'agentId'"),
        ('{"method":"agent/run","params":{"agentId":5}}', "Missing or invalid parameter 'agentId'"),
        ('{"method":"agent/stop","params":{"agentId":"a"}}', "Missing or invalid parameter 'threadId'"),
        ('{"method":"resource/request","params":{}}', "Missing or invalid parameter 'path'"),
        ('{"method":"resource/request","params":{"path":"/x"}}', "Missing or invalid parameter 'httpMethod'"),
        (
            '{"method":"agent/run","params":{"agentId":"default"}}',
            "Missing request body for JSON handler",
        ),
        (
            '{"method":"agent/connect","params":{"agentId":"default"},"body":null}',
            "Missing request body for JSON handler",
        ),
        ('{"method":"transcribe"}', "Missing request body for JSON handler"),
    ],
)
async def test_a_bad_envelope_is_400_and_says_why(content: str, message: str):
    async with serve(app=SINGLE) as served:
        headers = {"content-type": "application/json"}
        answer = await served.client.post("/api", content=content.encode(), headers=headers)
        assert (answer.status, answer.json()) == (400, {"error": "invalid_request", "message": message})


async def test_every_operation_works_through_the_envelope():
    async with serve(app=SINGLE) as served:
        agent = {"agentId": "default"}
        ran = await call(served, "agent/run", agent, run_body("t1"))
        assert [event["type"] for event in ran.events][-1] == "RUN_FINISHED"
        connected = await call(served, "agent/connect", agent, run_body("t1", messages=[]))
        assert connected.events[-1]["type"] == "RUN_FINISHED"
        suggested = await call(served, "agent/suggest", agent, run_body("x"))
        assert suggested.events[-1]["type"] == "RUN_FINISHED"
        stopped = await call(served, "agent/stop", {**agent, "threadId": "t1"})
        assert stopped.json() == {"stopped": False, "message": "No active run for thread 't1'."}
        named = await call(served, "agent/stop", {**agent, "threadId": "t1"}, {"runId": ""})
        assert (named.status, named.json()) == (400, {"error": "Invalid runId"})
        assert (await call(served, "inspector/metadata")).status == 204
        assert (await call(served, "inspector/learning")).status == 404
        assert (await call(served, "transcribe", body={"audio": ""})).status == 503
        assert (await call(served, "agent/run", {"agentId": "other"}, run_body())).status == 404


async def test_a_text_body_is_json_already():
    async with serve(app=SINGLE) as served:
        ran = await call(served, "agent/run", {"agentId": "default"}, json.dumps(run_body("t1")))
        assert ran.events[-1]["type"] == "RUN_FINISHED"
        bad = await call(served, "agent/run", {"agentId": "default"}, "{")
        assert (bad.status, bad.json()["error"]) == (400, "Invalid request body")


async def test_parameters_are_neither_trimmed_nor_decoded():
    async with serve(app=SINGLE) as served:
        stopped = await call(served, "agent/stop", {"agentId": "default", "threadId": " a%2Fb "})
        assert stopped.json()["message"] == "No active run for thread ' a%2Fb '."


async def test_surrogates_in_an_enveloped_body_are_harmless():
    async with serve(app=SINGLE) as served:
        body = {
            "method": "agent/run",
            "params": {"agentId": "default"},
            "body": run_body("t1", text="\ud83d"),
        }
        content = json.dumps(body).encode()
        answer = await served.client.post(
            "/api", content=content, headers={"content-type": "application/json"}
        )
        assert answer.status == 200
        assert "\ufffd" in answer.text


async def test_info_hides_the_thread_urls_from_older_clients_and_tells_newer_ones():
    async with serve(app=SINGLE) as served:
        info = (await call(served, "info")).json()
        assert not any(info["threadEndpoints"].values())
        assert info["singleRoute"] == {
            "resourceOperations": True,
            "threadEndpoints": {"list": True, "inspect": True, "mutations": True, "realtimeMetadata": False},
        }
        assert list(info).index("singleRoute") == list(info).index("threadEndpoints") + 1


async def test_thread_operations_answer_byte_for_byte_as_their_urls():
    async with serve() as served:
        single = served.runtime.app(**SINGLE)
        twin = Served(served.runtime, single, type(served.client)(single))
        await served.run("a/b", text="name me")
        await served.run("c")
        reads = [
            "/threads",
            "/threads?limit=1&agentId=default",
            "/threads?limit=x",
            "/threads/a%2Fb/messages",
            "/threads/a%2Fb/events",
            "/threads/a%2Fb/state",
            "/threads/unknown/messages",
            "/threads/a%2Fb/runs?limit=1",
            "/threads/a%2Fb/runs?cursor=x",
            "/threads/a%2Fb/messages?at=r1",
            "/threads/a%2Fb/state?at=nobody",
            "/threads/a%2Fb/state?at=",
        ]
        for path in reads:
            by_url = await served.client.get(path)
            wrapped = await resource(twin, path)
            assert (wrapped.status, wrapped.body) == (by_url.status, by_url.body), path
        renamed = await resource(twin, "/threads/c", "patch", {"name": "new"})
        assert renamed.body == (await served.client.request("PATCH", "/threads/c", json={"name": "new"})).body
        archived = await resource(twin, "/threads/c/archive", "POST")
        assert archived.body == (await served.client.post("/threads/c/archive")).body
        deleted = await resource(twin, "/threads/c", "DELETE", {})
        assert deleted.json() == {"threadId": "c", "deleted": True}
        bad = await resource(twin, "/threads/a%2Fb", "PATCH", {"name": 5})
        assert bad.body == (await served.client.request("PATCH", "/threads/a%2Fb", json={"name": 5})).body
        cleared = await resource(twin, "/threads/clear", "POST")
        assert (cleared.status, cleared.body) == (204, b"")
        assert (await served.client.get("/threads")).json()["threads"] == []
        noted = await resource(twin, "/annotate", "POST", {})
        assert noted.status == 422


@pytest.mark.parametrize("path", ["threads", "//h/threads", "/\\h", "/threads#x", "/http://h/threads"])
async def test_a_resource_path_must_be_relative_to_the_runtime(path: str):
    async with serve(app=SINGLE) as served:
        answer = await resource(served, path)
        assert (answer.status, answer.json()["message"]) == (400, "Resource path must be Runtime-relative")


@pytest.mark.parametrize(
    "path",
    [
        "/info", "/agent/default/run", "/threads/../info", "/threads/%2e%2e/messages", "/foo/threads",
        "/threads/%ZZ/messages", "/cpk-debug-events", "/transcribe", "/",
    ],
)  # fmt: skip
async def test_only_thread_resources_can_be_requested(path: str):
    async with serve(app=SINGLE) as served:
        answer = await resource(served, path)
        assert (answer.status, answer.json()) == (404, {"error": "Not found"})


async def test_a_wrong_inner_method_is_405_with_allow():
    async with serve(app=SINGLE) as served:
        answer = await resource(served, "/threads/x", "POST")
        assert (answer.status, answer.headers["allow"]) == (405, "PATCH, DELETE")


async def test_a_query_may_hold_what_a_path_may_not():
    async with serve(app=SINGLE) as served:
        assert (await resource(served, "/threads?agentId=a://b#c\\")).status == 200
