"""Dumps and loads when answers get lost, servers are full or replaced, rights are few, and callers leave."""

from __future__ import annotations

import asyncio
import re
import threading

import msgspec
import pytest

from documents import ROOT, code
from jumpseat.errors import StoreUnavailable
from jumpseat.stores.base import Loaded
from jumpseat.stores.postgres import PostgresStore
from jumpseat.stores.redis import loading
from jumpseat.stores.redis.scripts import SCRIPTS
from jumpseat.testing.store_cases.dumps import Contents, branches, dumped, pages, picture
from jumpseat.testing.store_cases.material import claimed, finish, within
from postgres_server import lent_schema, shared_server
from redis_server import Server


@pytest.fixture
async def redis(make_redis, cable_url):
    return await make_redis(cable_url)


@pytest.fixture
async def postgres():
    with lent_schema() as schema:
        store = PostgresStore(shared_server().dsn(), schema=schema)
        await store.open()
        yield store
        await store.aclose()


def keys_of(server: Server) -> list[str]:
    return server.command("EVAL", "return table.concat(redis.call('KEYS', '*'), ' ')", "0").split()


@pytest.mark.parametrize("script", ["load_part", "load_end", "load_drop", "index_scan", "dump_runs"])
async def test_what_redis_did_while_its_answer_got_lost_is_done_once(redis, cable, script):
    await branches(redis)
    before = await picture(redis)
    contents = (await dumped(redis))["thread"]
    await redis.threads.delete(None, "thread")
    cable.lose_the_answer_to(SCRIPTS[script].sha.encode())
    assert await within(redis.load(contents)) is Loaded.LOADED
    assert await picture(redis) == before
    again = (await dumped(redis))["thread"]
    assert (again.thread, again.rest) == (contents.thread, contents.rest)


async def test_what_a_process_that_died_had_kept_in_redis_is_invisible_and_goes_by_itself(
    redis, server, monkeypatch
):
    await branches(redis)
    contents = (await dumped(redis, ConnectionAbortedError()))["thread"]
    await redis.threads.delete(None, "thread")

    async def nothing(_):
        """Do as a dead process does."""

    monkeypatch.setattr(loading._Staged, "drop", nothing)
    with pytest.raises(ConnectionAbortedError):
        await within(redis.load(contents))
    kept = [key for key in keys_of(server) if ":load:" in key]
    assert len(kept) > 5
    assert all(0 < int(server.command("TTL", key)) <= 3600 for key in kept)
    assert await redis.threads.list(None, archived=True) == []
    assert [page.parts for page in await pages(redis)] == [[]]
    assert (await claimed(redis)).created


async def test_after_a_load_nothing_temporary_is_left_in_redis_and_nothing_of_the_thread_expires(
    redis, server
):
    await branches(redis)
    contents = (await dumped(redis))["thread"]
    assert await within(redis.load(contents, replace=True)) is Loaded.REPLACED
    keys = keys_of(server)
    assert not [key for key in keys if ":load:" in key]
    lasting = [key for key in keys if not key.endswith((":mark", ":revoked"))]
    assert {server.command("TTL", key) for key in lasting} == {"-1"}


async def test_a_full_redis_can_be_exported_and_takes_nothing(redis, server):
    await branches(redis)
    contents = (await dumped(redis))["thread"]
    before = await picture(redis)
    server.command("CONFIG", "SET", "maxmemory", "1")
    again = (await dumped(redis))["thread"]
    assert (again.thread, again.rest) == (contents.thread, contents.rest)
    with pytest.raises(StoreUnavailable):
        await within(redis.load(contents, replace=True))
    server.command("CONFIG", "SET", "maxmemory", "0")
    assert await picture(redis) == before
    assert await within(redis.load(contents, replace=True)) is Loaded.REPLACED
    assert await picture(redis) == before


async def test_a_dump_of_redis_finds_all_threads_or_says_that_another_server_has_taken_over(redis):
    for number in range(200):
        await finish(redis, await claimed(redis, f"t{number}"))
    assert set(await dumped(redis)) == {f"t{number}" for number in range(200)}
    first = await within(redis.dump())
    assert first.next is not None
    cursor = msgspec.msgpack.decode(first.next)
    place = msgspec.msgpack.decode(cursor[0])
    cursor[0] = msgspec.msgpack.encode(["another", *place[1:]])

    async def to_the_end(at: bytes | None) -> None:
        while at is not None:
            at = (await within(redis.dump(at))).next

    with pytest.raises(StoreUnavailable, match="another server has taken over"):
        await to_the_end(msgspec.msgpack.encode(cursor))


async def test_the_rights_that_the_guide_grants_in_redis_are_enough_to_move_threads(server, make_redis):
    guide = ROOT / "docs" / "guides" / "which-runner.md"
    (granted,) = [block for block in code(guide, "text") if block.startswith("ACL")]
    words = re.sub(r"~\S+ &\S+", "~* &*", granted).split()
    assert server.command(*words) == "OK"
    store = await make_redis(server.url.replace("redis://", "redis://app:password@"))
    await branches(store)
    before = await picture(store)
    contents = (await dumped(store))["thread"]
    assert await within(store.load(contents, replace=True)) is Loaded.REPLACED
    assert await picture(store) == before


async def test_a_load_into_postgresql_that_nobody_waits_for_any_more_leaves_nothing_and_no_lock(postgres):
    await branches(postgres)
    before = await picture(postgres)
    contents = (await dumped(postgres))["thread"]
    reached, go_on = threading.Event(), threading.Event()

    class Slow(Contents):
        def parts(self):
            yield from self.rest
            reached.set()
            assert go_on.wait(20)

    slow = Slow([contents.thread, *contents.rest])
    loading = asyncio.create_task(postgres.load(slow, replace=True))
    assert await asyncio.to_thread(reached.wait, 20)
    # Until it is over the thread is as it was for everyone else.
    assert await picture(postgres) == before
    loading.cancel()
    await asyncio.wait((loading,))
    go_on.set()
    assert await picture(postgres) == before
    await finish(postgres, await claimed(postgres))
