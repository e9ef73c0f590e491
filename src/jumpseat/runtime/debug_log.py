"""What debug mode writes to the log about runs."""

from __future__ import annotations

import logging
from collections.abc import Callable

from jumpseat.runtime.options import DebugConfig

__all__ = ["log_tap"]

_logger = logging.getLogger("jumpseat.debug")
_LIFECYCLE = ("RUN_STARTED", "RUN_FINISHED", "RUN_ERROR")


def log_tap(
    config: DebugConfig, *, agent_id: str, thread_id: str, run_id: str, request_id: str
) -> Callable[[bytes], None]:
    """Return the function that logs the encoded events of one run at level INFO, as ``config`` says."""

    def write(event: bytes) -> None:
        # Every encoded event begins with its type.
        kind = event.split(b'"', 4)[3].decode()
        if config.lifecycle if kind in _LIFECYCLE else config.events:
            _logger.info(
                "%s of run %r, thread %r, agent %r%s",
                kind,
                run_id,
                thread_id,
                agent_id,
                f": {event.decode()}" if config.verbose else "",
                extra={"request_id": request_id},
            )

    return write
