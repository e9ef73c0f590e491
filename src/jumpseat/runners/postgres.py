"""The PostgreSQL runner: threads in a database, shared by any number of hosts."""

from __future__ import annotations

from typing import Unpack

from jumpseat.runners.event_log import EventLogRunner
from jumpseat.runners.options import RunnerOptionArguments
from jumpseat.stores.postgres import PostgresStore

__all__ = ["PostgresAgentRunner"]


class PostgresAgentRunner(EventLogRunner):
    """Keeps threads in a PostgreSQL database, 13 or newer; needs ``pip install "jumpseat[postgres]"``.

    Args:
        dsn: A connection string of libpq, as in ``postgresql://user@host/name``; may name several hosts.
        schema: Where the tables are; made if it is missing.
        pool_size: How many connections this process uses at most, the listener's aside.
        listen: Whether events and stops of other processes are announced by the database. Without it events
            are looked for every 250 ms, stops at the next heartbeat.
        listen_dsn: Where to listen; needed when ``dsn`` leads to a pooler in transaction mode.
        migrate: Whether the schema is brought up to date at the start; otherwise ``jumpseat migrate`` does.
        **options: Those of ``EventLogRunner``.
    """

    def __init__(
        self,
        dsn: str,
        *,
        schema: str = "jumpseat",
        pool_size: int = 8,
        listen: bool = True,
        listen_dsn: str | None = None,
        migrate: bool = True,
        **options: Unpack[RunnerOptionArguments],
    ) -> None:
        store = PostgresStore(
            dsn,
            schema=schema,
            pool_size=pool_size,
            listen=listen,
            listen_dsn=listen_dsn,
            migrate=migrate,
        )
        super().__init__(store, **options)
