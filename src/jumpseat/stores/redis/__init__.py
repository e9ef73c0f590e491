"""Threads in Redis or Valkey, one server or a cluster, shared by any number of processes."""

from jumpseat.stores.redis.store import RedisStore

__all__ = ["RedisStore"]
