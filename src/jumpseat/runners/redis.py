"""The Redis runner: threads in Redis, Valkey or a cluster, shared by any number of processes on any host."""

from __future__ import annotations

from typing import Unpack

from jumpseat.runners.event_log import EventLogRunner
from jumpseat.runners.options import RunnerOptionArguments
from jumpseat.stores.redis import RedisStore

__all__ = ["RedisAgentRunner"]


class RedisAgentRunner(EventLogRunner):
    """Keeps threads in Redis 6.2 or newer, in Valkey, or in a cluster of either.

    What survives the end of the server is what its persistence keeps; ``maxmemory-policy`` has to be
    ``noeviction``. A stop from another process reaches the run's owner at once.

    Args:
        url: The server, or one node of the cluster: ``redis://``, ``rediss://`` or ``unix://``.
        prefix: What the names of all keys begin with.
        max_connections: How many connections this process opens at most, in a cluster per node; one more
            waits for wake-ups.
        **options: Those of ``EventLogRunner``.

    Raises:
        ConfigurationError: An option has a value that cannot work.
        MissingDependencyError: The redis package is not installed.
    """

    def __init__(
        self,
        url: str = "redis://localhost:6379/0",
        *,
        prefix: str = "jumpseat",
        max_connections: int = 16,
        **options: Unpack[RunnerOptionArguments],
    ) -> None:
        super().__init__(RedisStore(url, prefix=prefix, max_connections=max_connections), **options)
