"""Turns figures into a table: one line per figure, one column per server, ratios and goals beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from servers import (
    JUMPSEAT_MEMORY,
    JUMPSEAT_POSTGRES,
    JUMPSEAT_REDIS,
    JUMPSEAT_SQLITE,
    TYPESCRIPT_MEMORY,
    Kind,
)

Table = Mapping[str, Mapping[str, float]]

_MICRO = ("µs", 1e6)
_MILLI = ("ms", 1e3)
_WIDTH = 21


@dataclass(frozen=True)
class Goal:
    """What a figure of ``kind`` must reach: a bound on it, or on its ratio to the figure of ``base``."""

    text: str
    kind: Kind = JUMPSEAT_SQLITE
    base: Kind = TYPESCRIPT_MEMORY
    at_least_ratio: float | None = None
    at_most_ratio: float | None = None
    below: float | None = None

    def met(self, value: float, ratio: float | None) -> bool | None:
        """Whether it is reached; ``None`` when there is nothing to compare with."""
        if self.below is not None:
            return value < self.below
        if ratio is None:
            return None
        if self.at_least_ratio is not None:
            return ratio >= self.at_least_ratio
        return ratio <= (self.at_most_ratio or 0)


@dataclass(frozen=True)
class Row:
    """One line of the table. ``unit`` is a name and the factor from the measured value to it."""

    scenario: str
    key: str
    label: str
    unit: tuple[str, float] = ("", 1.0)
    goal: Goal | tuple[Goal, ...] = ()
    ratio: bool = True

    @property
    def goals(self) -> tuple[Goal, ...]:
        """All of them."""
        return self.goal if isinstance(self.goal, tuple) else (self.goal,)


# The stores behind a network may cost the process twice what a file does.
_TWICE_SQLITE = (
    Goal("PostgreSQL <= 2x SQLite", JUMPSEAT_POSTGRES, JUMPSEAT_SQLITE, at_most_ratio=2),
    Goal("Redis <= 2x SQLite", JUMPSEAT_REDIS, JUMPSEAT_SQLITE, at_most_ratio=2),
)


def _at_rate(scenario: str) -> tuple[Row, ...]:
    return (
        Row(
            scenario,
            "cpu_per_event",
            "CPU per event",
            _MICRO,
            (Goal("<= 0.5x", at_most_ratio=0.5), *_TWICE_SQLITE),
        ),
        Row(scenario, "database_cpu_per_event", "CPU of the database per event", _MICRO, ratio=False),
        Row(scenario, "cpu_share", "cores in use", ("", 1), ratio=False),
        Row(scenario, "first_byte_p50", "first byte, p50", _MILLI),
        Row(scenario, "first_byte_p99", "first byte, p99", _MILLI, Goal("< 100 ms", below=0.1)),
        Row(scenario, "first_event_p99", "first event, p99", _MILLI),
        Row(scenario, "late_p50", "end later than scripted, p50", _MILLI, ratio=False),
        Row(scenario, "late_p99", "end later than scripted, p99", _MILLI, ratio=False),
        Row(scenario, "peak_rss", "memory, peak", ("MB", 1)),
    )


ROWS = (
    Row("burst", "events_per_second", "events per second", ("k/s", 1e-3), Goal(">= 10x", at_least_ratio=10)),
    Row("burst", "cpu_per_event", "CPU per event", _MICRO, _TWICE_SQLITE),
    Row("burst", "database_cpu_per_event", "CPU of the database per event", _MICRO, ratio=False),
    Row("burst", "peak_rss", "memory, peak", ("MB", 1)),
    Row("long", "events_per_second", "events per second", ("k/s", 1e-3), Goal(">= 30x", at_least_ratio=30)),
    Row("long", "cpu_per_event", "CPU per event", _MICRO, _TWICE_SQLITE),
    Row("long", "database_cpu_per_event", "CPU of the database per event", _MICRO, ratio=False),
    Row("long", "peak_rss", "memory, peak", ("MB", 1)),
    *_at_rate("paced"),
    *_at_rate("clocked"),
    Row("first-byte", "first_byte_p50", "first byte, p50", _MILLI),
    Row("first-byte", "first_byte_p99", "first byte, p99", _MILLI),
    Row("first-byte", "first_event_p50", "first event, p50", _MILLI),
    Row("first-byte", "first_event_p99", "first event, p99", _MILLI),
    Row("first-byte", "run_p50", "run of 5 events, p50", _MILLI),
    Row("first-byte", "cpu_per_run", "CPU per run", _MILLI),
    Row("first-byte", "database_cpu_per_run", "CPU of the database per run", _MILLI, ratio=False),
    Row("thread-age", "start_young", "run start, young thread", _MILLI),
    Row("thread-age", "start_old", "run start, old thread", _MILLI),
    Row(
        "thread-age",
        "start_growth",
        "run start, old / young",
        ("x", 1),
        Goal("<= 1.5", below=1.5),
        ratio=False,
    ),
    Row("thread-age", "connect_byte_young", "connect first byte, young", _MILLI),
    Row("thread-age", "connect_byte_old", "connect first byte, old", _MILLI),
    Row(
        "thread-age",
        "connect_byte_growth",
        "connect, old / young",
        ("x", 1),
        Goal("<= 1.5", below=1.5),
        ratio=False,
    ),
    Row("thread-age", "connect_event_old", "connect first event, old", _MILLI),
    Row("thread-age", "connect_whole_old", "connect to its end, old", _MILLI),
    Row("open-streams", "open_seconds", "all open after", ("s", 1), ratio=False),
    Row("open-streams", "rss_per_stream", "memory per stream", ("KB", 1)),
    Row("open-streams", "idle_cpu", "cores in use while idle", ("", 1), ratio=False),
    Row("open-streams", "first_event_p99", "first event, p99", _MILLI),
    Row("open-streams", "cpu_per_run", "CPU per run", _MILLI),
    Row("open-streams", "database_cpu_per_run", "CPU of the database per run", _MILLI, ratio=False),
    Row("open-streams", "peak_rss", "memory, peak", ("MB", 1)),
    Row("model", "tokens_per_second", "tokens per second", ("k/s", 1e-3)),
    Row("model", "cpu_per_token", "CPU per token", _MICRO, Goal("<= 0.5x", at_most_ratio=0.5)),
    Row("model", "database_cpu_per_token", "CPU of the database per token", _MICRO, ratio=False),
    Row("model", "peak_rss", "memory, peak", ("MB", 1)),
    Row("import", "seconds", "import", _MILLI, Goal("< 300 ms", kind=JUMPSEAT_MEMORY, below=0.3)),
)


def number(value: float) -> str:
    """Three digits that matter."""
    if math.isnan(value):
        return "none"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def cell(row: Row, value: float | None, base: float | None) -> str:
    """A value with its ratio to that of the column which the others are compared with."""
    if value is None:
        return "-"
    name, factor = row.unit
    text = f"{number(value * factor)} {name}".rstrip()
    if row.ratio and base:
        text += f" ({number(value / base)}x)"
    return text


def verdict(row: Row, figures: Table, *, judged: bool) -> str:
    """The goals of a line and, if the sizes allow to judge them, whether they are met."""
    told: list[str] = []
    for goal in row.goals:
        value = figures.get(goal.kind.name, {}).get(row.key)
        base = figures.get(goal.base.name, {}).get(row.key)
        met = None if value is None or not judged else goal.met(value, value / base if base else None)
        told.append(goal.text if met is None else f"{goal.text} {'met' if met else 'MISSED'}")
    return ", ".join(told)


def compared_with(kinds: tuple[Kind, ...]) -> Kind | None:
    """The column that ratios are to: the TypeScript runtime, without it SQLite."""
    return next((kind for kind in (TYPESCRIPT_MEMORY, JUMPSEAT_SQLITE) if kind in kinds), None)


def table(scenario: str, figures: Table, kinds: tuple[Kind, ...], *, judged: bool = True) -> str:
    """The lines of one scenario; without ``judged`` the goals are shown, but not compared."""
    lines = [f"{scenario:<32}" + "".join(f"{kind.title:>{_WIDTH}}" for kind in kinds) + "  goal (SQLite's)"]
    base = compared_with(kinds)
    for row in ROWS:
        if row.scenario != scenario or not any(row.key in of_kind for of_kind in figures.values()):
            continue
        compared = figures.get(base.name, {}).get(row.key) if base else None
        cells: list[str] = []
        for kind in kinds:
            own = None if kind is base else compared
            cells.append(f"{cell(row, figures.get(kind.name, {}).get(row.key), own):>{_WIDTH}}")
        lines.append(
            f"  {row.label:<30}" + "".join(cells) + f"  {verdict(row, figures, judged=judged)}".rstrip()
        )
    return "\n".join(lines)
