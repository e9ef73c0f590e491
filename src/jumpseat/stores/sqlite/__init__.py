"""Threads in one SQLite file, shared by any number of processes of one host."""

from jumpseat.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
