"""Short ways to make the values that store tests pass around."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, Literal, TypeVar

from jumpseat.stores.base import Addition, Claimed, NewRun, Plan, Queued, Run, Seal, Store

__all__ = [
    "DEADLINE",
    "FIRST",
    "LEASE",
    "add",
    "claimed",
    "finish",
    "gather",
    "new_run",
    "queued",
    "seal_of",
    "settle",
    "within",
]

LEASE = 60.0
DEADLINE = 20.0
FIRST = b'{"type":"RUN_STARTED"}'

_keys = itertools.count(1)
T = TypeVar("T")


async def within(work: Awaitable[T]) -> T:
    """Await ``work``, at most ``DEADLINE`` seconds."""
    async with asyncio.timeout(DEADLINE):
        return await work


async def gather(work: Iterable[Awaitable[T]]) -> list[T]:
    """Await all of it at once."""
    return list(await asyncio.gather(*work))


async def settle(*work: Awaitable[Any]) -> list[Any]:
    """Await all of it at once and return results and errors."""
    async with asyncio.timeout(DEADLINE):
        return list(await asyncio.gather(*work, return_exceptions=True))


def new_run(thread_id: str = "thread", **fields: Any) -> NewRun:
    """Return a run with a key of its own."""
    values: dict[str, Any] = {
        "run_key": f"KEY{next(_keys):023d}",
        "run_id": "run",
        "agent_id": "default",
        "owner": None,
    }
    return NewRun(thread_id=thread_id, **(values | fields))


def add(position: int, key: str, data: bytes = b"{}", *, aliases: tuple[str, ...] = ()) -> Addition:
    """Return a message with a digest made of its data."""
    return Addition(position=position, key=key, aliases=aliases, digest=b"#" + data, data=data)


async def claimed(
    store: Store, thread_id: str = "thread", plan: Plan | None = None, **fields: Any
) -> Claimed:
    """Claim a run that must become live."""
    new = new_run(thread_id, **fields)
    result = await within(store.claim(new, LEASE, plan or Plan(), FIRST))
    assert isinstance(result, Claimed), result
    return result


async def queued(store: Store, thread_id: str = "thread", **fields: Any) -> tuple[NewRun, Run]:
    """Claim a run that must be queued."""
    new = new_run(thread_id, queue=True, **({"max_queued": 8} | fields))
    result = await within(store.claim(new, LEASE, Plan(), FIRST))
    assert isinstance(result, Queued), result
    return new, result.run


def seal_of(
    first_seq: int,
    events: Sequence[bytes] = (b"end",),
    *,
    status: Literal["finished", "failed", "stopped", "lost"] = "finished",
    plan: Plan | None = None,
    compacted: Sequence[bytes] | None = None,
    **fields: Any,
) -> Seal:
    """Return the end of a run."""
    values: dict[str, Any] = {"state": None, "terminal": events[-1] if events else b"end"}
    return Seal(
        status=status,
        first_seq=first_seq,
        events=events,
        plan=plan or Plan(),
        compacted=[FIRST, *events] if compacted is None else compacted,
        **(values | fields),
    )


async def finish(store: Store, claim: Claimed, **fields: Any) -> None:
    """Seal a run that has nothing but its first event."""
    await within(store.seal(claim.run, seal_of(claim.last_seq + 1, **fields)))
