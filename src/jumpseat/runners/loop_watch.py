"""Says in the log where the event loop is, when something keeps it from going on."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from types import FrameType
from typing import Final

__all__ = ["LoopWatch"]

logger = logging.getLogger("jumpseat.runs")

TICK_SECONDS: Final = 0.25
BLOCKED_SECONDS: Final = 1.0
_FRAMES: Final = 8
# Where the loop is when it waits for work, or hands it out.
_AT_REST: Final = ("selectors", "asyncio.")


class LoopWatch:
    """Warns once for each time that one callback keeps the running event loop for more than a second.

    Everything of the process waits meanwhile, its leases too: an agent that calls ``time.sleep`` or a sync
    client holds up all other runs. The warning shows the innermost frames, so that the line can be found.
    """

    def __init__(self) -> None:
        self._beat = time.monotonic()
        self._ended = threading.Event()

    async def run(self) -> None:
        """Watch the running loop until cancelled; the thread that looks at it is gone afterwards."""
        looking = threading.Thread(
            target=self._look, args=(threading.get_ident(),), name="jumpseat loop watch", daemon=True
        )
        self._beat = time.monotonic()
        looking.start()
        try:
            while True:
                await asyncio.sleep(TICK_SECONDS)
                self._beat = time.monotonic()
        finally:
            self._ended.set()
            await asyncio.to_thread(looking.join)

    def _look(self, loop_thread: int) -> None:
        told = looked = time.monotonic()
        while not self._ended.wait(TICK_SECONDS):
            before, looked = looked, time.monotonic()
            beat = self._beat
            # A process that was stopped as a whole, or got no core, is late here too.
            stalled = looked - before > BLOCKED_SECONDS
            if stalled or beat == told or looked - beat < BLOCKED_SECONDS + TICK_SECONDS:
                continue
            frame = sys._current_frames().get(loop_thread)  # pyright: ignore[reportPrivateUsage]
            if frame is not None and not _rests(frame):
                told = beat
                logger.warning(
                    "The event loop has been blocked for %.1f s: every run and request of this process "
                    "waits. Use asyncio.to_thread for what blocks. It is here:\n%s",
                    looked - beat,
                    "".join(traceback.format_list(traceback.extract_stack(frame)[-_FRAMES:])).rstrip(),
                )


def _rests(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith(_AT_REST)
