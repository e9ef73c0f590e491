"""The runs of a thread as a list, oldest first, and the run that a reader of an older branch names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from jumpseat.protocol import codec
from jumpseat.protocol.events import RunError
from jumpseat.runners.base import RunRecord
from jumpseat.runners.offloading import offload
from jumpseat.stores.base import RunHeader, Store

__all__ = ["find_run", "is_outdated", "run_records"]

_ENDED_BY_AN_ERROR: Final = ("failed", "lost")


async def find_run(store: Store, owner: str | None, thread_id: str, name: str) -> RunHeader | None:
    """Return the run with this key, else the newest one with this id; ``None`` if the thread has neither."""
    header = await store.run(owner, thread_id, name)
    return header if header is not None else await store.find(owner, thread_id, name)


def is_outdated(header: RunHeader) -> bool:
    """Say whether retention has taken what the run left: every seal stores a terminal."""
    return header.sealed_at is not None and header.terminal is None


async def run_records(
    store: Store, owner: str | None, thread_id: str, headers: Sequence[RunHeader]
) -> list[RunRecord]:
    """Return what a list shows of these runs of one thread."""
    by_ordinal = {header.ordinal: header for header in headers}
    for ordinal in set(map(_parent_of, headers)) - by_ordinal.keys() - {0}:
        for parent in await store.runs(owner, thread_id, ordinal - 1, 1):
            by_ordinal[parent.ordinal] = parent
    size = sum(len(header.terminal or b"") for header in headers)
    return await offload(
        size, lambda: [_record(header, by_ordinal.get(_parent_of(header))) for header in headers]
    )


def _parent_of(header: RunHeader) -> int:
    """Return the ordinal of the run that a run follows, 0 for the first one of a thread."""
    # A run that had to wait knew nothing of its thread when it was stored: it follows what it waited for.
    return header.parent if header.parent is not None else header.ordinal - 1


def _record(header: RunHeader, parent: RunHeader | None) -> RunRecord:
    return RunRecord(
        run_key=header.run_key,
        run_id=header.run_id,
        parent_key=parent.run_key if parent is not None else None,
        parent_id=parent.run_id if parent is not None else None,
        agent_id=header.agent_id,
        status=header.status,
        created_at=header.created_at,
        ended_at=header.sealed_at,
        event_count=header.last_seq,
        error=_error(header),
        readable=not is_outdated(header),
    )


def _error(header: RunHeader) -> RunError | None:
    if header.terminal is None or header.status not in _ENDED_BY_AN_ERROR:
        return None
    terminal = codec.decode(header.terminal)
    return terminal if isinstance(terminal, RunError) else None
