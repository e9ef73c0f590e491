"""The scripted agent for a soak: on SIGUSR1 the process writes what it has open into ``BENCH_PROBE``."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from jumpseat_app import runtime

__all__ = ["runtime"]


def _name(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__qualname__", "?")


def _heap() -> tuple[Counter[str], int]:
    """Counts the objects that may refer to others, by type, and the bytes of all that they lead to."""
    # What was there at the start is left out by the collector, and yet may have grown.
    gc.unfreeze()
    gc.collect()
    tracked = gc.get_objects()
    count = Counter(type(one).__qualname__ for one in tracked)
    seen = {id(one): sys.getsizeof(one) for one in tracked}
    for one in tracked:
        seen.update((id(part), sys.getsizeof(part)) for part in gc.get_referents(one) if id(part) not in seen)
    for own in (seen, tracked):
        seen.pop(id(own), None)
    del tracked
    gc.freeze()
    return count, sum(seen.values())


def _probe(*_: object) -> None:
    tasks = Counter(_name(task) for task in asyncio.all_tasks())
    objects, size = _heap()
    found = {"tasks": dict(tasks), "objects": dict(objects), "heap": size}
    target = Path(os.environ["BENCH_PROBE"]) / f"{os.getpid()}.json"
    # Renamed, so that nobody reads half of it.
    part = target.with_suffix(".part")
    part.write_text(json.dumps(found))
    part.rename(target)


signal.signal(signal.SIGUSR1, _probe)
