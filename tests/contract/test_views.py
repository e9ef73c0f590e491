"""What a thread shows after edits, regeneration, stale tabs and trimmed requests."""

from __future__ import annotations

import asyncio

import pytest

from jumpseat.errors import ThreadAlreadyRunning, ThreadNotFound
from jumpseat.protocol.codec import accept, decode_message, encode_message, to_wire
from jumpseat.protocol.events import (
    ActivitySnapshot,
    ReasoningMessageChunk,
    TextMessageChunk,
    ToolCallChunk,
    ToolCallResult,
)
from jumpseat.protocol.history import readable
from jumpseat.protocol.inputs import (
    AssistantMessage,
    BinaryPart,
    FunctionCall,
    ImagePart,
    PartSource,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from jumpseat.testing import ScriptedAgent
from jumpseat.testing.requests import assistant, collect, connect_to, run_of, user

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


async def views(runner):
    """The ids of the messages after each run, oldest first."""
    headers = await runner.store.runs(None, "thread", 0, 1000)
    return [[key for key, _ in await view(runner, header.ordinal)] for header in headers]


def pairs(*messages):
    return [(message.id, message.content) for message in messages]


@pytest.fixture
async def two_turns(runner):
    await say(runner, [U1], A1)
    await say(runner, [U1, A1, U2], A2)
    return runner


CALL = ToolCallChunk(tool_call_id="c1", tool_call_name="pick", delta="{}", parent_message_id="a1")
CALLING = AssistantMessage(
    id="a1", tool_calls=[ToolCall(id="c1", function=FunctionCall(name="pick", arguments="{}"))]
)
T1 = ToolMessage(id="t1", tool_call_id="c1", content="done")
RULES, A3 = SystemMessage(id="rules", content="Be brief."), assistant("a3", "third")
U3, U2_NEW, U2_EDITED = user("u3", "three"), user("u2-new", "two, rather"), user("u2", "two, rather")
REPLY = assistant("reply", "so be it")


async def one_turn(runner):
    await say(runner, [U1], A1)


async def one_turn_with_a_call(runner):
    agent = ScriptedAgent(CALL, TextMessageChunk(message_id="a2", delta="second"))
    await collect(await runner.run(run_of(agent, messages=[U1])))


async def both_turns(runner):
    await say(runner, [U1], A1)
    await say(runner, [U1, A1, U2], A2)


# What was said before, what the request holds, what the thread shows when the run starts, and the run that
# it follows: the newest one (None), or that with this ordinal.
CASES = {
    "the next turn": (one_turn, [U1, A1, U2], [U1, A1, U2], None),
    "a tool's answer": (one_turn_with_a_call, [U1, CALLING, T1, A2], [U1, CALLING, T1, A2], None),
    "only the new message": (one_turn, [U2], [U1, A1, U2], None),
    "a trimmed window": (one_turn, [A1, U2], [U1, A1, U2], None),
    "a trimmed window of two turns": (both_turns, [A2, U3], [U1, A1, U2, A2, U3], None),
    "a regeneration": (both_turns, [U1, A1, U2], [U1, A1, U2], 2),
    "an edit under a new id": (both_turns, [U1, A1, U2_NEW], [U1, A1, U2_NEW], 1),
    "an edit under the same id": (both_turns, [U1, A1, U2_EDITED], [U1, A1, U2_EDITED], 2),
    "a stale second tab": (both_turns, [U1, A1, U3], [U1, A1, U3], 1),
    "a resume with nothing new": (one_turn, [U1, A1], [U1, A1], None),
    "a resume of two turns": (both_turns, [U1, A1, U2, A2], [U1, A1, U2, A2], None),
    "a message between two": (both_turns, [U1, U3, A1, U2, A2], [U1, U3, A1, U2, A2], None),
    "a message before all": (both_turns, [RULES, U1, A1, U2, A2, U3], [RULES, U1, A1, U2, A2, U3], None),
    "a message before a window": (both_turns, [RULES, U2, A2, U3], [U1, A1, RULES, U2, A2, U3], None),
    "a message taken out": (both_turns, [U1, U2, A2, U3], [U1, A1, U2, A2, U3], None),
    "a message said twice": (both_turns, [U1, A1, U2, A2, U3, U3], [U1, A1, U2, A2, U3], None),
    "another order": (both_turns, [U2, A2, U1, A1, U3], [U1, A1, U3, U2, A2], None),
    "another first message": (one_turn, [U2_NEW], [U1, A1, U2_NEW], None),
    "an edit and a cut": (both_turns, [user("u1", "one, rather")], [user("u1", "one, rather")], 1),
    "a branch of its own": (both_turns, [U1, A3, U3], [U1, A3, U3], 1),
}


@pytest.mark.parametrize("trimmed", [False, True], ids=["whole before", "trimmed before"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_what_a_request_shows_and_what_it_follows_and_that_older_runs_show_what_they_did(
    runner, case, trimmed
):
    said, messages, shown, parent = case
    await said(runner)
    if trimmed:
        # The store no longer knows the whole view by a digest: it has to look the messages up.
        (last, content) = (await view(runner))[-1]
        await say(runner, [assistant(last, content)])
    before = [await view(runner, run.ordinal) for run in await runner.store.runs(None, "thread", 0, 10)]
    gate = asyncio.Event()
    agent = ScriptedAgent(gate, TextMessageChunk(message_id=REPLY.id, delta=REPLY.content))
    stream = await runner.run(run_of(agent, messages=messages))
    assert await view(runner) == pairs(*shown)
    gate.set()
    await collect(stream)
    assert agent.inputs[0].messages == messages
    *older, newest = await runner.store.runs(None, "thread", 0, 10)
    assert newest.parent == (parent or len(older))
    assert await view(runner) == await view(runner, newest.ordinal) == pairs(*shown, REPLY)
    assert [await view(runner, run.ordinal) for run in older] == before


async def test_each_tab_that_goes_on_makes_the_thread_show_what_its_agent_saw(two_turns):
    u3, a3, u4, a4 = (
        user("u3", "from the other tab"),
        assistant("a3", "third"),
        user("u4", "four"),
        assistant("a4", "fourth"),
    )
    await say(two_turns, [U1, A1, u3], a3)
    assert await view(two_turns) == pairs(U1, A1, u3, a3)
    run = await say(two_turns, [U1, A1, U2, A2, u4], a4)
    assert await view(two_turns) == pairs(U1, A1, U2, A2, u4, a4)
    assert run.parent == 1
    assert await view(two_turns, at=2) == pairs(U1, A1, U2, A2)
    assert await view(two_turns, at=3) == pairs(U1, A1, u3, a3)


async def test_a_tab_that_sends_while_another_runs_is_refused_and_changes_nothing(two_turns):
    gate = asyncio.Event()
    running = await two_turns.run(run_of(ScriptedAgent(gate), messages=[U1, A1, U2, A2, U3]))
    agent = answer(REPLY)
    with pytest.raises(ThreadAlreadyRunning, match=r"^Thread already running$"):
        await two_turns.run(run_of(agent, run_id="other", messages=[U1, A1, U2_NEW]))
    assert agent.inputs == []
    assert await view(two_turns) == pairs(U1, A1, U2, A2, U3)
    gate.set()
    await collect(running)
    assert len(await two_turns.store.runs(None, "thread", 0, 10)) == 3


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


# Each message in one gap halves it: 2**20 positions are used up after 20.
CROWD = 40
CALLS = [ToolCall(id=f"c{n}", function=FunctionCall(name="x", arguments="{}")) for n in range(CROWD)]
CALLS_AND_WORDS = [
    *(
        ToolCallChunk(tool_call_id=call.id, tool_call_name="x", delta="{}", parent_message_id="a1")
        for call in CALLS
    ),
    TextMessageChunk(message_id="a2", delta="second"),
]


async def test_many_answers_between_two_messages_keep_their_order_and_every_older_view(runner):
    await collect(await runner.run(run_of(ScriptedAgent(*CALLS_AND_WORDS), messages=[U1])))
    messages, branches = [U1, AssistantMessage(id="a1", tool_calls=CALLS), A2], [["u1", "a1", "a2"]]
    for number in range(CROWD):
        # Each answer goes directly behind the call, in front of all the others.
        messages.insert(2, ToolMessage(id=f"t{number}", tool_call_id=f"c{number}", content="ok"))
        await say(runner, list(messages))
        branches.append([message.id for message in messages])
    assert await views(runner) == branches


async def test_many_results_from_the_server_for_older_calls_keep_their_order_and_every_older_view(runner):
    await collect(await runner.run(run_of(ScriptedAgent(*CALLS_AND_WORDS), messages=[U1])))
    messages, branches = [U1, AssistantMessage(id="a1", tool_calls=CALLS), A2], [["u1", "a1", "a2"]]
    for number in range(CROWD):
        late = ScriptedAgent(ToolCallResult(message_id=f"t{number}", tool_call_id=f"c{number}", content="ok"))
        await collect(await runner.run(run_of(late, messages=list(messages))))
        messages.insert(2 + number, ToolMessage(id=f"t{number}", tool_call_id=f"c{number}", content="ok"))
        branches.append([message.id for message in messages])
    assert await views(runner) == branches


async def test_a_crowded_place_can_be_cut_and_taken_up_again(runner):
    await collect(await runner.run(run_of(ScriptedAgent(*CALLS_AND_WORDS), messages=[U1])))
    calling = AssistantMessage(id="a1", tool_calls=CALLS)
    results = [ToolMessage(id=f"t{n}", tool_call_id=f"c{n}", content="ok") for n in range(CROWD)]
    for number in range(1, CROWD + 1):
        # Windows of the newest messages, so that each place is found by looking the neighbours up.
        await say(runner, [calling, *results[:number][::-1], A2])
    crowded = ["u1", "a1", *(result.id for result in results[::-1]), "a2"]
    await say(runner, [calling, results[-1], U2])
    assert [key for key, _ in await view(runner)] == ["u1", "a1", results[-1].id, "u2"]
    await say(runner, [U1, calling, *results[::-1], A2, U3])
    assert [key for key, _ in await view(runner)] == [*crowded, "u3"]
    assert (await views(runner))[CROWD] == crowded


class Meddler:
    """Finishes a run of its own between the plan and the claim of the run ``mine``, some ``times``."""

    def __init__(self, runner, times, monkeypatch):
        self.runner, self.times, self.claims = runner, times, 0
        self.claim = runner.store.claim
        monkeypatch.setattr(runner.store, "claim", self.meddle)

    async def meddle(self, new, *args):
        if new.run_id == "mine":
            self.claims += 1
            if self.claims <= self.times:
                other = f"other{self.claims}"
                await say(self.runner, [user(other)], run_id=other)
        return await self.claim(new, *args)


async def test_a_plan_for_a_thread_that_moved_is_made_again_up_to_three_times(two_turns, monkeypatch):
    meddler = Meddler(two_turns, 3, monkeypatch)
    run = await say(two_turns, [U1, A1, U2, A2, U3], REPLY, run_id="mine")
    assert meddler.claims == 4
    # It has not seen what the others said, and is what an agent saw last.
    assert await view(two_turns) == pairs(U1, A1, U2, A2, U3, REPLY)
    assert (run.run_id, run.parent) == ("mine", 2)
    others = ["other1", "other2", "other3"]
    assert (await views(two_turns))[-2:] == [
        ["u1", "a1", "u2", "a2", *others],
        ["u1", "a1", "u2", "a2", "u3", "reply"],
    ]


async def test_a_thread_that_never_stands_still_is_busy_and_nothing_of_the_run_is_kept(
    two_turns, monkeypatch
):
    meddler = Meddler(two_turns, 4, monkeypatch)
    agent = answer(REPLY)
    with pytest.raises(ThreadAlreadyRunning):
        await two_turns.run(run_of(agent, run_id="mine", messages=[U1, A1, U2, A2, U3]))
    assert (meddler.claims, agent.inputs) == (4, [])
    assert await two_turns.store.find(None, "thread", "mine") is None
    assert [key for key, _ in await view(two_turns)][4:] == ["other1", "other2", "other3", "other4"]


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


MIB = 1 << 20


def image(size, letter="A"):
    return ImagePart(source=PartSource(type="data", value=letter * size, mime_type="image/png"))


def calling(*sizes):
    calls = [
        ToolCall(id=f"c{n}", function=FunctionCall(name="f", arguments=f'"{n}{"x" * size}"'))
        for n, size in enumerate(sizes)
    ]
    return AssistantMessage(id="a", content="Calling.", tool_calls=calls)


LARGE = {
    "a text": [user("u", "\u00fc\n" * 3 * MIB)],
    "an image": [UserMessage(id="u", content=[TextPart(text="Look:"), image(9 * MIB), image(100)])],
    "several parts": [UserMessage(id="u", content=[image(5 * MIB), image(6 * MIB, "B"), TextPart(text="x")])],
    "a binary part": [
        UserMessage(id="u", content=[BinaryPart(mime_type="image/png", data="A" * 9 * MIB)]),
    ],
    "arguments of calls": [user("u"), calling(5 * MIB, 40, 5 * MIB)],
    "a result": [
        user("u"),
        calling(4),
        ToolMessage(id="t", tool_call_id="c0", content=[TextPart(text="y" * 9 * MIB)]),
    ],
    "two messages": [user("u", "x" * 9 * MIB), user("v", "and"), user("w", "y" * 9 * MIB)],
}


async def connected(runner):
    """The messages of a client that has loaded the thread anew."""
    messages = []
    for event in map(accept, await collect(await runner.connect(connect_to()))):
        messages += getattr(event, "messages", None) or []
        messages += event.input.messages if getattr(event, "input", None) is not None else []
    return messages


def stored_form(message):
    """A message as an agent gets it: the legacy forms of parts and results count as what they stand for."""
    return decode_message(readable(encode_message(message)))


async def keys_and_data(runner, at=None):
    history = await runner.store.history(None, "thread", at)
    return [(entry.key, entry.data) for entry in history.entries]


@pytest.mark.parametrize("messages", LARGE.values(), ids=LARGE)
async def test_a_message_that_reached_its_client_shortened_stays_whole_in_the_thread_and_for_the_agent(
    runner, messages
):
    await say(runner, messages, A1)
    stored = await keys_and_data(runner)
    loaded = await connected(runner)
    assert "[omitted: " in str([to_wire(message) for message in loaded])
    for following in ([U2], [U2, U3]):
        agent = ScriptedAgent()
        await collect(await runner.run(run_of(agent, messages=[*loaded, *following])))
        got = [stored_form(message) for message in agent.inputs[0].messages]
        assert got == [*map(stored_form, [*messages, A1]), *following]
    assert (await keys_and_data(runner))[: len(stored)] == stored
    assert await connected(runner) == [*loaded, U2, U3]


async def test_regenerating_the_answer_to_a_shortened_message_keeps_it_whole(runner):
    await say(runner, LARGE["an image"], A1)
    (shortened, _) = await connected(runner)
    await say(runner, [shortened], A2)
    assert [(key, len(data) > 9 * MIB) for key, data in await keys_and_data(runner)] == [
        ("u", True),
        ("a2", False),
    ]


@pytest.mark.parametrize("taken", [0, 2])
async def test_an_edit_of_a_shortened_message_counts_and_what_it_left_alone_is_put_back(runner, taken):
    parts = [image(9 * MIB), TextPart(text="What is this?"), image(10 * MIB, "B")]
    await say(runner, [UserMessage(id="u", content=parts)], A1)
    (shortened, _) = await connected(runner)
    sent = [shortened.content[0], TextPart(text="And this?"), shortened.content[2]]
    whole = [parts[0], TextPart(text="And this?"), parts[2]]
    del sent[taken], whole[taken]
    agent = ScriptedAgent()
    edited = UserMessage(id="u", content=sent)
    await collect(await runner.run(run_of(agent, messages=[edited, A1, U2])))
    assert agent.inputs[0].messages[0].content == whole
    assert (await view(runner))[0] == ("u", whole)
    assert (await view(runner, at=1))[0] == ("u", parts)


async def test_words_that_look_like_a_note_are_words_like_any_other(runner):
    note = "[omitted: 9 bytes]"
    await say(runner, [U1], A1)
    edited = user("u1", note)
    agent = ScriptedAgent()
    await collect(await runner.run(run_of(agent, messages=[edited, A1, user("u2", note)])))
    assert agent.inputs[0].messages == [edited, A1, user("u2", note)]
    assert await view(runner) == pairs(edited, A1, user("u2", note))


async def test_a_message_of_another_owner_is_put_into_no_request(runner):
    await collect(await runner.run(run_of(answer(A1), messages=LARGE["an image"], owner="ann")))
    sent = UserMessage(id="u", content=[TextPart(text=f"[omitted: {9 * MIB} bytes]")])
    agent = ScriptedAgent()
    with pytest.raises(ThreadNotFound):
        await runner.run(run_of(agent, messages=[sent], owner="bob"))
    assert agent.inputs == []


async def test_what_was_shortened_stays_whole_in_a_run_that_waited_in_line(make_runner):
    runner = make_runner(on_concurrent_run="enqueue")
    await say(runner, LARGE["an image"], A1)
    loaded = await connected(runner)
    gate = asyncio.Event()
    running = await runner.run(run_of(ScriptedAgent(gate), messages=[*loaded, U2]))
    waiting = ScriptedAgent()
    queued = await runner.run(run_of(waiting, run_id="waits", messages=[*loaded, U3]))
    gate.set()
    await collect(running)
    await collect(queued)
    assert waiting.inputs[0].messages == [*LARGE["an image"], A1, U2, U3]
