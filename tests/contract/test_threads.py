"""The thread verbs of a runner, on every back end: lists, mutations, inspection during a live run."""

import asyncio
import json
import time
from contextlib import aclosing

import pytest
import redis.asyncio

from jumpseat.errors import InvalidCursor, ThreadNotFound
from jumpseat.runners.base import IsRunningRequest, StopRequest
from jumpseat.stores.base import ThreadChange
from jumpseat.testing.requests import assistant, collect, connect_to, pages_of, run_of, take, user
from jumpseat.testing.scripted import ScriptedAgent
from old_threads import add_threads
from postgres_server import shared_server
from run_workers import OPTIONS

HELLO = [
    {"type": "TEXT_MESSAGE_CHUNK", "messageId": "m", "delta": "Hel"},
    {"type": "TEXT_MESSAGE_CHUNK", "messageId": "m", "delta": "lo"},
]


async def finished(runner, thread_id="thread", *script, run_id="run", messages=(), **options):
    return await collect(
        await runner.run(run_of(ScriptedAgent(*script), thread_id, run_id, messages, **options))
    )


class Live:
    """A run that waits at a gate after its script."""

    def __init__(self, runner, thread_id="thread", *script, **options):
        self.gate = asyncio.Event()
        self.agent = ScriptedAgent(*script, self.gate)
        self.request = run_of(self.agent, thread_id, **options)
        self.runner = runner
        self.count = 1 + len(script)

    async def __aenter__(self):
        self.stream = await self.runner.run(self.request)
        await take(self.stream, self.count)
        return self

    async def __aexit__(self, *_):
        self.gate.set()
        await pages_of(self.stream)


async def next_millisecond() -> None:
    """Return when the clock of records shows another time."""
    now = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 == now:
        await asyncio.sleep(0.001)


async def ids(runner, **options):
    records, cursor = await runner.threads.list(**{"owner": None, **options})
    return [record.id for record in records], cursor


async def test_a_thread_is_listed_while_its_first_run_is_still_going(runner):
    async with Live(runner, "t", options=None, agent_id="a"):
        ((record,), cursor) = await runner.threads.list(owner=None)
        assert (record.id, record.agent_id, record.archived, cursor) == ("t", "a", False, None)
        assert record.created_at == record.updated_at == record.last_run_at
    assert await runner.threads.get("t", owner=None) == record


async def test_a_second_run_moves_two_times_and_nothing_else(runner):
    await finished(runner, "t", agent_id="a")
    before = await runner.threads.get("t", owner=None)
    await next_millisecond()
    await finished(runner, "t", run_id="r2", agent_id="b")
    after = await runner.threads.get("t", owner=None)
    assert (after.created_at, after.agent_id) == (before.created_at, "a")
    assert after.last_run_at > before.last_run_at
    assert after.updated_at == after.last_run_at


async def test_a_run_that_fails_at_once_still_leaves_its_thread(runner):
    await finished(runner, "t", ValueError("no"))
    assert (await ids(runner))[0] == ["t"]


async def test_connect_and_stop_make_no_thread(runner):
    assert await collect(await runner.connect(connect_to("t"))) == []
    assert await runner.stop(StopRequest(thread_id="t")) is None
    assert await ids(runner) == ([], None)


async def test_the_thread_with_the_newest_run_comes_first(runner):
    for thread_id in ("a", "b", "c", "a"):
        await finished(runner, thread_id)
        await next_millisecond()
    assert (await ids(runner))[0] == ["a", "c", "b"]


async def test_pages_give_each_thread_once_also_when_listed_ones_run_in_between(runner):
    for number in range(23):
        await finished(runner, f"t{number:02}")
    everything, cursor = await ids(runner)
    assert cursor is None
    seen, cursor = [], None
    while True:
        page, cursor = await ids(runner, limit=5, cursor=cursor)
        seen += page
        if cursor is None:
            break
        assert len(page) == 5
        await next_millisecond()
        await finished(runner, seen[0], run_id="again")
    assert seen == everything


async def test_a_full_last_page_has_no_cursor(runner):
    for thread_id in ("a", "b"):
        await finished(runner, thread_id)
    assert (await ids(runner, limit=2))[1] is None


async def test_a_cursor_survives_ids_of_every_kind_and_a_changed_filter(runner):
    odd = ["a,b", "ü/😀", " ", "%2F", "x" * 500]
    for thread_id in odd:
        await finished(runner, thread_id, agent_id="a")
        await next_millisecond()
    seen, cursor = [], None
    for _ in odd:
        page, cursor = await ids(runner, limit=1, cursor=cursor, agent_id=None if len(seen) % 2 else "a")
        seen += page
    assert (seen, cursor) == (odd[::-1], None)


@pytest.mark.parametrize(
    "cursor", ["zzz", "", "MQ", "MSx0=", "MSx0\n", "ü", "LTEsdA", "4pmj", "1,t", "MTEx" * 9 + "LHg"]
)
async def test_a_cursor_that_no_list_returned_is_refused(runner, cursor):
    with pytest.raises(InvalidCursor):
        await runner.threads.list(owner=None, cursor=cursor)


@pytest.fixture
async def crowd(runner):
    """450 threads with a finished run each."""
    names = [f"t{number:03}" for number in range(450)]
    await runner.open()
    await add_threads(runner.store, names)
    return set(names)


async def test_a_limit_is_at_least_one_and_at_most_two_hundred(runner, crowd):
    with pytest.raises(ValueError, match="limit"):
        await runner.threads.list(owner=None, limit=0)
    for limit in (1000, 200):
        page, cursor = await ids(runner, limit=limit)
        assert (len(page), cursor is None) == (200, False)
    assert (await ids(runner))[0] == page


async def test_450_threads_are_paged_each_once_and_in_order_while_ten_listed_ones_run(runner, crowd):
    everything = []
    cursor = None
    while not everything or cursor is not None:
        page, cursor = await ids(runner, limit=200, cursor=cursor)
        everything += page
    assert set(everything) == crowd
    assert len(everything) == 450
    seen, cursor = await ids(runner, limit=20)
    while cursor is not None:
        if len(seen) == 200:
            await next_millisecond()
            for thread_id in seen[:100:10]:
                await finished(runner, thread_id, run_id="again")
        page, cursor = await ids(runner, limit=20, cursor=cursor)
        assert len(page) == (20 if cursor else 10)
        seen += page
    assert seen == everything
    assert set((await ids(runner, limit=10))[0]) == set(everything[:100:10])


async def test_agent_and_archive_filter_the_list(runner):
    await finished(runner, "a1", agent_id="a")
    await finished(runner, "b1", agent_id="b")
    await runner.threads.update("a1", ThreadChange(archived=True), owner=None)
    assert (await ids(runner))[0] == ["b1"]
    assert (await ids(runner, agent_id="a"))[0] == []
    assert (await ids(runner, agent_id="a", archived=True))[0] == ["a1"]


async def test_a_run_on_an_archived_thread_leaves_it_archived(runner):
    await finished(runner, "t")
    await runner.threads.update("t", ThreadChange(archived=True), owner=None)
    assert (await finished(runner, "t", run_id="r2"))[-1]["type"] == "RUN_FINISHED"
    assert (await runner.threads.get("t", owner=None)).archived


async def test_a_change_that_changes_nothing_moves_no_time(runner):
    await finished(runner, "t")
    await runner.threads.update("t", ThreadChange(set_name=True, name="N", archived=True), owner=None)
    before = await runner.threads.get("t", owner=None)
    assert (before.name, before.archived) == ("N", True)
    await next_millisecond()
    for change in (ThreadChange(), ThreadChange(set_name=True, name="N"), ThreadChange(archived=True)):
        assert await runner.threads.update("t", change, owner=None) == before


async def test_every_verb_takes_somebody_elses_thread_for_an_unknown_one(runner):
    await finished(runner, "t", *HELLO, owner="alice")
    record = await runner.threads.get("t", owner="alice")
    _, cursor = await runner.threads.list(owner="alice", limit=1)
    *_, (own, _) = await pages_of(await runner.connect(connect_to("t", owner="alice")))
    threads = runner.threads
    for owner in ("bob", None, ""):
        assert await ids(runner, owner=owner, archived=True) == ([], None)
        assert await threads.get("t", owner=owner) is None
        assert await threads.update("t", ThreadChange(archived=True), owner=owner) is None
        assert await threads.messages("t", owner=owner) is None
        assert await threads.events("t", owner=owner) is None
        assert await threads.state("t", owner=owner) is None
        assert await threads.delete("t", owner=owner) is False
        await threads.clear(owner=owner)
        for known in (None, own, f"{own.partition(':')[0]}:0"):
            request = connect_to("t", owner=owner, cursor=known)
            assert await pages_of(await runner.connect(request)) == []
        assert await runner.stop(StopRequest(thread_id="t", owner=owner)) is None
        assert await runner.is_running(IsRunningRequest(thread_id="t", owner=owner)) is False
        with pytest.raises(ThreadNotFound):
            await runner.run(run_of(ScriptedAgent(), "t", owner=owner))
    assert cursor is None
    assert await threads.get("t", owner="alice") == record


async def test_a_cursor_gives_nothing_of_another_owner(runner):
    for owner in ("alice", "bob"):
        for number in range(2):
            await finished(runner, f"{owner}{number}", owner=owner)
    _, cursor = await ids(runner, owner="bob", limit=1)
    page, _ = await ids(runner, owner="alice", cursor=cursor)
    assert set(page) <= {"alice0", "alice1"}


async def test_messages_are_in_the_form_that_clients_read(runner):
    script = [
        *HELLO,
        {"type": "TOOL_CALL_START", "toolCallId": "c", "toolCallName": "go", "parentMessageId": "m"},
        {"type": "TOOL_CALL_ARGS", "toolCallId": "c", "delta": '{"a":1}'},
        {"type": "TOOL_CALL_END", "toolCallId": "c"},
        {"type": "TOOL_CALL_RESULT", "messageId": "r", "toolCallId": "c", "content": "done"},
        {"type": "ACTIVITY_SNAPSHOT", "messageId": "x", "activityType": "plan", "content": {"s": [1]}},
    ]
    await finished(runner, "t", *script, messages=[user("u", "hi")])
    assert await runner.threads.messages("t", owner=None) == [
        {"id": "u", "role": "user", "content": "hi"},
        {
            "id": "m",
            "role": "assistant",
            "content": "Hello",
            "toolCalls": [{"id": "c", "name": "go", "args": '{"a":1}'}],
        },
        {"id": "r", "role": "tool", "content": "done", "toolCallId": "c"},
        {"id": "x", "role": "activity", "activityType": "plan", "content": {"s": [1]}},
    ]


async def test_an_unknown_thread_has_nothing_to_inspect(runner):
    threads = runner.threads
    assert [await verb("t", owner=None) for verb in (threads.messages, threads.events, threads.state)] == [
        None
    ] * 3


async def test_messages_state_and_events_of_a_live_run_hold_what_was_stored_so_far(runner):
    await finished(
        runner, "t", *HELLO, {"type": "STATE_SNAPSHOT", "snapshot": {"n": 1}}, messages=[user("u1")]
    )
    script = [
        {"type": "TEXT_MESSAGE_START", "messageId": "m2"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m2", "delta": "so far"},
        {"type": "STATE_DELTA", "delta": [{"op": "replace", "path": "/n", "value": 2}]},
    ]
    async with Live(runner, "t", *script, messages=[user("u1"), assistant("m", "Hello"), user("u2")]):
        shown = await runner.threads.messages("t", owner=None)
        assert [message["id"] for message in shown] == ["u1", "m", "u2", "m2"]
        assert shown[-1]["content"] == "so far"
        assert await runner.threads.state("t", owner=None) == {"n": 2}
        events, truncated = await runner.threads.events("t", owner=None)
        kinds = [json.loads(event)["type"] for event in events]
        assert kinds[-4:] == ["RUN_STARTED", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "STATE_DELTA"]
        assert kinds.count("RUN_STARTED") == 2
        assert not truncated
    assert [message["id"] for message in await runner.threads.messages("t", owner=None)][-1] == "m2"
    assert await runner.threads.state("t", owner=None) == {"n": 2}


async def test_the_first_run_of_a_thread_can_be_inspected_while_it_lives(runner):
    async with Live(
        runner, "t", {"type": "TEXT_MESSAGE_START", "messageId": "m"}, messages=[user("u", "hi")]
    ):
        assert await runner.threads.messages("t", owner=None) == [
            {"id": "u", "role": "user", "content": "hi"},
            {"id": "m", "role": "assistant", "content": ""},
        ]


@pytest.mark.parametrize("state", [[1], [], "x", {"a": [1]}, {}])
async def test_a_state_of_any_kind_that_clients_show_is_kept(runner, state):
    await finished(runner, "t", {"type": "STATE_SNAPSHOT", "snapshot": state})
    assert await runner.threads.state("t", owner=None) == state


async def test_of_many_events_the_newest_ten_thousand_are_told(runner):
    def events(first: int, count: int):
        return [{"type": "CUSTOM", "name": "n", "value": first + number} for number in range(count)]

    for part in range(3):
        await finished(runner, "t", *events(part * 3998, 3998), run_id=f"r{part}")
    stored, truncated = await runner.threads.events("t", owner=None)
    decoded = [json.loads(event) for event in stored]
    assert (len(decoded), truncated) == (10_000, True)
    assert decoded[-1]["type"] == "RUN_FINISHED"
    values = [event["value"] for event in decoded if event["type"] == "CUSTOM"]
    assert values == list(range(values[0], 3 * 3998))


async def test_exactly_ten_thousand_events_are_all_of_them(runner):
    script = [{"type": "CUSTOM", "name": "n", "value": number} for number in range(9_998)]
    await finished(runner, "t", *script)
    stored, truncated = await runner.threads.events("t", owner=None)
    assert (len(stored), truncated) == (10_000, False)


async def test_a_long_live_run_is_told_by_its_newest_events(runner):
    script = [{"type": "CUSTOM", "name": "n", "value": number} for number in range(10_500)]
    async with Live(runner, "t", *script):
        stored, truncated = await runner.threads.events("t", owner=None)
        assert (len(stored), truncated) == (10_000, True)
        assert json.loads(stored[-1])["value"] == 10_499


async def test_inspection_while_runs_come_and_go_never_fails_and_never_tells_a_run_twice(runner):
    stop = asyncio.Event()

    async def runs():
        number = 0
        while not stop.is_set():
            number += 1
            await finished(runner, "t", *HELLO, run_id=f"r{number}", messages=[user(f"u{number}")])

    task = asyncio.create_task(runs())
    for _ in range(150):
        found = await runner.threads.events("t", owner=None)
        if found is not None:
            started = [json.loads(event).get("runId") for event in found[0] if b"RUN_STARTED" in event]
            assert len(started) == len(set(started))
        messages = await runner.threads.messages("t", owner=None) or []
        assert len(messages) == len({message["id"] for message in messages})
        await asyncio.sleep(0)
    stop.set()
    await task


async def test_deleting_stops_the_live_run_and_its_reader_gets_one_terminal(runner):
    stream = await runner.run(run_of(agent := ScriptedAgent(HELLO[0], asyncio.Event()), "t"))
    await take(stream, 2)
    async with asyncio.timeout(runner.options.stop_grace + 3):
        assert await runner.threads.delete("t", owner=None)
    rest = [json.loads(data) for _, data in await pages_of(stream)]
    assert [event["type"] for event in rest if event["type"] in ("RUN_FINISHED", "RUN_ERROR")] == [
        rest[-1]["type"]
    ]
    await agent.closed.wait()
    assert await ids(runner) == ([], None)
    assert await runner.threads.messages("t", owner=None) is None


async def test_a_deletion_can_be_repeated_by_its_owner_and_by_nobody_else(runner):
    await finished(runner, "t", owner="alice")
    assert await runner.threads.delete("t", owner="alice")
    assert await runner.threads.delete("t", owner="alice")
    assert not await runner.threads.delete("t", owner="bob")
    assert not await runner.threads.delete("never", owner="alice")
    threads = runner.threads
    for verb in (threads.get, threads.messages, threads.events, threads.state):
        assert await verb("t", owner="alice") is None
    assert await threads.update("t", ThreadChange(archived=True), owner="alice") is None
    assert await runner.stop(StopRequest(thread_id="t", owner="alice")) is None
    assert await collect(await runner.connect(connect_to("t", owner="alice"))) == []
    assert await ids(runner, owner="alice", archived=True) == ([], None)


async def test_an_hour_after_its_deletion_a_thread_is_as_unknown_as_any_other(runner, hour):
    await finished(runner, "t", owner="alice")
    assert await runner.threads.delete("t", owner="alice")
    await hour.pass_but(60)
    assert await runner.threads.delete("t", owner="alice")
    await hour.pass_but(0)
    assert not await runner.threads.delete("t", owner="alice")


class Hour:
    """Lets the time go by that a deletion is remembered."""

    def __init__(self, runner, request):
        self.store, self.request, self.passed = runner.store, request, 0

    async def pass_but(self, seconds):
        """Have an hour go by since the beginning, these last seconds aside."""
        ahead, self.passed = 3_600_000 - seconds * 1000 - self.passed, 3_600_000 - seconds * 1000
        back_end = self.request.getfixturevalue("back_end")
        earlier = f"UPDATE marks SET expires = expires - {ahead}"
        if back_end == "memory":
            self.store._epoch_ms += ahead
        elif back_end == "sqlite":
            await self.store.change(lambda session: session.execute(earlier))
        elif back_end in {"postgres", "pgbouncer"}:
            schema = self.request.getfixturevalue("postgres_schema")
            shared_server().sql(earlier.replace("marks", f"{schema}.marks"))
        else:
            kind = redis.asyncio.Redis if back_end == "redis" else redis.asyncio.RedisCluster
            async with kind.from_url(self.request.getfixturevalue(f"{back_end}_url")) as client:
                async for key in client.scan_iter("*:mark"):
                    await client.pexpire(key, await client.pttl(key) - ahead)


@pytest.fixture
def hour(runner, request):
    return Hour(runner, request)


async def test_a_run_on_a_deleted_id_starts_an_empty_thread(runner):
    await finished(runner, "t", *HELLO, messages=[user("u1")])
    await runner.threads.delete("t", owner=None)
    await finished(runner, "t", run_id="r2", messages=[user("u2")])
    assert [message["id"] for message in await runner.threads.messages("t", owner=None)] == ["u2"]


async def test_clearing_stops_and_removes_the_owners_threads_and_no_other(runner):
    for owner in ("alice", "bob"):
        for number in range(3):
            await finished(runner, f"{owner}{number}", owner=owner)
    await runner.threads.update("alice1", ThreadChange(archived=True), owner="alice")
    stream = await runner.run(
        run_of(agent := ScriptedAgent(asyncio.Event()), "alice2", "live", owner="alice")
    )
    await take(stream, 1)
    await agent.started.wait()
    await runner.threads.clear(owner="alice")
    async with aclosing(stream):
        assert (
            len(
                [
                    data
                    for _, data in await pages_of(stream)
                    if b"RUN_FINISHED" in data or b"RUN_ERROR" in data
                ]
            )
            == 1
        )
    await agent.closed.wait()
    assert await ids(runner, owner="alice", archived=True) == ([], None)
    assert len((await ids(runner, owner="bob"))[0]) == 3


async def test_what_one_process_did_every_other_lists_at_once(place):
    one, other = place.runner(**OPTIONS), place.runner(**OPTIONS)
    async with aclosing(one), aclosing(other):
        for number in range(20):
            names = [f"a{number}", f"b{number}"]
            for name in names:
                await finished(one, name)
            assert set((await ids(other))[0]) >= set(names)
            await one.threads.update(names[0], ThreadChange(set_name=True, name="N"), owner=None)
            assert {r.id: r.name for r in (await other.threads.list(owner=None))[0]}[names[0]] == "N"
            await other.threads.update(names[1], ThreadChange(archived=True), owner=None)
            assert names[1] not in (await ids(one))[0]
            assert names[1] in (await ids(one, archived=True))[0]
            await one.threads.update(names[1], ThreadChange(archived=False), owner=None)
            assert names[1] in (await ids(other))[0]
            await one.threads.delete(names[1], owner=None)
            assert names[1] not in (await ids(other, archived=True))[0]
            async with Live(one, "live", run_id=f"live{number}"):
                assert (await ids(other))[0][0] == "live"
        await one.threads.clear(owner=None)
        assert await ids(other, archived=True) == ([], None)
