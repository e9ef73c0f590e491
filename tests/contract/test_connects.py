"""What a client gets that connects: the prelude, cursors, live runs, interrupts and failures."""

from __future__ import annotations

import asyncio
import json
import random

import pytest

from jumpseat.protocol.events import (
    Custom,
    Interrupt,
    RunFinished,
    RunOutcome,
    StateSnapshot,
    TextMessageChunk,
)
from jumpseat.testing import ScriptedAgent
from jumpseat.testing.requests import (
    assistant,
    collect,
    connect_to,
    pages_of,
    run_of,
    take,
    types,
    user,
)


def said(message_id="a1", text="hello"):
    return ScriptedAgent(TextMessageChunk(message_id=message_id, delta=text))


async def test_the_prelude_is_a_snapshot_with_authoritative_activities_and_no_run_error(runner):
    await collect(await runner.run(run_of(ScriptedAgent(OSError("no")), run_id="r1", messages=[user("u1")])))
    await collect(await runner.run(run_of(said(), run_id="r2", messages=[user("u1"), user("u2")])))
    await collect(
        await runner.run(
            run_of(
                ScriptedAgent(OSError("again")),
                run_id="r3",
                messages=[user("u1"), user("u2"), assistant("a1", "hello"), user("u3")],
            )
        )
    )
    events = await collect(await runner.connect(connect_to()))
    assert types(events) == ["RUN_STARTED", "MESSAGES_SNAPSHOT", "CUSTOM", "RUN_FINISHED"]
    assert events[0] == {"type": "RUN_STARTED", "threadId": "thread", "runId": "r3"}
    assert [message["id"] for message in events[1]["messages"]] == ["u1", "u2", "a1", "u3"]
    assert events[1]["metadata"] == {"@ag-ui/client": {"authoritativeActivityTypes": None}}
    assert events[2]["name"] == "jumpseat.run_error"
    assert events[2]["value"] == {"runId": "r3", "code": "agent_error", "message": "again"}


async def test_a_finished_head_shows_no_old_failure(runner):
    await collect(await runner.run(run_of(ScriptedAgent(OSError("no")), run_id="r1")))
    await collect(await runner.run(run_of(said(), run_id="r2")))
    assert "CUSTOM" not in types(await collect(await runner.connect(connect_to())))


async def test_an_empty_state_is_not_sent_and_any_other_is(runner):
    for number, (state, sent) in enumerate([({}, False), ([], True), ({"a": {"b": [1]}}, True)]):
        thread = f"thread-{number}"
        await collect(await runner.run(run_of(ScriptedAgent(StateSnapshot(snapshot=state)), thread)))
        events = await collect(await runner.connect(connect_to(thread)))
        assert ("STATE_SNAPSHOT" in types(events)) is sent


async def test_open_interrupts_come_back_until_a_run_finishes_without_them(runner):
    interrupt = Interrupt(id="i1", reason="approval", message="Sure?")
    legacy = Custom(name="on_interrupt", value={"ask": 1})
    ending = RunFinished(outcome=RunOutcome(type="interrupt", interrupts=[interrupt]))
    await collect(await runner.run(run_of(ScriptedAgent(legacy, ending), run_id="r1")))
    for _ in range(2):
        events = await collect(await runner.connect(connect_to()))
        assert events[-1]["outcome"]["interrupts"][0]["id"] == "i1"
        assert [event["value"] for event in events if event.get("name") == "on_interrupt"] == [{"ask": 1}]
        await collect(await runner.run(run_of(ScriptedAgent(OSError("resume failed")), run_id="r1")))
    await collect(await runner.run(run_of(said(), run_id="r1")))
    events = await collect(await runner.connect(connect_to()))
    assert "outcome" not in events[-1]
    assert "CUSTOM" not in types(events)


async def test_an_expired_interrupt_is_not_offered(runner):
    interrupt = Interrupt(id="i1", reason="approval", expires_at="2020-01-01T00:00:00Z")
    ending = RunFinished(outcome=RunOutcome(type="interrupt", interrupts=[interrupt]))
    await collect(await runner.run(run_of(ScriptedAgent(ending))))
    assert "outcome" not in (await collect(await runner.connect(connect_to())))[-1]


async def test_a_cursor_brings_exactly_what_follows_it_live_and_sealed(runner):
    gate = asyncio.Event()
    chunks = [TextMessageChunk(message_id="m", delta=str(n)) for n in range(5)]
    stream = await runner.run(run_of(ScriptedAgent(*chunks, gate, *chunks), run_id="r1"))
    await take(stream, 5)
    whole = asyncio.create_task(pages_of(await runner.connect(connect_to())))
    gate.set()
    everything = [entry for entry in await whole if entry[0] and not entry[0].endswith(":0")]
    await collect(await runner.run(run_of(said("m2"), run_id="r2")))
    later = (await pages_of(await runner.connect(connect_to(cursor=everything[-1][0]))))[:]
    log = everything + later
    for position, (cursor, _) in enumerate(log):
        rest = await pages_of(await runner.connect(connect_to(cursor=cursor)))
        assert rest == log[position + 1 :]


async def test_a_useless_cursor_is_as_none(runner):
    await collect(await runner.run(run_of(said(), "thread")))
    await collect(await runner.run(run_of(said(), "other")))
    foreign = (await pages_of(await runner.connect(connect_to("other"))))[-1][0]
    full = await pages_of(await runner.connect(connect_to()))
    last = full[-1][0]
    for cursor in (foreign, "garbage", f"{last.split(':')[0]}:999999", "x" * 500, ""):
        assert await pages_of(await runner.connect(connect_to(cursor=cursor))) == full


async def test_the_cursor_of_the_prelude_leads_to_what_comes_next(runner):
    await collect(await runner.run(run_of(said(), run_id="r1")))
    cursor = (await pages_of(await runner.connect(connect_to())))[-1][0]
    assert await pages_of(await runner.connect(connect_to(cursor=cursor))) == []
    await collect(await runner.run(run_of(said("a2"), run_id="r2")))
    events = await collect(await runner.connect(connect_to(cursor=cursor)))
    assert (types(events)[0], types(events)[-1]) == ("RUN_STARTED", "RUN_FINISHED")


async def test_a_thousand_connects_that_race_the_seal_see_the_terminal_once_and_nothing_twice(
    back_end, make_runner, faults
):
    dice = random.Random(f"{faults.seed} {back_end} seal")
    figures = faults.fault("connects that race the seal", back_end)
    runner = make_runner()
    # A second process would read the same way; memory has only one runner.
    readers = [runner] if back_end == "memory" else [runner, make_runner()]
    for number in range(200):
        thread = f"thread-{number}"
        gate = asyncio.Event()
        chunk = TextMessageChunk(message_id="m", delta="x")
        stream = await runner.run(run_of(ScriptedAgent(gate, chunk), thread))
        asyncio.get_running_loop().call_later(dice.uniform(0, 0.01), gate.set)

        async def connect(reader, after, thread):
            await asyncio.sleep(after)
            return await pages_of(await reader.connect(connect_to(thread)))

        connects = [connect(dice.choice(readers), dice.uniform(0, 0.015), thread) for _ in range(5)]
        log, *seen = await asyncio.gather(pages_of(stream), *connects)
        for entries in seen:
            figures.times += 1
            live = [entry for entry in entries if entry[0] and not entry[0].endswith(":0")]
            figures.seen += len(live)
            if len(live) > 1:
                figures.lost += len(set(log) - set(live))
                assert live == log
            else:
                # The run was sealed before this reader came: the prelude alone tells it.
                assert live[0][0] == log[-1][0]
        figures.terminals.append(types(json.loads(data) for _, data in log).count("RUN_FINISHED"))
    assert (figures.times, set(figures.terminals)) == (1000, {1})


async def test_parallel_connects_share_one_history_read(runner, monkeypatch):
    await collect(await runner.run(run_of(said())))
    reads = []
    history = runner.store.history

    all_have_come = asyncio.Event()

    async def counted(*args):
        reads.append(args)
        await all_have_come.wait()
        return await history(*args)

    monkeypatch.setattr(runner.store, "history", counted)
    streams = await asyncio.gather(*(runner.connect(connect_to()) for _ in range(7)))
    reading = [asyncio.create_task(collect(stream)) for stream in streams]
    for _ in range(5):
        await asyncio.sleep(0)
    all_have_come.set()
    one, *others = [await task for task in reading]
    assert all(other == one for other in others)
    assert len(reads) == 1


@pytest.mark.parametrize("verb", ["delete", "clear"])
async def test_a_connect_behind_a_deletion_shows_nothing_of_what_was_deleted(runner, monkeypatch, verb):
    await collect(await runner.run(run_of(ScriptedAgent(), messages=[user("u")])))
    read, go, begun = runner.store.history, asyncio.Event(), asyncio.Event()

    async def slow(*args):
        result = await read(*args)
        begun.set()
        await go.wait()
        return result

    monkeypatch.setattr(runner.store, "history", slow)
    early = asyncio.create_task(collect(await runner.connect(connect_to())))
    await begun.wait()
    monkeypatch.setattr(runner.store, "history", read)
    if verb == "delete":
        assert await runner.threads.delete("thread", owner=None)
    else:
        await runner.threads.clear(owner=None)
    async with asyncio.timeout(5):
        assert await collect(await runner.connect(connect_to())) == []
    go.set()
    assert types(await early)[-1] == "RUN_FINISHED"
