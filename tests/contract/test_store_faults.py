"""A store that fails, forgets to answer, or stays away: what the runner makes of it."""

from __future__ import annotations

import asyncio
from functools import partial
from uuid import uuid4

import pytest

from back_ends import SHARED
from jumpseat.errors import StoreUnavailable
from jumpseat.protocol.events import TextMessageContent, TextMessageStart
from jumpseat.runners import readers
from jumpseat.runners.event_log import EventLogRunner
from jumpseat.runners.intake import Reducer
from jumpseat.stores.base import AppendsGroups
from jumpseat.stores.memory import MemoryStore
from jumpseat.stores.postgres import PostgresStore
from jumpseat.stores.redis import RedisStore
from jumpseat.stores.sqlite import SqliteStore
from jumpseat.testing import ScriptedAgent
from jumpseat.testing.requests import collect, connect_to, run_of, take, types, user
from postgres_server import shared_server

OPTIONS = {"lease_ttl": 0.9, "heartbeat": 0.2, "stop_grace": 0.3}


class Flaky:
    """A store in front of another: the verbs in ``down`` fail, those in ``deaf`` work but do not answer."""

    def __init__(self, store) -> None:
        self.store = store
        self.down: set[str] = set()
        self.deaf: set[str] = set()

    @property
    def threads(self):
        return self.store.threads

    def __getattr__(self, verb):
        async def call(*args, **kwargs):
            if verb in self.down:
                raise StoreUnavailable("out of reach")
            result = await getattr(self.store, verb)(*args, **kwargs)
            if verb in self.deaf:
                self.deaf.discard(verb)
                raise StoreUnavailable("no answer")
            return result

        return call


class FlakyGroups(Flaky, AppendsGroups):
    """The same for a store that takes appends in groups."""

    def append_group(self, appends, done) -> None:
        if "append" in self.down:
            raise StoreUnavailable("out of reach")
        self.store.append_group(appends, partial(self._answer, done))

    def _answer(self, done, appends) -> None:
        if "append" in self.deaf:
            self.deaf.discard("append")
            for append in appends:
                append.error = StoreUnavailable("no answer")
        done(appends)


def store_on(back_end, request, tmp_path):
    """An empty store on the back end that is named."""
    match back_end:
        case "memory":
            return MemoryStore()
        case "redis":
            return RedisStore(request.getfixturevalue("redis_url"), prefix=f"test-{uuid4().hex}")
        case "postgres":
            return PostgresStore(shared_server().dsn(), schema=request.getfixturevalue("postgres_schema"))
        case _:
            return SqliteStore(tmp_path / "threads.db")


@pytest.fixture(
    params=[
        "memory",
        "memory in groups",
        "sqlite",
        "sqlite in groups",
        "redis in groups",
        "postgres in groups",
    ]
)
async def flaky(request, tmp_path):
    store = store_on(request.param.split()[0], request, tmp_path)
    flaky = (FlakyGroups if "groups" in request.param else Flaky)(store)
    flaky.runner = EventLogRunner(flaky, **{**OPTIONS, "lease_ttl": 10.0})
    yield flaky
    flaky.down.clear()
    await flaky.runner.aclose()


def words(count):
    return [TextMessageStart(message_id="m")] + [
        TextMessageContent(message_id="m", delta=f"{number} ") for number in range(count)
    ]


async def test_appends_that_fail_for_a_while_lose_and_repeat_nothing_and_hold_the_agent(flaky):
    produced = []
    script = [lambda *_, event=event: produced.append(event) or event for event in words(3000)]
    await flaky.runner.open()
    flaky.down = {"append"}
    stream = await flaky.runner.run(run_of(ScriptedAgent(*script)))
    async with asyncio.timeout(5):
        while len(produced) < 1000:
            await asyncio.sleep(0.01)
    await asyncio.sleep(1)
    assert len(produced) <= 1_001
    flaky.down = set()
    events = await collect(stream)
    assert [event["delta"] for event in events if "delta" in event] == [f"{n} " for n in range(3000)]
    assert types(events)[-2:] == ["TEXT_MESSAGE_END", "RUN_FINISHED"]


async def test_what_was_stored_without_an_answer_is_stored_once(flaky):
    gate = asyncio.Event()
    stream = await flaky.runner.run(run_of(ScriptedAgent(*words(50), gate, *words(50)[1:])))
    await take(stream, 20)
    flaky.deaf = {"append"}
    gate.set()
    await collect(stream)
    (run,) = await flaky.store.runs(None, "thread", 0, 10)
    log = []
    while len(log) < run.last_seq:
        log += (await flaky.store.read("thread", run.run_key, len(log), 0)).events
    assert len(log) == 1 + 1 + 50 + 50 + 2


async def test_a_seal_without_an_answer_still_ends_the_run_for_its_readers(flaky):
    stream = await flaky.runner.run(run_of(ScriptedAgent(*words(3))))
    flaky.deaf = {"seal"}
    events = await collect(stream)
    assert types(events).count("RUN_FINISHED") == 1
    assert types(events)[-1] == "RUN_FINISHED"


async def test_a_run_cannot_start_while_the_store_is_away(flaky):
    await flaky.runner.open()
    flaky.down = {"claim"}
    with pytest.raises(StoreUnavailable):
        await flaky.runner.run(run_of(ScriptedAgent()))
    flaky.down = set()
    assert types(await collect(await flaky.runner.run(run_of(ScriptedAgent()))))[-1] == "RUN_FINISHED"


async def test_a_reader_that_cannot_read_for_long_is_told_so_and_the_run_goes_on(flaky, monkeypatch):
    monkeypatch.setattr(readers, "PATIENCE_SECONDS", 0.6)
    gate = asyncio.Event()
    stream = await flaky.runner.run(run_of(ScriptedAgent(*words(2500), gate)))
    async with asyncio.timeout(5):
        while (await flaky.store.live(None, "thread")).last_seq < 2500:
            await asyncio.sleep(0.01)
    # The newest events are in the buffer, the first ones only in the store.
    flaky.down = {"read"}
    events = await collect(stream)
    assert [event.get("code") for event in events] == ["STREAM_INTERRUPTED"]
    flaky.down = set()
    gate.set()
    assert types(await collect(await flaky.runner.connect(connect_to())))[-1] == "RUN_FINISHED"


@pytest.mark.parametrize("back_end", SHARED)
async def test_a_store_away_for_longer_than_the_lease_costs_the_run_and_nothing_else(
    back_end, request, tmp_path, monkeypatch
):
    monkeypatch.setattr(readers, "PATIENCE_SECONDS", 1.0)
    flaky = FlakyGroups(store_on(back_end, request, tmp_path))
    runner = EventLogRunner(flaky, **OPTIONS)
    agent = ScriptedAgent(*words(3), asyncio.Event())
    stream = await runner.run(run_of(agent, messages=[user("u")]))
    await take(stream, 4)
    flaky.down = {"append", "extend", "seal", "read", "live", "take", "expired", "prune", "locate"}
    await asyncio.wait_for(agent.closed.wait(), 10)
    assert types(await collect(stream))[-1] == "RUN_ERROR"
    # By now it was away for one lease, and stays away for another.
    await asyncio.sleep(OPTIONS["lease_ttl"])
    flaky.down = set()
    async with asyncio.timeout(10):
        while (await flaky.store.runs(None, "thread", 0, 10))[0].status == "live":
            await asyncio.sleep(0.05)
    (run,) = await flaky.store.runs(None, "thread", 0, 10)
    assert run.status == "lost"
    assert [m["id"] for m in await runner.threads.messages("thread", owner=None)] == ["u", "m"]
    await runner.aclose()


async def test_a_reducer_that_always_fails_cannot_fail_a_run(flaky, monkeypatch):
    def broken(*_):
        raise RuntimeError("reduce")

    monkeypatch.setattr(Reducer, "apply", broken)
    events = await collect(await flaky.runner.run(run_of(ScriptedAgent(*words(10)), messages=[user("u")])))
    assert types(events)[-1] == "RUN_FINISHED"
    replayed = await collect(await flaky.runner.connect(connect_to()))
    assert [message["id"] for message in replayed[1]["messages"]] == ["u"]
    (kept,) = await flaky.store.events(None, "thread", 0, 100)
    assert len(kept.events) == len(events)
