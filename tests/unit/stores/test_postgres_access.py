"""Who may use PostgreSQL and how: TLS, rights, limits of the server, versions, idle connections."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import psycopg
import pytest

from certificates import make_certificate
from jumpseat import CopilotRuntime, PostgresAgentRunner
from jumpseat.errors import ClaimLost, StoreUnavailable
from jumpseat.protocol.events import TextMessageContent, TextMessageStart
from jumpseat.stores.base import Claimed, Hold, Plan
from jumpseat.stores.postgres import PostgresStore, connections, listening
from jumpseat.stores.postgres.migrating import migrate_database
from jumpseat.testing import ScriptedAgent
from jumpseat.testing.client import AsgiClient
from jumpseat.testing.requests import collect, run_of, take, types, user
from jumpseat.testing.store_cases.material import FIRST, LEASE, add, claimed, finish, new_run, seal_of, within
from postgres_server import lent_schema, pgbouncer, postgres_server, shared_server
from serving import run_body
from tcp_proxy import proxy_to


@pytest.fixture
def schema():
    with lent_schema() as schema:
        yield schema


@pytest.fixture
def role():
    """A role that may do nothing yet, as a DSN."""
    server = shared_server()
    server.sql("DROP ROLE IF EXISTS app; CREATE ROLE app LOGIN PASSWORD 'x'")
    yield server.dsn().replace("postgres@", "app:x@")
    server.sql("DROP OWNED BY app CASCADE; DROP ROLE app")


async def opened(dsn: str, **options) -> PostgresStore:
    store = PostgresStore(dsn, **options)
    await store.open()
    return store


def backends(condition: str) -> int:
    return int(shared_server().sql(f"SELECT count(*) FROM pg_stat_activity WHERE {condition}"))


# --- rights


async def test_a_role_that_may_create_nothing_is_told_who_has_to_and_what_to_grant(role):
    with pytest.raises(StoreUnavailable) as refused:
        await opened(role, schema="unmade")
    for part in ("permission denied", "`jumpseat migrate`", "GRANT USAGE ON SCHEMA unmade", "SELECT, INSERT"):
        assert part in str(refused.value)
    assert shared_server().sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'unmade'") == "0"


async def test_what_the_message_says_is_enough(role):
    server = shared_server()
    assert (await migrate_database(server.dsn(), "granted"))[0] == 0
    try:
        with pytest.raises(StoreUnavailable, match="permission denied") as refused:
            await opened(role, schema="granted")
        grants = str(refused.value).partition("give this one ")[2].split("; ")
        assert len(grants) == 3
        server.sql(";".join(f"{grant} TO app" for grant in grants))
        # It may look whether there is something to migrate, and there is not.
        store = await opened(role, schema="granted")
        try:
            await finish(store, await claimed(store, plan=Plan(add=(add(10, "u"),))))
            assert await store.threads.delete(None, "thread") is True
        finally:
            await store.aclose()
    finally:
        server.sql("DROP SCHEMA granted CASCADE")


async def test_a_right_that_is_taken_away_is_named(role):
    server = shared_server()
    server.sql("CREATE SCHEMA theirs AUTHORIZATION app")
    # A schema that an administrator made for the role needs no right to make schemas.
    store = await opened(role, schema="theirs")
    try:
        claim = await claimed(store)
        server.sql("ALTER SCHEMA theirs OWNER TO postgres; REVOKE ALL ON SCHEMA theirs FROM app")
        with pytest.raises(StoreUnavailable, match="GRANT USAGE ON SCHEMA theirs"):
            await store.append(claim.run, 2, [b"x"])
    finally:
        await store.aclose()
        server.sql("DROP SCHEMA theirs CASCADE")


async def test_an_older_schema_is_brought_up_to_date_by_who_may_and_refused_by_who_may_not(role):
    server = shared_server()
    await migrate_database(server.dsn(), "older")
    server.sql(
        "UPDATE older.schema_version SET version = 2; GRANT USAGE ON SCHEMA older TO app;"
        "GRANT SELECT ON ALL TABLES IN SCHEMA older TO app"
    )
    try:
        with pytest.raises(StoreUnavailable, match="jumpseat migrate"):
            await opened(role, schema="older")
        assert server.sql("SELECT version FROM older.schema_version") == "2"
    finally:
        server.sql("DROP SCHEMA older CASCADE")


# --- TLS


@pytest.fixture(scope="module")
def secure():
    """A server that accepts TLS only, with a certificate that signs itself, and the certificate."""
    with postgres_server() as server:
        key, certificate = make_certificate(server.folder, "IP:127.0.0.1")
        for file in (key, certificate):
            if os.getuid() == 0:
                shutil.chown(file, "postgres", "postgres")
        data = Path(server.data)
        with (data / "postgresql.conf").open("a") as settings:
            settings.write(f"ssl = on\nssl_cert_file = '{certificate}'\nssl_key_file = '{key}'\n")
        (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 trust\n")
        server.sql("SELECT pg_reload_conf()")
        yield server, certificate


@pytest.mark.parametrize("mode", ["require", "verify-full"])
async def test_tls_is_used_and_its_connection_is_kept(secure, mode):
    server, certificate = secure
    root = f"&sslrootcert={certificate}" if mode == "verify-full" else ""
    dsn = f"{server.dsn()}?sslmode={mode}{root}&application_name={mode}"
    store = await opened(dsn, schema=mode.replace("-", "_"), listen=False, pool_size=1)
    encrypted = (
        "SELECT a.pid FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) "
        f"WHERE s.ssl AND application_name = '{mode}'"
    )
    try:
        claim = await claimed(store)
        first = await asyncio.to_thread(server.sql, encrypted)
        assert first.isdigit()
        for seq in range(2, 30):
            await store.append(claim.run, seq, [b"x"])
        assert await asyncio.to_thread(server.sql, encrypted) == first
    finally:
        await store.aclose()


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ("sslmode=disable", "no encryption"),
        ("sslmode=verify-full", "root certificate"),
        ("sslmode=verify-full&sslrootcert={other}", "certificate verify failed"),
    ],
)
async def test_what_cannot_be_trusted_is_unavailable_with_the_reason(secure, tmp_path, parameters, reason):
    server, _ = secure
    _, other = make_certificate(tmp_path, "IP:127.0.0.1")
    with pytest.raises(StoreUnavailable, match=reason):
        await opened(f"{server.dsn()}?{parameters.format(other=other)}")


# --- limits of the server


async def test_a_server_without_a_free_connection_is_answered_with_503_at_once(schema):
    server = shared_server()
    store = await opened(server.dsn(), schema=schema)
    await store.aclose()
    server.sql("DROP ROLE IF EXISTS few; CREATE ROLE few LOGIN CONNECTION LIMIT 1")
    server.sql(
        f"GRANT USAGE ON SCHEMA {schema} TO few;"
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO few"
    )
    dsn = server.dsn().replace("postgres@", "few@")
    runner = PostgresAgentRunner(dsn, schema=schema, listen=False)
    runtime = CopilotRuntime(agents={"default": ScriptedAgent()}, runner=runner)
    try:
        async with await psycopg.AsyncConnection.connect(dsn):
            began = asyncio.get_running_loop().time()
            answer = await within(AsgiClient(runtime.app()).post("/agent/default/run", json=run_body()))
            assert answer.status == 503
            assert asyncio.get_running_loop().time() - began < 5
    finally:
        await runner.aclose()
        server.sql("DROP OWNED BY few; DROP ROLE few")


async def test_a_migration_that_somebody_holds_up_is_given_up(monkeypatch):
    monkeypatch.setattr(connections, "TRANSACTION_LIMITS", b"SET LOCAL lock_timeout = '200ms'")
    async with await psycopg.AsyncConnection.connect(shared_server().dsn()) as other:
        await other.execute("SELECT pg_advisory_xact_lock(%s, %s)", (0x6A756D70, 0x73656174))
        with pytest.raises(StoreUnavailable, match="lock timeout: another process"):
            await within(migrate_database(shared_server().dsn(), "held_up"))
    assert shared_server().sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'held_up'") == "0"


async def test_a_server_that_falls_silent_during_a_migration_is_left(monkeypatch):
    monkeypatch.setattr(connections, "TRANSACTION_SECONDS", 0.5)
    async with proxy_to(shared_server().port) as proxy:
        dsn = shared_server().dsn().replace(str(shared_server().port), str(proxy.port))
        proxy.silent_after(b"lock_timeout")
        with pytest.raises(StoreUnavailable):
            await within(migrate_database(dsn, "silenced"))


async def test_a_listener_whose_server_falls_silent_leaves_readers_to_look(schema, monkeypatch, caplog):
    monkeypatch.setattr(listening, "LISTEN_SECONDS", 0.3)
    async with proxy_to(shared_server().port) as proxy:
        listen_dsn = shared_server().dsn().replace(str(shared_server().port), str(proxy.port))
        proxy.silent_after(b"LISTEN")
        store = await opened(shared_server().dsn(), schema=schema, listen_dsn=listen_dsn)
        try:
            async with asyncio.timeout(10):
                while "no notifications arrive" not in caplog.text:
                    await asyncio.sleep(0.02)
            claim = await claimed(store)
            assert not store.listener.listening.is_set()
            assert await store.append(claim.run, 2, [b"x"]) is Hold.HELD
        finally:
            await within(store.aclose())


async def test_an_older_server_is_refused_by_its_version():
    async with proxy_to(shared_server().port) as proxy:
        number = shared_server().sql("SHOW server_version").split()[0].encode()
        older = b"12." + b"9" * (len(number) - 3)
        proxy.misquoted = (b"server_version\x00" + number, b"server_version\x00" + older)
        dsn = shared_server().dsn().replace(str(shared_server().port), str(proxy.port))
        with pytest.raises(StoreUnavailable, match="is version 12: PostgreSQL 13 or newer is needed"):
            await opened(dsn, schema="never")


# --- connections that others end


async def test_connections_that_the_server_ends_because_they_are_idle_are_replaced(schema):
    server = shared_server()
    server.sql(
        "DROP ROLE IF EXISTS restless; CREATE ROLE restless SUPERUSER LOGIN;"
        "ALTER ROLE restless SET idle_session_timeout = '100ms'"
    )
    store = await opened(server.dsn().replace("postgres@", "restless@"), schema=schema, listen=False)
    try:
        claim = await claimed(store)
        for seq in range(2, 5):
            async with asyncio.timeout(10):
                while await asyncio.to_thread(backends, "usename = 'restless'"):
                    await asyncio.sleep(0.02)
            # What is never repeated shows that the connection was not found dead by using it.
            assert await store.request_stop("nobody", "thread", None, "x") is None
            assert await store.append(claim.run, seq, [b"x"]) is Hold.HELD
    finally:
        await store.aclose()
        server.sql("DROP ROLE restless")


async def test_connections_that_a_pooler_ends_because_they_are_idle_are_replaced(schema):
    with pgbouncer(shared_server(), "client_idle_timeout = 1") as port:
        dsn = shared_server().dsn().replace(str(shared_server().port), str(port))
        store = await opened(dsn, schema=schema, listen=False)
        try:
            claim = await claimed(store)
            await asyncio.sleep(2.5)
            assert await store.request_stop("nobody", "thread", None, "x") is None
            assert await store.append(claim.run, 2, [b"x"]) is Hold.HELD
        finally:
            await store.aclose()


# --- another server takes over


async def test_a_run_goes_on_without_a_gap_on_the_standby_that_takes_over():
    words = [TextMessageContent(message_id="m", delta=f"{number} ") for number in range(300)]
    gate = asyncio.Event()

    async def talk(given, context):
        yield TextMessageStart(message_id="m")
        for number, word in enumerate(words):
            if number == 100:
                await gate.wait()
            yield word

    with postgres_server(durable=True) as primary, primary.standby() as standby:
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        dsn = primary.dsn().replace(f"127.0.0.1:{primary.port}", hosts)
        runner = PostgresAgentRunner(dsn, lease_ttl=60.0, heartbeat=1.0)
        try:
            stream = await runner.run(run_of(talk, messages=[user("u")]))
            seen = [*(await take(stream, 100))]
            await asyncio.to_thread(standby.until_it_has, primary)
            await asyncio.to_thread(primary.stop, "immediate")
            gate.set()
            await asyncio.to_thread(standby.run, "pg_ctl", "promote", "-w", "-D", standby.data)
            seen += await within(collect(stream))
            assert [event["delta"] for event in seen if "delta" in event] == [word.delta for word in words]
            assert types(seen)[-1] == "RUN_FINISHED"
            (run,) = await runner.store.runs(None, "thread", 0, 10)
            assert (run.status, run.last_seq) == ("finished", len(seen))
            assert isinstance(await runner.store.claim(new_run(), LEASE, Plan(), FIRST), Claimed)
        finally:
            await runner.aclose()


async def test_a_writer_whose_events_the_standby_lacks_has_lost_its_claim():
    with postgres_server(durable=True) as primary, primary.standby() as standby:
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        store = await opened(primary.dsn().replace(f"127.0.0.1:{primary.port}", hosts))
        try:
            kept, taken = await claimed(store, "kept"), await claimed(store, "taken")
            await asyncio.to_thread(standby.until_it_has, primary)
            standby.sql("ALTER SYSTEM SET primary_conninfo = ''")
            standby.sql("SELECT pg_reload_conf()")
            async with asyncio.timeout(20):
                while (
                    await asyncio.to_thread(standby.sql, "SELECT count(*) FROM pg_stat_wal_receiver") != "0"
                ):
                    await asyncio.sleep(0.02)
            for claim in (kept, taken):
                assert await store.append(claim.run, 2, [b"2", b"3"]) is Hold.HELD
            late = await claimed(store, "late")
            await asyncio.to_thread(primary.stop, "immediate")
            await asyncio.to_thread(standby.run, "pg_ctl", "promote", "-w", "-D", standby.data)
            with pytest.raises(ClaimLost):
                await within(store.append(late.run, 2, [b"2"]))
            with pytest.raises(ClaimLost):
                await within(store.append(kept.run, 4, [b"4"]))
            with pytest.raises(ClaimLost):
                await within(store.seal(taken.run, seal_of(4)))
            for claim in (kept, taken):
                assert await log_of(store, claim) == [FIRST]
            # Who names events that nobody acknowledged has made a mistake all the same.
            with pytest.raises(ValueError, match="does not follow"):
                await store.append(kept.run, 9, [b"9"])
        finally:
            await store.aclose()


async def log_of(store: PostgresStore, claim: Claimed) -> list[bytes]:
    return (await store.read(claim.run.thread_id, claim.run.run_key, 0, 0)).events
