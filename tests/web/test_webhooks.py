"""Middleware as webhooks, through the whole application: what they see, decide, change and are told."""

import asyncio
import json
import time
from contextlib import asynccontextmanager

import pytest

from jumpseat.errors import ConfigurationError
from jumpseat.runtime import CopilotRuntime
from jumpseat.web.hooks import Hooks
from jumpseat.web.webhooks import Webhook
from upstream import Exchange, upstream
from web.live import client_of, connection

RUN = {"threadId": "t", "runId": "r", "messages": [{"id": "u", "role": "user", "content": "Hi"}]}
UNAVAILABLE = {
    "error": "middleware_unavailable",
    "message": "The request check could not be completed",
    "retryable": True,
}


def answering(status: int = 204, body: object = None, **headers: str):
    async def script(exchange: Exchange) -> None:
        await exchange.answer(status, b"" if body is None else json.dumps(body).encode(), **headers)

    return script


async def echo(given, context):
    told = {"headers": dict(context.headers), "text": given.messages[-1].content}
    yield {"type": "CUSTOM", "name": "told", "value": told}
    yield {"type": "TEXT_MESSAGE_CHUNK", "messageId": "m", "delta": "Hello"}
    yield {"type": "TOOL_CALL_CHUNK", "toolCallId": "c", "toolCallName": "go", "parentMessageId": "m"}
    yield {"type": "TOOL_CALL_CHUNK", "toolCallId": "c", "delta": "{}"}
    yield {"type": "TOOL_CALL_RESULT", "messageId": "x", "toolCallId": "c", "content": "done"}


@asynccontextmanager
async def served(*, hooks: Hooks | None = None, cors: bool = False, agents=None, **options):
    runtime = CopilotRuntime(agents=agents or {"a": echo}, **options)
    try:
        yield runtime.app(base_path="/api", hooks=hooks, cors=cors)
    finally:
        await runtime.aclose()


async def post_run(app, **headers: str):
    async with client_of(app, **headers) as client:
        return await client.post("/api/agent/a/run?q=1", json=RUN)


def told(answer) -> dict:
    lines = (line[6:] for line in answer.text.splitlines() if line.startswith("data: "))
    return next(event["value"] for event in map(json.loads, lines) if event["type"] == "CUSTOM")


@pytest.mark.parametrize("as_string", [True, False])
async def test_a_receiver_that_has_no_objection_lets_the_request_through(as_string):
    async with upstream(answering()) as server:
        hook = server.url if as_string else Webhook(server.url)
        async with served(before_request_middleware=hook) as app:
            answer = await post_run(app, x_request_id="req-7", authorization="Bearer s", cookie="a=b")
    assert answer.status_code == 200
    (exchange,) = server.exchanges
    payload = exchange.json()
    assert (payload["stage"], payload["requestId"], payload["method"]) == ("before_request", "req-7", "POST")
    assert (payload["path"], payload["query"]) == ("/api/agent/a/run", "q=1")
    assert payload["url"] == "http://app.test/api/agent/a/run?q=1"
    assert payload["body"] == RUN
    assert not {"authorization", "cookie"} & set(payload["headers"])
    assert told(answer)["headers"] == {"authorization": "Bearer s"}


async def test_what_the_receiver_changes_is_what_everybody_later_sees():
    seen = {}

    def identify(request):
        seen["identify"] = request.headers.get("x-user")
        return request.headers.get("x-user")

    def agents(request):
        seen["agents"] = request.headers.get("x-user")
        return {"a": echo}

    changed = {**RUN, "messages": [{"id": "u", "role": "user", "content": "Changed"}]}
    change = {"headers": {"X-User": "alice", "x-secret": None}, "body": changed}
    async with (
        upstream(answering(200, change)) as server,
        served(before_request_middleware=server.url, identify_user=identify, agents=agents) as app,
    ):
        answer = await post_run(app, x_user="mallory", x_secret="s", x_keep="k")
    assert answer.status_code == 200
    assert told(answer) == {"headers": {"x-user": "alice", "x-keep": "k"}, "text": "Changed"}
    assert seen == {"identify": "alice", "agents": "alice"}


async def test_a_refusal_is_the_answer_and_nothing_later_runs():
    ran = []
    hooks = Hooks(
        on_request=lambda context: ran.append("on_request"),
        on_before_handler=lambda context: ran.append("on_before_handler"),
        on_response=lambda context: ran.append("on_response"),
    )
    async with (
        upstream(answering(403, {"error": "no"}, Content_Type="application/json")) as server,
        served(
            before_request_middleware=server.url,
            identify_user=lambda request: ran.append("identify"),
            hooks=hooks,
            cors=True,
        ) as app,
    ):
        answer = await post_run(app, origin="http://elsewhere.test")
    assert (answer.status_code, answer.json()) == (403, {"error": "no"})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["x-request-id"]
    assert ran == ["on_request"]


@pytest.mark.parametrize("path", ["/api/info", "/api/threads", "/api/nowhere"])
async def test_every_request_is_asked_about(path):
    async with (
        upstream(answering(401, {"error": "who"})) as server,
        served(before_request_middleware=server.url) as app,
        client_of(app) as client,
    ):
        assert (await client.get(path)).status_code == 401
        assert server.exchanges[0].json()["path"] == path
        assert server.exchanges[0].json()["body"] is None


async def test_a_receiver_that_fails_keeps_the_door_shut_or_open_as_configured():
    async with upstream(answering(500)) as server:
        for fail_open, status in ((False, 502), (True, 200)):
            hook = Webhook(server.url, fail_open=fail_open)
            async with served(before_request_middleware=hook, cors=True) as app:
                answer = await post_run(app, origin="http://elsewhere.test")
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == "*"
            if not fail_open:
                assert answer.json() == UNAVAILABLE


async def test_a_receiver_that_takes_three_seconds_is_504_after_the_two_that_it_has():
    async def late(exchange: Exchange) -> None:
        await asyncio.sleep(3)
        await exchange.answer(204)

    async def ask(url: str, **options) -> tuple[float, object]:
        async with served(before_request_middleware=Webhook(url, **options)) as app:
            begun = time.monotonic()
            answer = await post_run(app)
            return time.monotonic() - begun, answer

    async with upstream(late) as server:
        (refused, refusal), (passed, answer), (patient, allowed) = await asyncio.gather(
            ask(server.url), ask(server.url, fail_open=True), ask(server.url, timeout=6.0)
        )
    assert (refusal.status_code, refusal.json()) == (504, UNAVAILABLE)
    assert refused == pytest.approx(2.0, abs=0.7)
    assert (answer.status_code, told(answer)["text"]) == (200, "Hi")
    assert passed == pytest.approx(2.0, abs=0.7)
    assert (allowed.status_code, told(allowed)["text"]) == (200, "Hi")
    assert patient == pytest.approx(3.0, abs=0.7)


async def test_a_body_over_the_limit_is_413_before_the_receiver_is_asked():
    runtime = CopilotRuntime(agents={"a": echo}, before_request_middleware="http://127.0.0.1:9/")
    async with client_of(runtime.app(max_body_bytes=100)) as client:
        answer = await client.post("/agent/a/run", json={**RUN, "more": "x" * 200})
    await runtime.aclose()
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("option", ["before_request_middleware", "after_request_middleware"])
@pytest.mark.parametrize("url", ["ftp://x/", "https://u:p@x/", "https://x/#f", "not a url"])
def test_a_url_that_cannot_work_is_refused_when_the_runtime_is_made(option, url):
    with pytest.raises(ConfigurationError, match=r"_request_middleware|Webhook"):
        CopilotRuntime(agents={"a": echo}, **{option: url})


async def told_after(script, ask, *, runtime_options=None, **options):
    """Run `ask` on an application and return what the after webhook was sent."""
    arrived = asyncio.Event()

    async def receiver(exchange: Exchange) -> None:
        arrived.set()
        await script(exchange)

    async with upstream(receiver) as server:
        hook = Webhook(server.url, **options)
        async with served(after_request_middleware=hook, **(runtime_options or {})) as app:
            answer = await ask(app)
            await arrived.wait()
        return answer, [exchange.json() for exchange in server.exchanges], server.exchanges


async def test_the_receiver_is_told_of_a_run_with_its_messages():
    answer, (payload,), (exchange,) = await told_after(answering(), post_run, secret="s")
    assert payload == {
        "stage": "after_request",
        "requestId": answer.headers["x-request-id"],
        "method": "POST",
        "path": "/api/agent/a/run",
        "status": 200,
        "headers": payload["headers"],
        "body": "",
        "threadId": "t",
        "runId": "r",
        "messages": [
            {
                "id": "m",
                "role": "assistant",
                "content": "Hello",
                "toolCalls": [{"id": "c", "name": "go", "args": "{}"}],
            },
            {"id": "x", "role": "tool", "content": "done", "toolCallId": "c"},
        ],
        "aborted": False,
    }
    assert payload["headers"]["content-type"] == "text/event-stream"
    assert exchange.values("x-jumpseat-stage") == ["after_request"]
    assert exchange.values("x-jumpseat-signature")


async def test_the_receiver_is_told_of_a_json_answer_with_its_body():
    async def ask(app):
        async with client_of(app) as client:
            return await client.get("/api/info")

    answer, (payload,), _ = await told_after(answering(), ask)
    assert json.loads(payload["body"]) == answer.json()
    assert (payload["messages"], payload["threadId"], payload["runId"]) == ([], None, None)


async def test_the_receiver_is_told_of_a_handlers_own_errors_but_not_of_the_routers():
    async def ask(app):
        async with client_of(app) as client:
            await client.get("/api/nowhere")
            await client.get("/api/agent/a/run")
            return await client.post("/api/agent/nobody/run", json=RUN)

    _, payloads, _ = await told_after(answering(), ask)
    assert [(payload["path"], payload["status"]) for payload in payloads] == [("/api/agent/nobody/run", 404)]


async def test_a_client_that_leaves_is_told_as_aborted_with_what_it_had():
    forever = asyncio.Event()

    async def endless(given, context):
        yield {"type": "TEXT_MESSAGE_CHUNK", "messageId": "m", "delta": "so far"}
        await forever.wait()

    async def ask(app):
        body = json.dumps(RUN).encode()
        async with connection(app, "POST", "/api/agent/a/run", body=body) as stream:
            await stream.until(b"so far")
            stream.leave()

    options = {"agents": {"a": endless}, "shutdown_grace_seconds": 0}
    _, (payload,), _ = await told_after(answering(), ask, runtime_options=options)
    assert (payload["aborted"], payload["threadId"], payload["runId"]) == (True, "t", "r")
    assert payload["messages"] == [{"id": "m", "role": "assistant", "content": "so far"}]


async def slow(exchange: Exchange) -> None:
    await exchange.wait_closed()


@pytest.mark.parametrize("script", [answering(500), answering(302), slow])
async def test_a_receiver_that_fails_afterwards_changes_nothing(script):
    answer, payloads, _ = await told_after(script, post_run, timeout=2.0)
    assert answer.status_code == 200
    assert "RUN_FINISHED" in answer.text
    assert len(payloads) == 1


async def test_a_body_that_the_receiver_saw_is_still_there_for_hooks_and_handler():
    bodies = []

    async def remember(context):
        bodies.append(await context.request.json())

    async with (
        upstream(answering(200, {"headers": {"x-a": "1"}})) as server,
        served(before_request_middleware=server.url, hooks=Hooks(on_before_handler=remember)) as app,
    ):
        answer = await post_run(app)
    assert told(answer)["text"] == "Hi"
    assert bodies == [RUN]
