"""The scripted agent: how many events, how fast, and how much text, as the request asks for it.

``typescript/server.mjs`` plays the same script.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Script:
    """``events`` pieces of text of ``delta`` characters, ``rate`` per second (0: as fast as they are taken).

    A piece is due ``1 / rate`` after the one before it was taken, as from a model that waits for its reader;
    with ``clocked`` by the clock since the first, so that lateness does not add up and late pieces come in
    bunches.
    ``hold`` seconds pass between the last piece and the end of the answer. ``numbered``: each piece is its
    number and a space instead; only Jumpseat's own agent does that.
    """

    events: int = 10
    rate: float = 0.0
    clocked: bool = False
    delta: int = 16
    hold: float = 0.0
    numbered: bool = False

    @classmethod
    def of(cls, forwarded_props: Mapping[str, Any] | None) -> Script:
        """Reads the script that a request carries in its forwarded properties."""
        return cls(**(forwarded_props or {}).get("bench", {}))

    @property
    def text(self) -> str:
        """One piece."""
        return "x" * self.delta

    async def due(self, began: float, index: int) -> None:
        """Waits until piece ``index`` is due, the first having been due at ``began``."""
        early = began + index / self.rate - time.perf_counter() if self.clocked else 1 / self.rate
        if early > 0:
            await asyncio.sleep(early)

    async def rest(self) -> None:
        """Waits for ``hold`` seconds."""
        if self.hold > 0:
            await asyncio.sleep(self.hold)
