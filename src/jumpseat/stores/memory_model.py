"""What one thread is made of while it lives in memory: its view, its runs and its record."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import dropwhile
from typing import TYPE_CHECKING

import msgspec

from jumpseat.stores.base import (
    Entry,
    Found,
    Live,
    LogPage,
    NewRun,
    Plan,
    Run,
    RunHeader,
    RunStatus,
    Seal,
    ThreadChange,
    ThreadRecord,
)
from jumpseat.stores.refusals import gap

if TYPE_CHECKING:
    import asyncio

PAGE_EVENTS = 256
PAGE_BYTES = 1 << 20


def page_end(events: Sequence[bytes], start: int) -> int:
    """Return where a page of ``events`` that begins at index ``start`` ends."""
    stop = min(len(events), start + PAGE_EVENTS)
    size = 0
    for index in range(start, stop):
        size += len(events[index])
        if size > PAGE_BYTES:
            return max(index, start + 1)
    return stop


def weight(*payloads: bytes | None) -> int:
    """Return how many bytes these payloads hold."""
    return sum(len(payload) for payload in payloads if payload is not None)


def _entry_weight(entry: Entry) -> int:
    return len(entry.data) + len(entry.digest)


class View:
    """The messages of a thread: those shown now, findable by position and id, and the hidden ones."""

    def __init__(self) -> None:
        self.bytes = 0
        self._positions: list[int] = []
        self._visible: dict[int, Entry] = {}
        # The positions that hold a key or alias, the one shown last at the end: it is the one found.
        self._ids: dict[str, list[int]] = {}
        self._hidden: list[Entry] = []

    @property
    def last_position(self) -> int:
        """The position of the last visible entry, 0 when there is none."""
        return self._positions[-1] if self._positions else 0

    def check(self, plan: Plan, ordinal: int) -> None:
        """Raise ``ValueError`` when the plan would show two entries at one position."""
        hidden = {*plan.hide, *self._cut(plan)}
        for addition in plan.add:
            present = self._visible.get(addition.position)
            if present is None or present.shown_from == ordinal or addition.position in hidden:
                continue
            raise ValueError(f"position {addition.position} already shows a message of an earlier run")

    def apply(self, plan: Plan, ordinal: int) -> None:
        """Change what is shown; ``check`` has passed."""
        for position in (*self._cut(plan), *plan.hide):
            self._hide(position, ordinal)
        for addition in plan.add:
            self._hide(addition.position, ordinal)
            self._show(
                Entry(
                    position=addition.position,
                    key=addition.key,
                    aliases=addition.aliases,
                    digest=addition.digest,
                    data=addition.data,
                    shown_from=ordinal,
                )
            )

    def _cut(self, plan: Plan) -> list[int]:
        if plan.hide_after is None:
            return []
        behind = self._positions[bisect_right(self._positions, plan.hide_after) :]
        if not plan.keep_attached:
            return behind
        return list(dropwhile(lambda position: not self._visible[position].digest, behind))

    def _show(self, entry: Entry) -> None:
        if not self._positions or entry.position > self._positions[-1]:
            self._positions.append(entry.position)
        else:
            insort(self._positions, entry.position)
        self._visible[entry.position] = entry
        for name in {entry.key, *entry.aliases}:
            self._ids.setdefault(name, []).append(entry.position)
        self.bytes += _entry_weight(entry)

    def _hide(self, position: int, ordinal: int) -> None:
        entry = self._visible.pop(position, None)
        if entry is None:
            return
        del self._positions[bisect_right(self._positions, position) - 1]
        for name in {entry.key, *entry.aliases}:
            self._ids[name].remove(position)
            if not self._ids[name]:
                del self._ids[name]
        if entry.shown_from == ordinal:
            self.bytes -= _entry_weight(entry)
        else:
            self._hidden.append(msgspec.structs.replace(entry, hidden_at=ordinal))

    def find(self, keys: Iterable[str]) -> dict[str, Found]:
        """Return, for each key or alias of a visible entry, that entry."""
        return {key: self._found(self._best(key)) for key in keys if key in self._ids}

    def _best(self, name: str) -> int:
        """Return where the entry with this key is, else the one with this alias; the one shown last."""
        positions = self._ids[name]
        own = (position for position in reversed(positions) if self._visible[position].key == name)
        return next(own, positions[-1])

    def _found(self, position: int) -> Found:
        entry = self._visible[position]
        index = bisect_right(self._positions, position) - 1
        return Found(
            entry.key,
            position,
            entry.digest,
            entry.shown_from,
            self._positions[index - 1] if index else None,
            self._positions[index + 1] if index + 1 < len(self._positions) else None,
        )

    def shown(self, at: int | None) -> list[Entry]:
        """Return the entries shown now, or after the run with ordinal ``at``, in order."""
        current = [self._visible[position] for position in self._positions]
        if at is None:
            return current
        shown = [entry for entry in current if entry.shown_from <= at]
        shown.extend(e for e in self._hidden if e.shown_from <= at < (e.hidden_at or 0))
        shown.sort(key=lambda entry: entry.position)
        return shown

    def everything(self) -> list[Entry]:
        """Return all entries, hidden ones too, as far as it matters in the order in which they were added."""
        return sorted((*self._hidden, *self._visible.values()), key=lambda entry: entry.shown_from)

    def restore(self, entry: Entry) -> None:
        """Add an entry that was dumped, hidden or not."""
        if entry.hidden_at is None:
            self._show(entry)
        else:
            self._hidden.append(entry)
            self.bytes += _entry_weight(entry)

    def forget(self, first_kept: int, limit: int) -> int:
        """Drop up to ``limit`` entries that no run from ordinal ``first_kept`` on shows."""
        kept: list[Entry] = []
        dropped = 0
        for entry in self._hidden:
            if dropped < limit and (entry.hidden_at or 0) <= first_kept:
                self.bytes -= _entry_weight(entry)
                dropped += 1
            else:
                kept.append(entry)
        self._hidden = kept
        return dropped


@dataclass(slots=True, eq=False)
class RunState:
    """One run with its log. ``last_seq`` survives the log."""

    thread: ThreadState
    key: str
    run_id: str
    agent_id: str
    parent: int | None
    ordinal: int
    created_at: int
    status: RunStatus
    epoch: int = 1
    stop_reason: str | None = None
    input: bytes | None = None
    log: list[bytes] = field(default_factory=list[bytes])
    last_seq: int = 0
    size: int = 0
    raw: bool = True
    sealed_at: int | None = None
    compacted: list[bytes] | None = None
    terminal: bytes | None = None
    record: bytes | None = None
    pending: bytes | None = None
    state: bytes | None = None
    waiters: set[asyncio.Future[None]] = field(default_factory=set["asyncio.Future[None]"])

    @property
    def sealed(self) -> bool:
        """Whether the run has ended."""
        return self.sealed_at is not None

    @property
    def claim(self) -> Run:
        """The newest claim on this run."""
        return Run(self.thread.id, self.key, self.epoch)

    def flag(self, reason: str) -> bool:
        """Ask the run to stop; false if somebody has before."""
        granted = self.stop_reason is None
        if granted:
            self.stop_reason = reason
        return granted

    def wake(self) -> None:
        """Let everyone who waits for this run look again."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)
        self.waiters.clear()

    def add(self, first_seq: int, events: Sequence[bytes]) -> int:
        """Store what is not stored yet and return its bytes. Raises ``ValueError`` for a gap."""
        stored = self.last_seq - first_seq + 1
        if stored < 0 or first_seq < 1:
            raise gap(first_seq, self.last_seq)
        fresh = events[stored:] if stored else events
        size = sum(map(len, fresh))
        self.log.extend(fresh)
        self.last_seq = len(self.log)
        self.size += size
        return size

    def page(self, after: int) -> LogPage:
        """Return the events behind ``after`` that fit on one page."""
        if not self.raw and after < self.last_seq:
            return LogPage(events=[], gone=True)
        stop = page_end(self.log, after) if after < self.last_seq else after
        return LogPage(events=self.log[after:stop], ended=self.sealed and stop >= self.last_seq)

    def finish(self, seal: Seal, now: int) -> int:
        """End the run and return by how many bytes it grew."""
        grown = self.add(seal.first_seq, seal.events)
        self.status = seal.status
        self.sealed_at = now
        self.compacted = list(seal.compacted)
        self.terminal, self.record, self.pending, self.state = (
            seal.terminal,
            seal.record,
            seal.pending,
            seal.state,
        )
        derived = weight(*self.compacted, self.terminal, self.record, self.pending, self.state)
        derived -= weight(self.input)
        self.input = None
        self.size += derived
        return grown + derived

    def drop_log(self) -> int:
        """Forget the raw log and return the bytes that went."""
        size = weight(*self.log)
        self.log, self.raw = [], False
        self.size -= size
        return size

    def drop_payload(self) -> int:
        """Forget all but the header and return the bytes that went."""
        size = self.size
        self.log, self.raw, self.size = [], False, 0
        self.compacted = self.terminal = self.record = self.pending = self.state = None
        return size

    def header(self) -> RunHeader:
        """Return the run without its events."""
        return RunHeader(
            run_key=self.key,
            run_id=self.run_id,
            agent_id=self.agent_id,
            ordinal=self.ordinal,
            status=self.status,
            parent=self.parent,
            last_seq=self.last_seq,
            raw=self.raw,
            created_at=self.created_at,
            sealed_at=self.sealed_at,
            terminal=self.terminal,
            record=self.record,
            pending=self.pending,
        )

    def live(self) -> Live:
        """Return the run as the live run of its thread."""
        return Live(
            run=self.claim,
            run_id=self.run_id,
            agent_id=self.agent_id,
            ordinal=self.ordinal,
            last_seq=self.last_seq,
            stopping=self.stop_reason is not None,
            expired=False,
            stop_reason=self.stop_reason,
        )


class ThreadState:
    """One thread. ``runs[n]`` has ordinal ``n + 1``; ``waiting`` are the queued runs in order of arrival."""

    def __init__(self, new: NewRun, now: int) -> None:
        self.id = new.thread_id
        self.owner = new.owner
        self.agent_id = new.agent_id
        self.name: str | None = None
        self.renamed = False
        self.archived = False
        self.created_at = self.updated_at = self.last_run_at = self.active_at = now
        self.version = 0
        self.digest: bytes | None = None
        self.state: bytes | None = None
        self.view = View()
        self.runs: list[RunState] = []
        self.newest: dict[str, RunState] = {}
        self.live: RunState | None = None
        self.waiting: list[RunState] = []
        self.head: RunState | None = None
        self.trimmed = 0

    @property
    def busy(self) -> bool:
        """Whether a run is live or queued."""
        return self.live is not None or bool(self.waiting)

    @property
    def bytes(self) -> int:
        """How many payload bytes the thread holds."""
        return self.view.bytes + weight(self.state) + sum(run.size for run in self.runs[self.trimmed :])

    def new_run(self, new: NewRun, status: RunStatus, now: int) -> RunState:
        """Add a run with the next ordinal."""
        run = RunState(
            thread=self,
            key=new.run_key,
            run_id=new.run_id,
            agent_id=new.agent_id,
            parent=new.parent,
            ordinal=len(self.runs) + 1,
            created_at=now,
            status=status,
        )
        self.runs.append(run)
        self.newest[run.run_id] = run
        return run

    def open_runs(self) -> list[RunState]:
        """Return the live run and the queued ones, oldest first."""
        return [*([self.live] if self.live else []), *self.waiting]

    def trim(self, keep: int, limit: int) -> tuple[int, int]:
        """Empty up to ``limit`` runs and hidden entries older than the newest ``keep`` runs and the head.

        Returns how many went and their bytes.
        """
        last = min(len(self.runs) - keep, (self.head.ordinal if self.head else 1) - 1)
        count = size = 0
        while self.trimmed < last and count < limit:
            size += self.runs[self.trimmed].drop_payload()
            self.trimmed += 1
            count += 1
        if last > 0 and count < limit:
            before = self.view.bytes
            count += self.view.forget(self.trimmed + 1, limit - count)
            size += before - self.view.bytes
        return count, size

    def change(self, change: ThreadChange, now: int) -> None:
        """Apply a mutation; one that changes nothing moves no time."""
        changed = False
        if change.set_name and not (change.automatic and self.renamed):
            changed = change.name != self.name
            self.name = change.name
            self.renamed = self.renamed or not change.automatic
        if change.archived is not None and change.archived != self.archived:
            self.archived = change.archived
            changed = True
        if changed:
            self.updated_at = self.active_at = max(now, self.updated_at)

    def record(self) -> ThreadRecord:
        """Return what a thread list shows."""
        return ThreadRecord(
            id=self.id,
            name=self.name,
            agent_id=self.agent_id,
            owner=self.owner,
            archived=self.archived,
            created_at=self.created_at,
            updated_at=self.updated_at,
            last_run_at=self.last_run_at,
            renamed=self.renamed,
        )
