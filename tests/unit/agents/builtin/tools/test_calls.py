"""Running tools: on the loop or in a thread, streams of progress, limits, failures, ends."""

import asyncio
import contextvars
import datetime
import decimal
import json
import logging
import math
import sqlite3
import threading
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pydantic
import pytest

from jumpseat.agents.builtin.tools import ToolContext, ToolError, define_tool
from tool_calls import SECRET, Calls

WAIT = 10.0
caller: contextvars.ContextVar[str] = contextvars.ContextVar("caller", default="nobody")


class Model(pydantic.BaseModel):
    day: datetime.date


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("plain", '"plain"'),
        (None, "null"),
        (math.nan, "null"),
        (decimal.Decimal("1.5"), '"1.5"'),
        (datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), '"2026-01-02T00:00:00Z"'),
        (Model(day=datetime.date(2026, 1, 2)), '{"day":"2026-01-02"}'),
        ({"only": b"ab"}, '{"only":"YWI="}'),
        (object(), "[Unserializable tool result from give]"),
    ],
)
@pytest.mark.parametrize("in_thread", [False, True])
async def test_the_content_of_a_result(value: Any, content: str, in_thread: bool):
    async def asynchronous() -> Any:
        return value

    def synchronous() -> Any:
        return value

    tool = define_tool(name="give", execute=synchronous if in_thread else asynchronous)
    answer = await Calls().answer(tool)
    assert answer.content == content
    assert answer.error == ("unserializable" if content.startswith("[") else None)


async def test_a_sync_tool_runs_off_the_loop_and_sees_context_variables():
    loop_thread = threading.get_ident()
    ticked = threading.Event()

    @define_tool
    def block() -> Any:
        # Ends only because the loop goes on meanwhile.
        assert ticked.wait(WAIT)
        return [threading.get_ident() == loop_thread, caller.get()]

    caller.set("ada")
    call = asyncio.create_task(Calls().result(block))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.01, ticked.set)
    assert await call == [False, "ada"]


async def test_an_async_tool_runs_on_the_loop():
    loop_thread = threading.get_ident()

    @define_tool
    async def where() -> bool:
        return threading.get_ident() == loop_thread

    assert await Calls().result(where) is True


async def test_a_sync_function_may_return_what_is_to_be_awaited():
    async def later() -> str:
        await asyncio.sleep(0)
        return "done"

    def start() -> Any:
        return later()

    assert await Calls().result(define_tool(start)) == "done"


async def count_async() -> AsyncGenerator[Any]:
    for number in (1, 2, 3):
        yield {"n": number}


def count() -> Generator[Any]:
    yield {"n": 1}
    yield {"n": 2}
    yield {"n": 3}


def count_and_return() -> Generator[Any, Any, Any]:
    yield {"n": 1}
    yield {"n": 2}
    return {"n": 3}


@pytest.mark.parametrize("function", [count_async, count, count_and_return])
async def test_the_last_value_of_a_generator_is_the_result_and_the_others_are_progress(function: Any):
    calls = Calls()
    assert await calls.result(define_tool(name="count", execute=function)) == {"n": 3}
    assert calls.sent == [
        {
            "type": "ACTIVITY_SNAPSHOT",
            "messageId": "call-1-progress",
            "activityType": "tool-progress",
            "content": {"toolCallId": "call-1", "toolName": "count", "value": {"n": number}},
            "replace": True,
        }
        for number in (1, 2)
    ]


async def nothing_async() -> AsyncGenerator[Any]:
    for nothing in ():
        yield nothing


def nothing() -> Generator[Any]:
    yield from ()


@pytest.mark.parametrize("function", [nothing_async, nothing])
async def test_a_generator_without_values_returns_null(function: Any):
    calls = Calls()
    assert await calls.result(define_tool(name="x", execute=function)) is None
    assert calls.sent == []


async def test_a_preliminary_result_without_json_form_is_named():
    @define_tool
    async def odd() -> AsyncGenerator[Any]:
        yield object()
        yield 1

    calls = Calls()
    assert await calls.result(odd) == 1
    assert calls.sent[0]["content"]["value"] == "[Unserializable tool result from odd]"


async def test_a_sync_generator_keeps_its_thread():
    @define_tool
    def rows() -> Generator[Any]:
        connection = sqlite3.connect(":memory:", check_same_thread=True)
        try:
            for number in range(3):
                yield connection.execute("SELECT ?", (number,)).fetchone()[0]
        finally:
            connection.close()

    assert await Calls().result(rows) == 2


@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_generator_waits_while_the_client_is_slow(in_thread: bool):
    made: list[int] = []
    gate = asyncio.Semaphore(0)
    emitted = asyncio.Event()

    async def emit(_event: Any) -> None:
        emitted.set()
        await gate.acquire()

    def numbers() -> Generator[int]:
        for number in range(100):
            made.append(number)
            yield number

    async def numbers_async() -> AsyncGenerator[int]:
        for number in range(100):
            made.append(number)
            yield number

    tool = define_tool(name="x", execute=numbers if in_thread else numbers_async)
    call = asyncio.create_task(Calls().result(tool, emit=emit))
    await emitted.wait()
    await asyncio.sleep(0.02)
    assert made == [0, 1]
    for _ in range(99):
        gate.release()
    assert await call == 99


async def test_cancelling_closes_an_async_generator():
    ended = asyncio.Event()
    started = asyncio.Event()

    @define_tool
    async def forever() -> AsyncGenerator[int]:
        try:
            while True:
                yield 1
                started.set()
                await asyncio.sleep(0)
        finally:
            ended.set()

    call = asyncio.create_task(Calls().answer(forever))
    await started.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert ended.is_set()


async def test_cancelling_closes_an_async_generator_whose_progress_waits_for_the_client():
    ended = asyncio.Event()
    blocked = asyncio.Event()

    async def emit(_event: Any) -> None:
        blocked.set()
        await asyncio.Event().wait()

    @define_tool
    async def forever() -> AsyncGenerator[int]:
        try:
            while True:
                yield 1
        finally:
            ended.set()

    call = asyncio.create_task(Calls().answer(forever, emit=emit))
    await blocked.wait()
    call.cancel()
    await asyncio.wait({call}, timeout=WAIT)
    assert call.cancelled()
    assert ended.is_set()


async def test_cancelling_closes_a_sync_generator_in_its_thread():
    ended = threading.Event()
    started = asyncio.Event()
    loop = asyncio.get_running_loop()

    @define_tool
    def forever() -> Generator[int]:
        try:
            while True:
                yield 1
                loop.call_soon_threadsafe(started.set)
        finally:
            ended.set()

    calls = Calls()
    call = asyncio.create_task(calls.answer(forever))
    await started.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    sent = len(calls.sent)
    assert await asyncio.to_thread(ended.wait, WAIT)
    assert len(calls.sent) == sent


async def test_cancelling_ends_an_async_tool():
    ended = asyncio.Event()

    @define_tool
    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    call = asyncio.create_task(Calls().answer(forever))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert ended.is_set()


async def test_cancelling_does_not_wait_for_a_thread_and_its_events_are_dropped():
    release, seen = threading.Event(), threading.Event()
    started = asyncio.Event()
    loop = asyncio.get_running_loop()

    @define_tool
    def stubborn(context: ToolContext) -> None:
        loop.call_soon_threadsafe(started.set)
        release.wait(WAIT)
        try:
            context.sync.custom("late")
        except RuntimeError:
            seen.set()

    calls = Calls()
    call = asyncio.create_task(calls.answer(stubborn))
    await started.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    release.set()
    assert await asyncio.to_thread(seen.wait, WAIT)
    assert calls.sent == []


def make_object() -> object:
    return object()


async def sleep_async() -> None:
    await asyncio.Event().wait()


async def stream_async() -> AsyncGenerator[int]:
    yield 1
    await asyncio.Event().wait()


@pytest.mark.parametrize("function", [sleep_async, stream_async])
async def test_a_limit_that_passed_is_told(function: Any):
    tool = define_tool(name="slow", timeout=0.01, execute=function)
    answer = await Calls().answer(tool)
    assert json.loads(answer.content) == {"error": 'Tool "slow" timed out after 0.01 s'}
    assert answer.error == "timeout"


async def test_a_limit_holds_for_threads_too():
    release = threading.Event()
    tool = define_tool(name="slow", timeout=0.02, execute=lambda: release.wait(WAIT))
    assert await Calls().result(tool) == {"error": 'Tool "slow" timed out after 0.02 s'}
    release.set()


async def test_a_limit_says_whole_seconds_as_such(monkeypatch: pytest.MonkeyPatch):
    limit = asyncio.timeout
    monkeypatch.setattr(asyncio, "timeout", lambda seconds: limit(seconds / 1000))
    tool = define_tool(name="slow", timeout=20, execute=sleep_async)
    assert await Calls().result(tool) == {"error": 'Tool "slow" timed out after 20 s'}


async def test_the_words_of_a_tool_error_are_the_answer(caplog: pytest.LogCaptureFixture):
    async def refuse() -> None:
        raise ToolError("no seats left")

    def refuse_in_a_thread() -> None:
        raise ToolError("no seats left")

    for function in (refuse, refuse_in_a_thread):
        answer = await Calls().answer(define_tool(name="book", execute=function))
        assert answer.content == '{"error":"no seats left"}'
        assert answer.error == "tool_error"
    assert not caplog.records


FAILURES = [
    (ValueError("bad luck"), "bad luck"),
    (ValueError(), "ValueError"),
    (KeyError("k"), "'k'"),
    (StopIteration(), "StopIteration"),
    (SystemExit(3), "3"),
    (TimeoutError(), "TimeoutError"),
    (asyncio.CancelledError(), "CancelledError"),
]


@pytest.mark.parametrize(("error", "words"), FAILURES)
async def test_whatever_a_thread_raises_is_an_answer(error: BaseException, words: str):
    def fail() -> None:
        raise error

    assert await Calls().result(define_tool(fail)) == {"error": words}


@pytest.mark.parametrize(("error", "words"), [entry for entry in FAILURES if entry[1] != "StopIteration"])
async def test_whatever_an_async_tool_raises_is_an_answer(error: BaseException, words: str):
    async def fail() -> None:
        raise error

    assert await Calls().result(define_tool(name="fail", timeout=5, execute=fail)) == {"error": words}


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError


async def test_an_exception_whose_text_fails_is_named_by_its_class():
    async def fail() -> None:
        raise Unspeakable

    assert await Calls().result(define_tool(fail)) == {"error": "Unspeakable"}


async def test_a_failure_is_redacted_cut_and_never_a_traceback():
    async def fail() -> None:
        raise RuntimeError(f"{SECRET} " + "x" * 5000)

    error = (await Calls().result(define_tool(fail)))["error"]
    assert error.startswith("[redacted] xxx")
    assert len(error) == 2000
    assert "Traceback" not in error


async def test_a_secret_in_a_tool_error_is_redacted():
    async def fail() -> None:
        raise ToolError(f"key {SECRET} refused")

    assert await Calls().result(define_tool(fail)) == {"error": "key [redacted] refused"}


async def test_a_failure_is_logged_once_with_its_run_and_without_arguments(caplog: pytest.LogCaptureFixture):
    @define_tool
    def fail(word: str) -> None:
        raise RuntimeError(f"broken by {SECRET}")

    with caplog.at_level(logging.DEBUG, logger="jumpseat"):
        await Calls().answer(fail, {"word": "private words"})
    (record,) = caplog.records
    text = record.getMessage()
    assert (record.name, record.levelname) == ("jumpseat", "ERROR")
    for expected in ("fail", "helper", "t1", "r1", "Traceback", "RuntimeError: broken by [redacted]"):
        assert expected in text
    assert "private words" not in text
    assert SECRET not in text


async def test_a_result_without_json_form_is_logged(caplog: pytest.LogCaptureFixture):
    tool = define_tool(name="give", execute=make_object)
    await Calls().answer(tool)
    (record,) = caplog.records
    assert "has no JSON form" in record.getMessage()


async def test_a_failing_generator_has_sent_its_progress():
    @define_tool
    async def fail() -> AsyncGenerator[int]:
        yield 1
        yield 2
        raise ValueError("late")

    calls = Calls()
    assert await calls.result(fail) == {"error": "late"}
    assert [event["content"]["value"] for event in calls.sent] == [1]


async def test_many_sync_tools_work_at_the_same_time():
    barrier = threading.Barrier(16)
    tool = define_tool(name="meet", execute=lambda: barrier.wait(WAIT) >= 0)
    calls = Calls()
    assert await asyncio.gather(*(calls.result(tool) for _ in range(16))) == [True] * 16
