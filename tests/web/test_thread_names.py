"""How threads get names: from their first message, and from a developer's function after the first run."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from back_ends import Place
from jumpseat import AgentRunner, CopilotRuntime, InMemoryAgentRunner, StoreUnavailable
from jumpseat.runtime import name_calls
from jumpseat.testing.client import AsgiClient
from run_workers import OPTIONS, worker
from serving import Served, hello, own_tasks, serve, until

LONG = " ".join(f"word{number}" for number in range(300))


async def name_of(served: Served, thread_id: str = "t1") -> str | None:
    (record,) = [
        record
        for record in (await served.client.get("/threads")).json()["threads"]
        if record["id"] == thread_id
    ]
    return record["name"]


async def rename(served: Served, name: str | None) -> None:
    changed = await served.client.request("PATCH", "/threads/t1", json={"name": name})
    assert changed.status == 200


async def named(served: Served, name: str, thread_id: str = "t1") -> None:
    """Return once the thread has this name."""

    async def has() -> bool:
        return await name_of(served, thread_id) == name

    await until(has)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What was logged about names."""
    caplog.set_level(logging.WARNING, logger="jumpseat.threads")
    return lambda: [
        line for line in map(logging.LogRecord.getMessage, caplog.records) if "thread_names" in line
    ]


def image() -> list[dict[str, Any]]:
    return [{"type": "image", "source": {"type": "url", "value": "https://images.test/1.png"}}]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (LONG, " ".join(LONG.split()[:8])),
        ("🚀🚀 Lift-off! 🚀", "🚀🚀 Lift-off! 🚀"),
        ("漢" * 300, "漢" * 80),
        ("x" * 79 + " y", "x" * 79),
        ("one\r\ntwo\tthree\x00four", "one two three four"),
        ("# Title", "Title"),
        ('> - *"`Quoted`" why?!', 'Quoted`" why'),
        ("Done...", "Done"),
        ([{"type": "text", "text": "two"}, *image(), {"type": "text", "text": "parts."}], "two parts"),
        ("...", None),
        ("   ", None),
        (image(), None),
    ],
)
async def test_a_thread_is_named_after_the_words_of_its_first_message(text: Any, name: str | None):
    async with serve() as served:
        await served.run(text=text)
        assert await name_of(served) == name


async def test_a_thread_without_words_is_named_by_the_next_run_that_has_some(runner: AgentRunner):
    async with serve(runner=runner) as served:
        messages = [{"id": "u1", "role": "user", "content": image()}]
        await served.run(messages=messages)
        assert await name_of(served) is None
        await served.run(run_id="r2", messages=[*messages, {"id": "u2", "role": "user", "content": "Rome"}])
        await served.run(run_id="r3", messages=[{"id": "u3", "role": "user", "content": "Paris"}])
        assert await name_of(served) == "Rome"


async def test_without_naming_a_thread_has_no_name_until_a_user_gives_one(runner: AgentRunner):
    async with serve(runner=runner, thread_names=None) as served:
        await served.run()
        assert await name_of(served) is None
        await rename(served, "Mine")
        await served.run(run_id="r2")
        assert await name_of(served) == "Mine"


async def test_a_function_is_asked_once_after_the_first_run_with_the_threads_messages(runner: AgentRunner):
    asked: list[Any] = []

    async def title(messages: list[dict[str, Any]]) -> str:
        asked.append(messages)
        return "Greetings"

    async with serve(runner=runner, thread_names=title) as served:
        await served.run()
        await named(served, "Greetings")
        await served.run(run_id="r2")
        await served.run("t2", run_id="r3")
        await named(served, "Greetings", "t2")
    first, second = asked
    assert first == [
        {"id": "r1-u", "role": "user", "content": "hi"},
        {"id": "answer-r1", "role": "assistant", "content": "hello"},
    ]
    assert [message["id"] for message in second] == ["r3-u", "answer-r3"]


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        ("  A\n\tB \x00\x1bC ", "A B C"),
        ("x" * 300, "x" * 256),
        ("x" * 255 + "  y", "x" * 255),
        ("\ud83d Paris", "\ufffd Paris"),
    ],
)
async def test_an_answer_becomes_one_line_that_fits(answer: str, name: str):
    async with serve(thread_names=lambda messages: answer) as served:
        await served.run()
        await named(served, name)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (None, None),
        ("", None),
        (" \n\x00 ", None),
        (7, "returned int, not a str"),
        (["Rome"], "returned list, not a str"),
        (ValueError("no"), "failed"),
        (StopIteration(), "failed"),
        (SystemExit(1), "failed"),
        (asyncio.CancelledError(), "failed"),
    ],
)
@pytest.mark.parametrize("is_async", [True, False])
async def test_a_function_that_gives_no_name_leaves_the_first_and_says_so_once(
    answer: Any, says: str | None, is_async: bool, logged: Callable[[], list[str]]
):
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def answer_now(messages: Any) -> Any:
        loop.call_soon_threadsafe(asked.set)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def answer_later(messages: Any) -> Any:
        return answer_now(messages)

    async with serve(thread_names=answer_later if is_async else answer_now) as served:
        await served.run()
        await asked.wait()
        await until(lambda: not any("thread_names" in task.get_name() for task in own_tasks()))
        assert await name_of(served) == "hi"
        assert [says in line for line in logged()] == ([True] if says else [])


@pytest.fixture
def hanging() -> Iterator[Callable[[Any], str]]:
    """A function that does not return before the test is over."""
    over = threading.Event()

    def hang(messages: Any) -> str:
        over.wait(60)
        return "Late"

    yield hang
    over.set()


async def hang_async(messages: Any) -> str:
    await asyncio.sleep(60)
    return "Late"


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_function_that_hangs_delays_neither_runs_nor_shutdown(
    kind: str, runner: AgentRunner, hanging: Callable[[Any], str]
):
    before = own_tasks()
    began = time.monotonic()
    async with serve(runner=runner, thread_names=hanging if kind == "sync" else hang_async) as served:
        for number in range(20):
            answer = await served.run(f"t{number}", run_id=f"r{number}")
            assert answer.events[-1]["type"] == "RUN_FINISHED"
            answer = await served.run(f"t{number}", run_id=f"again{number}")
            assert answer.events[-1]["type"] == "RUN_FINISHED"
        assert await name_of(served, "t19") == "hi"
    assert time.monotonic() - began < 15
    assert own_tasks() <= before


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_after_its_time_a_function_is_given_up(
    kind: str,
    hanging: Callable[[Any], str],
    logged: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
):
    assert name_calls.SECONDS == 30
    monkeypatch.setattr(name_calls, "SECONDS", 0.05)
    async with serve(thread_names=hanging if kind == "sync" else hang_async) as served:
        await served.run()
        await until(lambda: len(logged()) == 1)
        assert "took longer" in logged()[0]
        assert await name_of(served) == "hi"


@pytest.mark.parametrize("name", ["Mine", None])
async def test_a_rename_while_the_function_thinks_wins(name: str | None, runner: AgentRunner):
    thinking, go, over = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def title(messages: Any) -> str:
        thinking.set()
        await go.wait()
        over.set()
        return "Better"

    async with serve(runner=runner, thread_names=title) as served:
        await served.run()
        await thinking.wait()
        await rename(served, name)
        go.set()
        await over.wait()
        await until(lambda: not any("thread_names" in task.get_name() for task in own_tasks()))
        await served.run(run_id="r2")
        assert await name_of(served) == name


async def test_a_thread_renamed_in_its_first_run_is_not_asked_about():
    asked: list[Any] = []
    gate = asyncio.Event()

    async def waiting(given: Any, _: Any):
        yield {"type": "CUSTOM", "name": "begun", "value": 1}
        await gate.wait()

    async with serve({"default": waiting}, thread_names=asked.append) as served:
        async with served.running() as stream:
            await stream.until("CUSTOM")
            await rename(served, "Mine")
            gate.set()
            await stream.rest()
        await until(lambda: not any("thread_names" in task.get_name() for task in own_tasks()))
        assert (await name_of(served), asked) == ("Mine", [])


async def test_a_first_run_that_fails_or_is_stopped_is_named_too(runner: AgentRunner):
    async def failing(given: Any, _: Any):
        raise ValueError("no")
        yield

    async def endless(given: Any, _: Any):
        yield {"type": "CUSTOM", "name": "begun", "value": 1}
        await asyncio.Event().wait()

    agents = {"failing": failing, "endless": endless}
    async with serve(agents, runner=runner, thread_names=lambda messages: "Named") as served:
        await served.run("failed", agent="failing")
        await named(served, "Named", "failed")
        async with served.running("stopped", agent="endless") as stream:
            await stream.until("CUSTOM")
            await served.client.post("/agent/endless/stop/stopped")
            await stream.rest()
        await named(served, "Named", "stopped")


async def test_a_thread_deleted_while_the_function_thinks_stays_deleted_and_a_new_one_keeps_its_name(
    runner: AgentRunner,
):
    thinking, go = asyncio.Event(), asyncio.Event()

    async def title(messages: list[dict[str, Any]]) -> str | None:
        if messages[0]["content"] == "new":
            return None
        thinking.set()
        await go.wait()
        return "Of the old one"

    async with serve(runner=runner, thread_names=title) as served:
        await served.run()
        await thinking.wait()
        assert (await served.client.request("DELETE", "/threads/t1")).status == 200
        await asyncio.sleep(0.002)
        await served.run(run_id="r2", text="new")
        go.set()
        await until(lambda: not any("thread_names" in task.get_name() for task in own_tasks()))
        assert await name_of(served) == "new"


async def test_of_two_runtimes_on_one_runner_each_names_its_own_threads(runner: AgentRunner):
    one = CopilotRuntime(agents={"default": hello}, runner=runner, thread_names=lambda messages: "One")
    two = CopilotRuntime(agents={"default": hello}, runner=runner, thread_names=lambda messages: "Two")
    three = CopilotRuntime(agents={"default": hello}, runner=runner)
    async with one, two, three:
        for number, runtime in enumerate((one, two, three)):
            app = runtime.app()
            client = Served(runtime, app, AsgiClient(app))
            await client.run(f"t{number}")
            await named(client, ("One", "Two", "hi")[number], f"t{number}")


async def test_a_store_that_is_away_when_the_name_is_there_costs_only_the_name(
    monkeypatch: pytest.MonkeyPatch, logged: Callable[[], list[str]]
):
    runner = InMemoryAgentRunner()

    async def away(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("the store is away")

    async with serve(runner=runner, thread_names=lambda messages: "Lost") as served:
        monkeypatch.setattr(runner.store.threads, "update", away)
        await served.run()
        await until(lambda: len(logged()) == 1)
        assert logged() == ["thread_names: thread 't1' keeps its name: the store is away"]
        monkeypatch.undo()
        assert await name_of(served) == "hi"


async def test_names_take_few_of_the_stores_connections_from_runs(monkeypatch: pytest.MonkeyPatch):
    runner, gate, reading = InMemoryAgentRunner(), asyncio.Event(), [0]
    get = runner.store.threads.get

    async def slow_get(*given: Any) -> Any:
        reading[0] += 1
        await gate.wait()
        return await get(*given)

    async with serve(runner=runner, thread_names=lambda messages: "Named") as served:
        monkeypatch.setattr(runner.store.threads, "get", slow_get)
        for number in range(5):
            await served.run(f"t{number}", run_id=f"r{number}")
        await until(lambda: reading == [2])
        assert await name_of(served, "t4") == "hi"
        assert reading == [2]
        gate.set()
        for number in range(5):
            await named(served, "Named", f"t{number}")


async def test_the_number_of_calls_that_wait_is_bounded(
    monkeypatch: pytest.MonkeyPatch, logged: Callable[[], list[str]]
):
    monkeypatch.setattr(name_calls, "MOST_PENDING", 2)
    async with serve(thread_names=hang_async) as served:
        for number in range(3):
            await served.run(f"t{number}", run_id=f"r{number}")
        await until(lambda: len(logged()) == 1)
        assert "2 calls are pending" in logged()[0]


async def test_a_thread_whose_process_was_killed_is_named_by_the_one_that_seals_its_run(place: Place):
    async with worker(place) as owner:
        owner.send(do="run", words=1000, pause=0.01)
        await owner.until("event")
        await owner.kill()

    def title(messages: list[dict[str, Any]]) -> str:
        return f"Asked as {messages[0]['id']}"

    async with serve(runner=place.runner(**OPTIONS), thread_names=title) as served:
        await named(served, "Asked as u-run", "thread")
