"""Values of the contract from the columns that back ends read for them, everywhere in one order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from jumpseat.stores.base import Claimed, Entry, Live, Run, RunHeader, ThreadRecord

__all__ = ["Row", "Rows"]

Row: TypeAlias = Sequence[Any]


class Rows:
    """Reads rows of one back end: ``text`` and ``owner`` turn what it keeps of them into what they are."""

    def __init__(self, text: Callable[[Any], str], owner: Callable[[Any], str | None]) -> None:
        self.text: Final = text
        self._owner = owner

    def optional(self, kept: Any) -> str | None:
        """Return a text that may be missing."""
        return None if kept is None else self.text(kept)

    def claimed(self, thread_id: str, row: Row, *, created: bool = False) -> Claimed:
        """Read a claim that was granted."""
        return Claimed(
            run=Run(thread_id, self.text(row[0]), row[1]),
            run_id=self.text(row[2]),
            agent_id=self.text(row[3]),
            owner=self._owner(row[4]),
            ordinal=row[5],
            last_seq=row[6],
            last_position=row[7],
            state=row[8],
            pending=row[9],
            stop_reason=self.optional(row[10]),
            input=row[11],
            created=created,
        )

    def live(self, thread_id: str, row: Row) -> Live:
        """Read a live run."""
        return Live(
            run=Run(thread_id, self.text(row[0]), row[1]),
            run_id=self.text(row[2]),
            agent_id=self.text(row[3]),
            ordinal=row[4],
            last_seq=row[5],
            stopping=row[6] is not None,
            stop_reason=self.optional(row[6]),
            expired=bool(row[7]),
        )

    def header(self, row: Row) -> RunHeader:
        """Read a run without its events; of a log that is being removed ``raw`` is neither 0 nor 1."""
        status: Any = self.text(row[4])
        return RunHeader(
            run_key=self.text(row[0]),
            run_id=self.text(row[1]),
            agent_id=self.text(row[2]),
            ordinal=row[3],
            status=status,
            parent=row[5],
            last_seq=row[6],
            raw=row[7] == 1,
            created_at=row[8],
            sealed_at=row[9],
            terminal=row[10],
            record=row[11],
            pending=row[12],
        )

    def entry(self, row: Row) -> Entry:
        """Read an entry of a thread's view."""
        return Entry(
            position=row[0],
            key=self.text(row[1]),
            aliases=tuple(map(self.text, row[2])),
            digest=row[3],
            data=row[4],
            shown_from=row[5],
            hidden_at=row[6],
        )

    def record(self, row: Row) -> ThreadRecord:
        """Read a thread's record."""
        return ThreadRecord(
            id=self.text(row[0]),
            name=self.optional(row[1]),
            agent_id=self.text(row[2]),
            owner=self._owner(row[3]),
            archived=bool(row[4]),
            created_at=row[5],
            updated_at=row[6],
            last_run_at=row[7],
            renamed=bool(row[8]),
        )
