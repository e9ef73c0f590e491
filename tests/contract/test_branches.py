"""The runs of a thread, and what it showed after each of them, on every back end."""

import asyncio
import random
import re
import time

import pytest

from jumpseat.errors import InvalidCursor, RunNotFound
from jumpseat.protocol.events import RunError, StateSnapshot, TextMessageChunk, TextMessageStart
from jumpseat.protocol.inputs import (
    AssistantMessage,
    FunctionCall,
    ReasoningMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from jumpseat.runners.base import BranchStore
from jumpseat.stores.base import Retention
from jumpseat.testing.requests import assistant, collect, pages_of, run_of, take, user
from jumpseat.testing.scripted import ScriptedAgent

U1, A1, U2, A2 = user("u1", "one"), assistant("a1", "first"), user("u2", "two"), assistant("a2", "second")


def answer(message) -> TextMessageChunk:
    return TextMessageChunk(message_id=message.id, delta=message.content)


async def say(runner, run_id, messages, *script, **fields):
    """Finish a run and return its key."""
    agent = ScriptedAgent(*script)
    await collect(await runner.run(run_of(agent, run_id=run_id, messages=messages, **fields)))
    return agent.contexts[0].run_key


async def records(runner, **fields):
    found, _ = await runner.threads.runs("thread", **{"owner": None, **fields})
    return found


async def shown(runner, at=None, **fields):
    """The ids of the messages, now or after a run."""
    messages = await runner.threads.messages("thread", **{"owner": None, "at": at, **fields})
    return [message["id"] for message in messages]


async def test_runs_are_listed_oldest_first_with_what_they_followed_and_how_they_ended(runner):
    before = time.time_ns() // 1_000_000
    first = await say(runner, "r1", [U1], answer(A1), agent_id="a")
    second = await say(runner, "r2", [U1, A1, U2], ValueError("no luck"), agent_id="b")
    third = await say(runner, "r3", [U1, A1, user("u3")], RunError(message="mine", code="E"))
    assert [(run.run_key, run.run_id, run.agent_id, run.status) for run in await records(runner)] == [
        (first, "r1", "a", "finished"),
        (second, "r2", "b", "failed"),
        (third, "r3", "default", "failed"),
    ]
    found = await records(runner)
    assert [(run.parent_key, run.parent_id) for run in found] == [(None, None), (first, "r1"), (first, "r1")]
    errors = [run.error and (run.error.code, run.error.message) for run in found]
    assert errors == [None, ("agent_error", "no luck"), ("E", "mine")]
    assert [run.event_count for run in found] == [5, 2, 2]
    assert all(run.readable for run in found)
    times = [moment for run in found for moment in (run.created_at, run.ended_at)]
    assert times == sorted(times)
    assert before - 1000 <= times[0] <= times[-1] <= time.time_ns() // 1_000_000 + 1000


async def test_of_a_live_run_and_one_that_waits_the_list_tells_what_is_known(make_runner):
    runner = make_runner(on_concurrent_run="enqueue")
    gate = asyncio.Event()
    live = await runner.run(run_of(ScriptedAgent(answer(A1), gate), run_id="live", messages=[U1]))
    await take(live, 3)
    queued = await runner.run(run_of(ScriptedAgent(answer(A2)), run_id="queued", messages=[U2]))
    one, other = await records(runner)
    assert [(run.run_id, run.status, run.ended_at) for run in (one, other)] == [
        ("live", "live", None),
        ("queued", "queued", None),
    ]
    assert (one.event_count, one.error, one.readable) == (3, None, True)
    assert (other.event_count, other.parent_id) == (0, "live")
    assert await shown(runner, "live") == await shown(runner, "queued") == await shown(runner) == ["u1", "a1"]
    gate.set()
    await collect(live)
    await pages_of(queued)
    assert [run.parent_id for run in await records(runner)] == [None, "live"]
    assert await shown(runner, "live") == ["u1", "a1"]
    assert await shown(runner, "queued") == await shown(runner) == ["u1", "a1", "u2", "a2"]


async def test_each_page_of_runs_goes_on_where_the_one_before_ended(runner):
    for number in range(23):
        await say(runner, f"r{number}", [user(f"u{number}")])
    everything = await records(runner)
    assert [run.run_key for run in everything] == [
        header.run_key for header in await runner.store.runs(None, "thread", 0, 100)
    ]
    pages, cursor = [], None
    while not pages or cursor is not None:
        page, cursor = await runner.threads.runs("thread", owner=None, limit=5, cursor=cursor)
        pages.append(page)
    assert [len(page) for page in pages] == [5, 5, 5, 5, 3]
    assert [run for page in pages for run in page] == everything


async def test_a_parent_on_an_earlier_page_is_named(runner):
    first = await say(runner, "r1", [U1], answer(A1))
    for number in range(2, 6):
        await say(runner, f"r{number}", [U1, A1, user(f"u{number}")], answer(assistant(f"a{number}", "x")))
    page, cursor = await runner.threads.runs("thread", owner=None, limit=3)
    rest, end = await runner.threads.runs("thread", owner=None, limit=3, cursor=cursor)
    assert [run.run_id for run in page + rest] == ["r1", "r2", "r3", "r4", "r5"]
    assert [(run.parent_key, run.parent_id) for run in rest] == [(first, "r1")] * 2
    assert end is None


async def test_a_list_of_runs_holds_at_most_two_hundred(runner):
    for number in range(201):
        await say(runner, f"r{number}", [user(f"u{number}")])
    for limit in (200, 1000):
        page, cursor = await runner.threads.runs("thread", owner=None, limit=limit)
        assert (len(page), cursor is None) == (200, False)
    assert len((await runner.threads.runs("thread", owner=None, cursor=cursor))[0]) == 1
    with pytest.raises(ValueError, match="limit"):
        await runner.threads.runs("thread", owner=None, limit=0)


async def test_a_cursor_of_another_list_is_refused_and_one_beyond_the_end_finds_nothing(runner):
    for number in range(2):
        await collect(await runner.run(run_of(ScriptedAgent(), f"t{number}")))
    _, threads_cursor = await runner.threads.list(owner=None, limit=1)
    # "run ", "run x", "run 1234567890", "run 1" with a wrong end
    for cursor in (threads_cursor, "zzz", "", "cnVuIA", "cnVuIHg", "cnVuIDEyMzQ1Njc4OTA", "cnVuIDE=", "ü"):
        with pytest.raises(InvalidCursor):
            await runner.threads.runs("t0", owner=None, cursor=cursor)
    for number in range(4):
        await say(runner, f"r{number}", [user(f"u{number}")])
    _, cursor = await runner.threads.runs("thread", owner=None, limit=3)
    assert await runner.threads.runs("t0", owner=None, cursor=cursor) == ([], None)


async def test_an_edit_a_regeneration_and_a_return_leave_every_branch_readable(runner):
    edited, other, again = user("u2-new", "two, rather"), assistant("a3", "third"), assistant("a4", "fourth")
    u5, a5 = user("u5", "on the old branch"), assistant("a5", "fifth")
    turns = [
        ([U1], A1),
        ([U1, A1, U2], A2),
        ([U1, A1, edited], other),
        ([U1, A1, edited], again),
        ([U1, A1, U2, A2, u5], a5),
    ]
    keys = [
        await say(runner, f"r{number}", messages, answer(reply))
        for number, (messages, reply) in enumerate(turns, 1)
    ]
    for number, (messages, reply) in enumerate(turns, 1):
        branch = [message.id for message in (*messages, reply)]
        assert await shown(runner, keys[number - 1]) == await shown(runner, f"r{number}") == branch
    assert await shown(runner) == ["u1", "a1", "u2", "a2", "u5", "a5"]
    assert [run.parent_id for run in await records(runner)] == [None, "r1", "r1", "r3", "r1"]


class Person:
    """Goes on from any branch in any way that a page offers, and knows what the thread has to show then."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.branches = []
        self.count = 0

    def next(self):
        """The messages of a request, what they make the thread show, and the answer."""
        self.count += 1
        new, reply = user(f"u{self.count}", "said"), assistant(f"a{self.count}", "answered")
        shown = self.branches[-1] if self.branches else []
        match self.random.choice(["turn", "turn", "window", "regenerate", "edit", "rewrite", "return"]):
            case "window":
                messages = [*shown[-self.random.randint(1, 3) :], new]
                expected = [*shown, new]
            case "regenerate" if shown:
                messages = expected = self.cut(shown)
            case "edit" if shown:
                messages = expected = [*self.cut(shown), new]
            case "rewrite" if shown:
                *before, last = self.cut(shown)
                messages = expected = [*before, type(last)(id=last.id, content=f"rewritten {self.count}")]
            case "return" if shown:
                messages = expected = [*self.random.choice(self.branches), new]
            case _:
                messages = expected = [*shown, new]
        self.branches.append([*expected, reply])
        return messages, expected, reply

    def cut(self, shown):
        return shown[: self.random.randint(1, len(shown))]


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_is_edited_regenerated_rewritten_and_returned_to_every_run_shows_its_branch(
    runner, seed
):
    person, keys = Person(seed), []
    for number in range(30):
        messages, expected, reply = person.next()
        gate = asyncio.Event()
        agent = ScriptedAgent(gate, answer(reply))
        stream = await runner.run(run_of(agent, run_id=f"r{number}", messages=messages))
        assert await told(runner) == pairs(expected)
        gate.set()
        await collect(stream)
        keys.append(agent.contexts[0].run_key)
    assert [await told(runner, key) for key in keys] == list(map(pairs, person.branches))
    assert await told(runner) == pairs(person.branches[-1])
    assert [run.run_key for run in await records(runner)] == keys


async def told(runner, at=None):
    """What the thread says, now or after a run."""
    messages = await runner.threads.messages("thread", owner=None, at=at)
    return [(message["id"], message["content"]) for message in messages]


def pairs(messages):
    return [(message.id, message.content) for message in messages]


async def test_a_request_may_say_which_run_of_the_thread_it_follows(runner):
    await say(runner, "r1", [U1], answer(A1))
    await say(runner, "r2", [U1, A1, U2], answer(A2))
    await say(runner, "r3", [U1, A1, U2], answer(assistant("a3", "x")), parent_run_id="r1")
    await say(runner, "r4", [U1, A1, U2, A2], parent_run_id="nobody's")
    assert [run.parent_id for run in await records(runner)] == [None, "r1", "r1", "r2"]
    assert await shown(runner) == ["u1", "a1", "u2", "a2"]


async def test_what_a_branch_said_is_told_in_the_form_and_words_of_its_time(runner):
    await say(runner, "r1", [U1], answer(A1))
    await say(runner, "r2", [user("u1", "one, rather")], answer(assistant("a2", "second")))
    assert await runner.threads.messages("thread", owner=None, at="r1") == [
        {"id": "u1", "role": "user", "content": "one"},
        {"id": "a1", "role": "assistant", "content": "first"},
    ]
    assert (await runner.threads.messages("thread", owner=None))[0]["content"] == "one, rather"


async def test_messages_of_a_branch_are_told_with_all_that_sending_them_again_needs(runner):
    call = ToolCall(
        id="c1", function=FunctionCall(name="go", arguments="{}"), encrypted_value="E", metadata={"m": 1}
    )
    messages = [
        UserMessage(id="u1", content="one", name="Ann"),
        ReasoningMessage(id="r1", content="hm", encrypted_value="secret"),
        AssistantMessage(id="a1", tool_calls=[call], subagent_run_id="s1"),
        ToolMessage(id="t1", tool_call_id="c1", content="no", error="broken", metadata={"k": [2]}),
        AssistantMessage(id="a2", content="so", tool_calls=[]),
    ]
    await say(runner, "r1", messages)
    await say(runner, "r2", [messages[0]])
    told = await runner.threads.messages("thread", owner=None, at="r1")
    assert told == [
        {"id": "u1", "role": "user", "content": "one", "name": "Ann"},
        {"id": "r1", "role": "reasoning", "content": "hm", "encryptedValue": "secret"},
        {
            "id": "a1",
            "role": "assistant",
            "subagentRunId": "s1",
            "toolCalls": [
                {"id": "c1", "name": "go", "args": "{}", "encryptedValue": "E", "metadata": {"m": 1}}
            ],
        },
        {
            "id": "t1",
            "role": "tool",
            "content": "no",
            "toolCallId": "c1",
            "error": "broken",
            "metadata": {"k": [2]},
        },
        {"id": "a2", "role": "assistant", "content": "so"},
    ]
    assert all(next(iter(message)) == "id" for message in told)
    assert await runner.threads.messages("thread", owner=None) == [
        {"id": "u1", "role": "user", "content": "one"}
    ]


async def test_the_state_after_each_run_is_kept_with_it(runner):
    await say(runner, "r1", [U1], StateSnapshot(snapshot={"n": 1}))
    await say(runner, "r2", [U1, U2], state={"n": 2})
    await say(runner, "r3", [U1, U2], StateSnapshot(snapshot=[3]))
    states = [await runner.threads.state("thread", owner=None, at=f"r{number}") for number in (1, 2, 3)]
    assert states == [{"n": 1}, {"n": 2}, [3]]
    assert await runner.threads.state("thread", owner=None) == [3]


async def test_an_id_that_several_runs_have_names_the_newest_and_a_key_names_its_run(runner):
    first = await say(runner, "same", [U1], answer(A1))
    second = await say(runner, "same", [U1, A1, U2], answer(A2))
    assert await shown(runner, "same") == await shown(runner, second) == ["u1", "a1", "u2", "a2"]
    assert await shown(runner, first) == ["u1", "a1"]
    third = await say(runner, first, [U1], answer(assistant("a3", "third")))
    assert await shown(runner, first) == ["u1", "a1"]
    assert await shown(runner, third) == ["u1", "a3"]


async def test_after_a_run_that_is_still_going_the_thread_is_as_it_is_now(runner):
    await say(runner, "r1", [U1], answer(A1), StateSnapshot(snapshot={"n": 1}))
    gate = asyncio.Event()
    script = [StateSnapshot(snapshot={"n": 2}), TextMessageStart(message_id="a2"), gate]
    stream = await runner.run(run_of(ScriptedAgent(*script), run_id="r2", messages=[U1, A1, U2]))
    await take(stream, 3)
    assert await shown(runner, "r2") == await shown(runner) == ["u1", "a1", "u2", "a2"]
    assert await runner.threads.state("thread", owner=None, at="r2") == {"n": 2}
    assert await shown(runner, "r1") == ["u1", "a1"]
    assert await runner.threads.state("thread", owner=None, at="r1") == {"n": 1}
    gate.set()
    await collect(stream)
    assert await shown(runner, "r2") == ["u1", "a1", "u2", "a2"]


async def test_reading_a_run_while_it_ends_shows_it_before_or_after_and_nothing_else(runner):
    """The run that is named is always the newest, so each read meets it somewhere on its way."""
    done, seen = asyncio.Event(), 0

    async def runs():
        for number in range(60):
            await say(runner, "same", [user("u")], answer(assistant(f"a{number}", "x")))
        done.set()

    await say(runner, "same", [user("u")])
    task = asyncio.create_task(runs())
    async with asyncio.timeout(60):
        while not done.is_set():
            ids = await shown(runner, "same")
            assert re.fullmatch(r"u( a\d+)?", " ".join(ids))
            seen += 1
            await asyncio.sleep(0)
        await task
    assert seen > 10


async def test_a_run_that_the_thread_does_not_have_is_not_found_in_any_verb(runner):
    await say(runner, "r1", [U1])
    await collect(await runner.run(run_of(ScriptedAgent(), "other", "elsewhere")))
    (elsewhere,), _ = await runner.threads.runs("other", owner=None)
    for name in ("nobody", "", "elsewhere", elsewhere.run_key, "x" * 600, "a\x00b", "ü/😀"):
        for verb in (runner.threads.messages, runner.threads.state):
            with pytest.raises(RunNotFound, match="name one by its runKey, or its runId"):
                await verb("thread", owner=None, at=name)


async def test_the_runs_of_somebody_else_are_those_of_an_unknown_thread(runner):
    key = await say(runner, "r1", [U1], answer(A1), owner="alice")
    assert await shown(runner, key, owner="alice") == ["u1", "a1"]
    for owner in ("bob", None, ""):
        for at in (key, "r1", "nobody"):
            for verb in (runner.threads.messages, runner.threads.state):
                assert await verb("thread", owner=owner, at=at) is None
                assert await verb("unknown", owner=owner, at=at) is None
        for thread in ("thread", "unknown"):
            assert await runner.threads.runs(thread, owner=owner) is None


async def test_a_run_that_retention_emptied_is_listed_and_says_that_it_cannot_be_read(runner):
    for number in range(1, 5):
        await say(runner, f"r{number}", [user(f"u{number}")], RunError(message="no", code="E"))
    await runner.store.prune(Retention(max_runs=2), 1000)
    found = await records(runner)
    assert [(run.run_id, run.status, run.readable) for run in found] == [
        ("r1", "failed", False),
        ("r2", "failed", False),
        ("r3", "failed", True),
        ("r4", "failed", True),
    ]
    assert [run.error is None for run in found] == [True, True, False, False]
    for verb in (runner.threads.messages, runner.threads.state):
        with pytest.raises(RunNotFound, match="no longer kept: name a later run"):
            await verb("thread", owner=None, at="r1")
    assert await shown(runner, "r3") == ["u1", "u2", "u3"]


async def test_a_shipped_runner_tells_of_branches(runner):
    assert isinstance(runner.threads, BranchStore)
