"""How a run ends: one terminal, whatever the agent does, and everything before it kept."""

from __future__ import annotations

import asyncio
import logging

import pytest

from jumpseat.protocol.events import (
    Custom,
    RunError,
    RunFinished,
    StateDelta,
    StateSnapshot,
    TextMessageChunk,
    TextMessageContent,
    TextMessageStart,
    ToolCallStart,
)
from jumpseat.runners.base import IsRunningRequest, RunOptions, StopRequest
from jumpseat.runners.in_memory import InMemoryAgentRunner
from jumpseat.runners.options import Limits
from jumpseat.testing import ScriptedAgent
from jumpseat.testing.requests import collect, connect_to, run_of, take, types, user


async def statuses(runner, thread_id="thread"):
    return [run.status for run in await runner.store.runs(None, thread_id, 0, 100)]


async def test_every_event_before_an_exception_in_the_same_tick_is_kept(runner):
    script = [TextMessageStart(message_id="m")]
    script += [TextMessageContent(message_id="m", delta=f"{n} ") for n in range(1500)]
    events = await collect(await runner.run(run_of(ScriptedAgent(*script, ValueError("late")))))
    assert sum(event["type"] == "TEXT_MESSAGE_CONTENT" for event in events) == 1500
    assert types(events)[-2:] == ["TEXT_MESSAGE_END", "RUN_ERROR"]
    assert (events[-1]["code"], events[-1]["message"]) == ("agent_error", "late")
    assert await statuses(runner) == ["failed"]


async def test_a_stream_that_just_ends_is_a_finished_run_with_its_frontend_call_open(runner):
    call = ToolCallStart(tool_call_id="c", tool_call_name="confirm")
    events = await collect(await runner.run(run_of(ScriptedAgent(call))))
    assert types(events) == ["RUN_STARTED", "TOOL_CALL_START", "TOOL_CALL_END", "RUN_FINISHED"]
    assert await statuses(runner) == ["finished"]


async def test_a_stream_that_must_have_a_terminal_and_has_none_was_cut(runner):
    call = ToolCallStart(tool_call_id="c", tool_call_name="confirm")
    request = run_of(ScriptedAgent(call), options=RunOptions(requires_terminal=True))
    events = await collect(await runner.run(request))
    assert types(events)[-2:] == ["TOOL_CALL_RESULT", "RUN_ERROR"]
    assert events[-1]["code"] == "INCOMPLETE_STREAM"
    assert events[-1]["message"] == "Run ended without emitting a terminal event"


async def test_work_behind_the_agents_terminal_is_done_before_the_run_ends(runner):
    done = []
    agent = ScriptedAgent(RunFinished(result={"ok": True}), lambda *_: done.append("saved"))
    events = await collect(await runner.run(run_of(agent)))
    assert done == ["saved"]
    assert events[-1]["result"] == {"ok": True}
    assert (events[-1]["threadId"], events[-1]["runId"]) == ("thread", "run")


async def test_an_agent_that_lingers_behind_its_terminal_is_closed_after_the_grace(runner):
    agent = ScriptedAgent(RunFinished(result=1), asyncio.Event())
    events = await collect(await runner.run(run_of(agent)), 5)
    assert events[-1]["result"] == 1
    assert await statuses(runner) == ["finished"]


async def test_an_exception_behind_the_terminal_changes_nothing(runner):
    events = await collect(await runner.run(run_of(ScriptedAgent(RunFinished(), KeyError("late")))))
    assert types(events) == ["RUN_STARTED", "RUN_FINISHED"]


async def test_events_behind_the_terminal_are_dropped(runner):
    agent = ScriptedAgent(RunError(message="no"), TextMessageChunk(message_id="m", delta="x"))
    events = await collect(await runner.run(run_of(agent)))
    assert types(events) == ["RUN_STARTED", "RUN_ERROR"]
    assert events[-1]["code"]


@pytest.mark.parametrize(
    ("item", "code"),
    [
        (None, "INVALID_EVENT"),
        ({"type": "TEXT_MESSAGE_CONTENT"}, "INVALID_EVENT"),
        ({"type": "CUSTOM", "name": "x", "value": object()}, "INVALID_EVENT"),
        (TextMessageContent(message_id="never started", delta="x"), "ILLEGAL_EVENT"),
    ],
)
async def test_what_is_no_legal_event_ends_the_run_with_a_reason(runner, item, code):
    async def agent(given, context):
        yield TextMessageChunk(message_id="m", delta="x")
        yield item

    events = await collect(await runner.run(run_of(agent)))
    assert events[-1]["type"] == "RUN_ERROR"
    assert events[-1]["code"] == code
    assert "TEXT_MESSAGE_CONTENT" in types(events)


class Odd(BaseException):
    """What some libraries raise to get past ``except Exception``."""


@pytest.mark.parametrize("error", [Odd("odd"), SystemExit("odd")])
async def test_an_agent_that_raises_no_ordinary_exception_fails_its_run_at_once(runner, error):
    async def agent(given, context):
        yield TextMessageChunk(message_id="m", delta="x")
        raise error

    events = await collect(await runner.run(run_of(agent)), 5)
    assert types(events)[-2:] == ["TEXT_MESSAGE_END", "RUN_ERROR"]
    assert (events[-1]["code"], events[-1]["message"]) == ("agent_error", "odd")
    assert await statuses(runner) == ["failed"]


@pytest.mark.parametrize("answer", [None, [TextMessageStart(message_id="m")], iter(())])
async def test_an_agent_that_returns_no_async_iterator_is_told_what_to_return(runner, answer):
    events = await collect(await runner.run(run_of(lambda given, context: answer)))
    assert events[-1]["code"] == "agent_error"
    assert "must return an async iterator of events" in events[-1]["message"]
    assert events[-1]["message"].endswith(f"it returned {type(answer).__name__}")


@pytest.mark.parametrize("script", [({"type": "TEXT_MESSAGE_CONTENT"},), (ValueError("messageId"),)])
async def test_the_log_tells_why_an_agent_failed_under_the_id_of_its_request(runner, caplog, script):
    request = run_of(ScriptedAgent(*script))
    request.context.request_id = "r-1"
    with caplog.at_level(logging.ERROR, "jumpseat.runs"):
        await collect(await runner.run(request))
    (record,) = caplog.records
    assert record.request_id == "r-1"
    assert "request r-1" in caplog.text
    assert "messageId" in caplog.text


async def test_an_unknown_event_type_is_dropped(runner):
    agent = ScriptedAgent({"type": "NOPE"}, TextMessageChunk(message_id="m", delta="x"))
    events = await collect(await runner.run(run_of(agent)))
    assert "NOPE" not in types(events)
    assert types(events)[-1] == "RUN_FINISHED"


async def test_an_event_beyond_the_limit_is_not_stored_and_ends_the_run(make_runner):
    runner = make_runner(limits=Limits(max_event_bytes=10_000))
    small = TextMessageChunk(message_id="m", delta="x")
    large = TextMessageChunk(message_id="m", delta="x" * 20_000)
    events = await collect(await runner.run(run_of(ScriptedAgent(small, large))))
    assert types(events)[-2:] == ["TEXT_MESSAGE_END", "RUN_ERROR"]
    assert events[-1]["code"] == "EVENT_TOO_LARGE"


async def test_events_of_eight_mebibytes_are_stored_and_read_elsewhere_and_larger_ones_are_not(make_runner):
    runner = make_runner()
    largest = (8 << 20) - 200
    script = [Custom(name="x", value="y" * size) for size in (largest, largest, 9 << 20)]
    events = await collect(
        await runner.run(run_of(ScriptedAgent(ToolCallStart(tool_call_id="c", tool_call_name="x"), *script))),
        30,
    )
    assert types(events)[2:] == ["CUSTOM", "CUSTOM", "TOOL_CALL_END", "TOOL_CALL_RESULT", "RUN_ERROR"]
    assert events[-1]["code"] == "EVENT_TOO_LARGE"
    reader = runner if isinstance(runner, InMemoryAgentRunner) else make_runner()
    await reader.open()
    (run,) = await reader.store.runs(None, "thread", 0, 10)
    again = await collect(await reader.connect(connect_to(cursor=f"{run.run_key}:1")), 30)
    assert again == events[1:]


async def test_a_run_beyond_its_number_of_events_ends_with_closers(make_runner):
    runner = make_runner(limits=Limits(max_run_events=100))
    chunks = [TextMessageChunk(message_id="m", delta="x") for _ in range(500)]
    events = await collect(await runner.run(run_of(ScriptedAgent(*chunks))))
    assert types(events)[-2:] == ["TEXT_MESSAGE_END", "RUN_ERROR"]
    assert events[-1]["code"] == "RUN_TOO_LARGE"
    assert len(events) == 102


async def test_a_run_beyond_its_time_is_stopped(make_runner):
    runner = make_runner(limits=Limits(max_run_seconds=0.05))
    call = ToolCallStart(tool_call_id="c", tool_call_name="x")
    events = await collect(await runner.run(run_of(ScriptedAgent(call, asyncio.Event()))))
    assert types(events)[-2:] == ["TOOL_CALL_RESULT", "RUN_FINISHED"]
    assert "time_limit" in events[-2]["content"]
    assert await statuses(runner) == ["stopped"]


async def test_an_agent_that_swallows_cancellation_is_left_behind_and_fenced(runner):
    release = asyncio.Event()

    async def stubborn(given, context):
        yield TextMessageChunk(message_id="early", delta="x")
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        yield TextMessageChunk(message_id="late", delta="y")

    stream = await runner.run(run_of(stubborn, messages=[user("u")]))
    await take(stream, 3)
    async with asyncio.timeout(3):
        assert await runner.stop(StopRequest(thread_id="thread")) is True
    assert await runner.is_running(IsRunningRequest(thread_id="thread")) is False
    after = await collect(
        await runner.run(run_of(ScriptedAgent(TextMessageChunk(message_id="next", delta="z")), run_id="r2"))
    )
    release.set()
    assert types(after)[-1] == "RUN_FINISHED"
    messages = await runner.threads.messages("thread", owner=None)
    assert "late" not in [message["id"] for message in messages]


async def test_what_an_agent_answers_to_a_stop_is_ignored(runner):
    closed = asyncio.Event()

    async def remote(given, context):
        yield ToolCallStart(tool_call_id="c", tool_call_name="x")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            yield TextMessageChunk(message_id="late", delta="y")
            yield RunError(message="This operation was aborted", code="abort")
        finally:
            closed.set()

    stream = await runner.run(run_of(remote, messages=[user("u")]))
    await take(stream, 2)
    assert await runner.stop(StopRequest(thread_id="thread")) is True
    events = await collect(stream)
    assert types(events) == ["TOOL_CALL_END", "TOOL_CALL_RESULT", "RUN_FINISHED"]
    assert "stop_requested" in events[1]["content"]
    assert await statuses(runner) == ["stopped"]
    async with asyncio.timeout(5):
        await closed.wait()


async def test_a_state_snapshot_then_a_run_with_only_a_delta_folds_to_one_state(runner):
    await collect(await runner.run(run_of(ScriptedAgent(StateSnapshot(snapshot={"items": ["a"]})))))
    delta = StateDelta(delta=[{"op": "add", "path": "/items/-", "value": "b"}])
    missing = StateDelta(delta=[{"op": "replace", "path": "/nowhere/deep", "value": 1}])
    events = await collect(await runner.run(run_of(ScriptedAgent(delta, missing), run_id="r2")))
    assert types(events) == ["RUN_STARTED", "STATE_DELTA", "STATE_DELTA", "RUN_FINISHED"]
    assert await runner.threads.state("thread", owner=None) == {"items": ["a", "b"]}
    replay = await collect(await runner.connect(connect_to()))
    assert {"type": "STATE_SNAPSHOT", "snapshot": {"items": ["a", "b"]}} in replay


@pytest.mark.parametrize("policy", ["cancel", 0.05])
async def test_a_run_nobody_reads_ends_where_the_policy_says_so(make_runner, policy):
    runner = make_runner(on_disconnect=policy)
    agent = ScriptedAgent(asyncio.Event())
    stream = await runner.run(run_of(agent))
    await take(stream, 1)
    await asyncio.wait_for(agent.started.wait(), 5)
    await stream.aclose()
    await asyncio.wait_for(agent.closed.wait(), 5)
    async with asyncio.timeout(5):
        while await runner.is_running(IsRunningRequest(thread_id="thread")):
            await asyncio.sleep(0.01)
    assert await statuses(runner) == ["stopped"]


async def test_a_reader_that_comes_back_in_time_keeps_the_run(make_runner):
    runner = make_runner(on_disconnect=0.3)
    gate = asyncio.Event()
    stream = await runner.run(run_of(ScriptedAgent(gate)))
    await stream.aclose()
    back = await runner.connect(connect_to())
    await take(back, 1)
    await asyncio.sleep(0.5)
    gate.set()
    assert types(await collect(back))[-1] == "RUN_FINISHED"
    assert await statuses(runner) == ["finished"]


async def test_the_agents_own_policy_beats_the_runners(make_runner):
    runner = make_runner(on_disconnect="cancel")
    gate = asyncio.Event()
    stream = await runner.run(run_of(ScriptedAgent(gate), options=RunOptions(on_disconnect="continue")))
    await stream.aclose()
    gate.set()
    assert types(await collect(await runner.connect(connect_to())))[-1] == "RUN_FINISHED"
    assert await statuses(runner) == ["finished"]
