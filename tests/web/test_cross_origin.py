"""Other origins: what they may read, what browsers may send for them, and which hosts are answered."""

import re
from typing import Any

import pytest

from jumpseat import ConfigurationError, CopilotRuntime, CorsConfig, Hooks
from serving import hello, run_body, serve

SITE, STRANGER = "https://app.example.com", "https://evil.example.org"


def cors_headers(answer: Any) -> set[str]:
    return {name for name in answer.headers if name.startswith("access-control-") or name == "vary"}


async def everything(served: Any, headers: dict[str, str]) -> list[tuple[int, Any]]:
    """One answer of each status."""
    client, json_headers = served.client, headers | {"content-type": "application/json"}
    answers = [
        await client.get("/info", headers=headers),
        await client.get("/nowhere", headers=headers),
        await client.request("PUT", "/info", headers=headers),
        await served.run("t1", "r1", headers=headers),
        await client.post("/agent/default/run", content=b"{", headers=json_headers),
        await client.post("/agent/default/run", content=b"x" * 3000, headers=json_headers),
        await client.get("/fail", headers=headers),
    ]
    return [(answer.status, answer) for answer in answers]


def failing(context: Any) -> None:
    if context.path == "/fail":
        raise ValueError("no")


APP = {"max_body_bytes": 2000, "hooks": Hooks(on_request=failing)}
STATUSES = [200, 404, 405, 200, 400, 413, 500]


async def test_without_cors_no_answer_has_a_cors_header():
    async with serve(app=APP) as served:
        answers = await everything(served, {"origin": SITE})
        assert [status for status, _ in answers] == STATUSES
        assert all(cors_headers(answer) == set() for _, answer in answers)
        preflight = await served.client.request("OPTIONS", "/info", headers={"origin": SITE})
        assert preflight.status == 405
        assert (await served.client.request("OPTIONS", "/nowhere")).status == 404


async def test_open_cors_is_on_every_status_without_vary():
    async with serve(app=APP | {"cors": True}) as served:
        answers = await everything(served, {"origin": SITE})
        assert [status for status, _ in answers] == STATUSES
        for _, answer in answers:
            assert answer.headers["access-control-allow-origin"] == "*"
            assert cors_headers(answer) == {"access-control-allow-origin"}


async def is_ours(origin: str) -> bool:
    return origin == SITE


@pytest.mark.parametrize(
    "origins",
    [[SITE, "https://b.example.com"], re.compile(r"https://\w+\.example\.com"), is_ours, lambda o: o == SITE],
    ids=["list", "regex", "async callable", "sync callable"],
)
async def test_a_member_is_reflected_and_a_stranger_gets_nothing(origins: Any):
    config = CorsConfig(origins=origins, credentials=True, expose_headers=["X-Request-Id"])
    async with serve(app=APP | {"cors": config}) as served:
        for _, answer in await everything(served, {"origin": SITE}):
            assert answer.headers["access-control-allow-origin"] == SITE
            assert answer.headers["access-control-allow-credentials"] == "true"
            assert answer.headers["access-control-expose-headers"] == "X-Request-Id"
            assert answer.headers["vary"] == "Origin"
        for origin in ({"origin": STRANGER}, {"origin": SITE + ".evil.org"}, {"origin": "null"}, {}):
            for _, answer in await everything(served, origin):
                assert cors_headers(answer) == {"vary"}


async def test_one_origin_is_sent_as_it_is():
    async with serve(app={"cors": CorsConfig(origins=SITE)}) as served:
        answer = await served.client.get("/info", headers={"origin": STRANGER})
        assert answer.headers["access-control-allow-origin"] == SITE
        assert answer.headers["vary"] == "Origin"


async def test_null_matches_only_where_it_is_listed():
    async with serve(app={"cors": CorsConfig(origins=["null"])}) as served:
        assert (await served.client.get("/info", headers={"origin": "null"})).headers[
            "access-control-allow-origin"
        ] == "null"


@pytest.mark.parametrize("origins", ["*", [], ["*"], [SITE, "*"], ""])
def test_credentials_need_explicit_origins(origins: Any):
    with pytest.raises(ConfigurationError, match="credentials=True needs explicit origins"):
        CopilotRuntime(agents={"default": hello}).app(cors=CorsConfig(origins=origins, credentials=True))


@pytest.mark.parametrize(
    "cors", ["*", 1, CorsConfig(origins=5), CorsConfig(origins=[5]), CorsConfig(max_age=-1)]
)
def test_a_cors_option_that_cannot_work_is_refused(cors: Any):
    with pytest.raises(ConfigurationError, match="cors"):
        CopilotRuntime(agents={"default": hello}).app(cors=cors)


@pytest.mark.parametrize(
    "origin", ["app.example.com", "https://a.example/", "https://a.example/app", "*.a.example"]
)
def test_what_no_browser_sends_as_an_origin_is_refused(origin: str):
    for origins in (origin, [SITE, origin]):
        with pytest.raises(ConfigurationError, match="is no origin: give scheme and host"):
            CopilotRuntime(agents={"default": hello}).app(cors=CorsConfig(origins=origins))


@pytest.mark.parametrize("path", ["/agent/default/run", "/nowhere", "/"])
async def test_a_preflight_gets_the_names_back_that_it_asked_for_before_any_hook(path: str):
    seen: list[Any] = []
    hooks = Hooks(on_request=seen.append, on_response=seen.append)
    async with serve(app={"cors": True, "hooks": hooks}, before_request_middleware=seen.append) as served:
        answer = await served.client.request(
            "OPTIONS",
            path,
            headers={"origin": SITE, "access-control-request-headers": "authorization,content-type"},
        )
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-headers"] == "authorization,content-type"
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD, PUT, POST, DELETE, PATCH, OPTIONS"
    assert answer.headers["vary"] == "Access-Control-Request-Headers, Access-Control-Request-Method"
    assert "content-type" not in answer.headers
    assert "x-request-id" in answer.headers
    assert seen == []


async def test_a_preflight_shows_what_was_configured():
    config = CorsConfig(origins=[SITE], methods=["GET"], headers=["X-A", "X-B"], max_age=60)
    async with serve(app={"cors": config}) as served:
        answer = await served.client.request("OPTIONS", "/info", headers={"origin": SITE})
        assert answer.headers["access-control-allow-methods"] == "GET"
        assert answer.headers["access-control-allow-headers"] == "X-A, X-B"
        assert answer.headers["access-control-max-age"] == "60"
        assert answer.headers["vary"].startswith("Origin, ")
        refused = await served.client.request("OPTIONS", "/info", headers={"origin": STRANGER})
        assert refused.status == 204
        assert "access-control-allow-origin" not in refused.headers
        bare = await served.client.request("OPTIONS", "/info")
        assert bare.headers["access-control-allow-headers"] == "X-A, X-B"


async def test_a_preflight_that_asks_for_no_header_gets_any():
    async with serve(app={"cors": True}) as served:
        answer = await served.client.request("OPTIONS", "/info", headers={"origin": SITE})
        assert answer.headers["access-control-allow-headers"] == "*"


GUARDED = ["/agent/default/run", "/threads/clear", "/agent/default/stop/t1", "/threads/t1/archive"]
REFUSAL = {"error": "Cross-site request refused", "message": "Send the body as application/json"}


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize(
    "kind",
    [
        None,
        "text/plain",
        "Text/Plain;charset=utf-8",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ],
)
@pytest.mark.parametrize(
    "origin",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": "https://other.example.com"},
        {"origin": STRANGER},
        {"origin": "null"},
        {"origin": "http://testserver:8080"},
    ],
)
async def test_a_post_that_another_site_can_make_a_browser_send_is_refused(
    path: str, kind: str | None, origin: dict[str, str]
):
    async with serve() as served:
        headers = origin | ({"content-type": kind} if kind else {})
        answer = await served.client.post(path, content=b"", headers=headers)
        assert (answer.status, answer.json()) == (403, REFUSAL)


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/json", "sec-fetch-site": "cross-site", "origin": STRANGER},
        {"content-type": "text/plain"},
        {"content-type": "text/plain", "sec-fetch-site": "same-origin"},
        {"content-type": "text/plain", "sec-fetch-site": "none"},
        {"content-type": "text/plain", "origin": "http://testserver"},
        {"content-type": "text/plain", "origin": "http://testserver:80"},
        {"content-type": "text/plain", "origin": "http://TESTSERVER"},
    ],
)
async def test_what_is_no_cross_site_form_passes(headers: dict[str, str]):
    async with serve() as served:
        import json

        content = json.dumps(run_body()).encode()
        assert (
            await served.client.post("/agent/default/run", content=content, headers=headers)
        ).status == 200


async def test_an_origin_that_cors_allows_passes_the_guard():
    headers = {"content-type": "text/plain", "sec-fetch-site": "cross-site", "origin": SITE}
    async with serve(app={"cors": CorsConfig(origins=[SITE])}) as served:
        assert (await served.client.post("/threads/clear", headers=headers)).status == 204
        stranger = headers | {"origin": STRANGER}
        assert (await served.client.post("/threads/clear", headers=stranger)).status == 403


async def test_transcribe_is_not_guarded():
    headers = {"content-type": "multipart/form-data; boundary=x", "sec-fetch-site": "cross-site"}
    async with serve() as served:
        assert (await served.client.post("/transcribe", headers=headers)).status == 503


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "a.example.com", "b.a.example.com:1", "[::1]:8000"]
)
async def test_an_allowed_host_is_answered(host: str):
    async with serve(app={"allowed_hosts": ["localhost", "*.example.com", "::1"]}) as served:
        assert (await served.client.get("/info", headers={"host": host})).status == 200


@pytest.mark.parametrize(
    "host", ["evil.com", "example.com", "xexample.com", "localhost.evil.com", "", "[::2]"]
)
async def test_another_host_is_refused_before_anything_else(host: str):
    seen: list[Any] = []
    app = {"allowed_hosts": ["localhost", "*.example.com", "::1"], "hooks": Hooks(on_request=seen.append)}
    async with serve(app=app) as served:
        answer = await served.client.get("/info", headers={"host": host})
        assert (answer.status, answer.json()) == (400, {"error": "Invalid host"})
        assert seen == []


@pytest.mark.parametrize(
    "hosts",
    [
        "localhost",
        [""],
        ["a*b"],
        [5],
        5,
        ["http://x.com"],
        ["x.com:8000"],
        ["x.com/api"],
        ["*"],
        ["[::1]:80"],
    ],
)
def test_allowed_hosts_that_cannot_work_are_refused(hosts: Any):
    with pytest.raises(ConfigurationError, match="allowed_hosts"):
        CopilotRuntime(agents={"default": hello}).app(allowed_hosts=hosts)
