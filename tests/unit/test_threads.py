"""`runtime.threads`: the thread verbs for code on the server."""

import pytest

from jumpseat.errors import InvalidCursor, JumpseatError, RunNotFound, ThreadNotFound
from jumpseat.runners.in_memory import InMemoryAgentRunner
from jumpseat.testing.requests import collect, run_of
from jumpseat.testing.scripted import ScriptedAgent
from jumpseat.threads import Threads, clean_name


@pytest.fixture
async def runner():
    runner = InMemoryAgentRunner()
    yield runner
    await runner.aclose()


@pytest.fixture
def threads(runner):
    async def ready():
        return runner

    return Threads(ready)


@pytest.fixture
async def thread(runner) -> str:
    await collect(await runner.run(run_of(ScriptedAgent(), "t", owner="alice")))
    return "t"


async def test_a_thread_is_renamed_archived_and_brought_back(threads, thread):
    assert (await threads.rename(thread, " New \n", owner="alice")).name == "New"
    assert (await threads.rename(thread, None, owner="alice")).name is None
    assert (await threads.archive(thread, owner="alice")).archived
    assert (await threads.list(owner="alice"))[0] == []
    assert not (await threads.unarchive(thread, owner="alice")).archived
    assert [record.id for record in (await threads.list(owner="alice"))[0]] == [thread]


async def test_a_thread_is_inspected_and_deleted(threads, thread):
    assert (await threads.get(thread, owner="alice")).id == thread
    assert await threads.messages(thread, owner="alice") == []
    events, truncated = await threads.events(thread, owner="alice")
    assert (len(events), truncated) == (2, False)
    assert await threads.state(thread, owner="alice") is None
    await threads.delete(thread, owner="alice")
    await threads.delete(thread, owner="alice")
    assert await threads.get(thread, owner="alice") is None


async def test_a_thread_is_read_as_it_was_after_one_of_its_runs(threads, thread):
    (run,), cursor = await threads.runs(thread, owner="alice")
    assert (run.run_id, run.parent_key, cursor) == ("run", None, None)
    for name in (run.run_key, "run"):
        assert await threads.messages(thread, owner="alice", at=name) == []
        assert await threads.state(thread, owner="alice", at=name) is None
    with pytest.raises(RunNotFound, match="no run 'nobody'") as raised:
        await threads.messages(thread, owner="alice", at="nobody")
    assert (raised.value.thread_id, raised.value.run, raised.value.outdated) == (thread, "nobody", False)
    assert await threads.runs(thread, owner="bob") is None
    assert await threads.messages(thread, owner="bob", at="run") is None


async def test_clearing_takes_one_owners_threads(threads, thread):
    await threads.clear(owner="bob")
    assert len((await threads.list(owner="alice"))[0]) == 1
    await threads.clear(owner="alice")
    assert await threads.list(owner="alice") == ([], None)


@pytest.mark.parametrize("owner", ["bob", None])
async def test_a_change_to_somebody_elses_thread_says_that_there_is_none(threads, thread, owner):
    for change in (
        threads.rename(thread, "x", owner=owner),
        threads.archive(thread, owner=owner),
        threads.unarchive(thread, owner=owner),
        threads.delete(thread, owner=owner),
    ):
        with pytest.raises(ThreadNotFound):
            await change
    assert await threads.messages(thread, owner=owner) is None
    assert await threads.events(thread, owner=owner) is None


async def test_the_owner_must_always_be_said(threads, thread):
    for verb in (
        threads.get,
        threads.archive,
        threads.delete,
        threads.runs,
        threads.messages,
        threads.events,
        threads.state,
    ):
        with pytest.raises(TypeError, match="owner"):
            await verb(thread)


async def test_wrong_arguments_are_told(threads, thread):
    with pytest.raises(InvalidCursor):
        await threads.list(owner="alice", cursor="zzz")
    with pytest.raises(ValueError, match="limit"):
        await threads.list(owner="alice", limit=0)
    with pytest.raises(ValueError, match="256"):
        await threads.rename(thread, "x" * 257, owner="alice")


async def test_a_runner_without_threads_is_named_as_the_reason():
    class Threadless:
        threads = None

    async def ready():
        return Threadless()

    for verb in (Threads(ready).list(owner=None), Threads(ready).runs("t", owner=None)):
        with pytest.raises(JumpseatError, match="does not support threads"):
            await verb


async def test_a_runner_that_tells_nothing_of_branches_is_named_as_the_reason_and_read_as_before():
    class Older:
        async def messages(self, thread_id, *, owner):
            return [thread_id]

        async def state(self, thread_id, *, owner):
            return {"of": thread_id}

    class OlderRunner:
        threads = Older()

    async def ready():
        return OlderRunner()

    threads = Threads(ready)
    for verb in (
        threads.runs("t", owner=None),
        threads.messages("t", owner=None, at="r"),
        threads.state("t", owner=None, at="r"),
    ):
        with pytest.raises(JumpseatError, match="does not support older branches"):
            await verb
    assert await threads.messages("t", owner=None) == ["t"]
    assert await threads.state("t", owner=None) == {"of": "t"}


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        (None, None),
        ("", None),
        (" \t\n ", None),
        ("\x00\x1f\x7f\x85", None),
        (" a\x00b c ", "ab c"),
        ("ü 😀", "ü 😀"),
        ("x" * 256, "x" * 256),
        ("  " + "x" * 256 + "  ", "x" * 256),
    ],
)
def test_a_name_is_cleaned(name, clean):
    assert clean_name(name) == clean
