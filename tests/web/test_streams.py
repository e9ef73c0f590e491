"""Event streams on the wire: frames, cursors, keep-alives, and readers that leave or stall."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from jumpseat import AgentRunner, InMemoryAgentRunner
from jumpseat.protocol.events import Custom
from jumpseat.runners.base import NumberedPage, Page
from jumpseat.testing.scripted import ScriptedAgent
from long_watches import watches
from serving import own_tasks, run_body, said, serve, until

CURSOR = re.compile(r"[A-Za-z0-9._~:-]{1,200}")
AWKWARD = 'line\nbreak\r\n\u2028\u2029\u0085 "quoted" \\ é 😀 data: x\n\nid: 5\n\n'


async def test_every_frame_has_one_data_line_and_a_cursor_of_its_own(runner: AgentRunner):
    async with serve({"default": ScriptedAgent(*said(AWKWARD))}, runner=runner) as served:
        answer = await served.run(text=AWKWARD)
    assert b"\r" not in answer.body
    assert answer.body.startswith(b": connected\n\n")
    assert answer.body.endswith(b"\n\n")
    pieces = answer.body.decode().split("\n\n")[1:-1]
    ids: list[str] = []
    for piece in pieces:
        first, second = piece.split("\n")
        assert first.startswith("id: ")
        assert second.startswith("data: {")
        ids.append(first.removeprefix("id: "))
    assert all(CURSOR.fullmatch(cursor) for cursor in ids)
    assert len(set(ids)) == len(ids) == 5
    deltas = [event["delta"] for event in answer.events if event["type"] == "TEXT_MESSAGE_CONTENT"]
    assert deltas == [AWKWARD]


async def test_in_a_history_only_the_last_event_has_a_cursor(runner: AgentRunner):
    async with serve(runner=runner) as served:
        last = (await served.run()).frames[-1].id
        frames = (await served.connect()).frames
    assert [frame.id for frame in frames[1:-1]] == [None] * (len(frames) - 2)
    assert frames[-1].id == last


def custom_runner(items: list[Any], closed: list[bool] | None = None) -> AgentRunner:
    class Stream:
        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> Any:
            if not items:
                raise StopAsyncIteration
            item = items.pop(0)
            if isinstance(item, asyncio.Event):
                await item.wait()
                return Page()
            if isinstance(item, BaseException):
                raise item
            return item

        async def aclose(self) -> None:
            if closed is not None:
                closed.append(True)

    class Custom(InMemoryAgentRunner):
        async def run(self, request: Any) -> Any:
            return Stream()

    return Custom()


def custom(name: str) -> bytes:
    return json.dumps({"type": "CUSTOM", "name": name, "value": 0}).encode()


async def test_a_custom_runner_may_yield_events_dicts_bytes_and_pages():
    items = [
        b'{"type":"RUN_STARTED","threadId":"t1","runId":"r1"}',
        Custom(name="a", value=1),
        {"type": "CUSTOM", "name": "b", "value": 2},
        b'{\n  "type": "CUSTOM",\n  "name": "c",\n  "value": 3\n}',
        Page([("k:1", custom("d")), (None, custom("e"))]),
        Page(),
        NumberedPage("run", 7, [custom("f"), custom("g")]),
        NumberedPage("run", 9, [custom("h")]),
        {"type": "NO_SUCH_EVENT"},
        {"type": "RUN_FINISHED", "threadId": "t1", "runId": "r1"},
    ]  # fmt: skip
    closed: list[bool] = []
    async with serve(runner=custom_runner(items, closed)) as served:
        answer = await served.run()
    assert [event.get("name", event["type"]) for event in answer.events] == [
        "RUN_STARTED", "a", "b", "c", "d", "e", "f", "g", "h", "RUN_FINISHED",
    ]  # fmt: skip
    assert [frame.id for frame in answer.frames[1:]] == [
        None, None, None, None, "k:1", None, "run:7", "run:8", "run:9", None,
    ]  # fmt: skip
    assert closed == [True]


async def test_a_malformed_event_of_a_custom_runner_ends_the_stream_as_interrupted():
    async with serve(runner=custom_runner([{"type": "TEXT_MESSAGE_START"}, b"{}"])) as served:
        answer = await served.run()
    assert [event["code"] for event in answer.events] == ["STREAM_INTERRUPTED"]


async def test_an_idle_stream_is_kept_alive_and_a_busy_one_is_not():
    go = asyncio.Event()
    agent = ScriptedAgent(go, *said())
    async with (
        serve({"default": agent}, sse_keep_alive_interval_seconds=0.1) as served,
        served.running() as stream,
    ):
        await stream.until("RUN_STARTED")
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for beat in (1, 2, 3):
            frame = await stream.next_frame()
            assert frame is not None
            assert frame.comment == "keep-alive"
            assert loop.time() - begun == pytest.approx(beat * 0.1, abs=0.09)
        go.set()
        assert (await stream.rest())[-1]["type"] == "RUN_FINISHED"


@watches(Path(__file__).with_name("idle_streams.py"))
def test_by_default_a_stream_that_idles_for_forty_seconds_is_kept_alive_at_15_and_30(seen):
    names, times = zip(*seen["idle"], strict=True)
    assert names == ("connected", "keep-alive", "keep-alive")
    assert times[1:] == (pytest.approx(15, abs=2), pytest.approx(30, abs=2))
    assert [name for name, _ in seen["off"]] == ["connected"]
    assert [name for name, _ in seen["busy"]] == ["connected"]


async def test_a_chatty_stream_gets_no_keep_alive():
    async def chat(given: Any, context: Any) -> Any:
        for number in range(30):
            yield {"type": "CUSTOM", "name": str(number), "value": 0}
            await asyncio.sleep(0.01)

    async with serve({"default": chat}, sse_keep_alive_interval_seconds=0.2) as served:
        answer = await served.run()
    assert [frame.comment for frame in answer.frames if frame.comment] == ["connected"]


async def test_with_an_interval_of_zero_there_is_no_keep_alive():
    go = asyncio.Event()
    async with (
        serve({"default": ScriptedAgent(go)}, sse_keep_alive_interval_seconds=0) as served,
        served.running() as stream,
    ):
        await stream.until("RUN_STARTED")
        with pytest.raises(TimeoutError):
            await stream.next_frame(0.3)
        go.set()


async def test_a_reader_that_never_reads_does_not_delay_another(runner: AgentRunner):
    big = [{"type": "CUSTOM", "name": str(number), "value": "x" * 1000} for number in range(2000)]
    go = asyncio.Event()
    async with (
        serve({"default": ScriptedAgent(go, *big)}, runner=runner) as served,
        served.running(buffer=2) as stalled,
        served.connected() as reader,
    ):
        await reader.until("RUN_STARTED")
        go.set()
        events = await reader.rest()
        assert events[-1]["type"] == "RUN_FINISHED"
        assert len(events) >= 2000
        caught_up = await stalled.rest()
        assert len(caught_up) == len(big) + 2


async def test_a_reader_that_leaves_leaves_no_task(runner: AgentRunner):
    go = asyncio.Event()
    async with (
        serve({"default": ScriptedAgent(go)}, runner=runner, sse_keep_alive_interval_seconds=1) as served,
        served.running() as stream,
    ):
        await stream.until("RUN_STARTED")
        before = own_tasks()
        async with served.connected() as reader:
            await reader.until("RUN_STARTED")
            await reader.disconnect()
        await until(lambda: own_tasks() <= before)
        go.set()


async def test_a_stream_whose_client_has_left_is_closed():
    closed: list[bool] = []
    async with serve(runner=custom_runner([asyncio.Event()], closed)) as served, served.running() as stream:
        await stream.disconnect()
        assert closed == [True]


async def test_a_server_that_fails_at_a_write_ends_the_stream_quietly():
    closed: list[bool] = []
    runner = custom_runner([b'{"type":"CUSTOM","name":"a","value":1}'] * 3, closed)
    async with serve(runner=runner) as served:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)
            if len(sent) == 3:
                raise OSError("broken pipe")

        body = [json.dumps(run_body()).encode()]

        async def receive() -> Any:
            if body:
                return {"type": "http.request", "body": body.pop(), "more_body": False}
            return await asyncio.Event().wait()

        scope = served.client._scope("POST", "/agent/default/run", [("content-type", "application/json")])
        await asyncio.wait_for(served.app(scope, receive, send), 5)
    assert closed == [True]
    assert len(sent) == 3


async def test_one_page_is_one_write():
    page = Page([(None, b'{"type":"CUSTOM","name":"a","value":1}')] * 5)
    async with serve(runner=custom_runner([page, page])) as served, served.running() as stream:
        await asyncio.wait_for(asyncio.wait([stream.task]), 5)
        bodies = [stream._messages.get_nowait() for _ in range(stream._messages.qsize())]
    assert [body["body"].count(b"data:") for body in bodies] == [0, 5, 5, 0]


async def test_a_server_that_reports_the_client_gone_with_the_last_byte_sees_a_clean_end(
    monkeypatch: pytest.MonkeyPatch,
):
    failures: list[dict[str, Any]] = []
    monkeypatch.setattr(asyncio.get_running_loop(), "call_exception_handler", failures.append)
    body = [json.dumps(run_body()).encode()]
    ended = asyncio.Event()

    async def receive() -> Any:
        if body:
            return {"type": "http.request", "body": body.pop(), "more_body": False}
        await ended.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body" and not message["more_body"]:
            ended.set()

    async with serve() as served:
        scope = served.client._scope("POST", "/agent/default/run", [("content-type", "application/json")])
        await asyncio.wait_for(served.app(scope, receive, send), 5)
        await asyncio.sleep(0)
    assert failures == []
