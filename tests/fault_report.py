"""The figures of the fault tests: collected while they run, printed below their results."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest


class Remains(Protocol):
    """What is left of a run that was hit: what was seen of it, what of that is lost, and its terminals."""

    seen: Sized

    @property
    def lost(self) -> Sized: ...

    @property
    def terminals(self) -> int: ...


FAULT_COLUMNS = ("fault", "back end", "times", "runs", "seen", "lost", "terminals", "free: median", "most")
DELAY_COLUMNS = ("delay", "back end", "measured", "median", "most")


@dataclass
class Fault:
    """What a kind of fault did to the runs on one back end.

    Attributes:
        times: How often it was made to happen.
        terminals: For each run that was hit, how many terminal events its log has.
        free: Seconds from the fault until the thread took a new run, where that was waited for.
    """

    name: str
    back_end: str
    times: int = 0
    seen: int = 0
    lost: int = 0
    terminals: list[int] = field(default_factory=list)
    free: list[float] = field(default_factory=list)

    def add(self, remains: Remains) -> None:
        """Count a run that was hit."""
        self.seen += len(remains.seen)
        self.lost += len(remains.lost)
        self.terminals.append(remains.terminals)

    def row(self) -> tuple[str, ...]:
        ends = " or ".join(map(str, sorted(set(self.terminals)))) or "none"
        numbers = (f"{number:,}" for number in (self.times, len(self.terminals), self.seen, self.lost))
        return (self.name, self.back_end, *numbers, ends, *_median_and_most(self.free))


@dataclass
class Delay:
    """How long something took on one back end, in seconds."""

    name: str
    back_end: str
    seconds: Sequence[float]

    def row(self) -> tuple[str, ...]:
        return (self.name, self.back_end, f"{len(self.seconds):,}", *_median_and_most(self.seconds))


class FaultReport:
    """The figures of one session."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._faults: dict[tuple[str, str], Fault] = {}
        self._delays: list[Delay] = []

    def fault(self, name: str, back_end: str) -> Fault:
        """Where the figures of a fault go; tests that share a name add to one row."""
        return self._faults.setdefault((name, back_end), Fault(name, back_end))

    def delay(self, name: str, back_end: str, seconds: Sequence[float]) -> None:
        self._delays.append(Delay(name, back_end, seconds))

    def tables(self) -> list[list[tuple[str, ...]]]:
        """The tables that there are figures for, each with its head."""
        faults = [fault.row() for fault in self._faults.values()]
        delays = [delay.row() for delay in self._delays]
        tables = [[FAULT_COLUMNS, *faults], [DELAY_COLUMNS, *delays]]
        return [table for table in tables if len(table) > 1]


def add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults")
    group.addoption("--fault-report", type=Path, metavar="FILE", help="write the fault tests' figures here")
    group.addoption("--fault-seed", type=int, metavar="N", help="kill and cut at the moments of this seed")


def summarise(reporter: Any, report: FaultReport, path: Path | None) -> None:
    """Print the figures, and write them as Markdown if a file was named; nothing if no fault test ran."""
    tables = report.tables()
    if not tables:
        return
    reporter.section(f"faults (seconds; --fault-seed {report.seed})")
    for table in tables:
        for line in aligned(table):
            reporter.line(line)
        reporter.line("")
    if path is not None:
        path.write_text("\n\n".join(map(markdown, tables)) + "\n", encoding="utf-8")


def aligned(table: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """The lines of a table for a terminal: words to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = zip(row, widths, strict=True)
        padded = [cell.ljust(width) if n < 2 else cell.rjust(width) for n, (cell, width) in enumerate(cells)]
        yield "  ".join(padded).rstrip()


def markdown(table: Sequence[tuple[str, ...]]) -> str:
    """A table as a document shows it."""
    head, *rows = table
    rule = tuple("---" if n < 2 else "---:" for n in range(len(head)))
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def _median_and_most(seconds: Sequence[float]) -> tuple[str, str]:
    if not seconds:
        return "", ""
    return f"{statistics.median(seconds):.3f}", f"{max(seconds):.3f}"
