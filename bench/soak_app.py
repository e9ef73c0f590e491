"""The scripted agent for a soak: on SIGUSR1 the process writes what it has open into ``BENCH_PROBE``."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

from jumpseat_app import runtime

__all__ = ["runtime"]


def _name(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__qualname__", "?")


def _probe(*_: object) -> None:
    tasks = Counter(_name(task) for task in asyncio.all_tasks())
    gc.collect()
    objects = Counter(type(one).__qualname__ for one in gc.get_objects())
    found = {"tasks": dict(tasks), "objects": dict(objects)}
    target = Path(os.environ["BENCH_PROBE"]) / f"{os.getpid()}.json"
    # Renamed, so that nobody reads half of it.
    part = target.with_suffix(".part")
    part.write_text(json.dumps(found))
    part.rename(target)


signal.signal(signal.SIGUSR1, _probe)
