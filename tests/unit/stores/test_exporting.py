"""Exports as lines: what they look like, what any bytes become, and what an import refuses."""

from __future__ import annotations

import asyncio
import json
import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jumpseat import ImportReport, InvalidExport, export, import_
from jumpseat.stores.base import DumpedEvents, DumpedRun, DumpedThread, Entry, Plan, RunHeader, ThreadRecord
from jumpseat.stores.contents import SpooledContents, batches
from jumpseat.stores.lines import (
    EntryLine,
    EventsLine,
    RunLine,
    ThreadLine,
    decode_line,
    encode_line,
    event_lines,
)
from jumpseat.stores.memory import MemoryStore
from jumpseat.testing.store_cases.dumps import ODD, branches, picture
from jumpseat.testing.store_cases.material import add, claimed, finish, queued

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
payloads = st.binary(max_size=8)
counts = st.integers(1, (1 << 31) - 1)


@pytest.fixture
async def store():
    store = MemoryStore()
    await store.open()
    yield store
    await store.aclose()


async def exported(store, **options) -> list[bytes]:
    return [line async for line in export(store, **options)]


async def refused(lines, before: int = 0) -> InvalidExport:
    """What an import of these lines raises, when it keeps ``before`` threads."""
    store = MemoryStore()
    with pytest.raises(InvalidExport) as caught:
        await import_(store, lines)
    assert len(await store.threads.list(None, archived=True)) == before
    await store.aclose()
    return caught.value


async def test_the_lines_are_as_documented(store):
    await branches(store, thread_id="t1")
    lines = [json.loads(line) for line in await exported(store)]
    assert lines[0] == {"kind": "header", "jumpseat": 1}
    assert [line["kind"] for line in lines[1:-1]] == (
        ["thread"] + ["run"] * 4 + ["entry"] * 6 + ["events"] * 8 + ["complete"]
    )
    assert lines[-2] == {"kind": "complete", "thread": "t1", "entries": 6, "events": 8}
    assert lines[-1] == {"kind": "end", "threads": 1}
    assert lines[1]["id"] == "t1"
    assert lines[1]["name"] == "A name \x01 ü"
    assert lines[1]["digest"] == {"base64": "AP/+eyJhIjoiw6RcdTAwMDAifQ=="}
    assert lines[2]["run_key"] == lines[12]["run_key"]
    assert (lines[2]["record"], lines[2]["pending"]) == (lines[1]["digest"], "")
    assert (lines[13]["events"], lines[13].get("raw", False)) == ([], False)
    assert lines[16]["raw"] is True
    assert lines[16]["events"][0] == '{"type":"RUN_STARTED"}'


async def test_what_was_exported_is_there_after_an_import_and_again_after_another(store):
    for number in range(3):
        await branches(store, f"owner{number}", f"t{number}")
    lines = await exported(store)
    other = MemoryStore()
    assert await import_(other, lines) == ImportReport(loaded=3)
    for number in range(3):
        place = (f"owner{number}", f"t{number}")
        assert await picture(other, *place) == await picture(store, *place)
    assert await import_(other, lines) == ImportReport(skipped=3)
    assert await import_(other, lines, replace=True) == ImportReport(replaced=3)
    assert await exported(other) == lines


async def test_lines_may_be_text_with_or_without_their_ends_and_come_one_by_one(store):
    await branches(store)
    lines = await exported(store)

    async def slowly():
        for line in lines:
            yield line.decode().rstrip("\n")
            yield "\n"

    for form in (slowly(), [line.decode() for line in lines], (line.rstrip() for line in lines)):
        assert (await import_(MemoryStore(), form)).loaded == 1


async def test_what_is_left_out_is_told(store):
    await branches(store)
    live = await claimed(store, run_id="the live one")
    await queued(store, run_id="a waiting one")
    await claimed(store, "fresh")
    told: list[str] = []
    lines = await exported(store, notice=told.append)
    assert sorted(told) == [
        "run 'a waiting one' of thread 'thread' is not finished: left out",
        "run 'the live one' of thread 'thread' is not finished: left out",
        "thread 'fresh' has no finished run yet: left out",
    ]
    assert json.loads(lines[-1]) == {"kind": "end", "threads": 1}
    assert live.run.run_key.encode() not in b"".join(lines)


async def test_a_thread_with_a_live_run_is_not_replaced_and_told(store):
    await branches(store)
    lines = await exported(store)
    await claimed(store)
    before = await picture(store)
    told: list[str] = []
    report = await import_(store, lines, replace=True, notice=told.append)
    assert report == ImportReport(busy=["thread"])
    assert told == ["thread 'thread' has a live or queued run: not replaced"]
    assert await picture(store) == before


async def test_a_thread_that_is_deleted_during_the_export_is_not_imported(store):
    for number in range(90):
        new = tuple(add(10 * number + place, f"{number}.{place}") for place in range(4))
        await finish(store, await claimed(store, "deleted", Plan(add=new)))
    await branches(store, thread_id="stays")
    lines: list[bytes] = []
    async for line in export(store):
        if len(lines) == 3:
            await store.threads.delete(None, "deleted")
        lines.append(line)
    assert {"kind": "gone", "thread": "deleted"} in map(json.loads, lines)
    other = MemoryStore()
    assert await import_(other, lines) == ImportReport(loaded=1)
    assert [record.id for record in await other.threads.list(None)] == ["stays"]


async def test_a_log_that_went_during_the_export_counts_as_gone(store):
    await branches(store)
    lines = await exported(store)
    kept = [line for line in lines if b'"raw":true,"events"' not in line]
    counts = json.loads(kept[-2])
    counts["events"] -= len(lines) - len(kept)
    kept[-2] = json.dumps(counts).encode()
    assert len(kept) < len(lines)
    other = MemoryStore()
    await import_(other, kept)
    assert [run.raw for run in await other.runs(None, "thread", 0, 10)] == [False] * 4
    assert await other.events(None, "thread", 0, 100) == await store.events(None, "thread", 0, 100)


async def test_a_file_that_is_cut_off_anywhere_is_an_error_with_its_line_and_the_threads_before_stay(store):
    await branches(store, thread_id="a")
    await branches(store, thread_id="b")
    lines = await exported(store)
    ends = [number for number, line in enumerate(lines) if b'"kind":"complete"' in line]
    for count in range(1, len(lines)):
        before = sum(count > end for end in ends)
        error = await refused(lines[:count], before=before)
        assert error.line == count + 1
        assert "is cut off" in str(error)
        half = lines[count][: len(lines[count]) // 2]
        error = await refused([*lines[:count], half], before=before)
        assert error.line == count + 1
        assert str(error).startswith(f"line {count + 1}: ")


async def test_any_line_that_got_lost_is_noticed_and_its_thread_is_not_stored(store):
    for thread_id in ("a", "b"):
        await branches(store, thread_id=thread_id)
    lines = await exported(store)
    end = next(number for number, line in enumerate(lines) if b'"kind":"complete"' in line)
    for lost in range(len(lines)):
        left = lines[:lost] + lines[lost + 1 :]
        first, second = lost <= end, end < lost < len(lines) - 1
        error = await refused(left, before=0 if first else 1 if second else 2)
        # At the latest where the thread ends, or at the line behind its lost end.
        assert lost < error.line <= (1 if lost == 0 else end + 1 if first else len(lines))


async def test_a_thread_says_which_of_its_lines_are_missing(store):
    await branches(store, thread_id="a")
    lines = await exported(store)
    kinds = [json.loads(line)["kind"] for line in lines]
    assert kinds[10:13] == ["entry", "entry", "events"]
    for lost, at, reason in (
        (11, 20, "thread 'a' has 6 entries, and 5 came"),
        (13, 20, "thread 'a' has 8 lines of events, and 7 came"),
        (20, 21, "the last line of thread 'a' is missing"),
    ):
        error = await refused(lines[:lost] + lines[lost + 1 :])
        assert str(error) == f"line {at}: {reason}"


BAD = {
    "not an object": (5, b"[]\n", "no line of an export"),
    "an unknown kind": (5, b'{"kind":"picture"}\n', "no line of an export"),
    "an unknown field": (1, b'{"kind":"thread","colour":1}\n', "no line of an export"),
    "a second header": (5, b'{"kind":"header","jumpseat":1}\n', "a second header"),
    "a part of no thread": (
        1,
        b'{"kind":"entry","position":1,"key":"","data":"","shown_from":1}\n',
        "no thread",
    ),
    "not text": (5, b'{"kind":"\xff"}\n', "no line of an export"),
    "the end before the runs": (
        4,
        b'{"kind":"end","threads":1}\n',
        "the last line of thread 'thread' is missing",
    ),
    "the end of a thread before the runs": (
        4,
        b'{"kind":"complete","thread":"thread","entries":0,"events":0}\n',
        "has 4 runs, and 2 came",
    ),
    "the end of another thread": (
        20,
        b'{"kind":"complete","thread":"no","entries":6,"events":8}\n',
        "thread 'no' ends, and 'thread' began",
    ),
    "the same end of a thread": (21, rb"\20", "no thread above"),
    "a run too many": (6, rb"\5", "does not follow"),
    "the same run": (3, rb"\2", "run 1 does not follow run 1"),
    "an entry among the runs": (4, rb"\6", "has 4 runs, and 2 came"),
    "events among the entries": (7, rb"\12", None),
    "events of another run": (
        13,
        b'{"kind":"events","run_key":"no","events":[]}\n',
        "no run with run_key 'no'",
    ),
    "events after a gap": (
        13,
        b'{"kind":"events","run_key":"@","first":9,"events":[]}\n',
        "event 9 does not",
    ),
    "more events than the log has": (17, rb"\16", "event 1 does not follow"),
    "events of an earlier run": (15, rb"\12", "events come by run"),
    "the same entry": (7, rb"\6", "came before"),
    "another count of threads": (21, b'{"kind":"end","threads":2}\n', "1 threads came, and 2 were exported"),
    "more behind the end": (22, b'{"kind":"end","threads":1}\n', "more behind the end"),
    "a number that is too large": (
        5,
        b'{"kind":"events","run_key":"","first":99999999999,"events":[]}',
        "first",
    ),
}


@pytest.mark.parametrize("what", BAD)
async def test_a_line_that_does_not_fit_is_refused_with_its_number(store, what):
    await branches(store)
    lines = await exported(store)
    at, bad, reason = BAD[what]
    if found := re.fullmatch(rb"\\(\d+)", bad):
        bad = lines[int(found[1])]
    first_key = json.loads(lines[2])["run_key"].encode()
    lines.insert(at, bad.replace(b'"@"', b'"' + first_key + b'"'))
    error = await refused(lines, before=1 if at > 20 else 0)
    if reason is None:
        assert error.line > at
    else:
        assert error.line == at + 1
        assert reason in str(error)


@pytest.mark.parametrize(
    ("lines", "line", "reason"),
    [
        ([], 1, "no export of Jumpseat"),
        ([b"# a document\n"], 1, "no export of Jumpseat"),
        ([b'{"kind":"end","threads":0}\n'], 1, "no export of Jumpseat"),
        ([b'{"kind":"header","jumpseat":2}\n'], 1, "has version 2, and this Jumpseat reads version 1"),
        ([b'{"kind":"header","jumpseat":0}\n'], 1, "has version 0"),
    ],
)
async def test_what_is_no_export_of_a_known_version_is_refused(lines, line, reason):
    error = await refused(lines)
    assert error.line == line
    assert reason in str(error)


async def test_an_empty_store_is_an_export_of_nothing(store):
    lines = await exported(store)
    assert lines == [b'{"kind":"header","jumpseat":1}\n', b'{"kind":"end","threads":0}\n']
    assert await import_(MemoryStore(), lines) == ImportReport()


async def test_an_input_that_fails_in_the_middle_keeps_what_came_before(store):
    await branches(store, thread_id="a")
    await branches(store, thread_id="b")
    lines = await exported(store)

    def failing():
        yield from lines[:25]
        raise OSError("the pipe broke")

    other = MemoryStore()
    with pytest.raises(OSError, match="the pipe broke"):
        await import_(other, failing())
    assert [record.id for record in await other.threads.list(None)] == ["a"]


async def test_a_run_key_of_another_thread_names_the_line_of_the_thread(store):
    await branches(store)
    lines = await exported(store)
    other = [re.sub(rb'"(id|thread)":"thread"', rb'"\1":"other"', line) for line in lines]
    with pytest.raises(
        InvalidExport, match=r"^line 2: thread 'other': run key '\w+' is used on another thread"
    ):
        await import_(store, other)


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        Entry,
        position=st.integers(-5, 1 << 50),
        key=texts,
        aliases=st.lists(texts, max_size=2).map(tuple),
        digest=payloads,
        data=payloads,
        shown_from=counts,
        hidden_at=st.none() | counts,
    ),
    st.builds(
        ThreadRecord,
        id=texts,
        name=st.none() | texts,
        agent_id=texts,
        owner=st.none() | texts,
        archived=st.booleans(),
        created_at=counts,
        updated_at=counts,
        last_run_at=counts,
        renamed=st.booleans(),
    ),
    st.none() | payloads,
    st.lists(payloads, max_size=4),
)
def test_any_bytes_and_names_survive(entry, record, payload, events):
    thread = DumpedThread(record=record, active_at=5, runs=3, trimmed=1, digest=payload)
    header = RunHeader(
        run_key="k", run_id=record.id, agent_id=record.agent_id, ordinal=2, status="lost", parent=None,
        last_seq=0, raw=False, created_at=1, sealed_at=2, terminal=payload, record=None, pending=entry.data,
    )  # fmt: skip
    run = DumpedRun(header=header, state=payload)
    part = DumpedEvents(run_key="k", raw=True, first=7, events=events)
    read = [
        decode_line(encode_line(line))
        for line in (EntryLine.of(entry), ThreadLine.of(thread), RunLine.of(run))
    ]
    assert isinstance(read[0], EntryLine)
    assert isinstance(read[1], ThreadLine)
    assert isinstance(read[2], RunLine)
    assert (read[0].entry(), read[1].thread(), read[2].run()) == (entry, thread, run)
    assert [decode_line(encode_line(line)).part() for line in event_lines(part)] == [part]
    assert all(encode_line(line).count(b"\n") == 1 for line in event_lines(part))


def test_many_events_come_in_lines_of_a_mebibyte():
    part = DumpedEvents(
        run_key="k", raw=False, first=1, events=[b"x" * 100_000] * 30 + [b"y" * (3 << 20), b""]
    )
    lines = list(event_lines(part))
    assert [len(line.events) for line in lines] == [10, 10, 10, 1, 1]
    assert [line.first for line in lines] == [1, 11, 21, 31, 32]
    assert [event for line in lines for event in line.part().events] == part.events


async def test_a_large_thread_is_spooled_to_a_file_and_read_again_and_again():
    thread = DumpedThread(
        record=ThreadRecord(
            id="t",
            name=None,
            agent_id="a",
            owner=None,
            archived=False,
            created_at=1,
            updated_at=1,
            last_run_at=1,
        ),
        active_at=1,
        runs=1,
    )
    async with SpooledContents(thread) as contents:
        parts = [
            Entry(
                position=number, key=f"k{number}", aliases=(), digest=b"", data=b"x" * 300_000, shown_from=1
            )
            for number in range(9)
        ]
        for part in parts:
            await contents.add(part)
        assert await asyncio.to_thread(list, contents.parts()) == parts
        some = await asyncio.to_thread(list, batches(contents))
        assert [len(batch) for batch in some] == [4, 4, 1]
        assert await asyncio.to_thread(list, contents.parts()) == parts
        more = msgspec.structs.replace(parts[0], position=9, data=ODD)
        await contents.add(more)
        assert await asyncio.to_thread(list, contents.parts()) == [*parts, more]
    assert list(contents.parts()) == []


def test_events_of_a_run_in_several_lines_are_one_part_again():
    lines = [
        EventsLine(run_key=key, first=first, events=["x"]) for key, first in (("a", 1), ("a", 2), ("b", 1))
    ]

    class Given:
        thread = None

        def parts(self):
            return (line.part() for line in lines)

    ((one, other),) = batches(Given())
    assert (one.events, other.events) == ([b"x", b"x"], [b"x"])
