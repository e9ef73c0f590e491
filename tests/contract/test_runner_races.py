"""Runs that are ended, left, fenced or closed at an awkward moment, and what must still hold then."""

from __future__ import annotations

import asyncio
import time

import pytest

from jumpseat.errors import RunnerClosed, StoreUnavailable
from jumpseat.protocol.events import (
    ActivityDelta,
    ActivitySnapshot,
    RunFinished,
    TextMessageChunk,
    TextMessageContent,
    TextMessageEnd,
    TextMessageStart,
    ToolCallEnd,
    ToolCallResult,
    ToolCallStart,
)
from jumpseat.protocol.inputs import AssistantMessage, FunctionCall, ToolCall, ToolMessage
from jumpseat.runners import starting
from jumpseat.runners.base import IsRunningRequest, StopRequest
from jumpseat.runners.event_log import EventLogRunner
from jumpseat.runners.options import Limits
from jumpseat.stores.base import Run
from jumpseat.stores.memory import MemoryStore
from jumpseat.stores.sqlite import SqliteStore
from jumpseat.testing import ScriptedAgent
from jumpseat.testing.requests import collect, connect_to, run_of, take, types, user
from jumpseat.testing.store_cases.material import claimed, finish

LIMIT = 5.0


async def until(condition, seconds=LIMIT):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def ask(parent="a1"):
    """A call of the tool ``ask`` that the run leaves open."""
    start = ToolCallStart(tool_call_id="c", tool_call_name="ask", parent_message_id=parent)
    return ScriptedAgent(start, ToolCallEnd(tool_call_id="c"))


async def ran(runner, agent, run_id, messages):
    return await collect(await runner.run(run_of(agent, run_id=run_id, messages=messages)))


async def status_of(runner, run_id="run", thread="thread"):
    header = await runner.store.find(None, thread, run_id)
    return header.status if header else None


async def view_of(runner, thread="thread"):
    return await runner.threads.messages(thread, owner=None)


async def test_a_stop_that_comes_before_the_agent_has_begun_keeps_it_from_beginning(make_runner):
    runner = make_runner(stop_grace=0.5)
    await runner.open()
    agent = ScriptedAgent(asyncio.Event())
    running = asyncio.create_task(runner.run(run_of(agent)))
    while not runner._registry.live:
        await asyncio.sleep(0)
    next(iter(runner._registry.live.values())).request_stop("stop_requested")
    stream = await running
    assert types(await collect(stream)) == ["RUN_STARTED", "RUN_FINISHED"]
    assert not agent.started.is_set() or agent.closed.is_set()


async def test_while_somebody_else_seals_a_run_nobody_is_told_that_it_runs(make_runner):
    runner = make_runner(heartbeat=1.0, lease_ttl=30.0)
    await runner.open()
    claim = await claimed(runner.store)
    taken = await runner.store.take(claim.run, 30.0, force=True)
    asked = asyncio.create_task(runner.is_running(IsRunningRequest(thread_id="thread")))
    assert await asyncio.wait((asked,), timeout=0.2) == (set(), {asked})
    await finish(runner.store, taken, status="lost")
    async with asyncio.timeout(LIMIT):
        assert await asked is False


async def test_a_writer_that_learns_by_an_append_that_it_was_fenced_cancels_its_agent(make_runner):
    runner = make_runner(heartbeat=1.0)
    speak = asyncio.Event()
    agent = ScriptedAgent(speak, TextMessageChunk(message_id="a", delta="x"), asyncio.Event())
    stream = await runner.run(run_of(agent))
    await take(stream, 1)
    live = await runner.store.live(None, "thread")
    assert await runner.store.take(live.run, 30, force=True) is not None
    speak.set()
    await until(agent.closed.is_set, 0.9)
    await stream.aclose()


async def test_a_record_that_is_no_json_costs_the_record_and_nothing_else(runner):
    def fill(given, context):
        context.record["bad"] = object()

    stream = await runner.run(run_of(ScriptedAgent(fill), messages=[user("u1")]))
    assert types(await collect(stream)) == ["RUN_STARTED", "RUN_FINISHED"]
    assert await status_of(runner) == "finished"


async def test_an_exception_without_a_readable_text_fails_its_run_like_any_other(runner):
    class Mute(Exception):
        def __str__(self):
            raise ValueError("no text")

    stream = await runner.run(run_of(ScriptedAgent(Mute())))
    events = await collect(stream)
    assert types(events) == ["RUN_STARTED", "RUN_ERROR"]
    assert events[-1]["code"] == "agent_error"


async def test_a_seal_that_the_store_refuses_is_repeated_without_what_it_refused(runner, monkeypatch):
    seal = runner.store.seal

    async def picky(run, record):
        if record.plan.add:
            raise ValueError("position already shows a message of an earlier run")
        await seal(run, record)

    monkeypatch.setattr(runner.store, "seal", picky)
    stream = await runner.run(run_of(ScriptedAgent(TextMessageChunk(message_id="a", delta="x"))))
    assert types(await collect(stream))[-1] == "RUN_FINISHED"
    assert await status_of(runner) == "finished"


def opened_and_closed(events):
    ids = {}
    for event in events:
        if event["type"] == "TEXT_MESSAGE_START":
            ids[event["messageId"]] = True
        if event["type"] == "TEXT_MESSAGE_END":
            assert ids.pop(event["messageId"], None), "an end without a start"
    return not ids


@pytest.mark.parametrize("most", [2, 3, 4, 5])
async def test_the_closers_of_a_run_over_its_limit_fit_what_was_stored(make_runner, most):
    runner = make_runner(limits=Limits(max_run_events=most))
    script = [
        TextMessageStart(message_id="a"),
        TextMessageContent(message_id="a", delta="x"),
        TextMessageEnd(message_id="a"),
        TextMessageStart(message_id="b"),
        TextMessageContent(message_id="b", delta="x"),
    ]
    events = await collect(await runner.run(run_of(ScriptedAgent(*script))))
    assert events[-1]["code"] == "RUN_TOO_LARGE"
    assert opened_and_closed(events)


async def test_a_start_that_is_too_large_is_not_ended(make_runner):
    runner = make_runner(limits=Limits(max_event_bytes=2_000))
    start = TextMessageStart(message_id="a", metadata={"x": "y" * 4_000})
    events = await collect(await runner.run(run_of(ScriptedAgent(start))))
    assert types(events) == ["RUN_STARTED", "RUN_ERROR"]
    assert events[-1]["code"] == "EVENT_TOO_LARGE"


async def test_a_delta_over_the_limit_is_in_no_message_either(make_runner):
    runner = make_runner(limits=Limits(max_event_bytes=2_000))
    script = [TextMessageContent(message_id="a", delta=text) for text in ("x", "y", "z" * 4_000)]
    events = await collect(
        await runner.run(
            run_of(ScriptedAgent(TextMessageStart(message_id="a"), *script), messages=[user("u")])
        )
    )
    assert events[-1]["code"] == "EVENT_TOO_LARGE"
    assert [message["content"] for message in await view_of(runner)] == ["hi", "xy"]
    kept, _ = await runner.threads.events("thread", owner=None)
    assert not any(b"zzzz" in event for event in kept)


async def test_a_run_may_change_what_an_earlier_run_showed_without_having_been_sent_it(runner):
    chart = ActivitySnapshot(message_id="act", activity_type="chart", content={"n": 1, "kept": True})
    await ran(runner, ScriptedAgent(chart), "r1", [user("u1")])
    patch = ActivityDelta(
        message_id="act", activity_type="chart", patch=[{"op": "replace", "path": "/n", "value": 2}]
    )
    agent = ScriptedAgent(patch, TextMessageChunk(message_id="a2", delta="done"))
    await ran(runner, agent, "r2", [user("u1"), user("u2")])
    view = await view_of(runner)
    assert [message["id"] for message in view] == ["u1", "act", "u2", "a2"]
    assert view[1]["content"] == {"n": 2, "kept": True}


async def test_a_snapshot_that_replaces_nothing_leaves_an_earlier_activity_as_it_is(runner):
    first = ActivitySnapshot(message_id="act", activity_type="chart", content={"n": 1})
    await ran(runner, ScriptedAgent(first), "r1", [user("u1")])
    second = ActivitySnapshot(message_id="act", activity_type="chart", content={"n": 2}, replace=False)
    await collect(
        await runner.run(run_of(ScriptedAgent(second), run_id="r2", messages=[user("u1"), user("u2")]))
    )
    assert (await view_of(runner))[1]["content"] == {"n": 1}


async def test_a_late_result_goes_behind_a_call_that_the_request_left_out(runner):
    call = [
        ToolCallStart(tool_call_id="c", tool_call_name="ask", parent_message_id="a1"),
        ToolCallEnd(tool_call_id="c"),
    ]
    await ran(runner, ScriptedAgent(*call), "r1", [user("u1")])
    result = ToolCallResult(message_id="t1", tool_call_id="c", content="yes")
    await ran(runner, ScriptedAgent(result), "r2", [user("u2")])
    assert [message["id"] for message in await view_of(runner)] == ["u1", "a1", "t1", "u2"]


async def test_a_call_added_to_an_earlier_message_leaves_that_messages_text(runner):
    said = TextMessageChunk(message_id="a1", delta="let me see")
    await ran(runner, ScriptedAgent(said), "r1", [user("u1")])
    call = [
        ToolCallStart(tool_call_id="c", tool_call_name="ask", parent_message_id="a1"),
        ToolCallEnd(tool_call_id="c"),
    ]
    await ran(runner, ScriptedAgent(*call), "r2", [user("u2")])
    view = await view_of(runner)
    assert view[1]["content"] == "let me see"
    assert view[1]["toolCalls"][0]["id"] == "c"


async def test_a_tool_message_under_the_id_of_its_call_does_not_take_the_place_of_the_call(runner):
    call = [
        ToolCallStart(tool_call_id="c", tool_call_name="ask", parent_message_id="a1"),
        ToolCallEnd(tool_call_id="c"),
    ]
    await ran(runner, ScriptedAgent(*call), "r1", [user("u1")])
    asked = AssistantMessage(
        id="a1", tool_calls=[ToolCall(id="c", function=FunctionCall(name="ask", arguments=""))]
    )
    answered = [asked, ToolMessage(id="c", tool_call_id="c", content="yes")]
    # Without u1: the ids are looked up.
    await collect(await runner.run(run_of(ScriptedAgent(), run_id="r2", messages=answered)))
    assert [message["id"] for message in await view_of(runner)] == ["u1", "a1", "c"]
    said = TextMessageChunk(message_id="a2", delta="done")
    await collect(
        await runner.run(run_of(ScriptedAgent(said), run_id="r3", messages=[*answered, user("u2")]))
    )
    assert [message["id"] for message in await view_of(runner)] == ["u1", "a1", "c", "u2", "a2"]


async def test_the_agents_own_end_stands_when_its_run_is_stopped_while_it_tidies_up(runner):
    script = [TextMessageChunk(message_id="a", delta="x"), RunFinished(result={"n": 1}), asyncio.Event()]
    agent = ScriptedAgent(*script)
    stream = await runner.run(run_of(agent))
    await take(stream, 3)
    await asyncio.sleep(0.05)
    await runner.stop(StopRequest(thread_id="thread"))
    events = await collect(stream)
    assert events[-1] == {"type": "RUN_FINISHED", "threadId": "thread", "runId": "run", "result": {"n": 1}}


async def test_a_caller_that_leaves_while_its_run_is_claimed_counts_as_a_reader_that_left(
    make_runner, monkeypatch
):
    runner = make_runner(on_disconnect="cancel")
    await runner.open()
    claim, claiming, go = runner.store.claim, asyncio.Event(), asyncio.Event()

    async def slow(*args):
        claiming.set()
        await go.wait()
        return await claim(*args)

    monkeypatch.setattr(runner.store, "claim", slow)
    caller = asyncio.create_task(runner.run(run_of(ScriptedAgent(asyncio.Event()))))
    async with asyncio.timeout(LIMIT):
        await claiming.wait()
        caller.cancel()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await caller
        while await status_of(runner) != "stopped":
            await asyncio.sleep(0.01)


async def test_a_reader_that_left_while_its_run_waited_does_not_count_once_it_runs(make_runner):
    runner = make_runner(on_concurrent_run="enqueue", on_disconnect=0.3)
    gate = asyncio.Event()
    live = await runner.run(run_of(ScriptedAgent(gate), run_id="live"))
    agent = ScriptedAgent(asyncio.Event())
    queued = await runner.run(run_of(agent, run_id="queued"))
    await queued.aclose()
    gate.set()
    await collect(live)
    async with asyncio.timeout(LIMIT):
        while await status_of(runner, "queued") != "stopped":
            await asyncio.sleep(0.01)


async def test_a_stream_closed_between_the_start_of_its_run_and_its_first_page_counts_as_left(make_runner):
    runner = make_runner(on_concurrent_run="enqueue", on_disconnect="cancel")
    gate = asyncio.Event()
    live = await runner.run(run_of(ScriptedAgent(gate), run_id="live"))
    agent = ScriptedAgent(asyncio.Event())
    queued = await runner.run(run_of(agent, run_id="queued"))
    gate.set()
    await collect(live)
    async with asyncio.timeout(LIMIT):
        await agent.started.wait()
        await queued.aclose()
        while await status_of(runner, "queued") != "stopped":
            await asyncio.sleep(0.01)


async def test_closing_while_the_runner_opens_leaves_no_task(make_runner):
    runner = make_runner()
    before = asyncio.all_tasks()
    opening = asyncio.create_task(runner.open())
    await asyncio.sleep(0)
    async with asyncio.timeout(LIMIT):
        await runner.aclose()
        await asyncio.gather(opening, return_exceptions=True)
    await asyncio.sleep(0.02)
    assert asyncio.all_tasks() - before == set()


async def test_closing_while_a_run_is_claimed_leaves_no_live_run(back_end, tmp_path):
    store = MemoryStore() if back_end == "memory" else SqliteStore(tmp_path / "threads.db")
    runner = EventLogRunner(store, stop_grace=0.5)
    await runner.open()
    claim, claiming = store.claim, asyncio.Event()

    async def slow(*args):
        claimed = await claim(*args)
        claiming.set()
        await asyncio.sleep(0.1)
        return claimed

    store.claim = slow
    caller = asyncio.create_task(runner.run(run_of(ScriptedAgent(asyncio.Event()), messages=[user("u1")])))
    async with asyncio.timeout(LIMIT):
        await claiming.wait()
        await runner.aclose()
        ended = await asyncio.gather(caller, return_exceptions=True)
    assert not isinstance(ended[0], asyncio.CancelledError)
    await store.open()
    assert await store.live(None, "thread") is None
    assert (await store.find(None, "thread", "run")).status == "failed"
    await store.aclose()


async def test_a_run_that_cannot_be_recovered_does_not_end_the_renewal_of_leases(make_runner, monkeypatch):
    runner = make_runner(heartbeat=0.05)
    stream = await runner.run(run_of(ScriptedAgent(asyncio.Event())))
    extend, renewals = runner.store.extend, []

    async def poisoned(limit):
        raise RuntimeError("a row that nobody can read")

    async def counted(*args):
        renewals.append(args)
        return await extend(*args)

    monkeypatch.setattr(runner.store, "expired", poisoned)
    monkeypatch.setattr(runner.store, "extend", counted)
    await until(lambda: len(renewals) > 3)
    await stream.aclose()


async def test_a_slow_recovery_does_not_hold_up_the_renewal_of_leases(make_runner, monkeypatch):
    runner = make_runner(heartbeat=0.05)
    stream = await runner.run(run_of(ScriptedAgent(asyncio.Event())))
    extend, renewals, hanging = runner.store.extend, [], asyncio.Event()

    async def slow(limit):
        hanging.set()
        await asyncio.Event().wait()

    async def counted(*args):
        renewals.append(args)
        return await extend(*args)

    monkeypatch.setattr(runner.store, "expired", slow)
    async with asyncio.timeout(LIMIT):
        await hanging.wait()
    monkeypatch.setattr(runner.store, "extend", counted)
    await until(lambda: len(renewals) > 3)
    await stream.aclose()


async def test_a_waiting_run_that_vanishes_ends_its_response_with_an_error(make_runner):
    runner = make_runner(on_concurrent_run="enqueue")
    live = await runner.run(run_of(ScriptedAgent(asyncio.Event()), run_id="live"))
    queued = await runner.run(run_of(ScriptedAgent(), run_id="queued"))
    assert await runner.store.threads.delete(None, "thread")
    events = await collect(queued)
    assert types(events) == ["RUN_STARTED", "RUN_ERROR"]
    await live.aclose()


async def test_waiting_for_a_turn_does_not_read_the_thread_again_and_again(make_runner, monkeypatch):
    runner = make_runner(on_concurrent_run="enqueue")
    gate = asyncio.Event()
    live = await runner.run(run_of(ScriptedAgent(gate), run_id="live"))
    reads, history = [], runner.store.history

    async def counted(*args):
        reads.append(args)
        return await history(*args)

    monkeypatch.setattr(runner.store, "history", counted)
    queued = [await runner.run(run_of(ScriptedAgent(), run_id=f"q{n}")) for n in range(4)]
    await asyncio.sleep(1.3)
    gate.set()
    for stream in (live, *queued):
        await collect(stream)
    assert len(reads) <= 8


async def test_a_reader_with_an_old_claim_seals_a_run_whose_second_owner_died(tmp_path):
    store = SqliteStore(tmp_path / "threads.db")
    runner = EventLogRunner(store, lease_ttl=30.0, heartbeat=10.0)
    stream = await runner.run(run_of(ScriptedAgent(asyncio.Event())))
    reader = asyncio.create_task(collect(stream))
    live = await store.live(None, "thread")
    reads, read = [], store.read

    async def counted(*args):
        reads.append(args)
        return await read(*args)

    store.read = counted
    assert await store.take(live.run, 0.3, force=True)
    next(iter(runner._registry.live.values())).lose()
    events = await reader
    assert types(events)[-1] == "RUN_ERROR"
    assert len(reads) < 30
    await runner.aclose()


async def test_stop_names_one_limit_for_all_the_runs_it_ends(make_runner, monkeypatch):
    runner = make_runner(on_concurrent_run="enqueue", stop_grace=0.1, lease_ttl=0.4, heartbeat=0.1)
    await collect(await runner.run(run_of(ScriptedAgent())))
    claimed = await runner.store.locate(None, "thread", ())
    assert claimed.version

    async def several(*args):
        return [Run("thread", f"0000000000000000000000000{n}", 1) for n in range(5)]

    async def never(run, seconds, **_):
        await asyncio.sleep(max(seconds, 0))
        return False

    monkeypatch.setattr(runner.store, "request_stop", several)
    monkeypatch.setattr(runner, "_until_sealed", never)
    began = time.monotonic()
    await runner.stop(StopRequest(thread_id="thread"))
    assert time.monotonic() - began < 1.0


async def test_callers_of_a_runner_that_closes_are_told_so(back_end, tmp_path):
    store = MemoryStore() if back_end == "memory" else SqliteStore(tmp_path / "threads.db")
    runner = EventLogRunner(store, stop_grace=0.1)
    await collect(await runner.run(run_of(ScriptedAgent())))
    reading, history = asyncio.Event(), store.history

    async def stuck(*args):
        reading.set()
        await asyncio.Event().wait()

    store.history = stuck
    async with asyncio.timeout(LIMIT):
        reader = asyncio.create_task(collect(await runner.connect(connect_to())))
        await reading.wait()
        await runner.aclose()
        with pytest.raises(RunnerClosed):
            await reader
    store.history = history


async def longest_stall(work):
    """Do ``work`` and return for how many seconds the loop did nothing else at a stretch."""
    worst = 0.0

    async def beat():
        nonlocal worst
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            worst = max(worst, time.perf_counter() - began)

    beating = asyncio.create_task(beat())
    began = time.process_time()
    await work
    busy = time.process_time() - began
    beating.cancel()
    return worst, busy


async def test_large_messages_and_histories_do_not_hold_up_the_loop(runner):
    await collect(await runner.run(run_of(ScriptedAgent(), "warm", messages=[user("u", "x" * 2_000_000)])))
    long = [user(f"u{number}", "word " * 2_000) for number in range(1_000)]

    async def work(thread, other):
        said = [TextMessageContent(message_id="m", delta="word " * 200) for _ in range(5_000)]
        agent = ScriptedAgent(TextMessageStart(message_id="m"), *said)
        await collect(await runner.run(run_of(agent, other, messages=[user("u", "x" * 10_000_000)])), 20)
        await collect(await runner.run(run_of(ScriptedAgent(), thread, messages=long)), 20)
        await collect(await runner.connect(connect_to(thread)), 20)
        await runner.threads.messages(thread, owner=None)

    # A share of the work, because machines differ: in one piece it would be most of it. What our own code
    # holds up it holds up each time, what a busy machine does it does not.
    stalls = [await longest_stall(work(f"long{number}", f"large{number}")) for number in range(3)]
    assert any(worst < max(0.05, busy / 4) for worst, busy in stalls), stalls


async def test_a_connect_whose_store_fails_after_it_was_accepted_ends_with_an_event(runner, monkeypatch):
    await collect(await runner.run(run_of(ScriptedAgent())))

    async def away(*args):
        raise StoreUnavailable("out of reach")

    monkeypatch.setattr(runner.store, "history", away)
    events = await collect(await runner.connect(connect_to()))
    assert [event["code"] for event in events] == ["STREAM_INTERRUPTED"]


async def test_a_connect_behind_a_new_run_shares_no_read_from_before_it(runner, monkeypatch):
    await ran(runner, ScriptedAgent(), "r1", [user("u1")])
    history, reading, go = runner.store.history, asyncio.Event(), asyncio.Event()

    async def slow(*args):
        found = await history(*args)
        reading.set()
        await go.wait()
        return found

    monkeypatch.setattr(runner.store, "history", slow)
    first = asyncio.create_task(collect(await runner.connect(connect_to())))
    async with asyncio.timeout(LIMIT):
        await reading.wait()
    reading.clear()
    run = await runner.run(run_of(ScriptedAgent(), run_id="r2", messages=[user("u2")]))
    second = asyncio.create_task(collect(await runner.connect(connect_to())))
    async with asyncio.timeout(LIMIT):
        await reading.wait()
    go.set()
    snapshot = next(event for event in await second if event["type"] == "MESSAGES_SNAPSHOT")
    assert [message["id"] for message in snapshot["messages"]] == ["u1", "u2"]
    await first
    await collect(run)


async def test_a_waiting_run_that_cannot_start_frees_its_thread(make_runner, monkeypatch):
    runner = make_runner(on_concurrent_run="enqueue")
    gate = asyncio.Event()
    live = await runner.run(run_of(ScriptedAgent(gate), run_id="live"))
    queued = await runner.run(run_of(ScriptedAgent(), run_id="queued"))

    def broken(*args):
        raise RuntimeError("nobody can plan this")

    with monkeypatch.context() as patched:
        patched.setattr(starting, "rebased", broken)
        gate.set()
        await collect(live)
        assert types(await collect(queued)) == ["RUN_STARTED", "RUN_ERROR"]
    assert types(await ran(runner, ScriptedAgent(), "next", [user("u")]))[-1] == "RUN_FINISHED"
    assert await status_of(runner, "queued") == "lost"
