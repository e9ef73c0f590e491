"""What the guide to the runners says happens: its program is run against servers of the tests' own."""

import inspect
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio.connection import parse_url

from chats import client_of_agent, say, text
from documents import ROOT, code, page, quoted, tables
from jumpseat import PostgresAgentRunner, RedisAgentRunner
from jumpseat.stores.redis.addresses import address_of
from jumpseat.testing.client import AsgiClient
from postgres_server import shared_server
from redis_server import Server
from serving import run_body

GUIDE = ROOT / "docs" / "guides" / "which-runner.md"
REFERENCE = ROOT / "docs" / "reference" / "runs.md"


@pytest.fixture(scope="module")
def redis_server():
    """A server as the guide says that it is to be configured."""
    settings = next(block for block in code(GUIDE, "text") if "maxmemory-policy" in block)
    words = [word for line in settings.splitlines() for word in f"--{line}".split()]
    server = Server(*words)
    yield server
    server.stop()


@pytest.fixture
async def guide(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, redis_server: Server) -> AsyncIterator[Any]:
    monkeypatch.setenv("DATABASE_URL", shared_server().dsn())
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.chdir(tmp_path)
    async with page(GUIDE) as program:
        yield program


@pytest.mark.parametrize("name", ["tried", "local", "shared", "cached"])
async def test_each_runner_of_the_guide_serves_a_run_and_keeps_its_thread(guide: Any, name: str, caplog: Any):
    runtime = getattr(guide, name)
    client = AsgiClient(runtime.app())
    body = run_body(f"guide-{name}")
    try:
        with caplog.at_level(logging.WARNING, "jumpseat.stores"):
            assert "Hello" in (await client.post("/agent/default/run", json=body)).text
            assert "Hello" in (await client.post("/agent/default/connect", json=body)).text
        assert [record for record in caplog.records if record.name.startswith("jumpseat.stores")] == []
    finally:
        await runtime.aclose()


async def test_the_other_runners_of_the_guide_lead_where_it_says(guide: Any):
    for name in ("pooled", "looking", "plain", "secure", "watched", "clustered", "careful", "tidy"):
        await getattr(guide, name).aclose()
    # What the blocks were given, read by what reads it.
    (watched,) = re.findall(r'"(redis\+sentinel://[^"]+)"', GUIDE.read_text(encoding="utf-8"))
    address = address_of(watched, parse_url)
    assert address.service == "mymaster"
    assert parse_url(address.url)["password"] == "p@ss"


async def test_the_rights_that_the_guide_grants_in_postgresql_are_enough(guide: Any):
    server = shared_server()
    server.sql("DROP SCHEMA IF EXISTS jumpseat CASCADE; DROP ROLE IF EXISTS app; CREATE ROLE app LOGIN")
    admin = PostgresAgentRunner(server.dsn())
    await admin.store.open()
    await admin.aclose()
    (grants,) = code(GUIDE, "sql")
    server.sql(grants)
    runner = PostgresAgentRunner(server.dsn().replace("postgres@", "app@"))
    try:
        async with client_of_agent(guide.agent, runner=runner) as client:
            assert text(await say(client, "hi")) == "Hello"
    finally:
        server.sql("DROP OWNED BY app; DROP ROLE app; DROP SCHEMA jumpseat CASCADE")


async def test_the_rights_that_the_guide_grants_in_redis_are_enough(guide: Any, redis_server: Server):
    (granted,) = [block for block in code(GUIDE, "text") if block.startswith("ACL")]
    assert redis_server.command(*granted.split()) == "OK"
    url = redis_server.url.replace("redis://", "redis://app:password@")
    runner = RedisAgentRunner(url, prefix="copilot", wait_replicas=1, wait_replicas_timeout=0.05)
    async with client_of_agent(guide.agent, runner=runner) as client:
        assert text(await say(client, "hi")) == "Hello"


@pytest.mark.parametrize("runner", [PostgresAgentRunner, RedisAgentRunner])
def test_the_reference_has_every_option_with_its_default(runner: type):
    parameters = inspect.signature(runner).parameters.values()
    own = {one.name: one.default for one in parameters if one.kind is not one.VAR_KEYWORD}
    found = [
        {quoted(row["option"])[0]: quoted(row["default"]) for row in rows}
        for rows in tables(REFERENCE)
        if "option" in rows[0] and "default" in rows[0]
    ]
    (told,) = [options for options in found if set(options) == set(own)]
    for name, default in own.items():
        if default is inspect.Parameter.empty:
            assert told[name] == []
        elif name == "listen_dsn":
            assert (default, told[name]) == (None, ["dsn"])
        else:
            assert told[name] == [f'"{default}"' if isinstance(default, str) else repr(default)]
