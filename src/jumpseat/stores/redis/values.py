"""What scripts answer, as the values of the store contract, and plans and seals as what scripts are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import msgspec

from jumpseat.stores.base import (
    Busy,
    Claimed,
    ClaimResult,
    Foreign,
    Found,
    History,
    Hold,
    Live,
    Located,
    LogPage,
    Moved,
    NewRun,
    Plan,
    Queued,
    Run,
    RunEvents,
    RunHeader,
    Seal,
    ThreadRecord,
)
from jumpseat.stores.refusals import claim_lost, gap
from jumpseat.stores.rows import Rows

__all__ = [
    "ROWS",
    "claim_result",
    "claimed_of",
    "entry_of",
    "header_of",
    "history_of",
    "hold_of",
    "live_of",
    "located_of",
    "page_of",
    "plan_args",
    "record_of",
    "run_entry",
    "run_events_of",
    "seal_args",
    "text",
]

Reply: TypeAlias = Any

_pack = msgspec.msgpack.Encoder().encode
_events = msgspec.msgpack.Decoder(list[bytes]).decode
_entry = msgspec.msgpack.Decoder(tuple[str, str]).decode


def text(data: bytes) -> str:
    """Return the text that a reply holds."""
    return data.decode("utf-8", "surrogatepass")


def _owner(data: bytes | None) -> str | None:
    return None if data is None else text(data)


ROWS: Final = Rows(text=text, owner=_owner)


def run_entry(run_key: str, thread_id: str) -> bytes:
    """Return how the indexes name a run."""
    return _pack((run_key, thread_id))


def entry_of(entry: bytes) -> tuple[str, str]:
    """Return the run key and the thread id that an index names."""
    return _entry(entry)


def plan_args(plan: Plan) -> dict[str, Any]:
    """Return a plan as a script takes it."""
    return msgspec.structs.asdict(plan) | {"add": [msgspec.structs.asdict(one) for one in plan.add]}


def seal_args(seal: Seal) -> dict[str, Any]:
    """Return a seal as a script takes it."""
    return msgspec.structs.asdict(seal) | {
        "plan": plan_args(seal.plan),
        "compacted": _pack(seal.compacted),
        "count": len(seal.compacted),
    }


def claim_result(new: NewRun, reply: Reply) -> ClaimResult:
    """Return what became of a claim. Raises ``ValueError`` for a plan that cannot be."""
    match reply[0]:
        case b"claimed":
            return claimed_of(new.thread_id, reply)
        case b"queued":
            _, epoch, ahead, stop = reply
            return Queued(
                run=Run(new.thread_id, new.run_key, epoch), ahead=ahead, stop_reason=ROWS.optional(stop)
            )
        case b"busy":
            _, run_key, epoch, run_id, expired = reply
            return Busy(
                run=Run(new.thread_id, text(run_key), epoch), run_id=text(run_id), expired=bool(expired)
            )
        case b"moved":
            return Moved(reply[1])
        case b"conflict":
            raise conflict(reply)
        case _:
            return Foreign()


def conflict(reply: Reply) -> ValueError:
    """Return the error for a plan that would show two messages at one position."""
    return ValueError(f"position {reply[1]} already shows a message of an earlier run")


def claimed_of(thread_id: str, reply: Reply) -> Claimed:
    """Return the claim that a script granted."""
    return ROWS.claimed(thread_id, reply[1:], created=bool(reply[13]))


def live_of(thread_id: str, reply: Reply) -> Live | None:
    """Return a live run."""
    return None if reply is None else ROWS.live(thread_id, reply)


def header_of(reply: Reply) -> RunHeader | None:
    """Return a run without its events."""
    return None if reply is None else ROWS.header(reply)


def record_of(reply: Reply) -> ThreadRecord | None:
    """Return a thread's record."""
    return None if reply is None else ROWS.record(reply)


def hold_of(run: Run, first_seq: int, reply: Reply) -> Hold:
    """Return what a writer is told. Raises ``ClaimLost`` and ``ValueError``."""
    match reply[0]:
        case b"held" | b"sealed":
            return Hold.HELD
        case b"stopping":
            return Hold.STOPPING
        case b"gap":
            raise gap(first_seq, reply[1])
        case b"conflict":
            raise conflict(reply)
        case _:
            raise claim_lost(run)


def page_of(reply: Reply) -> LogPage | None:
    """Return a page, or ``None`` when there is nothing yet."""
    match reply[0]:
        case b"page":
            return LogPage(events=reply[1], ended=bool(reply[2]))
        case b"expired":
            return LogPage(events=[], expired=True)
        case b"gone":
            return LogPage(events=[], gone=True)
        case _:
            return None


def located_of(keys: Sequence[str], reply: Reply) -> Located:
    """Return the entries that were asked for."""
    if reply[0] != b"found":
        return Located(foreign=reply[0] == b"foreign")
    names: list[str] = list(keys)
    found: dict[str, Found] = {
        names[index]: Found(text(key), position, digest, shown_from, before, behind)
        for index, key, position, digest, shown_from, before, behind in reply[5]
    }
    return Located(version=reply[1], digest=reply[2], last_position=reply[3], runs=reply[4], found=found)


def history_of(thread_id: str, reply: Reply) -> History | None:
    """Return a picture of a thread."""
    if reply is None:
        return None
    return History(
        entries=sorted(map(ROWS.entry, reply[0]), key=lambda entry: entry.position),
        state=reply[1],
        head=header_of(reply[2]),
        live=live_of(thread_id, reply[3]),
        version=reply[4],
    )


def run_events_of(reply: Reply) -> RunEvents:
    """Return the compacted events of a run."""
    return RunEvents(run_key=text(reply[0]), ordinal=reply[1], events=_events(reply[2]))
