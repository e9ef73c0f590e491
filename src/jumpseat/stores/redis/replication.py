"""Waiting until replicas have what a script wrote, and saying so when they do not in time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

__all__ = ["WAITED_FOR", "Replication"]

# What a server that takes over must not forget: that a run began, how it ended, that a thread was loaded.
WAITED_FOR: Final = frozenset({"claim", "seal", "load_end"})

_log = logging.getLogger(__name__)


class Replication:
    """Sends scripts together with ``WAIT`` for ``replicas`` replicas, which gets up to ``seconds``.

    What fewer of them acknowledged in time stands all the same: a server has no way to take it back. That it
    happens is logged once, and once more when there are enough of them again.
    """

    def __init__(self, replicas: int, seconds: float, where: str) -> None:
        self._replicas = replicas
        self._milliseconds = max(1, round(seconds * 1000))
        self._where = where
        self._short = False

    async def execute(self, client: Any, script: Sequence[Any], key: str | None) -> Any:
        """Run a script and wait, on one connection: ``WAIT`` is about what its own connection wrote.

        ``key`` is given for a cluster and leads to the node. Returns or raises what the script answers.
        """
        node = {} if key is None else {"target_nodes": [client.get_node_from_key(key)]}
        async with client.pipeline(transaction=False) as pipe:
            pipe.execute_command(*script)
            pipe.execute_command("WAIT", self._replicas, self._milliseconds, **node)
            reply, acknowledged = await pipe.execute(raise_on_error=False)
        for answer in (reply, acknowledged):
            if isinstance(answer, Exception):
                raise answer
        self._note(int(acknowledged))
        return reply

    def _note(self, acknowledged: int) -> None:
        if (acknowledged < self._replicas) == self._short:
            return
        self._short = not self._short
        if self._short:
            _log.warning(
                "%s: %s of %s replicas acknowledged a run within %s ms; runs go on, and one that takes over "
                "may lack them",
                self._where,
                acknowledged,
                self._replicas,
                self._milliseconds,
            )
        else:
            _log.warning("%s: %s replicas acknowledge runs again", self._where, acknowledged)
