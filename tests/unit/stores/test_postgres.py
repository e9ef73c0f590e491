"""What only the PostgreSQL store has: its options, its schema, its costs and its announcements."""

from __future__ import annotations

import asyncio
import importlib.util
import time

import psycopg
import pytest

from jumpseat import PostgresAgentRunner
from jumpseat.errors import (
    ConfigurationError,
    InvalidInput,
    MissingDependencyError,
    SchemaTooNew,
    StoreUnavailable,
)
from jumpseat.stores.base import Append, Claimed, Hold, Plan, Run
from jumpseat.stores.postgres import PostgresStore, values
from jumpseat.stores.postgres.announcing import Announcements
from jumpseat.stores.postgres.statements import migrations, statements
from jumpseat.testing.store_cases.material import FIRST, LEASE, add, claimed, finish, new_run, seal_of, within
from postgres_server import lent_schema, shared_server

STRIDE = 1 << 20


@pytest.fixture
def schema():
    with lent_schema() as schema:
        yield schema


@pytest.fixture
async def store(schema):
    store = PostgresStore(shared_server().dsn(), schema=schema)
    await store.open()
    yield store
    await store.aclose()


@pytest.mark.parametrize(
    ("dsn", "options", "named"),
    [
        ("", {}, "dsn"),
        (None, {}, "dsn"),
        ("postgresql://host/name", {"schema": "Mixed"}, "schema"),
        ("postgresql://host/name", {"schema": "a; DROP"}, "schema"),
        ("postgresql://host/name", {"schema": None}, "schema"),
        ("postgresql://host/name", {"pool_size": 0}, "pool_size"),
        ("postgresql://host/name", {"pool_size": True}, "pool_size"),
        ("postgresql://host/name", {"pool_size": "8"}, "pool_size"),
        ("postgresql://host/name", {"heartbeat": 0}, "heartbeat"),
    ],
)
def test_options_that_cannot_work_are_refused_by_name(dsn, options, named):
    with pytest.raises(ConfigurationError, match=named):
        PostgresAgentRunner(dsn, **options)


def test_without_the_driver_the_line_that_installs_it_is_named(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "jumpseat.stores.postgres.dsn.find_spec",
        lambda name: None if name == "psycopg" else found(name),
    )
    with pytest.raises(MissingDependencyError, match=r'pip install "jumpseat\[postgres\]"'):
        PostgresAgentRunner("postgresql://host/name")


async def test_a_string_that_is_no_connection_string_is_refused_without_being_shown():
    with pytest.raises(ConfigurationError) as refused:
        await PostgresStore("me:secret@host/name").open()
    assert "secret" not in str(refused.value)


async def test_a_verb_before_open_says_that_open_is_missing(schema):
    with pytest.raises(StoreUnavailable, match=r"open\(\)"):
        await PostgresStore(shared_server().dsn(), schema=schema).live(None, "thread")


async def test_of_several_hosts_the_one_that_answers_is_used_and_a_password_may_be_url_encoded(schema):
    server = shared_server()
    server.sql("DROP ROLE IF EXISTS odd; CREATE ROLE odd SUPERUSER LOGIN PASSWORD 'p@ss/w:rd'")
    dsn = f"postgresql://odd:p%40ss%2Fw%3Ard@127.0.0.1:1,127.0.0.1:{server.port}/postgres"
    store = PostgresStore(dsn, schema=schema)
    await store.open()
    try:
        assert isinstance(await store.claim(new_run(), LEASE, Plan(), FIRST), Claimed)
    finally:
        await store.aclose()


async def test_a_newer_schema_is_refused_and_not_touched(schema, store):
    await claimed(store)
    await store.aclose()
    server = shared_server()
    server.sql(f"UPDATE {schema}.schema_version SET version = 99")
    before = server.sql(f"SELECT * FROM {schema}.runs")
    try:
        for migrate in (True, False):
            with pytest.raises(SchemaTooNew, match="99") as refused:
                await PostgresStore(server.dsn(), schema=schema, migrate=migrate).open()
            assert (refused.value.found, refused.value.known) == (99, len(migrations(schema)))
        assert server.sql(f"SELECT * FROM {schema}.runs") == before
        assert server.sql(f"SELECT version FROM {schema}.schema_version") == "99"
    finally:
        server.sql(f"UPDATE {schema}.schema_version SET version = {len(migrations(schema))}")


async def test_a_process_that_began_before_groups_came_writes_on_beside_newer_ones(schema):
    server = shared_server()
    older = f"{schema}_older"
    scripts = [script.decode() for script in (await asyncio.to_thread(migrations, older))[:3]]
    server.sql(
        f"CREATE SCHEMA {older}; CREATE TABLE {older}.schema_version (version integer NOT NULL);"
        f"INSERT INTO {older}.schema_version VALUES (3); {''.join(scripts)}"
    )

    def append(claim, seq):
        # As processes of that version say it.
        return server.sql(
            f"SELECT ({older}.append(ARRAY['thread'], ARRAY['{claim.run.run_key}'], ARRAY[1], ARRAY[{seq}],"
            "ARRAY[1], ARRAY[true], ARRAY[convert_to('old', 'UTF8')]))[1]"
        )

    newer = PostgresStore(server.dsn(), schema=older)
    try:
        await newer.open()
        claim = await claimed(newer)
        assert append(claim, 2) == "held"
        assert await newer.append(claim.run, 3, [b"new"]) is Hold.HELD
        assert append(claim, 4) == "held"
        assert append(claim, 7) == "4"
        assert (await newer.read("thread", claim.run.run_key, 1, 0)).events == [b"old", b"new", b"old"]
    finally:
        await newer.aclose()
        server.sql(f"DROP SCHEMA {older} CASCADE")


async def test_without_the_right_to_migrate_an_older_schema_names_the_command():
    with pytest.raises(StoreUnavailable, match="jumpseat migrate"):
        await PostgresStore(shared_server().dsn(), schema="nowhere", migrate=False).open()
    assert shared_server().sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'nowhere'") == "0"


async def test_a_role_that_may_only_use_the_tables_is_enough_when_somebody_else_migrates(schema, store):
    server = shared_server()
    server.sql(
        "DROP ROLE IF EXISTS plain; CREATE ROLE plain LOGIN;"
        f"GRANT USAGE ON SCHEMA {schema} TO plain;"
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO plain"
    )
    dsn = server.dsn().replace("postgres@", "plain@")
    plain = PostgresStore(dsn, schema=schema, migrate=False)
    await plain.open()
    try:
        await finish(plain, await claimed(plain, plan=Plan(add=(add(10, "u"),))))
        assert await plain.threads.delete(None, "thread") is True
    finally:
        await plain.aclose()
        server.sql("DROP OWNED BY plain; DROP ROLE plain")


async def test_a_schema_that_vanished_names_the_command_that_makes_it():
    store = PostgresStore(shared_server().dsn(), schema="vanishing")
    await store.open()
    try:
        shared_server().sql("DROP SCHEMA vanishing CASCADE")
        with pytest.raises(StoreUnavailable, match="jumpseat migrate"):
            await store.live(None, "thread")
    finally:
        await store.aclose()


async def test_an_id_that_no_index_takes_is_a_bad_request(store):
    with pytest.raises(InvalidInput, match="too long"):
        await store.claim(new_run("".join(chr(0x4E00 + n) for n in range(9000))), LEASE, Plan(), FIRST)
    # Ids of runs and messages are found by a hash, so their length does not matter.
    long = "x" * 100_000
    await finish(store, await claimed(store, run_id=long, plan=Plan(add=(add(10, long),))))
    assert await store.find(None, "thread", long) is not None
    assert set((await store.locate(None, "thread", [long])).found) == {long}


async def test_the_clock_of_a_host_does_not_matter(store, monkeypatch):
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    claim = await claimed(store)
    assert await store.expired(10) == []
    assert await store.extend(claim.run, LEASE) is Hold.HELD
    record = await store.threads.get(None, "thread")
    assert abs(record.created_at / 1000 - real()) < 60


async def test_every_verb_of_a_run_is_one_statement(store, monkeypatch):
    executed: list[bytes] = []
    execute = psycopg.AsyncCursor.execute

    async def noted(self, query, *args, **options):
        executed.append(query)
        return await execute(self, query, *args, **options)

    await claimed(store, "warm")
    monkeypatch.setattr(psycopg.AsyncCursor, "execute", noted)
    counted = []
    for work in (
        store.claim(new_run(run_key="KEY"), LEASE, Plan(add=(add(10, "u"), add(20, "v"))), FIRST),
        store.append(Run("thread", "KEY", 1), 2, [b"x"] * 50),
        store.seal(Run("thread", "KEY", 1), seal_of(52, plan=Plan(add=(add(30, "a"),)))),
        store.history(None, "thread"),
    ):
        before = len(executed)
        await work
        counted.append(len([query for query in executed[before:] if b"pg_notify" not in query]))
    assert counted == [1, 1, 1, 1]
    many = [await claimed(store, f"t{number}") for number in range(20)]
    told = asyncio.get_running_loop().create_future()
    before = len(executed)
    store.append_group([Append(claim.run, 2, [b"x"]) for claim in many], told.set_result)
    await within(told)
    assert len([query for query in executed[before:] if b".append_group(" in query]) == 1


async def blocks(schema: str, verb: str, parameters: dict) -> int:
    """How many blocks of tables and indexes the server looks at for one statement."""
    explained = b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statements(schema)[verb]
    async with await psycopg.AsyncConnection.connect(shared_server().dsn(), autocommit=True) as connection:
        # The first calls of a session plan what they execute; they are undone.
        for _ in range(6):
            async with connection.transaction(force_rollback=True):
                await connection.execute(explained, parameters)
        (found,) = await (await connection.execute(explained, parameters)).fetchone()
    plan = found[0]["Plan"]
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def add_old_runs(schema: str, thread_id: str, count: int) -> None:
    """Give a thread as many finished runs, each with a message and an answer that it shows."""
    shared_server().sql(f"""
        UPDATE {schema}.threads SET run_count = {count}, head = {count} WHERE id = '{thread_id}';
        INSERT INTO {schema}.runs (run_key, tid, ordinal, run_id, agent_id, status, epoch, expires,
                                   created_at, sealed_at, last_seq, raw, terminal, compacted)
        SELECT '{thread_id}-' || n, t.tid, n, 'r' || n, 'a', 'finished', 1, 1,
               1, 1, 2, 0, 'end'::bytea, 'x'::bytea
        FROM {schema}.threads t, generate_series(2, {count}) AS n WHERE t.id = '{thread_id}';
        INSERT INTO {schema}.entries (tid, position, shown_from, key, aliases, digest, data)
        SELECT t.tid, n * {STRIDE}::bigint, n / 2, 'm' || n, '{{}}'::text[], 'd'::bytea, 'data'::bytea
        FROM {schema}.threads t, generate_series(2, 2 * {count}) AS n WHERE t.id = '{thread_id}';
        INSERT INTO {schema}.names SELECT tid, hashtextextended(key, 0), eid FROM {schema}.entries e
        WHERE NOT EXISTS (SELECT 1 FROM {schema}.names n WHERE n.eid = e.eid);
        ANALYZE {schema}.runs, {schema}.entries, {schema}.names, {schema}.threads;
    """)


async def costs_of_a_run(store, schema: str, thread_id: str, count: int) -> dict[str, int]:
    await finish(store, await claimed(store, thread_id))
    add_old_runs(schema, thread_id, count)
    new, position = new_run(thread_id), 2 * (count + 5) * STRIDE
    run = Run(thread_id, new.run_key, 1)
    asked, answered = Plan(add=(add(position, "u"),)), Plan(add=(add(position + STRIDE, "a"),))
    costs = {}
    claim = values.claim_values(new, LEASE) | values.plan_values(asked) | {"first": FIRST, "again": False}
    costs["claim"] = await blocks(schema, "claim", claim)
    costs["append"] = await blocks(schema, "append", values.append_values([Append(run, 2, [b"x"])], [False]))
    seal = values.run_values(run) | values.seal_values(seal_of(3)) | values.plan_values(answered)
    costs["seal"] = await blocks(schema, "seal", seal | {"compacted": b"x", "again": False})
    costs["locate"] = await blocks(
        schema, "locate", values.thread_values(None, thread_id) | {"keys": ["u", "m5", "m7"]}
    )
    return costs


async def test_a_run_on_a_thread_of_ten_thousand_runs_costs_what_one_on_a_thread_of_ten_does(store, schema):
    young = await costs_of_a_run(store, schema, "young", 10)
    old = await costs_of_a_run(store, schema, "old", 10_000)
    # Each of a dozen look-ups may pass one or two more levels of an index; a scan would pass hundreds.
    for verb, cost in old.items():
        assert cost <= young[verb] + 30, (young, old)


async def test_a_thousand_hidden_branches_cost_a_connect_nothing(store, schema):
    await finish(store, await claimed(store, plan=Plan(add=(add(10, "u"),))))
    asked = values.thread_values(None, "thread")
    young = await blocks(schema, "history", asked)
    shared_server().sql(f"""
        INSERT INTO {schema}.entries (tid, position, shown_from, hidden_at, key, aliases, digest, data)
        SELECT t.tid, 20 + n, n, n + 1, 'm' || n, '{{}}'::text[], 'd'::bytea, repeat('x', 1000)::bytea
        FROM {schema}.threads t, generate_series(1, 1000) AS n;
        ANALYZE {schema}.entries;
    """)
    assert await blocks(schema, "history", asked) <= young + 4
    assert [entry.key for entry in (await store.history(None, "thread")).entries] == ["u"]


async def test_appends_announce_themselves_at_most_once_in_twenty_milliseconds_and_the_last_one_always():
    announced: list[list[str]] = []
    announcements = Announcements(announced.append)
    assert announcements.due("a")
    assert announcements.due("b")
    assert not announcements.due("a")
    assert not announcements.due("a")
    async with asyncio.timeout(5):
        while not announced:
            await asyncio.sleep(0.001)
    assert announced == [["a"]]
    await asyncio.sleep(0.03)
    assert announced == [["a"]]
    assert announcements.due("a")
    announcements.due("a")
    announcements.forget(["a"])
    await asyncio.sleep(0.03)
    assert announced == [["a"]]
    announcements.close()


async def test_what_is_announced_is_the_key_of_the_run_and_nothing_else(store, schema):
    async with await psycopg.AsyncConnection.connect(shared_server().dsn(), autocommit=True) as connection:
        await connection.execute(f"LISTEN {schema}".encode())
        claim = await claimed(store)
        await store.append(claim.run, 2, [b"secret"])
        await store.append(claim.run, 3, [b"secret"])
        await store.seal(claim.run, seal_of(4))
        heard = [notification.payload async for notification in connection.notifies(timeout=0.5)]
    assert set(heard) == {claim.run.run_key}
    assert 2 <= len(heard) <= 4
