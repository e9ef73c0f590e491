"""Webhooks: what they are sent, and what their answers do."""

import asyncio
import hashlib
import hmac
import json
import logging
from dataclasses import dataclass, field

import pytest
from starlette.requests import Request
from starlette.responses import Response

from jumpseat.errors import ConfigurationError
from jumpseat.http_clients import user_agent
from jumpseat.web.body import BodyTooLarge, ReplayableRequest, RequestBody
from jumpseat.web.webhooks import Webhook
from upstream import Exchange, upstream

LIMIT = 1000


def request(body: bytes = b'{"a": 1}', method: str = "POST", **headers: str) -> Request:
    named = {"content_type": "application/json", "host": "app.example", **headers}
    scope = {
        "type": "http",
        "method": method,
        "scheme": "http",
        "path": "/api/agent/x/run",
        "query_string": b"b=%20&b=2",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()],
    }
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    return ReplayableRequest(scope, RequestBody(receive, limit=LIMIT))


async def ask(script, given: Request | None = None, **options):
    """What `before` makes of this receiver, and what the receiver was sent."""
    async with upstream(script) as server:
        hook = Webhook(server.url, **options)
        try:
            result = await hook.before(
                given or request(), path="/api/agent/x/run", request_id="req-1", max_body_bytes=LIMIT
            )
        finally:
            await hook.aclose()
    return result, server.exchanges


def answering(status: int = 204, body: bytes = b"", **headers: str):
    async def script(exchange: Exchange) -> None:
        await exchange.answer(status, body, **headers)

    return script


def answering_json(value, status: int = 200):
    return answering(status, json.dumps(value).encode(), Content_Type="application/json")


def assert_unavailable(result, status: int) -> None:
    assert isinstance(result, Response)
    assert result.status_code == status
    assert json.loads(result.body) == {
        "error": "middleware_unavailable",
        "message": "The request check could not be completed",
        "retryable": True,
    }


async def test_the_receiver_is_sent_the_request_as_json():
    _, (exchange,) = await ask(answering(), request(x_tenant="acme"), headers={"X-Mine": "1"})
    assert (exchange.method, exchange.target) == ("POST", "/agent")
    assert exchange.json() == {
        "stage": "before_request",
        "requestId": "req-1",
        "method": "POST",
        "url": "http://app.example/api/agent/x/run?b=%20&b=2",
        "path": "/api/agent/x/run",
        "query": "b=%20&b=2",
        "headers": {"content-type": "application/json", "host": "app.example", "x-tenant": "acme"},
        "body": {"a": 1},
    }
    assert exchange.values("content-type") == ["application/json"]
    assert exchange.values("user-agent") == [user_agent()]
    assert exchange.values("x-request-id") == ["req-1"]
    assert exchange.values("x-jumpseat-stage") == ["before_request"]
    assert exchange.values("x-copilotkit-webhook-stage") == ["before_request"]
    assert exchange.values("x-jumpseat-signature") == []
    assert exchange.values("x-mine") == ["1"]


async def test_the_signature_proves_the_secret_and_the_body():
    _, (exchange,) = await ask(answering(), secret="s3cret")
    (signature,) = exchange.values("x-jumpseat-signature")
    stamp, digest = (part.partition("=")[2] for part in signature.split(","))
    expected = hmac.new(b"s3cret", stamp.encode() + b"." + exchange.body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(digest, expected)


async def test_credentials_stay_here_unless_they_are_asked_for():
    names = ("authorization", "cookie", "proxy_authorization", "x_api_key", "x_csrf_token", "my_secret")
    secret = dict.fromkeys(names, "v")
    _, (exchange,) = await ask(answering(), request(**secret))
    assert set(exchange.json()["headers"]) == {"content-type", "host"}
    _, (exchange,) = await ask(answering(), request(**secret), include_credentials=True)
    assert set(exchange.json()["headers"]) == {"content-type", "host", *(n.replace("_", "-") for n in secret)}


@pytest.mark.parametrize(
    ("body", "content_type", "seen"),
    [
        (b'{"a":1}', "application/json; charset=utf-8", {"a": 1}),
        (b"\xef\xbb\xbf[1]", "application/vnd.x+json", [1]),
        (b"{", "application/json", None),
        (b"", "application/json", None),
        (b'{"a":1}', "text/plain", None),
    ],
)
async def test_a_body_is_shown_when_it_is_json(body, content_type, seen):
    given = request(body, content_type=content_type)
    _, (exchange,) = await ask(answering(), given)
    assert exchange.json()["body"] == seen
    assert await given.body() == body


async def test_a_body_over_the_limit_is_refused_before_the_receiver_is_asked():
    async def script(exchange: Exchange) -> None:
        raise AssertionError("asked")

    with pytest.raises(BodyTooLarge):
        await ask(script, request(b"[" + b"1," * LIMIT + b"1]"))


@pytest.mark.parametrize("status", [200, 201, 204])
async def test_an_empty_success_goes_on_with_the_request_as_it_is(status):
    assert (await ask(answering(status)))[0] is None


async def test_headers_of_the_answer_are_merged_and_null_removes():
    script = answering_json({"headers": {"X-A": "1", "x-b": None, "x-new": "n"}, "ignored": [1]})
    result, _ = await ask(script, request(x_a="0", x_b="0", x_keep="k"))
    assert isinstance(result, Request)
    assert {k: v for k, v in result.headers.items() if k.startswith("x-")} == {
        "x-keep": "k",
        "x-a": "1",
        "x-new": "n",
    }
    assert await result.json() == {"a": 1}


async def test_headers_about_the_connection_cannot_be_changed():
    script = answering_json({"headers": {"Host": "evil", "content-length": "1", "Connection": None, "te": 5}})
    assert (await ask(script))[0] is None


@pytest.mark.parametrize("new", [{"b": 2}, [], None, "text", 0])
async def test_a_body_in_the_answer_becomes_the_json_body(new):
    result, _ = await ask(answering_json({"body": new}))
    assert await result.json() == new
    assert result.headers["content-length"] == str(len(await result.body()))


async def test_a_request_without_a_body_does_not_get_one():
    assert (await ask(answering_json({"body": {"b": 2}}), request(b"", method="GET")))[0] is None


async def test_a_refusal_reaches_the_client_with_few_of_its_headers():
    script = answering(
        429, b"slow down", Content_Type="text/plain", Retry_After="7", Set_Cookie="a=b", X_Internal="secret"
    )
    result, _ = await ask(script)
    assert (result.status_code, result.body) == (429, b"slow down")
    assert {name: value for name, value in result.headers.items() if name != "content-length"} == {
        "content-type": "text/plain",
        "retry-after": "7",
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
    }


async def test_a_refusal_without_a_type_is_json_and_may_ask_for_authentication():
    script = answering(401, b'{"error":"no"}', WWW_Authenticate='Bearer realm="x"')
    result, _ = await ask(script)
    assert (result.headers["content-type"], result.headers["www-authenticate"]) == (
        "application/json",
        'Bearer realm="x"',
    )


FAILURES = {
    "500": answering(500, b"secret trace"),
    "503": answering(503),
    "302": answering(302, b"", Location="http://127.0.0.1:9/"),
    "HTML": answering(200, b"<html></html>", Content_Type="text/html"),
    "a list": answering_json([1]),
    "CR in a value": answering_json({"headers": {"x-a": "1\r\nx-b: 2"}}),
    "a bad name": answering_json({"headers": {"x a": "1"}}),
    "a number as value": answering_json({"headers": {"x-a": 1}}),
    "headers no object": answering_json({"headers": [1]}),
    "too large": answering(200, b" " * (LIMIT + 1)),
    "too large refusal": answering(403, b" " * (LIMIT + 1)),
}


@pytest.mark.parametrize("script", FAILURES.values(), ids=FAILURES)
async def test_an_unusable_answer_closes_the_door_or_opens_it_as_configured(script, caplog):
    assert_unavailable((await ask(script))[0], 502)
    assert (await ask(script, fail_open=True))[0] is None
    assert "secret trace" not in caplog.text
    assert sum("req-1" in record.getMessage() for record in caplog.records) == 2


async def test_nobody_listening_is_502_and_passes_only_when_open():
    async with upstream(answering()) as server:
        pass
    for fail_open in (False, True):
        hook = Webhook(server.url, fail_open=fail_open)
        result = await hook.before(request(), path="/", request_id="r", max_body_bytes=LIMIT)
        await hook.aclose()
        if fail_open:
            assert result is None
        else:
            assert_unavailable(result, 502)


async def silent(exchange: Exchange) -> None:
    await exchange.wait_closed()


async def dripping(exchange: Exchange) -> None:
    await exchange.open_stream("application/json")
    while True:
        await exchange.chunk(b" ")
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("script", [silent, dripping])
async def test_a_slow_receiver_is_504_after_the_timeout_of_the_whole_exchange(script):
    assert_unavailable((await ask(script, timeout=0.2))[0], 504)
    assert (await ask(script, timeout=0.2, fail_open=True))[0] is None


async def test_a_refusal_refuses_also_when_failures_pass():
    result, _ = await ask(answering(403, b"no"), fail_open=True)
    assert result.status_code == 403


async def test_the_target_of_a_redirect_is_never_asked():
    async with upstream(answering()) as other:
        for status in (301, 302, 307, 308):
            assert_unavailable((await ask(answering(status, b"", Location=other.url)))[0], 502)
    assert other.exchanges == []


async def test_cookies_of_the_receiver_are_dropped():
    async with upstream(answering(204, b"", Set_Cookie="a=b; Path=/")) as server:
        hook = Webhook(server.url)
        for _ in range(2):
            await hook.before(request(), path="/", request_id="r", max_body_bytes=LIMIT)
        await hook.aclose()
    assert [exchange.values("cookie") for exchange in server.exchanges] == [[], []]


@dataclass
class Snapshot:
    status_code: int = 200
    headers: dict = field(default_factory=lambda: {"Content-Type": "application/json", "Set-Cookie": "a=b"})
    body: bytes = b'{"a":1}'


async def tell(script, response: Snapshot, **options):
    async with upstream(script) as server:
        hook = Webhook(server.url, **options)
        await hook.after(
            response,
            method="POST",
            path="/p",
            request_id="req-1",
            thread_id="t",
            run_id=None,
            messages=[{"id": "1"}],
            aborted=True,
        )
        await hook.aclose()
    return server.exchanges


async def test_the_receiver_is_told_of_a_response():
    (exchange,) = await tell(answering(), Snapshot(), secret="s")
    assert exchange.json() == {
        "stage": "after_request",
        "requestId": "req-1",
        "method": "POST",
        "path": "/p",
        "status": 200,
        "headers": {"content-type": "application/json"},
        "body": '{"a":1}',
        "threadId": "t",
        "runId": None,
        "messages": [{"id": "1"}],
        "aborted": True,
    }
    assert exchange.values("x-jumpseat-stage") == exchange.values("x-copilotkit-webhook-stage")
    assert exchange.values("x-jumpseat-stage") == ["after_request"]
    assert len(exchange.values("x-jumpseat-signature")) == 1


async def test_a_large_response_is_told_by_its_first_mebibyte():
    (exchange,) = await tell(answering(), Snapshot(body=b"x" * (2 << 20)))
    assert len(exchange.json()["body"]) == 1 << 20


@pytest.mark.parametrize("script", [answering(500), answering(302), answering(404), silent])
async def test_a_failure_after_the_response_is_only_logged(script, caplog):
    caplog.set_level(logging.WARNING, "jumpseat")
    await tell(script, Snapshot(), timeout=0.2)
    assert "failed (request req-1)" in caplog.text


@pytest.mark.parametrize(
    "options",
    [
        {"url": "ftp://x"},
        {"url": "x"},
        {"url": "https://u@x/"},
        {"url": "https://x/#a"},
        {"url": None},
        {"url": "https://x/", "timeout": 0},
        {"url": "https://x/", "timeout": True},
        {"url": "https://x/", "secret": ""},
        {"url": "https://x/", "headers": {"a": "\n"}},
    ],
)
def test_what_cannot_work_is_refused_at_construction(options):
    with pytest.raises(ConfigurationError, match="Webhook"):
        Webhook(**options)


def test_an_unencrypted_url_to_another_host_is_warned_of_once(caplog):
    for url in ("http://localhost:1/", "http://127.0.0.9/", "http://[::1]/", "https://hooks.example/"):
        Webhook(url)
    assert caplog.records == []
    Webhook("http://hooks.example/")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
