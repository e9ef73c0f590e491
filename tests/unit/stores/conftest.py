"""Stores on a file, and other processes on the same one."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import pytest

import jumpseat
from jumpseat.stores.redis import RedisStore
from jumpseat.stores.sqlite import SqliteStore
from redis_server import Server
from shared_redis import redis_cluster_url, redis_url
from tcp_proxy import Proxy, proxy_to

__all__ = ["redis_cluster_url", "redis_url"]

DEADLINE = 30.0


class Child:
    """Another process with a store of its own on the same file."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def tell(self, line: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line.encode() + b"\n")
        async with asyncio.timeout(DEADLINE):
            return (await self.process.stdout.readline()).decode().rstrip("\n")

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "threads.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path)
    await store.open()
    yield store
    await store.aclose()


@pytest.fixture
async def start_child(path: Path) -> AsyncIterator[Callable[[], Awaitable[Child]]]:
    async with AsyncExitStack() as stack:

        async def start() -> Child:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(Path(__file__).with_name("sqlite_child.py")),
                str(path),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": str(Path(jumpseat.__file__).parents[1])},
            )
            stack.push_async_callback(end, process)
            return Child(process)

        yield start


async def end(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(DEADLINE):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


@pytest.fixture
def prefix() -> str:
    return f"test-{uuid4().hex}"


@pytest.fixture
async def make_redis(redis_url: str, prefix: str) -> AsyncIterator[Callable[..., Awaitable[RedisStore]]]:
    """Opens stores on the same data."""
    async with AsyncExitStack() as stack:

        async def make(url: str = redis_url, **options) -> RedisStore:
            store = RedisStore(url, prefix=prefix, **options)
            await store.open()
            stack.push_async_callback(store.aclose)
            return store

        yield make


@pytest.fixture
async def redis_store(make_redis: Callable[..., Awaitable[RedisStore]]) -> RedisStore:
    return await make_redis()


@pytest.fixture
def server() -> Iterator[Server]:
    """A Redis server that the test may stop, fill or reconfigure."""
    server = Server()
    yield server
    server.stop()


@pytest.fixture
async def cable(server: Server) -> AsyncIterator[Proxy]:
    """What leads to that server and can be cut."""
    async with proxy_to(server.port) as proxy:
        yield proxy


@pytest.fixture
def cable_url(cable: Proxy) -> str:
    return f"redis://127.0.0.1:{cable.port}/0"
