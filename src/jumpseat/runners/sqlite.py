"""The SQLite runner: threads in one file, shared by the processes of one host, kept over restarts."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Unpack

from jumpseat.runners.event_log import EventLogRunner
from jumpseat.runners.options import RunnerOptionArguments
from jumpseat.stores.sqlite import SqliteStore

__all__ = ["SqliteAgentRunner"]


class SqliteAgentRunner(EventLogRunner):
    """Keeps threads in a SQLite file.

    Args:
        db_path: The file; missing folders are made. ``":memory:"`` is a temporary file, gone at close.
        durability: ``"normal"`` survives a killed process, ``"full"`` a power cut as well.
        **options: Those of ``EventLogRunner``.
    """

    def __init__(
        self,
        db_path: str | Path = "threads.db",
        *,
        durability: Literal["normal", "full"] = "normal",
        **options: Unpack[RunnerOptionArguments],
    ) -> None:
        super().__init__(SqliteStore(db_path, durability=durability), **options)
