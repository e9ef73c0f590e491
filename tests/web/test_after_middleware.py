"""What is told after a response, and that nothing of it can hold up or change the response."""

import asyncio
import json
import logging
from typing import Any

import pytest

from jumpseat import CopilotRuntime, Hooks, Webhook
from jumpseat.testing.scripted import ScriptedAgent
from serving import said, serve, until
from upstream import Exchange, upstream

SCRIPT = [
    *said("Hello", "m1"),
    {
        "type": "TOOL_CALL_CHUNK", "toolCallId": "c1", "toolCallName": "search", "parentMessageId": "m1",
        "delta": '{"q":',
    },
    {"type": "TOOL_CALL_CHUNK", "delta": "1}"},
    {"type": "TOOL_CALL_RESULT", "messageId": "m2", "toolCallId": "c1", "content": "found"},
]  # fmt: skip
MESSAGES = [
    {
        "id": "m1", "role": "assistant", "content": "Hello",
        "toolCalls": [{"id": "c1", "name": "search", "args": '{"q":1}'}],
    },
    {"id": "m2", "role": "tool", "content": "found", "toolCallId": "c1"},
]  # fmt: skip


class GeneratorStop(BaseException):
    """Something that is no Exception."""


class Told:
    """An after middleware that remembers."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    async def __call__(self, **values: Any) -> None:
        self.calls.append(values)

    async def one(self) -> dict[str, Any]:
        await until(lambda: len(self.calls) == 1)
        return self.calls[0]


async def test_a_run_is_told_with_its_messages_tool_calls_and_ids():
    told = Told()
    async with serve({"default": ScriptedAgent(*SCRIPT)}, after_request_middleware=told) as served:
        await served.run()
        call = await told.one()
    assert set(call) == {
        "response", "path", "runtime", "request", "messages", "thread_id", "run_id", "aborted",
    }  # fmt: skip
    assert call["messages"] == MESSAGES
    assert (call["thread_id"], call["run_id"], call["aborted"]) == ("t1", "r1", False)
    assert (call["response"].status_code, call["response"].body) == (200, b"")
    assert call["response"].headers["content-type"] == "text/event-stream"
    assert call["path"] == "/agent/default/run"
    assert isinstance(call["runtime"], CopilotRuntime)


async def test_a_json_answer_is_told_whole_without_messages():
    told = Told()
    async with serve(after_request_middleware=told) as served:
        answer = await served.client.get("/info")
        call = await told.one()
    assert call["messages"] == []
    assert (call["thread_id"], call["run_id"]) == (None, None)
    assert call["response"].body == answer.body
    assert call["response"].headers["x-request-id"] == answer.headers["x-request-id"]


async def test_refusals_of_a_handler_are_told_others_are_not():
    told = Told()
    hooks = Hooks(on_request=lambda context: fail() if context.path == "/fail" else None)
    users = {"identify_user": lambda request: request.headers.get("x-user")}
    async with serve(after_request_middleware=told, app={"hooks": hooks}, **users) as served:
        await served.client.get("/nowhere")
        await served.client.get("/fail")
        await served.client.get("/threads")
        await served.client.request("PUT", "/info")
        answer = await served.run(agent="none", headers={"x-user": "alice"})
        assert answer.status == 404
        call = await told.one()
    assert call["response"].status_code == 404


def fail() -> None:
    raise ValueError("no")


async def test_a_client_that_leaves_is_told_as_aborted():
    told = Told()
    agent = ScriptedAgent(*said("partly"), asyncio.Event())
    async with serve({"default": agent}, after_request_middleware=told) as served:
        async with served.running() as stream:
            await stream.until("TEXT_MESSAGE_END")
            await stream.disconnect()
        call = await told.one()
    assert call["aborted"] is True
    assert call["messages"] == [{"id": "m1", "role": "assistant", "content": "partly"}]


@pytest.mark.parametrize("form", ["response and path", "response", "keywords", "sync"])
async def test_every_form_of_an_after_middleware_is_called(form: str):
    seen: list[Any] = []

    async def both(response: Any, path: str) -> None:
        seen.append((response.status_code, path))

    async def alone(answer: Any) -> None:
        seen.append((answer.status_code, "/info"))

    async def keywords(*, path: str, response: Any, aborted: bool) -> None:
        seen.append((response.status_code, path))

    def sync(response: Any, where: str) -> None:
        seen.append((response.status_code, where))

    forms = {"response and path": both, "response": alone, "keywords": keywords, "sync": sync}
    async with serve(after_request_middleware=forms[form]) as served:
        await served.client.get("/info")
        await until(lambda: seen == [(200, "/info")])


async def test_an_after_middleware_that_raises_or_sleeps_changes_nothing(caplog: pytest.LogCaptureFixture):
    async def raising(response: Any) -> None:
        raise RuntimeError("after")

    async with serve(after_request_middleware=raising) as served:
        assert (await served.run()).events[-1]["type"] == "RUN_FINISHED"
        await until(lambda: "after_request_middleware failed" in caplog.text)

    cancelled: list[bool] = []

    async def sleeping(response: Any) -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async with serve(after_request_middleware=sleeping) as served:
        async with asyncio.timeout(2):
            assert (await served.run()).events[-1]["type"] == "RUN_FINISHED"
            assert (await served.client.get("/info")).status == 200
    assert cancelled == [True, True]


async def test_at_most_a_thousand_calls_are_pending(caplog: pytest.LogCaptureFixture):
    go, told = asyncio.Event(), 0

    async def waiting(response: Any) -> None:
        nonlocal told
        await go.wait()
        told += 1

    caplog.set_level(logging.WARNING)
    async with serve(after_request_middleware=waiting) as served:
        for _ in range(1003):
            await served.client.get("/inspector-metadata")
        go.set()
        await until(lambda: told == 1000)
    assert caplog.text.count("this one is dropped") == 3


async def test_a_webhook_lets_pass_changes_or_refuses_a_request():
    answers: dict[str, tuple[int, bytes]] = {
        "/info": (204, b""),
        "/agent/default/run": (200, json.dumps({"headers": {"x-tenant": "acme", "x-gone": None}}).encode()),
        "/threads": (403, b'{"error":"not you"}'),
    }

    async def script(exchange: Exchange) -> None:
        status, body = answers[exchange.json()["path"]]
        await exchange.answer(status, body, Content_Type="application/json")

    agent = ScriptedAgent()
    async with (
        upstream(script) as receiver,
        serve({"default": agent}, before_request_middleware=receiver.url, app={"cors": True}) as served,
    ):
        assert (await served.client.get("/info")).status == 200
        assert (await served.run(headers={"x-gone": "1"})).status == 200
        refused = await served.client.get("/threads", headers={"x-request-id": "req-1"})
    assert (refused.status, refused.json()) == (403, {"error": "not you"})
    assert refused.headers["access-control-allow-origin"] == "*"
    assert refused.headers["x-request-id"] == "req-1"
    assert agent.contexts[0].headers == {"x-tenant": "acme"}
    assert [exchange.values("x-jumpseat-stage") for exchange in receiver.exchanges] == [
        ["before_request"]
    ] * 3
    assert receiver.exchanges[1].json()["body"]["threadId"] == "t1"


@pytest.mark.parametrize(("fail_open", "status"), [(False, 502), (True, 200)])
async def test_a_webhook_that_fails_refuses_unless_it_may_fail_open(fail_open: bool, status: int):
    async def script(exchange: Exchange) -> None:
        await exchange.answer(500)

    async with upstream(script) as receiver:
        webhook = Webhook(receiver.url, fail_open=fail_open)
        async with serve(before_request_middleware=webhook) as served:
            answer = await served.client.get("/info")
    assert answer.status == status
    if status == 502:
        assert answer.json() == {
            "error": "middleware_unavailable",
            "message": "The request check could not be completed",
            "retryable": True,
        }


async def test_a_webhook_is_told_after_a_run_and_its_failure_is_not_the_clients():
    async def script(exchange: Exchange) -> None:
        await exchange.answer(500)

    async with upstream(script) as receiver:
        agents = {"default": ScriptedAgent(*SCRIPT)}
        async with serve(agents, after_request_middleware=Webhook(receiver.url)) as served:
            assert (await served.run()).status == 200
            await until(lambda: len(receiver.exchanges) == 1)
    payload = receiver.exchanges[0].json()
    assert (payload["stage"], payload["threadId"], payload["runId"]) == ("after_request", "t1", "r1")
    assert (payload["messages"], payload["status"], payload["body"]) == (MESSAGES, 200, "")


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError(), GeneratorStop()])
@pytest.mark.parametrize("form", ["sync", "async"])
async def test_an_after_middleware_that_wants_to_end_the_process_ends_its_call(error, form, caplog):
    def leave(response: Any) -> None:
        raise error

    async def leave_async(response: Any) -> None:
        raise error

    told = leave if form == "sync" else leave_async
    with caplog.at_level(logging.ERROR, "jumpseat"):
        async with serve(after_request_middleware=told) as served:
            for number in range(2):
                answer = await served.run(run_id=f"r{number}")
                assert answer.events[-1]["type"] == "RUN_FINISHED"
            await until(lambda: caplog.text.count("after_request_middleware failed") == 2)
