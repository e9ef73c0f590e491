"""Threads in a PostgreSQL schema, shared by any number of processes on any number of hosts."""

from jumpseat.stores.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
