"""What becomes of a store when its connections do not hold."""

from __future__ import annotations

import asyncio

import pytest

from jumpseat.errors import ClaimLost, StoreUnavailable
from jumpseat.stores.base import Append, Claimed, Hold, LogPage, Plan, Run
from jumpseat.stores.postgres import PostgresStore, connections
from jumpseat.testing.store_cases.material import FIRST, LEASE, add, claimed, new_run, seal_of, within
from postgres_server import lent_schema, pgbouncer, postgres_server, shared_server
from tcp_proxy import proxy_to


@pytest.fixture
def schema():
    with lent_schema() as schema:
        yield schema


@pytest.fixture
async def proxy():
    async with proxy_to(shared_server().port) as proxy:
        yield proxy


@pytest.fixture
async def store(proxy, schema):
    store = PostgresStore(through(proxy.port), schema=schema, listen_dsn=shared_server().dsn())
    await store.open()
    yield store
    await store.aclose()


@pytest.fixture
async def other(schema):
    """Another store on the same data, which nothing stands before."""
    store = PostgresStore(shared_server().dsn(), schema=schema)
    await store.open()
    yield store
    await store.aclose()


def through(port: int) -> str:
    return shared_server().dsn().replace(str(shared_server().port), str(port))


async def log_of(store, claim: Claimed) -> list[bytes]:
    return (await within(store.read("thread", claim.run.run_key, 0, 0))).events


async def test_an_append_whose_answer_is_lost_is_stored_once(store, proxy, other):
    claim = await claimed(store)
    proxy.lose_the_answer_to(b".append_group(")
    assert await within(store.append(claim.run, 2, [b"2", b"3"])) is Hold.HELD
    assert await store.append(claim.run, 4, [b"4"]) is Hold.HELD
    assert await log_of(other, claim) == [FIRST, b"2", b"3", b"4"]


async def test_a_group_of_appends_whose_answer_is_lost_is_stored_once(store, proxy, other):
    claims = [await claimed(store, f"t{number}") for number in range(5)]
    appends = [Append(claim.run, 2, [b"2"]) for claim in claims]
    told = asyncio.get_running_loop().create_future()
    proxy.lose_the_answer_to(b".append_group(")
    store.append_group(appends, told.set_result)
    assert [append.result for append in await within(told)] == [Hold.HELD] * 5
    for claim in claims:
        page = await other.read(claim.run.thread_id, claim.run.run_key, 0, 0)
        assert page.events == [FIRST, b"2"]


async def test_a_claim_whose_answer_is_lost_is_the_callers(store, proxy, other):
    proxy.lose_the_answer_to(b".claim(")
    new = new_run(state=b"s")
    claim = await within(store.claim(new, LEASE, Plan(version=0, add=(add(10, "m"),)), FIRST))
    assert isinstance(claim, Claimed)
    assert (claim.run.run_key, claim.created, claim.last_seq, claim.state) == (new.run_key, True, 1, b"s")
    history = await other.history(None, "thread")
    assert [entry.key for entry in history.entries] == ["m"]
    assert len(await other.runs(None, "thread", 0, 10)) == 1
    assert await store.append(claim.run, 2, [b"x"]) is Hold.HELD


async def test_a_seal_whose_answer_is_lost_is_done(store, proxy, other):
    claim = await claimed(store)
    proxy.lose_the_answer_to(b".seal(")
    await within(store.seal(claim.run, seal_of(2, state=b"s")))
    assert await log_of(other, claim) == [FIRST, b"end"]
    assert await other.live(None, "thread") is None
    with pytest.raises(ClaimLost):
        await store.seal(claim.run, seal_of(2, state=b"s"))


async def test_a_stop_whose_answer_is_lost_is_not_asked_for_twice(store, proxy, other):
    claim = await claimed(store)
    proxy.lose_the_answer_to(b".request_stop(")
    with pytest.raises(StoreUnavailable):
        await within(store.request_stop(None, "thread", None, "x"))
    assert (await other.live(None, "thread")).stopping
    assert await store.append(claim.run, 2, [b"x"]) is Hold.STOPPING


async def test_connections_that_were_cut_while_idle_are_not_noticed(store, proxy):
    claim = await claimed(store)
    for seq in range(2, 12):
        proxy.cut()
        assert await within(store.append(claim.run, seq, [b"x"])) is Hold.HELD
        assert await store.request_stop("nobody", "thread", None, "x") is None
    assert len(await log_of(store, claim)) == 11


async def test_a_writer_that_was_fenced_while_its_connection_was_lost_stores_nothing(store, proxy, other):
    claim = await claimed(store)
    assert await other.take(claim.run, LEASE, force=True) is not None
    proxy.cut()
    with pytest.raises(ClaimLost):
        await within(store.append(claim.run, 2, [b"old"]))
    assert await log_of(other, claim) == [FIRST]


async def test_a_database_that_refuses_is_unavailable_and_later_is_not(store, proxy):
    claim = await claimed(store)
    proxy.refusing = True
    proxy.cut()
    for work in (
        store.append(claim.run, 2, [b"x"]),
        store.live(None, "thread"),
        store.extend(claim.run, LEASE),
        store.threads.list(None),
    ):
        with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1"):
            await within(work)
    proxy.refusing = False
    assert await within(store.append(claim.run, 2, [b"x"])) is Hold.HELD


async def test_a_database_that_is_silent_is_waited_for_a_limited_time(store, proxy, monkeypatch):
    claim = await claimed(store)
    monkeypatch.setattr(connections, "STATEMENT_SECONDS", 0.5)
    monkeypatch.setattr(connections, "ATTEMPTS", 2)
    monkeypatch.setattr(connections, "CONNECT_SECONDS", 0.3)
    proxy.silent = True
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(StoreUnavailable):
        await within(store.append(claim.run, 2, [b"x"]))
    assert loop.time() - began < 5
    proxy.silent = False
    assert await within(store.append(claim.run, 2, [b"x"])) is Hold.HELD


async def test_a_pool_that_is_used_up_says_so_in_time(schema, monkeypatch):
    monkeypatch.setattr(connections, "POOL_SECONDS", 0.2)
    store = PostgresStore(shared_server().dsn(), schema=schema, pool_size=1, listen=False)
    await store.open()
    try:
        await claimed(store)
        lock = await connection_with(f"BEGIN; LOCK TABLE {schema}.threads")
        waiting = asyncio.create_task(store.claim(new_run("t2"), LEASE, Plan(), FIRST))
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable, match="all 1 connections"):
            await within(store.live(None, "thread"))
        await lock.close()
        assert isinstance(await within(waiting), Claimed)
    finally:
        await store.aclose()


async def test_a_lock_that_somebody_keeps_is_not_waited_for_longer_than_its_limit(schema, monkeypatch):
    store = PostgresStore(shared_server().dsn(), schema=schema, listen=False)
    await store.open()
    monkeypatch.setattr(connections, "ATTEMPTS", 1)
    lock = None
    try:
        shared_server().sql(
            f"ALTER FUNCTION {schema}.extend(text, text, integer, bigint) SET lock_timeout = '100ms'"
        )
        claim = await claimed(store)
        lock = await connection_with(f"BEGIN; SELECT * FROM {schema}.runs FOR UPDATE")
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            await within(store.extend(claim.run, LEASE))
    finally:
        if lock is not None:
            await lock.close()
        await store.aclose()
        shared_server().sql(
            f"ALTER FUNCTION {schema}.extend(text, text, integer, bigint) SET lock_timeout = '10s'"
        )


async def test_a_run_that_somebody_is_changing_does_not_hold_up_the_renewal_of_others(schema, store):
    claims = [await claimed(store, f"t{number}") for number in range(3)]
    runs = [claim.run for claim in claims]
    await asyncio.gather(*(store.extend(run, 0) for run in runs))
    lock = await connection_with(
        f"BEGIN; SELECT * FROM {schema}.runs WHERE run_key = '{runs[1].run_key}' FOR UPDATE"
    )
    try:
        renewing = asyncio.create_task(store.extend_group(runs, LEASE))

        async def others_renewed() -> None:
            while [run.run_key for run in await store.expired(10)] != [runs[1].run_key]:
                await asyncio.sleep(0.01)

        await within(others_renewed())
        assert not renewing.done()
    finally:
        await lock.close()
    assert await within(renewing) == [Hold.HELD] * 3
    assert await store.expired(10) == []


async def connection_with(statement: str):
    import psycopg

    connection = await psycopg.AsyncConnection.connect(shared_server().dsn(), autocommit=True)
    await connection.execute(statement.encode())
    return connection


async def listening(store) -> bool:
    """Wait until a store hears notifications."""
    async with asyncio.timeout(20):
        return await store.listener.listening.wait()


async def test_a_listener_that_is_killed_loses_no_event_and_comes_back(store, other):
    await listening(other)
    claim = await claimed(store)
    reader = asyncio.create_task(other.read("thread", claim.run.run_key, 1, 60))
    killed = shared_server().sql(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    )
    assert int(killed) >= 1
    await store.append(claim.run, 2, [b"2"])
    assert await within(reader) == LogPage(events=[b"2"])
    await listening(other)
    reader = asyncio.create_task(other.read("thread", claim.run.run_key, 2, 60))
    await asyncio.sleep(0)
    await store.append(claim.run, 3, [b"3"])
    assert await within(reader) == LogPage(events=[b"3"])


async def test_a_listener_that_finds_nobody_leaves_readers_to_look(schema, store, caplog):
    deaf = PostgresStore(
        shared_server().dsn(), schema=schema, listen_dsn="postgresql://postgres@127.0.0.1:1/none"
    )
    await deaf.open()
    try:
        claim = await claimed(store)
        reader = asyncio.create_task(deaf.read("thread", claim.run.run_key, 1, 60))
        done, _ = await asyncio.wait((reader,), timeout=0.5)
        assert not done
        await store.append(claim.run, 2, [b"2"])
        began = asyncio.get_running_loop().time()
        assert await within(reader) == LogPage(events=[b"2"])
        assert asyncio.get_running_loop().time() - began < 2
        assert [record.levelname for record in caplog.records].count("WARNING") == 1
    finally:
        await deaf.aclose()


async def test_a_listener_behind_a_pooler_notices_that_it_hears_nothing(schema, monkeypatch, caplog):
    monkeypatch.setattr("jumpseat.stores.postgres.listening.ECHO_SECONDS", 0.5)
    with pgbouncer(shared_server()) as port:
        store = PostgresStore(through(port), schema=schema)
        await store.open()
        try:
            async with asyncio.timeout(10):
                while "listen_dsn" not in caplog.text:
                    await asyncio.sleep(0.02)
            assert not store.listener.listening.is_set()
        finally:
            await store.aclose()


async def test_a_restarted_server_is_found_again_and_nothing_acknowledged_is_lost():
    with postgres_server(durable=True) as server:
        store = PostgresStore(server.dsn())
        await store.open()
        try:
            claim = await claimed(store)
            for seq in range(2, 40):
                assert await store.append(claim.run, seq, [str(seq).encode()]) is Hold.HELD
            await asyncio.to_thread(server.stop, "immediate")
            with pytest.raises(StoreUnavailable):
                await within(store.append(claim.run, 40, [b"40"]))
            await asyncio.to_thread(server.start)
            assert await within(store.append(claim.run, 40, [b"40"])) is Hold.HELD
            assert await log_of(store, claim) == [FIRST, *(str(seq).encode() for seq in range(2, 41))]
            await listening(store)
        finally:
            await store.aclose()


async def test_closing_while_statements_run_leaves_nothing_open(schema):
    store = PostgresStore(shared_server().dsn(), schema=schema)
    await store.open()
    claims = [asyncio.create_task(store.claim(new_run(f"t{n}"), LEASE, Plan(), FIRST)) for n in range(40)]
    await asyncio.sleep(0)
    await within(store.aclose())
    await asyncio.wait(claims)
    for claim in claims:
        assert claim.exception() is None or isinstance(claim.exception(), StoreUnavailable)
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert not [name for name in names if "jumpseat" in name]


async def test_a_server_that_takes_no_writes_is_unavailable_and_its_connections_are_given_up(schema, other):
    server = shared_server()
    server.sql(
        "DROP ROLE IF EXISTS frozen; CREATE ROLE frozen SUPERUSER LOGIN;"
        "ALTER ROLE frozen SET default_transaction_read_only = on"
    )
    store = PostgresStore(server.dsn().replace("postgres@", "frozen@"), schema=schema, migrate=False)
    await store.open()
    try:
        assert await store.live(None, "thread") is None
        with pytest.raises(StoreUnavailable, match="read-only"):
            await store.claim(new_run(), LEASE, Plan(), FIRST)
        server.sql("ALTER ROLE frozen RESET default_transaction_read_only")
        assert isinstance(await store.claim(new_run(), LEASE, Plan(), FIRST), Claimed)
    finally:
        await store.aclose()


async def test_a_standby_that_takes_over_is_found_and_the_run_goes_on_there():
    with postgres_server(durable=True) as primary, primary.standby() as standby:
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        store = PostgresStore(primary.dsn().replace(f"127.0.0.1:{primary.port}", hosts))
        await store.open()
        try:
            claim = await claimed(store)
            assert await store.append(claim.run, 2, [b"2"]) is Hold.HELD
            await asyncio.to_thread(standby.until_it_has, primary)
            await asyncio.to_thread(primary.stop, "immediate")
            with pytest.raises(StoreUnavailable):
                await within(store.append(claim.run, 3, [b"3"]))
            await asyncio.to_thread(standby.run, "pg_ctl", "promote", "-w", "-D", standby.data)
            assert await within(store.append(claim.run, 3, [b"3"])) is Hold.HELD
            assert await log_of(store, claim) == [FIRST, b"2", b"3"]
            # A claim that the new primary never got.
            with pytest.raises(ClaimLost):
                await store.append(Run("thread", "NEVER", 1), 2, [b"x"])
        finally:
            await store.aclose()


async def test_an_append_that_cannot_even_be_sent_fails_alone_in_its_group(store):
    good, bad = await claimed(store, "one"), Run("\ud800", "KEY", 1)
    appends = [Append(bad, 2, [b"x"]), Append(good.run, 2, [b"x"])]
    told = asyncio.get_running_loop().create_future()
    store.append_group(appends, told.set_result)
    await within(told)
    assert isinstance(appends[0].error, ValueError)
    assert appends[1].result is Hold.HELD


async def test_appends_to_one_run_are_stored_in_the_order_in_which_they_were_asked_for(store):
    claim = await claimed(store)
    work = [asyncio.create_task(store.append(claim.run, seq, [b"x"])) for seq in range(2, 102)]
    assert set(await within(asyncio.gather(*work))) == {Hold.HELD}
    assert len(await log_of(store, claim)) == 101


async def test_appends_that_wait_when_the_store_closes_are_told(schema, monkeypatch):
    monkeypatch.setattr("jumpseat.stores.postgres.store.CLOSE_SECONDS", 0.2)
    store = PostgresStore(shared_server().dsn(), schema=schema, listen=False)
    await store.open()
    claim = await claimed(store)
    lock = await connection_with(f"BEGIN; SELECT * FROM {schema}.runs FOR UPDATE")
    try:
        work = [asyncio.create_task(store.append(claim.run, seq, [b"x"])) for seq in range(2, 12)]
        async with asyncio.timeout(10):
            while not await waits_for_a_lock():
                await asyncio.sleep(0.01)
        await within(store.aclose())
        told = await within(asyncio.gather(*work, return_exceptions=True))
        assert {type(error) for error in told} == {StoreUnavailable}
    finally:
        await lock.close()


async def waits_for_a_lock() -> bool:
    listed = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    return await asyncio.to_thread(shared_server().sql, listed) != "0"
