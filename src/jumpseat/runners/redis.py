"""The Redis runner: threads in Redis, Valkey or a cluster, shared by any number of processes on any host."""

from __future__ import annotations

from typing import Unpack

from jumpseat.runners.event_log import EventLogRunner
from jumpseat.runners.options import RunnerOptionArguments, check_retention
from jumpseat.stores.base import Retention
from jumpseat.stores.redis import RedisStore

__all__ = ["RedisAgentRunner"]


class RedisAgentRunner(EventLogRunner):
    """Keeps threads in Redis 6.2 or newer, in Valkey, or in a cluster of either.

    What survives the end of the server is what its persistence keeps; ``maxmemory-policy`` has to be
    ``noeviction``. A stop from another process reaches the run's owner at once.

    Args:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://`` of the server, or of one node of the cluster;
            with Sentinel ``redis+sentinel://host:26379,host:26379/service`` or ``rediss+sentinel://...``.
        prefix: What the names of all keys begin with.
        max_connections: How many connections this process opens at most, in a cluster per node; one more
            waits for wake-ups.
        wait_replicas: How many replicas are to have the start and the end of a run before it counts. When
            fewer have it after ``wait_replicas_timeout`` seconds, at most 4, the run goes on all the same
            and a warning is logged: a server that takes over may then lack it.
        wait_replicas_timeout: See there.
        thread_ttl: Seconds after which a thread goes that nobody has used; ``None``: never. Unlike
            ``Retention.max_age`` it also holds when no process runs, an hour later then.
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
        wait_replicas: int = 0,
        wait_replicas_timeout: float = 1.0,
        thread_ttl: float | None = None,
        **options: Unpack[RunnerOptionArguments],
    ) -> None:
        kept = options.get("retention", Retention())
        check_retention(kept)
        store = RedisStore(
            url,
            prefix=prefix,
            max_connections=max_connections,
            wait_replicas=wait_replicas,
            wait_replicas_timeout=wait_replicas_timeout,
            thread_ttl=thread_ttl,
            log_ttl=kept.events_after,
        )
        super().__init__(store, **options)
