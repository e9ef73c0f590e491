"""The back ends that several processes can share: where the data of a test are, and runners on them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from freezing import freeze
from jumpseat.runners.event_log import EventLogRunner
from jumpseat.runners.postgres import PostgresAgentRunner
from jumpseat.runners.redis import RedisAgentRunner
from jumpseat.runners.sqlite import SqliteAgentRunner

SHARED = ("sqlite", "redis", "postgres")
EVERYWHERE = (*SHARED, "pgbouncer", "redis_cluster")

_RUNNERS: Mapping[str, Callable[..., EventLogRunner]] = {
    "postgresql": PostgresAgentRunner,
    "redis": RedisAgentRunner,
}


def runner_on(where: str, **options: Any) -> EventLogRunner:
    """A runner on the data at a path, a DSN or a URL."""
    return _RUNNERS.get(where.partition("://")[0], SqliteAgentRunner)(where, **options)


@dataclass(frozen=True)
class Place:
    """The data of one test."""

    back_end: str
    where: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def port(self) -> int:
        """Where the server listens that keeps the data."""
        port = urlsplit(self.where).port
        assert port is not None
        return port

    @property
    def frees_at_once(self) -> bool:
        """Whether it is seen that a process of this host is gone, however long its lease."""
        return self.back_end == "sqlite"

    def runner(self, **options: Any) -> EventLogRunner:
        return runner_on(self.where, **{**self.options, **options})

    def through(self, port: int) -> Place:
        """The same data, reached through a proxy on another port."""
        return replace(self, where=self.where.replace(f":{self.port}/", f":{port}/"))

    def freeze(self, process: Any) -> None:
        """Stop a process where it keeps nobody else from the data."""
        if self.back_end == "sqlite":
            freeze(process, Path(self.where))
        else:
            process.send_signal(signal.SIGSTOP)
