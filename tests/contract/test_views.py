"""What a thread shows after edits, regeneration, stale tabs and trimmed requests."""

from __future__ import annotations

import pytest

from jumpseat.protocol.codec import decode_message
from jumpseat.protocol.events import (
    ActivitySnapshot,
    ReasoningMessageChunk,
    TextMessageChunk,
    ToolCallChunk,
    ToolCallResult,
)
from jumpseat.protocol.inputs import AssistantMessage, FunctionCall, ToolCall, ToolMessage
from jumpseat.testing import ScriptedAgent
from jumpseat.testing.requests import assistant, collect, run_of, user

U1, A1, U2, A2 = user("u1", "one"), assistant("a1", "first"), user("u2", "two"), assistant("a2", "second")


def answer(message) -> ScriptedAgent:
    return ScriptedAgent(TextMessageChunk(message_id=message.id, delta=message.content))


async def view(runner, at=None):
    history = await runner.store.history(None, "thread", at)
    messages = [decode_message(entry.data) for entry in history.entries]
    return [(message.id, message.content) for message in messages]


async def say(runner, messages, reply=None, **fields):
    agent = answer(reply) if reply is not None else ScriptedAgent()
    await collect(await runner.run(run_of(agent, messages=messages, **fields)))
    return (await runner.store.runs(None, "thread", 0, 1000))[-1]


def pairs(*messages):
    return [(message.id, message.content) for message in messages]


@pytest.fixture
async def two_turns(runner):
    await say(runner, [U1], A1)
    await say(runner, [U1, A1, U2], A2)
    return runner


async def test_the_next_turn_follows_the_newest_run(two_turns):
    assert await view(two_turns) == pairs(U1, A1, U2, A2)
    headers = await two_turns.store.runs(None, "thread", 0, 10)
    assert [header.parent for header in headers] == [None, 1]


async def test_clients_that_send_only_the_new_message_append(two_turns):
    run = await say(two_turns, [user("u3")], assistant("a3", "third"))
    assert await view(two_turns) == [*pairs(U1, A1, U2, A2), ("u3", "hi"), ("a3", "third")]
    assert run.parent == 2


async def test_a_trimmed_window_keeps_what_it_leaves_out(two_turns):
    await say(two_turns, [A2, user("u3")], assistant("a3", "third"))
    assert await view(two_turns) == [*pairs(U1, A1, U2, A2), ("u3", "hi"), ("a3", "third")]


async def test_regenerating_cuts_the_answer_and_follows_the_run_of_the_question(two_turns):
    run = await say(two_turns, [U1, A1, U2], assistant("a2b", "better"))
    assert await view(two_turns) == [*pairs(U1, A1, U2), ("a2b", "better")]
    assert run.parent == 2
    assert await view(two_turns, at=2) == pairs(U1, A1, U2, A2)


async def test_an_edit_under_a_new_id_follows_the_run_of_the_answer_before(two_turns):
    edited = user("u2-new", "two, rather")
    run = await say(two_turns, [U1, A1, edited], assistant("a2b", "other"))
    assert await view(two_turns) == [*pairs(U1, A1, edited), ("a2b", "other")]
    assert run.parent == 1


async def test_an_edit_under_the_same_id_replaces_the_message_in_its_place(two_turns):
    edited = user("u2", "two, rather")
    run = await say(two_turns, [U1, A1, edited], assistant("a2b", "other"))
    assert await view(two_turns) == [*pairs(U1, A1, edited), ("a2b", "other")]
    assert run.parent == 2
    assert await view(two_turns, at=2) == pairs(U1, A1, U2, A2)


async def test_a_stale_tab_decides_what_the_thread_shows(two_turns):
    u3 = user("u3", "from the other tab")
    run = await say(two_turns, [U1, A1, u3], assistant("a3", "third"))
    assert await view(two_turns) == [*pairs(U1, A1, u3), ("a3", "third")]
    assert run.parent == 1
    assert await view(two_turns, at=2) == pairs(U1, A1, U2, A2)


async def test_a_resume_without_new_messages_keeps_the_view(two_turns):
    run = await say(two_turns, [U1, A1, U2, A2])
    assert await view(two_turns) == pairs(U1, A1, U2, A2)
    assert run.parent == 2


async def test_an_old_branch_can_be_taken_up_again(two_turns):
    await say(two_turns, [U1, A1, U2], assistant("a2b", "better"))
    u3 = user("u3", "on the old branch")
    await say(two_turns, [U1, A1, U2, A2, u3], assistant("a3", "third"))
    assert await view(two_turns) == [*pairs(U1, A1, U2, A2, u3), ("a3", "third")]
    assert await view(two_turns, at=3) == [*pairs(U1, A1, U2), ("a2b", "better")]
    assert await view(two_turns, at=2) == pairs(U1, A1, U2, A2)


async def test_a_tool_answer_goes_behind_the_message_with_the_call(runner):
    calling = AssistantMessage(
        id="a1", tool_calls=[ToolCall(id="c1", function=FunctionCall(name="pick", arguments="{}"))]
    )
    script = ScriptedAgent(
        ToolCallChunk(tool_call_id="c1", tool_call_name="pick", delta="{}", parent_message_id="a1"),
        TextMessageChunk(message_id="a2", delta="second"),
    )
    await collect(await runner.run(run_of(script, messages=[U1])))
    result = ToolMessage(id="t1", tool_call_id="c1", content="done")
    await say(runner, [U1, calling, result, A2], assistant("a3", "third"))
    assert [key for key, _ in await view(runner)] == ["u1", "a1", "t1", "a2", "a3"]


async def test_a_result_from_the_server_for_an_older_call_goes_behind_that_call(runner):
    calling = AssistantMessage(
        id="a1", tool_calls=[ToolCall(id="c1", function=FunctionCall(name="pick", arguments="{}"))]
    )
    script = ScriptedAgent(
        ToolCallChunk(tool_call_id="c1", tool_call_name="pick", delta="{}", parent_message_id="a1"),
        TextMessageChunk(message_id="a2", delta="second"),
    )
    await collect(await runner.run(run_of(script, messages=[U1])))
    late = ScriptedAgent(ToolCallResult(message_id="t1", tool_call_id="c1", content="late"))
    await collect(await runner.run(run_of(late, messages=[U1, calling, A2, user("u2")])))
    assert [key for key, _ in await view(runner)] == ["u1", "a1", "t1", "a2", "u2"]


async def test_many_answers_between_two_messages_keep_their_order(runner):
    calls = [ToolCall(id=f"c{n}", function=FunctionCall(name="x", arguments="{}")) for n in range(40)]
    chunks = [
        ToolCallChunk(tool_call_id=call.id, tool_call_name="x", delta="{}", parent_message_id="a1")
        for call in calls
    ]
    await collect(
        await runner.run(
            run_of(ScriptedAgent(*chunks, TextMessageChunk(message_id="a2", delta="x")), messages=[U1])
        )
    )
    messages = [U1, AssistantMessage(id="a1", tool_calls=calls), assistant("a2", "x")]
    for number in range(40):
        # Each answer goes directly behind the call, in front of all the others.
        messages.insert(2, ToolMessage(id=f"t{number}", tool_call_id=f"c{number}", content="ok"))
        await say(runner, list(messages))
    assert [key for key, _ in await view(runner)] == [message.id for message in messages]


@pytest.mark.parametrize("keep", [lambda m: m[-1:], lambda m: m[-2:], lambda m: m[:10] + m[-10:]])
async def test_a_message_filter_makes_nothing_vanish(runner, keep):
    messages = []
    for turn in range(50):
        messages.append(user(f"u{turn}"))
        reply = assistant(f"a{turn}", "x")
        await say(runner, list({m.id: m for m in keep(messages)}.values()), reply)
        messages.append(reply)
    assert [key for key, _ in await view(runner)] == [message.id for message in messages]


async def test_reasoning_and_activities_the_client_does_not_send_stay_where_they_were(runner):
    script = ScriptedAgent(
        ReasoningMessageChunk(message_id="r1", delta="thinking"),
        TextMessageChunk(message_id="a1", delta="first"),
        ActivitySnapshot(message_id="act1", activity_type="x", content={"done": True}),
    )
    await collect(await runner.run(run_of(script, messages=[U1])))
    await say(runner, [U1, A1, U2], A2)
    assert [key for key, _ in await view(runner)] == ["u1", "r1", "a1", "act1", "u2", "a2"]
    await say(runner, [U1, A1, U2], assistant("a2b", "better"))
    assert [key for key, _ in await view(runner)] == ["u1", "r1", "a1", "act1", "u2", "a2b"]


@pytest.mark.parametrize("call_id", ["u1", "u2", "a1"])
async def test_a_call_with_the_id_of_a_message_hides_no_message(runner, call_id):
    call = ToolCallChunk(tool_call_id=call_id, tool_call_name="go", delta="{}", parent_message_id="a2")
    result = ToolCallResult(message_id="t2", tool_call_id=call_id, content="done")
    await say(runner, [U1], A1)
    agent = ScriptedAgent(TextMessageChunk(message_id="a2", delta="second"), call, result)
    await collect(await runner.run(run_of(agent, messages=[U1, A1, U2])))
    shown = [*pairs(U1, A1, U2, A2), ("t2", "done")]
    assert await view(runner) == shown
    # A part of the view, so that the store has to be asked where it is.
    await say(runner, [U2, user("u3", "three")], assistant("a3", "third"))
    assert await view(runner) == [*pairs(U1, A1, U2), ("u3", "three"), ("a3", "third")]
    await say(runner, [U1, user("u4", "four")])
    assert await view(runner) == [*pairs(U1), ("u4", "four")]
