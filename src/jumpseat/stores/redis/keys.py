"""The names of keys: all keys of a thread share a hash tag, so that they lie in one slot of a cluster."""

from __future__ import annotations

from hashlib import sha256

__all__ = ["Keys"]


class Keys:
    """Names under one prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.index = f"{prefix}:{{index}}"

    def thread(self, thread_id: str) -> str:
        """Return what all keys of a thread begin with."""
        return f"{self._prefix}:{{{_hash(thread_id)}}}"

    def staged(self, thread_id: str, token: str) -> str:
        """Return what the keys of a thread begin with while it is being loaded: in the same slot."""
        return f"{self.thread(thread_id)}:load:{token}"

    def owner(self, owner: str | None) -> str:
        """Return what all keys of an owner's index begin with."""
        return f"{self._prefix}:{{owner}}" if owner is None else f"{self._prefix}:{{owner-{_hash(owner)}}}"

    def process(self, token: str) -> str:
        """Return the channel on which a process hears of its runs and of those it waits for."""
        return f"{self._prefix}:process:{token}"


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
