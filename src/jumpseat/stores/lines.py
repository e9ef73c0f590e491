"""The lines of an export: what each kind holds, and how bytes are written as JSON.

The format is described in docs/reference/export.md; ``VERSION`` rises when a reader of the one before could
not make the same threads of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

from jumpseat.stores.base import DumpedEvents, DumpedRun, DumpedThread, Entry, RunHeader, ThreadRecord

__all__ = [
    "VERSION",
    "CompleteLine",
    "EndLine",
    "EntryLine",
    "EventsLine",
    "GoneLine",
    "HeaderLine",
    "Line",
    "RunLine",
    "ThreadLine",
    "decode_line",
    "encode_line",
    "event_lines",
    "line_size",
]

VERSION: Final = 1
_LINE_BYTES: Final = 1 << 20
_LINE_EVENTS: Final = 1_000

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=(1 << 31) - 1)]
Ordinal: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=(1 << 31) - 1)]
Wide: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=(1 << 53) - 1)]


class _Base64(msgspec.Struct, forbid_unknown_fields=True):
    base64: bytes


Payload: TypeAlias = str | _Base64


class _Line(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="kind",
):
    pass


class HeaderLine(_Line, tag="header", frozen=True, kw_only=True):
    """The first line."""

    jumpseat: int


class ThreadLine(_Line, tag="thread", frozen=True, kw_only=True):
    """A thread, whose parts follow."""

    id: str
    owner: str | None = None
    agent_id: str
    name: str | None = None
    renamed: bool = False
    archived: bool = False
    created_at: Wide
    updated_at: Wide
    last_run_at: Wide
    active_at: Wide
    runs: Ordinal
    trimmed: Count = 0
    digest: Payload | None = None

    @classmethod
    def of(cls, thread: DumpedThread) -> ThreadLine:
        """Write a thread."""
        values: dict[str, Any] = msgspec.structs.asdict(thread.record)
        return cls(
            **values,
            active_at=thread.active_at,
            runs=thread.runs,
            trimmed=thread.trimmed,
            digest=_optional_payload(thread.digest),
        )

    def thread(self) -> DumpedThread:
        """Read it."""
        values = {name: getattr(self, name) for name in ThreadRecord.__struct_fields__}
        return DumpedThread(
            record=ThreadRecord(**values),
            active_at=self.active_at,
            runs=self.runs,
            trimmed=self.trimmed,
            digest=_optional_bytes(self.digest),
        )


class RunLine(_Line, tag="run", frozen=True, kw_only=True):
    """A run without its events."""

    run_key: str
    run_id: str
    agent_id: str
    ordinal: Ordinal
    status: Literal["finished", "failed", "stopped", "lost"]
    parent: Count | None = None
    created_at: Wide
    sealed_at: Wide
    last_seq: Count
    raw: bool = False
    terminal: Payload | None = None
    record: Payload | None = None
    pending: Payload | None = None
    state: Payload | None = None

    @classmethod
    def of(cls, run: DumpedRun) -> RunLine:
        """Write a run."""
        values: dict[str, Any] = msgspec.structs.asdict(run.header)
        for name in ("terminal", "record", "pending"):
            values[name] = _optional_payload(values[name])
        return cls(**values, state=_optional_payload(run.state))

    def run(self) -> DumpedRun:
        """Read it."""
        values: dict[str, Any] = {name: getattr(self, name) for name in RunHeader.__struct_fields__}
        for name in ("terminal", "record", "pending"):
            values[name] = _optional_bytes(values[name])
        return DumpedRun(header=RunHeader(**values), state=_optional_bytes(self.state))


class EntryLine(_Line, tag="entry", frozen=True, kw_only=True):
    """A message as some runs show it."""

    position: Annotated[int, msgspec.Meta(ge=-(1 << 53) + 1, le=(1 << 53) - 1)]
    key: str
    aliases: tuple[str, ...] = ()
    digest: Payload = ""
    data: Payload
    shown_from: Ordinal
    hidden_at: Ordinal | None = None

    @classmethod
    def of(cls, entry: Entry) -> EntryLine:
        """Write an entry."""
        values: dict[str, Any] = msgspec.structs.asdict(entry)
        values["digest"], values["data"] = _payload(entry.digest), _payload(entry.data)
        return cls(**values)

    def entry(self) -> Entry:
        """Read it."""
        values: dict[str, Any] = {name: getattr(self, name) for name in Entry.__struct_fields__}
        values["digest"], values["data"] = _bytes(self.digest), _bytes(self.data)
        return Entry(**values)


class EventsLine(_Line, tag="events", frozen=True, kw_only=True):
    """Events of a run: compacted ones, or with ``raw`` those of its log, from number ``first`` on."""

    run_key: str
    raw: bool = False
    first: Ordinal = 1
    events: list[Payload]

    def part(self) -> DumpedEvents:
        """Read it."""
        events = [_bytes(event) for event in self.events]
        return DumpedEvents(run_key=self.run_key, raw=self.raw, first=self.first, events=events)


class CompleteLine(_Line, tag="complete", frozen=True, kw_only=True):
    """The thread above is complete; how many lines of each kind it has, so that a lost one is noticed.

    Its runs are counted by the thread itself.
    """

    thread: str
    entries: Wide
    events: Wide


class GoneLine(_Line, tag="gone", frozen=True, kw_only=True):
    """The thread above was deleted while it was exported: its lines are void."""

    thread: str


class EndLine(_Line, tag="end", frozen=True, kw_only=True):
    """The last line: without it a file is cut off."""

    threads: Wide


Line: TypeAlias = (
    HeaderLine | ThreadLine | RunLine | EntryLine | EventsLine | CompleteLine | GoneLine | EndLine
)

_encode = msgspec.json.Encoder().encode
decode_line = msgspec.json.Decoder[Line](Line).decode


def encode_line(line: Line) -> bytes:
    """Return a line with its end."""
    return _encode(line) + b"\n"


def event_lines(part: DumpedEvents) -> Iterator[EventsLine]:
    """Yield the events in lines of about 1 MiB at most (one larger event alone); an empty part is a line."""
    start = 0
    while start < len(part.events) or start == 0:
        stop = _fitting(part.events, start)
        events = [_payload(event) for event in part.events[start:stop]]
        yield EventsLine(run_key=part.run_key, raw=part.raw, first=part.first + start, events=events)
        if stop == 0:
            return
        start = stop


def line_size(line: Line) -> int:
    """Return about how many bytes the payloads of a line have."""
    match line:
        case RunLine():
            payloads = [line.terminal, line.record, line.pending, line.state]
        case EntryLine():
            payloads = [line.data]
        case EventsLine():
            payloads = line.events
        case _:
            return 0
    return sum(len(one if isinstance(one, str) else one.base64) for one in payloads if one is not None)


def _fitting(events: Sequence[bytes], start: int) -> int:
    size = 0
    stop = min(len(events), start + _LINE_EVENTS)
    for index in range(start, stop):
        size += len(events[index])
        if size > _LINE_BYTES:
            return max(index, start + 1)
    return stop


def _payload(data: bytes) -> Payload:
    """Return text as text, and what is none in base 64."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return _Base64(data)


def _optional_payload(data: bytes | None) -> Payload | None:
    return None if data is None else _payload(data)


def _bytes(payload: Payload) -> bytes:
    return payload.encode() if isinstance(payload, str) else payload.base64


def _optional_bytes(payload: Payload | None) -> bytes | None:
    return None if payload is None else _bytes(payload)
