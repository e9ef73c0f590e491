"""The Redis servers that the tests of one session share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from redis_server import Cluster, Server


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The server that the tests share; each uses key names of its own."""
    server = Server()
    yield server.url
    server.stop()


@pytest.fixture(scope="session")
def redis_cluster_url() -> Iterator[str]:
    """A cluster of three that the tests share."""
    cluster = Cluster()
    yield cluster.url
    cluster.stop()
