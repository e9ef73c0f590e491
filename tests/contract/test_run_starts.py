"""How a run begins: event 1, what the agent gets, what is stored before it says anything."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from jumpseat.errors import ThreadNotFound
from jumpseat.protocol.events import MessagesSnapshot, RunStarted, TextMessageChunk
from jumpseat.protocol.inputs import ActivityMessage, Context, Tool
from jumpseat.testing import ScriptedAgent
from jumpseat.testing.requests import assistant, collect, connect_to, run_of, take, types, user


def said(agent_id: str = "m", text: str = "hello") -> ScriptedAgent:
    return ScriptedAgent(TextMessageChunk(message_id=agent_id, delta=text))


async def shown(runner, thread_id="thread", owner=None):
    return [
        (message["id"], message.get("content"))
        for message in await runner.threads.messages(thread_id, owner=owner)
    ]


async def test_run_started_comes_before_an_agent_that_says_nothing(runner):
    agent = ScriptedAgent(asyncio.Event())
    stream = await runner.run(run_of(agent))
    assert types(await take(stream, 1)) == ["RUN_STARTED"]


async def test_run_started_echoes_the_request_without_forwarded_props(runner):
    given = {
        "state": {"count": 1},
        "tools": [Tool(name="t", description="d", parameters={"type": "object"})],
        "context": [Context(description="where", value="here")],
        "forwarded_props": {"apiKey": "secret"},
    }
    agent = said()
    events = await collect(await runner.run(run_of(agent, messages=[user("u")], **given)))
    assert events[0] == {
        "type": "RUN_STARTED",
        "threadId": "thread",
        "runId": "run",
        "input": {
            "threadId": "thread",
            "runId": "run",
            "state": {"count": 1},
            "messages": [{"id": "u", "role": "user", "content": "hi"}],
            "tools": [{"name": "t", "description": "d", "parameters": {"type": "object"}}],
            "context": [{"description": "where", "value": "here"}],
            "forwardedProps": {},
        },
    }
    assert agent.inputs[0].forwarded_props == {"apiKey": "secret"}


async def test_run_started_echoes_only_messages_the_thread_did_not_show(runner):
    await collect(await runner.run(run_of(said("a1"), messages=[user("u1")])))
    again = [user("u1"), assistant("a1", "hello"), user("u2")]
    events = await collect(await runner.run(run_of(said("a2"), run_id="r2", messages=again)))
    assert [message["id"] for message in events[0]["input"]["messages"]] == ["u2"]


async def test_the_agent_gets_the_messages_as_sent_without_activities(runner):
    agent = said()
    activity = ActivityMessage(id="act", activity_type="x", content={})
    await collect(await runner.run(run_of(agent, messages=[user("u"), activity])))
    assert [message.id for message in agent.inputs[0].messages] == ["u"]


async def test_the_user_message_is_stored_before_the_agent_says_anything(runner):
    stream = await runner.run(run_of(ScriptedAgent(asyncio.Event()), messages=[user("u", "keep me")]))
    assert await shown(runner) == [("u", "keep me")]
    await stream.aclose()


async def test_run_started_of_the_agent_is_absorbed_however_often_it_comes(runner):
    foreign = RunStarted(thread_id="other", run_id="other")
    agent = ScriptedAgent(foreign, TextMessageChunk(message_id="m", delta="x"), foreign)
    events = await collect(await runner.run(run_of(agent)))
    assert types(events).count("RUN_STARTED") == 1
    assert {event.get("threadId", "thread") for event in events} == {"thread"}


async def test_a_foreign_message_in_the_agents_run_started_joins_the_view(runner):
    await collect(await runner.run(run_of(said("a1"), messages=[user("u1")])))
    foreign = {
        "type": "RUN_STARTED",
        "threadId": "x",
        "runId": "y",
        "input": {"messages": [{"id": "remote", "role": "assistant", "content": "from elsewhere"}]},
    }
    messages = [user("u1"), assistant("a1", "hello"), user("u2")]
    events = await collect(await runner.run(run_of(ScriptedAgent(foreign), run_id="r2", messages=messages)))
    assert types(events) == ["RUN_STARTED", "MESSAGES_SNAPSHOT", "RUN_FINISHED"]
    assert [key for key, _ in await shown(runner)] == ["u1", "a1", "u2", "remote"]


async def test_a_finished_run_id_may_be_used_again(runner):
    await collect(await runner.run(run_of(said("a1"), run_id="same", messages=[user("u1")])))
    messages = [user("u1"), assistant("a1", "hello"), user("u2")]
    await collect(await runner.run(run_of(said("a2"), run_id="same", messages=messages)))
    runs = await runner.store.runs(None, "thread", 0, 10)
    assert [(run.run_id, run.status) for run in runs] == [("same", "finished")] * 2
    assert runs[0].run_key < runs[1].run_key


async def test_another_owners_thread_cannot_be_run_on(runner):
    await collect(await runner.run(run_of(said(), owner="alice")))
    with pytest.raises(ThreadNotFound):
        await runner.run(run_of(said(), owner="bob"))
    assert await collect(await runner.connect(connect_to("thread", owner="bob"))) == []


async def test_the_agents_record_is_kept_on_the_run(runner):
    def note(given, context):
        context.record["tokens"] = 7

    await collect(await runner.run(run_of(ScriptedAgent(note))))
    (run,) = await runner.store.runs(None, "thread", 0, 10)
    assert msgspec.json.decode(run.record) == {"tokens": 7}


async def test_a_snapshot_of_the_agent_decides_what_the_thread_shows(runner):
    await collect(await runner.run(run_of(said("a1"), messages=[user("u1"), user("u1b")])))
    snapshot = MessagesSnapshot(messages=[user("u1"), user("u2"), assistant("a1-renamed", "hello")])
    messages = [user("u1"), user("u1b"), assistant("a1", "hello"), user("u2")]
    await collect(await runner.run(run_of(ScriptedAgent(snapshot), run_id="r2", messages=messages)))
    assert [key for key, _ in await shown(runner)] == ["u1", "u2", "a1-renamed"]
    third = [*snapshot.messages, user("u3")]
    await collect(await runner.run(run_of(said("a3"), run_id="r3", messages=third)))
    assert [key for key, _ in await shown(runner)] == ["u1", "u2", "a1-renamed", "u3", "a3"]
