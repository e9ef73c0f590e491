"""The runs of a thread as a list, oldest first, and the run that a reader of an older branch names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jumpseat.protocol import codec
from jumpseat.protocol.events import RunError
from jumpseat.runners.base import RunRecord
from jumpseat.runners.offloading import offload
from jumpseat.stores.base import RunHeader, Store

__all__ = ["find_run", "is_outdated", "list_runs"]

# A header holds what its run left, which may be large, and a list shows next to nothing of it.
HEADERS_AT_ONCE: Final = 25
_ENDED_BY_AN_ERROR: Final = ("failed", "lost")


async def find_run(store: Store, owner: str | None, thread_id: str, name: str) -> RunHeader | None:
    """Return the run with this key, else the newest one with this id; ``None`` if the thread has neither."""
    header = await store.run(owner, thread_id, name)
    return header if header is not None else await store.find(owner, thread_id, name)


def is_outdated(header: RunHeader) -> bool:
    """Say whether retention has taken what the run left: every seal stores a terminal."""
    return header.sealed_at is not None and header.terminal is None


async def list_runs(
    store: Store, owner: str | None, thread_id: str, after: int, limit: int
) -> tuple[list[RunRecord], int | None]:
    """Return up to ``limit`` runs behind the ordinal ``after``, and the last one's ordinal if more follow."""
    records: list[RunRecord] = []
    names: dict[int, tuple[str, str]] = {}
    while True:
        wanted = min(HEADERS_AT_ONCE, limit + 1 - len(records))
        headers = await store.runs(owner, thread_id, after, wanted)
        names |= {header.ordinal: (header.run_key, header.run_id) for header in headers}
        for header in headers[: limit - len(records)]:
            await _learn_parent(store, owner, thread_id, header, names)
            records.append(await offload(len(header.terminal or b""), _record, header, names))
            after = header.ordinal
        if len(headers) < wanted:
            return records, None
        if headers[-1].ordinal > after:
            return records, after


async def _learn_parent(
    store: Store, owner: str | None, thread_id: str, header: RunHeader, names: dict[int, tuple[str, str]]
) -> None:
    ordinal = _parent_of(header)
    if ordinal and ordinal not in names:
        for parent in await store.runs(owner, thread_id, ordinal - 1, 1):
            names[parent.ordinal] = parent.run_key, parent.run_id


def _parent_of(header: RunHeader) -> int:
    """Return the ordinal of the run that a run follows, 0 for the first one of a thread."""
    # A run that had to wait knew nothing of its thread when it was stored: it follows what it waited for.
    return header.parent if header.parent is not None else header.ordinal - 1


def _record(header: RunHeader, names: Mapping[int, tuple[str, str]]) -> RunRecord:
    parent_key, parent_id = names.get(_parent_of(header), (None, None))
    return RunRecord(
        run_key=header.run_key,
        run_id=header.run_id,
        parent_key=parent_key,
        parent_id=parent_id,
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
