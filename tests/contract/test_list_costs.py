"""What a page of a long thread list costs on a database server: the same wherever it begins."""

from __future__ import annotations

import json
from uuid import uuid4

import psycopg
import pytest
import redis.asyncio

from jumpseat.stores.postgres import PostgresStore
from jumpseat.stores.postgres.statements import statements
from jumpseat.stores.redis import RedisStore
from old_threads import add_threads
from postgres_server import shared_server

THREADS = 20_000
FILL = """
INSERT INTO {schema}.threads
    (id, owner, agent_id, archived, created_at, updated_at, last_run_at, active_at, version)
SELECT 't' || n, '', 'agent' || n % 2, n % 10 = 0, n / 3, n / 3, n / 3, n / 3, 1
FROM generate_series(1, {threads}) AS n;
ANALYZE {schema}.threads;
"""
FILTERS = [(None, False), (None, True), ("agent1", False), ("agent1", True)]


@pytest.fixture
async def crowded_schema(postgres_schema: str) -> str:
    """A schema with so many threads that their order has to come from an index."""
    store = PostgresStore(shared_server().dsn(), schema=postgres_schema)
    await store.open()
    await store.aclose()
    shared_server().sql(FILL.format(schema=postgres_schema, threads=THREADS))
    return postgres_schema


@pytest.mark.parametrize(("agent", "archived"), FILTERS)
async def test_postgresql_reads_as_little_for_the_deepest_page_as_for_the_first(
    crowded_schema: str, agent: str | None, archived: bool
):
    explain = b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statements(crowded_schema)["threads"]

    async def blocks(time: int | None) -> int:
        values = {"owner": "", "agent": agent, "archived": archived, "limit": 21, "time": time, "id": "t5"}
        connection = await psycopg.AsyncConnection.connect(shared_server().dsn())
        async with connection:
            (plan,) = await (await connection.execute(explain, values)).fetchone()
        text = json.dumps(plan)
        assert '"Sort"' not in text
        assert '"Seq Scan"' not in text
        top = plan[0]["Plan"]
        assert top["Actual Rows"] == 21
        return top["Shared Hit Blocks"] + top["Shared Read Blocks"]

    first, deepest = await blocks(None), await blocks(40)
    assert deepest <= first + 8
    assert first < 60


async def test_redis_is_asked_as_little_for_the_deepest_page_as_for_the_first(redis_url: str):
    store = RedisStore(redis_url, prefix=f"test-{uuid4().hex}")
    await store.open()
    await add_threads(store, [f"t{number:03}" for number in range(450)])
    everything = []
    while len(everything) < 450:
        after = (everything[-1].last_run_at, everything[-1].id) if everything else None
        everything += await store.threads.list(None, limit=90, after=after)
    async with redis.asyncio.from_url(redis_url) as client:

        async def commands(after: tuple[int, str] | None) -> int:
            before = await client.info("commandstats")
            assert len(await store.threads.list(None, limit=20, after=after)) == 20
            now = await client.info("commandstats")
            return sum(told["calls"] for told in now.values()) - sum(
                told["calls"] for told in before.values()
            )

        costs = [
            await commands(
                None if start == 0 else (everything[start - 1].last_run_at, everything[start - 1].id)
            )
            for start in (0, 20, 200, 430)
        ]
    await store.aclose()
    assert max(costs) <= costs[0] + 1
