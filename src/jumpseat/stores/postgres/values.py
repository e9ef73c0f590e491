"""What the store writes to and reads from PostgreSQL, as values of the contract."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from jumpseat.stores.base import (
    Append,
    Busy,
    ClaimResult,
    Foreign,
    Found,
    History,
    Located,
    LogPage,
    Moved,
    NewRun,
    Plan,
    Queued,
    Retention,
    Run,
    Seal,
)
from jumpseat.stores.rows import Row, Rows

__all__ = [
    "ROWS",
    "append_values",
    "claim_result",
    "claim_values",
    "flagged",
    "history_of",
    "located",
    "log_page",
    "optional_text",
    "owner_name",
    "plain",
    "plan_values",
    "retention_values",
    "run_values",
    "runs_values",
    "seal_values",
    "text",
    "thread_values",
]

_RARE: Final = re.compile("[\x00\x1b]")
_WRITTEN: Final = {"\x00": "\x1b0", "\x1b": "\x1be"}
_MEANT: Final = {written: meant for meant, written in _WRITTEN.items()}


def text(value: str) -> str:
    """Return how a text is stored: PostgreSQL knows no NUL, so that is written with an escape character."""
    if "\x00" not in value and "\x1b" not in value:
        return value
    return _RARE.sub(lambda found: _WRITTEN[found[0]], value)


def optional_text(value: str | None) -> str | None:
    """Return how a text that may be missing is stored."""
    return None if value is None else text(value)


def plain(stored: str) -> str:
    """Return the text that is stored so."""
    if "\x1b" not in stored:
        return stored
    return re.sub("\x1b.", lambda found: _MEANT[found[0]], stored)


def owner_name(owner: str | None) -> str:
    """Return how an owner is stored; the nameless one must not be NULL, which equals nothing."""
    return "" if owner is None else ":" + text(owner)


def _owner(stored: str) -> str | None:
    return plain(stored[1:]) if stored else None


ROWS: Final = Rows(text=plain, owner=_owner)


def thread_values(owner: str | None, thread_id: str) -> dict[str, Any]:
    """Return the parameters that stand for a thread of an owner."""
    return {"owner": owner_name(owner), "thread": text(thread_id)}


def run_values(run: Run) -> dict[str, Any]:
    """Return the parameters that stand for a claim on a run."""
    return {"thread": text(run.thread_id), "run_key": text(run.run_key), "epoch": run.epoch}


def runs_values(runs: Sequence[Run]) -> dict[str, Any]:
    """Return the parameters that stand for claims on several runs."""
    return {
        "threads": [text(run.thread_id) for run in runs],
        "run_keys": [text(run.run_key) for run in runs],
        "epochs": [run.epoch for run in runs],
    }


def claim_values(new: NewRun, lease: float) -> dict[str, Any]:
    """Return the parameters that stand for a run that wants to be claimed."""
    return {
        **thread_values(new.owner, new.thread_id),
        "run_key": text(new.run_key),
        "run_id": text(new.run_id),
        "agent": text(new.agent_id),
        "parent": new.parent,
        "state": new.state,
        "name": optional_text(new.name),
        "queue": new.queue,
        "max_queued": new.max_queued,
        "input": new.input,
        "epoch": new.epoch,
        "lease": int(lease * 1000),
    }


def seal_values(seal: Seal) -> dict[str, Any]:
    """Return the parameters that stand for a seal, its plan and its compacted events aside."""
    return {
        "status": seal.status,
        "first": seal.first_seq,
        "events": list(seal.events),
        "state": seal.state,
        "terminal": seal.terminal,
        "record": seal.record,
        "pending": seal.pending,
    }


def plan_values(plan: Plan) -> dict[str, Any]:
    """Return the parameters that stand for a plan."""
    add = plan.add
    return {
        "plan_version": plan.version,
        "hide_after": plan.hide_after,
        "keep_attached": plan.keep_attached,
        "hide": list(plan.hide),
        "positions": [addition.position for addition in add],
        "keys": [text(addition.key) for addition in add],
        "alias_counts": [len(addition.aliases) for addition in add],
        "aliases": [text(alias) for addition in add for alias in addition.aliases],
        "digests": [addition.digest for addition in add],
        "datas": [addition.data for addition in add],
        "digest": plan.digest,
    }


def append_values(appends: Sequence[Append], wakes: list[bool]) -> dict[str, Any]:
    """Return the parameters that stand for appends."""
    return {
        **runs_values([append.run for append in appends]),
        "firsts": [append.first_seq for append in appends],
        "wakes": wakes,
        "places": [place for place, append in enumerate(appends, 1) for _ in append.events],
        "seqs": [append.first_seq + index for append in appends for index in range(len(append.events))],
        "events": [event for append in appends for event in append.events],
    }


def retention_values(retention: Retention) -> dict[str, int | None]:
    """Return the parameters that stand for a retention, in milliseconds."""

    def age(seconds: float | None) -> int | None:
        # Nothing is older than all the time there has been.
        return None if seconds is None else int(min(seconds * 1000, 1 << 52))

    return {
        "max_age": age(retention.max_age),
        "events_after": age(retention.events_after),
        "max_runs": retention.max_runs,
    }


def claim_result(thread_id: str, row: Row) -> ClaimResult:
    """Read what a claim answered."""
    kind, run_key, epoch, run_id, expired, ahead, stop_reason, version, created = row[:9]
    match kind:
        case "claimed":
            return ROWS.claimed(thread_id, row[9:], created=created)
        case "queued":
            run = Run(thread_id, plain(run_key), epoch)
            return Queued(run=run, ahead=ahead, stop_reason=ROWS.optional(stop_reason))
        case "busy":
            run = Run(thread_id, plain(run_key), epoch)
            return Busy(run=run, run_id=plain(run_id), expired=expired)
        case "moved":
            return Moved(version)
        case _:
            return Foreign()


def log_page(row: Row | None, after: int) -> tuple[LogPage, float]:
    """Read a look into a log: the page, and in how many seconds an empty one is outdated by itself."""
    if row is None:
        return LogPage(events=[], gone=True), 0.0
    sealed, raw, last_seq, lease_left, events = row
    if sealed and after >= last_seq:
        return LogPage(events=[], ended=True), 0.0
    if raw != 1:
        return LogPage(events=[], gone=True), 0.0
    if events:
        return LogPage(events=events, ended=sealed and after + len(events) >= last_seq), 0.0
    return LogPage(events=[], expired=lease_left <= 0), lease_left / 1000 + 0.001


def flagged(row: Row) -> Run:
    """Read a claim on a run with its thread."""
    return Run(plain(row[0]), plain(row[1]), row[2])


def history_of(thread_id: str, row: Row) -> History:
    """Read a picture of a thread."""
    version, state, entries, *rest = row
    live, header = rest[:8], rest[8:]
    return History(
        entries=[ROWS.entry(entry) for entry in entries or ()],
        state=state,
        head=ROWS.header(header) if header[0] is not None else None,
        live=ROWS.live(thread_id, live) if live[0] is not None else None,
        version=version,
    )


def located(rows: Sequence[Row]) -> Located:
    """Read what was found of a thread."""
    if not rows:
        return Located()
    owned, version, digest, last_position, runs, *_ = rows[0]
    if not owned:
        return Located(foreign=True)
    found = {
        plain(row[5]): Found(plain(row[6]), row[7], row[8], row[9], row[10], row[11])
        for row in rows
        if row[5] is not None
    }
    return Located(version=version, digest=digest, last_position=last_position, runs=runs, found=found)
