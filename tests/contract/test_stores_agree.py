"""Whatever is done to two stores, they show the same."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jumpseat.stores.base import (
    Addition,
    Claimed,
    History,
    Live,
    NewRun,
    Plan,
    Retention,
    RunHeader,
    Seal,
    Store,
)
from jumpseat.stores.memory import MemoryStore
from jumpseat.stores.postgres import PostgresStore
from jumpseat.stores.redis import RedisStore
from jumpseat.stores.sqlite import SqliteStore
from postgres_server import lent_schema, shared_server

positions = st.integers(0, 12)
additions = st.builds(
    Addition,
    position=positions,
    key=st.sampled_from("abcdefgh"),
    aliases=st.lists(st.sampled_from("abuvwx"), max_size=2, unique=True).map(tuple),
    digest=st.sampled_from([b"", b"1", b"2"]),
    data=st.binary(max_size=3),
)
plans = st.builds(
    Plan,
    hide_after=st.none() | positions,
    keep_attached=st.booleans(),
    hide=st.lists(positions, max_size=3).map(tuple),
    add=st.lists(additions, max_size=4, unique_by=lambda addition: addition.key).map(tuple),
    digest=st.none() | st.binary(max_size=2),
)
payloads = st.none() | st.binary(max_size=3)
runs = st.fixed_dictionaries(
    {
        "claim": plans,
        "seal": plans,
        "appends": st.lists(st.lists(st.binary(max_size=3), max_size=4), max_size=3),
        "state": payloads,
        "sealed_state": payloads,
        "pending": payloads,
        "prune": st.none() | st.integers(1, 3),
    }
)


async def attempt(work: Any) -> Any:
    try:
        return await work
    except ValueError as error:
        return type(error)


async def play(store: Store, number: int, run: dict[str, Any]) -> list[Any]:
    """Do one run and return what it was told."""
    new = NewRun(
        thread_id="t", run_key=f"k{number}", run_id="r", agent_id="a", owner=None, state=run["state"]
    )
    claim = await attempt(store.claim(new, 60, run["claim"], b"first"))
    if not isinstance(claim, Claimed):
        return [claim]
    told: list[Any] = [claim]
    seq = 2
    for events in run["appends"]:
        told.append(await store.append(claim.run, seq, events))
        seq += len(events)
    seal = Seal(
        status="finished",
        first_seq=seq,
        events=[b"end"],
        plan=run["seal"],
        state=run["sealed_state"],
        compacted=[b"end"],
        terminal=b"end",
        pending=run["pending"],
    )
    told.append(await attempt(store.seal(claim.run, seal)))
    if told[-1] is not None:
        told.append(await store.seal(claim.run, replace(seal, plan=Plan())))
    if run["prune"] is not None:
        while await store.prune(Retention(max_runs=run["prune"], events_after=0), 2):
            pass
    return told


def timeless(header: RunHeader | None) -> RunHeader | None:
    return header and replace(header, created_at=0, sealed_at=header.sealed_at and 1)


async def picture(store: Store, count: int) -> list[Any]:
    """Return everything the thread shows, but times and versions."""
    seen: list[Any] = []
    for at in (None, *range(1, count + 1)):
        history: History | None = await store.history(None, "t", at)
        if history is not None:
            live: Live | None = history.live
            seen += [history.entries, history.state, timeless(history.head), live]
    located = await store.locate(None, "t", list("abcdefghuvwxyz"))
    seen += [located.found, located.last_position, located.runs, located.digest]
    seen += [timeless(header) for header in await store.runs(None, "t", 0, 100)]
    seen += await store.events(None, "t", 0, 100)
    seen += [await store.read("t", f"k{number}", 0, 0) for number in range(count)]
    return seen


async def compare(script: Sequence[dict[str, Any]], *stores: Store) -> None:
    for store in stores:
        await store.open()
    try:
        for number, run in enumerate(script):
            one, other = [await play(store, number, run) for store in stores]
            assert one == other
            one, other = [await picture(store, number + 1) for store in stores]
            assert one == other
    finally:
        for store in stores:
            await store.aclose()


@settings(max_examples=40, deadline=None)
@given(st.lists(runs, min_size=1, max_size=6))
def test_memory_and_sqlite_show_the_same_after_any_runs(script: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(compare(script, MemoryStore(), SqliteStore(Path(folder) / "threads.db")))


@settings(max_examples=25, deadline=None)
@given(st.lists(runs, min_size=1, max_size=6))
def test_memory_and_postgres_show_the_same_after_any_runs(script: list[dict[str, Any]]) -> None:
    with lent_schema() as schema:
        store = PostgresStore(shared_server().dsn(), schema=schema, listen=False)
        asyncio.run(compare(script, MemoryStore(), store))


@settings(max_examples=25, deadline=None)
@given(script=st.lists(runs, min_size=1, max_size=6))
def test_memory_and_redis_show_the_same_after_any_runs(redis_url: str, script: list[dict[str, Any]]) -> None:
    asyncio.run(compare(script, MemoryStore(), RedisStore(redis_url, prefix=f"test-{uuid4().hex}")))
