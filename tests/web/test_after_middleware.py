"""An after middleware that is a function: when it is called, with what, and that it changes nothing."""

import asyncio
import json
import time
from contextlib import asynccontextmanager

import pytest
from starlette.responses import PlainTextResponse

from jumpseat.errors import ConfigurationError
from jumpseat.runtime import CopilotRuntime
from jumpseat.web.hooks import Hooks
from web.live import client_of, connection

RUN = {"threadId": "t", "runId": "r", "messages": []}


@pytest.fixture(autouse=True)
async def deadline():
    async with asyncio.timeout(30):
        yield


async def talker(given, context):
    yield {"type": "TEXT_MESSAGE_CHUNK", "messageId": "m", "delta": "Hello"}


class Told:
    """Calls that arrived, as they arrive."""

    def __init__(self) -> None:
        self.calls: asyncio.Queue[tuple[tuple, dict]] = asyncio.Queue()

    def put(self, *args, **named) -> None:
        self.calls.put_nowait((args, named))

    async def next(self) -> tuple[tuple, dict]:
        async with asyncio.timeout(5):
            return await self.calls.get()


@asynccontextmanager
async def served(after, agent=talker, *, hooks=None, **options):
    runtime = CopilotRuntime(agents={"a": agent}, after_request_middleware=after, **options)
    try:
        yield runtime.app(hooks=hooks)
    finally:
        await runtime.aclose()


async def post_run(app):
    async with client_of(app) as client:
        return await client.post("/agent/a/run", json=RUN)


async def test_a_function_gets_everything_it_names():
    told = Told()

    async def after(*, response, path, runtime, request, messages, thread_id, run_id, aborted):
        told.put(**locals())

    async with served(after) as app:
        await post_run(app)
        _, named = await told.next()
    assert (named["path"], named["thread_id"], named["run_id"], named["aborted"]) == (
        "/agent/a/run",
        "t",
        "r",
        False,
    )
    assert named["messages"] == [{"id": "m", "role": "assistant", "content": "Hello"}]
    assert (named["response"].status_code, named["response"].body) == (200, b"")
    assert named["response"].headers["content-type"] == "text/event-stream"
    assert named["runtime"] is app.runtime
    assert json.loads(await named["request"].body()) == RUN


@pytest.mark.parametrize(
    "make",
    [
        lambda told: lambda answer, where: told.put(answer.status_code, where),
        lambda told: lambda answer: told.put(answer.status_code),
        lambda told: lambda response, **rest: told.put(response.status_code, rest["path"]),
        lambda told: lambda *, response: told.put(response.status_code),
    ],
)
async def test_every_form_of_function_is_called(make):
    told = Told()
    async with served(make(told)) as app:
        await post_run(app)
        args, _ = await told.next()
    assert args in ((200,), (200, "/agent/a/run"))


def test_a_function_that_wants_something_else_is_refused():
    with pytest.raises(ConfigurationError, match="after_request_middleware"):
        CopilotRuntime(agents={"a": talker}, after_request_middleware=lambda a, b, c: None)


async def test_a_json_answer_is_told_with_its_body_and_without_messages():
    told = Told()
    async with served(lambda *, response, messages: told.put(response, messages)) as app:
        async with client_of(app) as client:
            answer = await client.get("/info")
        (response, messages), _ = await told.next()
    assert (response.body, messages) == (answer.content, [])


async def test_only_what_a_handler_answered_is_told():
    told = Told()
    hooks = Hooks(
        on_before_handler=lambda context: _refusal() if context.request.url.query == "refuse" else None
    )

    def identify(request):
        return request.headers.get("x-user")

    def after(response, path):
        told.put(response, path)

    async with served(after, hooks=hooks, identify_user=identify) as app:
        async with client_of(app) as client:
            await client.get("/nowhere")
            await client.get("/threads")
            client.headers["x-user"] = "alice"
            await client.delete("/info")
            await client.get("/threads?refuse")
            await client.get("/threads?limit=0", headers={"x-user": "x" * 300})
            await client.patch("/threads/unknown")
        ((response, path), _) = await told.next()
        assert (response.status_code, path) == (404, "/threads/unknown")
        assert told.calls.empty()


def _refusal() -> PlainTextResponse:
    return PlainTextResponse("no", 403)


async def test_a_function_that_raises_or_takes_its_time_changes_nothing(caplog):
    entered, done = Told(), asyncio.Event()

    async def raising(response):
        entered.put()
        raise ValueError("no")

    async def slow(response):
        entered.put()
        await done.wait()

    for after in (raising, slow):
        async with served(after, shutdown_grace_seconds=0) as app:
            start = time.monotonic()
            answer = await post_run(app)
            assert answer.status_code == 200
            assert "RUN_FINISHED" in answer.text
            assert time.monotonic() - start < 5
            await entered.next()
            done.set()
    assert "after_request_middleware failed" in caplog.text


async def test_a_client_that_leaves_is_told_as_aborted():
    told = Told()

    async def endless(given, context):
        yield {"type": "TEXT_MESSAGE_CHUNK", "messageId": "m", "delta": "so far"}
        await asyncio.Event().wait()

    def after(*, aborted, messages, thread_id):
        told.put(aborted, messages, thread_id)

    async with served(after, endless, shutdown_grace_seconds=0) as app:
        body = json.dumps(RUN).encode()
        async with connection(app, "POST", "/agent/a/run", body=body) as stream:
            await stream.until(b"so far")
        (aborted, messages, thread_id), _ = await told.next()
    assert (aborted, thread_id) == (True, "t")
    assert messages == [{"id": "m", "role": "assistant", "content": "so far"}]
