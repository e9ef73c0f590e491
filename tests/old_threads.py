"""Threads with a long past, and lists of many threads, made through a store as fast as it writes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from jumpseat.stores.base import Plan, Run, Store
from jumpseat.testing.store_cases.material import FIRST, LEASE, add, new_run, seal_of

AT_ONCE = 200
STRIDE = 1 << 20


async def add_runs(
    store: Store, ordinals: range, thread_id: str = "thread", *, instead: bool = False
) -> None:
    """Add finished runs: run ``n`` shows the message ``u<n>`` and its answer ``a<n>``.

    ``instead`` hides what the run before has shown: every run is another branch.
    """
    for start in range(ordinals.start, ordinals.stop, AT_ONCE):
        work = []
        for ordinal in range(start, min(start + AT_ONCE, ordinals.stop)):
            new, position = new_run(thread_id), 2 * ordinal * STRIDE
            asked = Plan(hide_after=0 if instead else None, add=(add(position, f"u{ordinal}"),))
            answered = Plan(add=(add(position + STRIDE, f"a{ordinal}"),))
            work.append(store.claim(new, LEASE, asked, FIRST))
            work.append(store.seal(Run(thread_id, new.run_key, 1), seal_of(2, plan=answered)))
        await asyncio.gather(*work)


async def add_threads(store: Store, thread_ids: Iterable[str], owner: str | None = None) -> None:
    """Add threads with one finished run each."""

    async def one(thread_id: str) -> None:
        new = new_run(thread_id, owner=owner)
        await store.claim(new, LEASE, Plan(), FIRST)
        await store.seal(Run(thread_id, new.run_key, 1), seal_of(2))

    await asyncio.gather(*map(one, thread_ids))
