"""Runs that are sealed from their log, whatever is wrong with the log."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from jumpseat.errors import StoreUnavailable
from jumpseat.protocol.codec import decode_message, encode, encode_message
from jumpseat.protocol.events import RunStarted, TextMessageContent, TextMessageStart
from jumpseat.runners import offloading, recovery
from jumpseat.runners.intake import Intake
from jumpseat.runners.offloading import LARGE
from jumpseat.runners.options import RunnerOptions
from jumpseat.runners.recovery import take_and_seal
from jumpseat.runners.sqlite import SqliteAgentRunner
from jumpseat.stores.base import Addition, Plan
from jumpseat.testing import ScriptedAgent
from jumpseat.testing.requests import collect, connect_to, run_of, types, user
from jumpseat.testing.store_cases.material import claimed, finish, new_run

OPENED = encode(RunStarted(thread_id="thread", run_id="run"))
SPOKEN = [
    encode(TextMessageStart(message_id="a")),
    encode(TextMessageContent(message_id="a", delta="so far")),
]


def shows(message, data: bytes | None = None) -> Plan:
    data = encode_message(message) if data is None else data
    return Plan(add=(Addition(position=1 << 20, key=message.id, aliases=(), digest=b"#", data=data),))


async def left(store, *events: bytes, **fields):
    """A run whose owner is gone, after these events."""
    new = new_run(**fields.pop("run", {}))
    claim = await store.claim(new, 60, fields.pop("plan", Plan()), OPENED)
    if events:
        await store.append(claim.run, 2, events)
    return claim


async def recover(store, claim) -> None:
    assert await take_and_seal(store, RunnerOptions(), claim.run, force="owner lost") is True
    assert await store.live(None, "thread") is None


async def log_of(store, run_key):
    page = await store.read("thread", run_key, 0, 0)
    assert page.ended
    return page.events


async def test_a_log_with_something_that_is_no_event_is_closed_and_its_thread_kept(runner):
    store = runner.store
    await runner.open()
    await finish(store, await claimed(store, plan=shows(user("u1"))), state=b'{"a":1}')
    claim = await left(store, SPOKEN[0], b"{no event", b'{"type":"NOBODY_KNOWS"}', SPOKEN[1])
    await recover(store, claim)
    log = await log_of(store, claim.run.run_key)
    assert types(json.loads(data) for data in log[5:]) == ["TEXT_MESSAGE_END", "RUN_FINISHED"]
    history = await store.history(None, "thread")
    assert ([entry.key for entry in history.entries], history.state) == (["u1"], b'{"a":1}')
    assert history.head.status == "stopped"
    kept = (await store.events(None, "thread", 0, 100))[-1].events
    assert types(json.loads(data) for data in kept) == [
        "RUN_STARTED",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "RUN_FINISHED",
    ]
    assert types(await collect(await runner.run(run_of(ScriptedAgent()))))[-1] == "RUN_FINISHED"
    assert types(await collect(await runner.connect(connect_to())))[-1] == "RUN_FINISHED"


@pytest.mark.parametrize("broken", ["message", "state"])
async def test_a_run_of_a_thread_that_cannot_be_read_is_closed(runner, broken):
    store = runner.store
    await runner.open()
    plan = shows(user("u1"), b"{no message" if broken == "message" else None)
    state = b"{no state" if broken == "state" else b"{}"
    claim = await left(store, *SPOKEN, plan=plan, run={"state": state})
    await recover(store, claim)
    log = await log_of(store, claim.run.run_key)
    assert types(json.loads(data) for data in log[3:]) == ["TEXT_MESSAGE_END", "RUN_FINISHED"]
    history = await store.history(None, "thread")
    assert ([entry.key for entry in history.entries], history.state) == (["u1"], state)


async def test_a_log_that_lost_a_part_is_closed_and_its_reader_ends(tmp_path):
    runner = SqliteAgentRunner(tmp_path / "threads.db", heartbeat=0.1, lease_ttl=0.5)
    await runner.open()
    store = runner.store
    claim = await left(store, *SPOKEN)
    await store.append(claim.run, 4, [encode(TextMessageContent(message_id="a", delta=" and on"))])
    await store.change(lambda session: session.execute("DELETE FROM log WHERE last = 3"))
    await store.change(lambda session: session.execute("UPDATE log SET data = x'c1' WHERE last = 4"))
    await store.extend(claim.run, 0)
    async with asyncio.timeout(10):
        while await store.live(None, "thread") is not None:
            await asyncio.sleep(0.02)
    (run,) = await store.runs(None, "thread", 0, 10)
    assert (run.status, json.loads(run.terminal)["code"]) == ("lost", "RUN_LOST")
    assert types(await collect(await runner.run(run_of(ScriptedAgent()))))[-1] == "RUN_FINISHED"
    await runner.aclose()


async def test_a_store_that_cannot_read_a_run_is_asked_again_before_the_run_is_given_up(runner, monkeypatch):
    store = runner.store
    await runner.open()
    claim = await left(store, *SPOKEN, plan=shows(user("u1")))
    asked = 0

    async def away(*_):
        nonlocal asked
        asked += 1
        raise StoreUnavailable("damaged")

    monkeypatch.setattr(store, "history", away)
    run = claim.run
    for epoch in range(2, recovery.PATIENT_UNTIL_EPOCH + 1):
        with pytest.raises(StoreUnavailable):
            await take_and_seal(store, RunnerOptions(), run, force="owner lost")
        run = (await store.live(None, "thread")).run
        assert run.epoch == epoch
    assert await take_and_seal(store, RunnerOptions(), run, force="owner lost") is True
    assert await store.live(None, "thread") is None
    assert asked == recovery.PATIENT_UNTIL_EPOCH


async def test_a_queued_run_whose_input_cannot_be_read_ends_once_and_the_next_one_starts(tmp_path):
    options = {"heartbeat": 0.1, "lease_ttl": 0.5, "on_concurrent_run": "enqueue"}
    runner = SqliteAgentRunner(tmp_path / "threads.db", **options)
    gate = asyncio.Event()
    first = await runner.run(run_of(ScriptedAgent(gate), run_id="first"))
    orphan = new_run(queue=True, max_queued=8, input=b"{no input", run_id="orphan")
    result = await runner.store.claim(orphan, 0.01, Plan(), OPENED)
    third = asyncio.create_task(collect(await runner.run(run_of(ScriptedAgent(), run_id="third"))))
    async with asyncio.timeout(10):
        while not runner._registry.queued.get(orphan.run_key):
            await asyncio.sleep(0.02)
    gate.set()
    await collect(first)
    assert types(await third)[-1] == "RUN_FINISHED"
    runs = await runner.store.runs(None, "thread", 0, 10)
    assert [run.status for run in runs] == ["finished", "lost", "finished"]
    assert types(json.loads(data) for data in await log_of(runner.store, result.run.run_key)) == [
        "RUN_STARTED",
        "RUN_ERROR",
    ]
    await runner.aclose()


async def test_a_large_log_is_read_in_a_thread(runner, monkeypatch):
    store = runner.store
    await runner.open()
    claim = await left(store, SPOKEN[0], plan=shows(user("u1", "x" * 6_000_000)))
    part = encode(TextMessageContent(message_id="a", delta="word " * 20))
    for start in range(40):
        await store.append(claim.run, 3 + start * 1000, [part] * 1000)
    on_the_loop = {"replayed": 0, "decoded": 0, "sealed": 0}

    def noted(name, work, size):
        def call(*args, **kwargs):
            if threading.current_thread() is threading.main_thread():
                on_the_loop[name] += size(*args)
            return work(*args, **kwargs)

        return call

    monkeypatch.setattr(Intake, "replay", noted("replayed", Intake.replay, lambda _, data: len(data)))
    monkeypatch.setattr(offloading, "decode_message", noted("decoded", decode_message, len))
    monkeypatch.setattr(recovery, "make_seal", noted("sealed", recovery.make_seal, lambda *_: 1))
    await recover(store, claim)
    assert on_the_loop["replayed"] <= LARGE
    assert (on_the_loop["decoded"], on_the_loop["sealed"]) == (0, 0)
    shown = await runner.threads.messages("thread", owner=None)
    assert [len(message["content"]) for message in shown] == [6_000_000, 40 * 1000 * 100]


async def test_a_runner_that_closes_seals_the_run_that_it_has_just_taken_over(tmp_path, monkeypatch):
    path = tmp_path / "threads.db"
    runner = SqliteAgentRunner(path, heartbeat=0.1, lease_ttl=60.0)
    await runner.open()
    store = runner.store
    sealing, go_on = asyncio.Event(), asyncio.Event()
    seal = store.seal

    async def slow(*args):
        sealing.set()
        await go_on.wait()
        await seal(*args)

    monkeypatch.setattr(store, "seal", slow)
    claim = await left(store, *SPOKEN)
    await store.extend(claim.run, 0)
    await asyncio.wait_for(sealing.wait(), 10)
    closing = asyncio.create_task(runner.aclose())
    for _ in range(50):
        await asyncio.sleep(0)
    go_on.set()
    await asyncio.wait_for(closing, 10)
    other = SqliteAgentRunner(path)
    await collect(await other.connect(connect_to()))
    (run,) = await other.store.runs(None, "thread", 0, 10)
    assert run.status == "lost"
    await other.aclose()
