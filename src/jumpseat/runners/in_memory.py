"""The in-memory runner: for development and tests; a restart loses everything."""

from __future__ import annotations

import logging
import os
from typing import Unpack

from jumpseat.runners.event_log import EventLogRunner
from jumpseat.runners.options import RunnerOptionArguments
from jumpseat.stores.memory import MemoryStore

__all__ = ["InMemoryAgentRunner"]

logger = logging.getLogger("jumpseat")


class InMemoryAgentRunner(EventLogRunner):
    """Keeps threads in this object: no other process sees them, and they are gone when it is.

    Args:
        max_threads: Beyond it the least recently used whole threads go; ``None``: no bound.
        max_runs_per_thread: Beyond it the oldest runs lose their events, never a visible message.
        max_bytes: Beyond it whole threads go.
        **options: Those of ``EventLogRunner``.
    """

    def __init__(
        self,
        *,
        max_threads: float | None = 1_000,
        max_runs_per_thread: float | None = 100,
        max_bytes: float | None = 536_870_912,
        **options: Unpack[RunnerOptionArguments],
    ) -> None:
        store = MemoryStore(
            max_threads=max_threads, max_runs_per_thread=max_runs_per_thread, max_bytes=max_bytes
        )
        super().__init__(store, **options)
        _warn_of_workers()


def _warn_of_workers() -> None:
    workers = os.environ.get("WEB_CONCURRENCY", "")
    if workers.isdigit() and int(workers) > 1:
        logger.warning(
            "InMemoryAgentRunner with WEB_CONCURRENCY=%s: each process has threads of its own, so clients "
            "find theirs only by chance. Use SqliteAgentRunner on one host, PostgresAgentRunner or "
            "RedisAgentRunner on several.",
            workers,
        )
