"""Many runs of one agent at once, and runs that are given up between any two of their steps."""

import asyncio
import json
import logging
import re
import threading
from contextlib import aclosing, suppress

import pytest

from builtin_agents import given, of, run, run_context, types, wired
from event_streams import refusal
from jumpseat import BuiltInAgent, ToolContext, define_tool
from jumpseat.agents.builtin.language_model import ToolReturn
from jumpseat.protocol.codec import accept
from jumpseat.testing import ScriptedModel
from serving import own_tasks, until

SECONDS = 5.0


@define_tool
async def remember(word: str, context: ToolContext) -> str:
    """Remember a word."""
    await asyncio.sleep(0)
    await context.patch_state([{"op": "add", "path": "/words/-", "value": word}])
    await context.custom("remembered", word)
    return f"{context.run_id}: {word}"


class Recall:
    """Thinks, calls a tool with what was said, and repeats the tool's result."""

    provider = "recall"
    model = "m"

    async def stream(self, request):
        await asyncio.sleep(0)
        last = request.messages[-1]
        if isinstance(last, ToolReturn):
            for letter in last.content:
                yield {"type": "text-delta", "delta": letter}
        else:
            yield {"type": "reasoning-delta", "delta": last.content}
            yield {"type": "tool-input-start", "id": "c1", "name": "remember"}
            for piece in ('{"word"', ":", json.dumps(last.content), "}"):
                await asyncio.sleep(0)
                yield {"type": "tool-input-delta", "id": "c1", "delta": piece}
            yield {"type": "tool-call", "id": "c1", "name": "remember"}
        yield {"type": "finish", "usage": {"inputTokens": len(request.messages), "outputTokens": 1}}


async def test_text_state_results_and_usage_of_fifty_runs_stay_apart():
    agent = BuiltInAgent(model=Recall(), tools=[remember], max_steps=3)

    async def one(number):
        word, thread, run_id = f"word-{number:03}", f"t{number}", f"r{number}"
        context = run_context(thread_id=thread, run_id=run_id)
        run_input = given(word, threadId=thread, runId=run_id, state={"owner": thread})
        events = await run(agent, run_input, context)
        assert set(re.findall(r"word-\d+", json.dumps(events))) == {word}
        told = f'"{run_id}: {word}"'
        assert of("TOOL_CALL_RESULT", events)[0]["content"] == told
        assert "".join(event["delta"] for event in of("TEXT_MESSAGE_CONTENT", events)) == told
        assert of("STATE_SNAPSHOT", events)[0]["snapshot"] == {"owner": thread}
        assert of("STATE_DELTA", events)[0]["delta"][-1]["value"] == word
        assert [event["value"] for event in of("CUSTOM", events)] == [word]
        assert events[-1]["usage"][0]["outputTokens"] == 2
        assert refusal([accept(event) for event in events[1:]]) is None

    async with asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(one(number))


def script():
    return ScriptedModel(
        [
            [
                {"type": "reasoning-delta", "delta": "hm"},
                "text",
                {"type": "tool-call", "id": "c1", "name": "remember", "input": {"word": "w"}},
                {"type": "tool-call", "id": "c2", "name": "in_a_thread", "input": {}},
            ],
            ["more", {"type": "tool-call", "id": "c3", "name": "remember", "input": {"word": "v"}}],
            ["end"],
        ]
    )


@define_tool
def in_a_thread() -> str:
    """Work in a thread."""
    return "done"


@pytest.mark.parametrize("how", ["signal", "abort_run", "close", "cancel"])
async def test_a_run_given_up_between_any_two_steps_leaves_nothing_behind(how, caplog):
    before, threads = own_tasks(), threading.active_count()
    finished = 0
    for turns in range(120):
        agent = BuiltInAgent(model=script(), tools=[remember, in_a_thread], max_steps=5)
        context = run_context()
        stream = agent.run(given(), context)
        reader = asyncio.create_task(read(stream))
        for _ in range(turns):
            await asyncio.sleep(0)
        match how:
            case "signal":
                context.abort_signal.abort()
            case "abort_run":
                agent.abort_run()
            case "cancel":
                reader.cancel()
            case "close":
                reader.cancel()
                await asyncio.wait({reader})
                await stream.aclose()
        await asyncio.wait({reader}, timeout=SECONDS)
        assert reader.done()
        events = [] if reader.cancelled() else wired(reader.result())
        assert "RUN_ERROR" not in types(events)
        finished += "RUN_FINISHED" in types(events)
        assert agent.abort_run() == 0
    await until(lambda: own_tasks() <= before)
    assert threading.active_count() <= threads + 64
    assert finished < 120
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


async def read(stream):
    async with aclosing(stream) as events:
        return [event async for event in events]


@pytest.mark.parametrize("how", ["signal", "abort_run"])
async def test_a_factory_given_up_between_any_two_steps_leaves_nothing_behind(how, caplog):
    before = own_tasks()
    closed = 0

    async def factory(context):
        nonlocal closed
        try:
            yield {"type": "TEXT_MESSAGE_START", "messageId": "m1", "role": "assistant"}
            for _ in range(20):
                await asyncio.sleep(0)
                yield {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m1", "delta": "x"}
        finally:
            closed += 1

    agent = BuiltInAgent(factory=factory)
    begun = 0
    for turns in range(60):
        context = run_context()
        reader = asyncio.create_task(read(agent.run(given(), context)))
        for _ in range(turns):
            await asyncio.sleep(0)
        if how == "signal":
            context.abort_signal.abort()
        else:
            agent.abort_run()
        await asyncio.wait({reader}, timeout=SECONDS)
        events = wired(reader.result())
        assert "RUN_ERROR" not in types(events)
        begun += "TEXT_MESSAGE_START" in types(events)
    await until(lambda: own_tasks() <= before)
    assert closed >= begun > 0
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_after_an_abort_nothing_more_comes_also_of_what_was_ready():
    agent = BuiltInAgent(model=ScriptedModel([["x"] * 100]))
    stream = agent.run(given(), run_context())
    async with asyncio.timeout(SECONDS), aclosing(stream):
        await anext(stream)
        for _ in range(400):
            await asyncio.sleep(0)
        assert agent.abort_run(thread_id="nobody") == 0
        assert agent.abort_run(thread_id="t1", run_id="r1") == 1
        assert [event async for event in stream] == []


async def test_a_tool_that_swallows_its_cancelling_holds_nobody_up(monkeypatch, caplog):
    monkeypatch.setattr("jumpseat.agents.builtin.execution.UNWIND_SECONDS", 0.05)
    running, may_end = asyncio.Event(), asyncio.Event()

    @define_tool
    async def deaf() -> str:
        running.set()
        while not may_end.is_set():
            with suppress(asyncio.CancelledError):
                await may_end.wait()
        return "heard"

    before = own_tasks()
    agent = BuiltInAgent(
        model=ScriptedModel([[{"type": "tool-call", "id": "c1", "name": "deaf", "input": {}}]]), tools=[deaf]
    )
    reader = asyncio.create_task(read(agent.run(given(), run_context())))
    async with asyncio.timeout(SECONDS):
        await running.wait()
        agent.abort_run()
        events = wired(await reader)
    assert "ignores that the run was ended" in caplog.text
    assert {"RUN_ERROR", "RUN_FINISHED", "TOOL_CALL_RESULT"}.isdisjoint(types(events))
    may_end.set()
    await until(lambda: own_tasks() <= before)


@pytest.mark.parametrize("raises", [RuntimeError, asyncio.CancelledError, KeyboardInterrupt, SystemExit])
async def test_what_a_tool_raises_because_it_was_aborted_is_no_error(raises, caplog):
    running = asyncio.Event()

    @define_tool
    async def touchy() -> None:
        running.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise raises("because of the abort") from None

    call = {"type": "tool-call", "id": "c1", "name": "touchy", "input": {}}
    agent = BuiltInAgent(model=ScriptedModel([[call]]), tools=[touchy])
    reader = asyncio.create_task(read(agent.run(given(), run_context())))
    async with asyncio.timeout(SECONDS):
        await running.wait()
        agent.abort_run()
        events = wired(await reader)
    assert {"RUN_ERROR", "RUN_FINISHED", "TOOL_CALL_RESULT"}.isdisjoint(types(events))
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_runs_can_be_aborted_from_any_thread():
    @define_tool
    def leave() -> str:
        assert agent.abort_run(run_id="r1") == 1
        return "late"

    call = {"type": "tool-call", "id": "c1", "name": "leave", "input": {}}
    agent = BuiltInAgent(model=ScriptedModel([[call], ["late"]]), tools=[leave], max_steps=3)
    context = run_context()
    events = await run(agent, context=context)
    assert {"RUN_ERROR", "RUN_FINISHED"}.isdisjoint(types(events))
    assert context.abort_signal.aborted
    assert await asyncio.to_thread(agent.abort_run) == 0


async def test_a_tool_may_abort_its_own_run():
    @define_tool
    async def leave(context: ToolContext) -> str:
        context.abort_signal.abort()
        await asyncio.Event().wait()
        return "never"

    call = {"type": "tool-call", "id": "c1", "name": "leave", "input": {}}
    agent = BuiltInAgent(model=ScriptedModel([[call], ["late"]]), tools=[leave], max_steps=3)
    events = await run(agent)
    assert types(events)[-1] == "TOOL_CALL_END"
