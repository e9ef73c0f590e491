"""Which URLs and methods reach which route, however the application is mounted."""

import json

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from jumpseat import CopilotRuntime
from jumpseat.integrations import fastapi as fastapi_integration
from jumpseat.integrations import starlette as starlette_integration
from jumpseat.testing.client import AsgiClient
from serving import hello, run_body, serve

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
TABLE = [
    ("/info", "GET"),
    ("/agent/default/run", "POST"),
    ("/agent/default/connect", "GET, POST"),
    ("/agent/default/stop/t1", "POST"),
    ("/agent/default/suggest", "POST"),
    ("/transcribe", "POST"),
    ("/threads", "GET"),
    ("/threads/clear", "POST"),
    ("/threads/subscribe", "POST"),
    ("/threads/t1", "PATCH, DELETE"),
    ("/threads/t1/archive", "POST"),
    ("/threads/t1/messages", "GET"),
    ("/threads/t1/events", "GET"),
    ("/threads/t1/state", "GET"),
    ("/threads/t1/runs", "GET"),
    ("/cpk-debug-events", "GET"),
    ("/inspector-metadata", "GET"),
    ("/inspector-learning", "GET"),
    ("/annotate", "POST"),
]


@pytest.mark.parametrize(("path", "allow"), TABLE)
async def test_a_method_that_a_path_does_not_have_is_405_with_exactly_its_allow_header(path: str, allow: str):
    async with serve() as served:
        for method in METHODS:
            if method in allow.split(", "):
                continue
            answer = await served.client.request(method, path)
            assert (answer.status, answer.headers.get("allow")) == (405, allow), method
            assert answer.json() == {"error": "Method not allowed"}


@pytest.mark.parametrize(("path", "allow"), TABLE)
async def test_the_methods_of_a_path_reach_its_handler(path: str, allow: str):
    async with serve() as served:
        for method in allow.split(", "):
            async with served.client.stream(method, path) as answer:
                assert answer.status not in (405, 500)
                if answer.status == 404:
                    # What the handlers say of a thread that does not exist, or of learning.
                    assert path in ("/threads/t1", "/threads/t1/archive", "/inspector-learning")


@pytest.mark.parametrize(
    "path",
    [
        "/x/y/info",
        "/agent/a/run/extra",
        "/INFO",
        "/agent//run",
        "/",
        "",
        "/memories",
        "/memories/x",
        "/agent",
    ],
)
async def test_a_path_must_match_with_all_its_segments(path: str):
    async with serve() as served:
        for method in ("GET", "POST", "OPTIONS"):
            answer = await served.client.request(method, path)
            assert (answer.status, answer.json()) == (404, {"error": "Not found"})


@pytest.mark.parametrize("path", ["//info", "/info/", "/info//", "/inf%6F"])
async def test_doubled_and_trailing_slashes_and_escapes_do_not_matter(path: str):
    async with serve() as served:
        assert (await served.client.get(path)).status == 200


async def test_a_base_path_is_a_prefix_of_whole_segments():
    async with serve(app={"base_path": "/api/"}) as served:
        assert (await served.client.get("/api/info")).status == 200
        for path in ("/apix/info", "/info", "/API/info", "/api/x/info"):
            assert (await served.client.get(path)).status == 404, path


async def test_an_encoded_slash_belongs_to_the_id():
    async with serve() as served:
        await served.run("a/b")
        found = await served.client.get("/threads/a%2Fb/messages")
        assert [message["role"] for message in found.json()["messages"]] == ["user", "assistant"]
        stopped = await served.client.post("/agent/default/stop/a%2Fb")
        assert stopped.json()["message"] == "No active run for thread 'a/b'."


@pytest.mark.parametrize("bad", ["%ZZ", "%", "%FF", "%00", "%1f", "%7F"])
async def test_what_no_id_can_be_is_404(bad: str):
    async with serve() as served:
        assert (await served.client.get(f"/threads/{bad}/messages")).status == 404
        assert (await served.client.post(f"/agent/default/stop/{bad}")).status == 404


async def test_a_blank_is_an_id():
    async with serve() as served:
        assert (await served.client.get("/threads/%20/messages")).status == 200


async def test_without_a_raw_path_an_id_with_a_slash_is_not_found_but_others_are():
    async with serve(client={"raw_path": False}) as served:
        assert (await served.client.get("/threads/a%2Fb/messages")).status == 404
        assert (await served.client.get("/threads/a%20b/messages")).status == 200


def _mounted(how: str, runtime: CopilotRuntime) -> AsgiClient:
    prefix = "/api/copilot"
    match how:
        case "starlette mount":
            return AsgiClient(Starlette(routes=[Mount(prefix, app=runtime.app())]))
        case "starlette mount, base path too":
            return AsgiClient(Starlette(routes=[Mount(prefix, app=runtime.app(base_path=prefix))]))
        case "fastapi mount":
            app = FastAPI()
            app.mount(prefix, runtime.app())
            return AsgiClient(app)
        case "fastapi integration":
            app = FastAPI(lifespan=fastapi_integration.runtime_lifespan(runtime))
            fastapi_integration.mount(app, prefix, runtime)
            return AsgiClient(app)
        case "starlette integration":
            app = Starlette()
            starlette_integration.mount(app, prefix, runtime, base_path=prefix)
            return AsgiClient(app)
        case "base path":
            return AsgiClient(runtime.app(base_path=prefix))
        case "root path of the server":
            return AsgiClient(runtime.app(), root_path=prefix)
        case "root path and base path":
            return AsgiClient(runtime.app(base_path=prefix), root_path=prefix)
        case _:
            raise AssertionError(how)


@pytest.mark.parametrize("with_lifespan", [True, False])
@pytest.mark.parametrize(
    "how",
    [
        "starlette mount",
        "starlette mount, base path too",
        "fastapi mount",
        "fastapi integration",
        "starlette integration",
        "base path",
        "root path of the server",
        "root path and base path",
    ],
)
async def test_the_same_routes_work_however_the_application_is_mounted(how: str, with_lifespan: bool):
    runtime = CopilotRuntime(agents={"default": hello}, dev=True)
    client = _mounted(how, runtime)

    async def check() -> None:
        assert (await client.get("/api/copilot/info")).status == 200
        ran = await client.post("/api/copilot/agent/default/run", json=run_body("a/b"))
        assert ran.events[-1]["type"] == "RUN_FINISHED"
        listed = await client.get("/api/copilot/threads/a%2Fb/messages")
        assert len(listed.json()["messages"]) == 2
        assert (await client.get("/api/copilotx/info")).status == 404

    if with_lifespan:
        async with client.lifespan():
            await check()
    else:
        await check()
    await runtime.aclose()


@pytest.mark.parametrize("stripped", ["/info", "/agent/default/connect"])
async def test_a_mount_that_strips_the_path_works_with_root_path_and_base_path(stripped: str):
    for root, base in (("", ""), ("/api", ""), ("/api", "/api")):
        runtime = CopilotRuntime(agents={"default": hello}, dev=True)
        client = AsgiClient(runtime.app(base_path=base), root_path=root)
        answer = await client.get(f"{stripped}?threadId=none")
        assert answer.status in (200, 204), (root, base)
        await runtime.aclose()


@pytest.mark.parametrize("path", ["/api", "/api/"])
@pytest.mark.parametrize("framework", ["fastapi", "starlette"])
async def test_an_integration_answers_the_bare_mount_path_without_a_redirect(framework: str, path: str):
    runtime = CopilotRuntime(agents={"default": hello}, dev=True)
    app = FastAPI() if framework == "fastapi" else Starlette()
    integration = fastapi_integration if framework == "fastapi" else starlette_integration
    integration.mount(app, "/api", runtime, mode="single-route")
    answer = await AsgiClient(app).post(path, json={"method": "info"})
    assert answer.status == 200
    await runtime.aclose()


ENVELOPES = [
    "info", "agent/run", "agent/connect", "agent/stop", "agent/suggest", "transcribe", "resource/request",
    "inspector/metadata", "inspector/learning",
]  # fmt: skip


@pytest.mark.parametrize("method", ENVELOPES)
async def test_a_single_route_envelope_is_told_that_it_reached_many_routes(method: str):
    async with serve() as served:
        answer = await served.client.post("/", json={"method": method})
        assert answer.status == 404
        assert list(answer.json()) == ["error", "code", "message"]
        assert answer.json()["code"] == "single_route_envelope_against_multi_route_runtime"
        assert "useSingleEndpoint" in answer.json()["message"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (json.dumps({"method": "info"}), "text/plain"),
        (json.dumps({"method": "nonsense"}), "application/json"),
        (json.dumps(["info"]), "application/json"),
        ("{", "application/json"),
        ("", "application/json"),
    ],
)
async def test_what_is_no_envelope_is_plainly_not_found(body: str, kind: str):
    async with serve() as served:
        answer = await served.client.post("/", content=body.encode(), headers={"content-type": kind})
        assert (answer.status, answer.json()) == (404, {"error": "Not found"})


async def test_an_oversized_body_on_an_unknown_path_is_plainly_not_found():
    async with serve(app={"max_body_bytes": 10}) as served:
        answer = await served.client.post("/", json={"method": "info", "more": "x" * 100})
        assert (answer.status, answer.json()) == (404, {"error": "Not found"})
