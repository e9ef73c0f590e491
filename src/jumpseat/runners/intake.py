"""One run's events from what an agent yields to the bytes that are stored.

Every item is validated, its chunks expanded, checked against the run so far, reduced to messages and
state, compacted, and encoded once.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from jumpseat.errors import EventTooLarge, InvalidEvent, RunTooLarge, UnsendableEvent
from jumpseat.protocol.chunks import ChunkExpander
from jumpseat.protocol.codec import accept, decode, encode, encode_json, from_wire
from jumpseat.protocol.compact import Compactor
from jumpseat.protocol.endings import Ending
from jumpseat.protocol.events import (
    ActivityDelta,
    ActivitySnapshot,
    BaseEvent,
    Custom,
    Event,
    MessagesSnapshot,
    ReasoningEncryptedValue,
    RunError,
    RunFinished,
    RunStarted,
    StateDelta,
    StateSnapshot,
)
from jumpseat.protocol.inputs import Message
from jumpseat.protocol.jsonpatch import PatchError, apply_patch
from jumpseat.protocol.ledger import Ledger
from jumpseat.protocol.reduce import Reducer
from jumpseat.runners.delta_lane import DeltaLane, open_lane
from jumpseat.runners.options import Limits
from jumpseat.runners.pending import LEGACY_INTERRUPT

__all__ = ["Intake"]

logger = logging.getLogger("jumpseat.runs")

# Room for the cursor and the framing around an event's JSON.
_FRAME_ROOM = 128


class Intake:
    """Turns one agent stream into one legal, encoded event sequence.

    Attributes:
        out: Encoded events that have not been stored yet, in order.
        out_bytes: Their size.
        customs: Encoded legacy interrupt events of this run.
        reducer: The thread's messages and state as this run leaves them.
        closed_with: The terminal, once the run was closed.
        referred: Ids that events spoke of without adding what they name.
        has_view: ``reducer`` knows the whole view, not only the request's messages.
    """

    def __init__(
        self,
        thread_id: str,
        run_id: str,
        *,
        messages: Sequence[Message],
        state: Any,
        limits: Limits,
        state_bytes: int = 0,
        has_view: bool = False,
    ) -> None:
        self.out: list[bytes] = []
        self.out_bytes = 0
        self.customs: list[bytes] = []
        self.referred: set[str] = set()
        self.has_view = has_view
        self.closed_with: RunFinished | RunError = RunFinished()
        self._limits = limits
        self._small = limits.max_event_bytes - _FRAME_ROOM
        self._max_events = limits.max_run_events
        self._max_bytes = limits.max_run_bytes
        self._count = 0
        self._bytes = 0
        self._state_bytes = state_bytes
        self._warned: set[str] = set()
        self._where = f"run {run_id!r} of thread {thread_id!r}"
        self._chunks = ChunkExpander()
        self._ledger = Ledger(thread_id, run_id, warn=self._warn)
        self.reducer = Reducer(messages, state, warn=self._warn)
        self._compactor = Compactor()
        self._plain: list[bytes] | None = None
        self._reducing = True
        self._lane: DeltaLane | None = None
        self._last: BaseEvent | None = None

    @property
    def terminal(self) -> RunFinished | RunError | None:
        """The agent's own terminal event, once it came."""
        return self._ledger.terminal

    @property
    def size(self) -> int:
        """How many bytes the run's encoded events have so far."""
        return self._bytes

    @property
    def compacted(self) -> list[bytes]:
        """The run's events in the form that is kept."""
        return self._plain if self._plain is not None else self._compactor.result()

    def opened(self, first: bytes) -> None:
        """Count the RUN_STARTED that the claim stored."""
        self._count += 1
        self._bytes += len(first)
        self._keep(decode(first), first)

    def take_delta(self, item: object) -> bool:
        """Take an item that continues the text before it; say whether it was one.

        Raises ``RunTooLarge`` or ``EventTooLarge``.
        """
        if self._lane is None:
            return False
        data = self._lane.encoded(item)
        if data is None:
            return False
        size = len(data)
        if size > self._small or self._count >= self._max_events or self._bytes + size > self._max_bytes:
            self._check_limits("delta", size)
        self._lane.keep()
        self._count += 1
        self._bytes += size
        self.out.append(data)
        self.out_bytes += size
        return True

    def validate(self, item: object) -> Event | None:
        """Return what an agent yielded as an event, ``None`` if it is to be dropped.

        Raises ``InvalidEvent``.
        """
        try:
            return accept(item)
        except UnsendableEvent as error:
            self._warn_once(error.subject, f"dropped: {error}")
            return None

    def needs_view(self, event: Event) -> bool:
        """Say whether ``event`` can only be taken after ``rebase``."""
        if self.has_view:
            return False
        return isinstance(event, MessagesSnapshot) or (
            isinstance(event, RunStarted) and bool(self._foreign_messages(event))
        )

    def rebase(self, view: Sequence[Message]) -> None:
        """Make the whole stored view known."""
        self._lane = None
        self.reducer.rebase(view)
        self.has_view = True

    def reduce_again(self, view: Sequence[Message]) -> None:
        """Reduce the closed run's events once more, on the whole view instead of the request's messages."""
        reducer = Reducer(view, None, warn=lambda _: None)
        for event in map(decode, self.compacted):
            if not isinstance(event, StateSnapshot | StateDelta):
                reducer.apply(event)
        reducer.state = self.reducer.state
        self.reducer = reducer
        self.has_view = True

    def take(self, event: Event) -> None:
        """Add one validated event. Raises ``RunFailure`` when it breaks a rule or a limit."""
        self._lane = None
        source = event
        if isinstance(event, RunStarted):
            foreign = self._foreign_messages(event)
            if not foreign:
                return
            event = MessagesSnapshot(messages=[*self.reducer.messages, *foreign])
        for expanded in self._chunks.expand(event):
            # Before the ledger believes it: what is not stored must not be closed, nor count as an end.
            data = self._bounded(expanded)
            for legal in self._ledger.accept(expanded):
                self._add(legal, data if legal is expanded else encode(legal))
        if self._reducing and self._last is not None:
            self._lane = open_lane(source, cast("Event", self._last), self.reducer, self._compactor)

    def replay(self, data: bytes) -> None:
        """Feed one event of a stored log; nothing is put out."""
        event = decode(data)
        self._bytes += len(data)
        self._ledger.replay(event)
        self._keep(event, data)

    def close(self, ending: Ending, settled: Sequence[ActivitySnapshot] = ()) -> None:
        """Add the closers and the terminal, beyond every limit."""
        self._lane = None
        closing = self._ledger.close(ending, settled)
        for event in closing:
            self._add(event, encode(event))
        self.closed_with = cast("RunFinished | RunError", closing[-1])

    def _bounded(self, event: Event) -> bytes:
        """Return the encoded event; empty for one that is not stored now. Raises for one over a limit."""
        if self._ledger.terminal is not None or isinstance(event, RunFinished | RunError | RunStarted):
            return b""
        data = encode(event)
        self._check_limits(str(event.__struct_config__.tag), len(data))
        self._check_state(event, len(data))
        return data

    def _add(self, event: BaseEvent, data: bytes) -> None:
        self._count += 1
        self._bytes += len(data)
        self._keep(event, data)
        self._last = event
        self.out.append(data)
        self.out_bytes += len(data)

    def _check_limits(self, kind: str, size: int) -> None:
        limits = self._limits
        if size > self._small:
            raise EventTooLarge(
                f"{kind} has {size} bytes; with its frame it may have {limits.max_event_bytes}: "
                "send it in smaller pieces"
            )
        if self._count >= limits.max_run_events:
            raise RunTooLarge(f"The run has more than {limits.max_run_events} events")
        if self._bytes + size > limits.max_run_bytes:
            raise RunTooLarge(f"The run has more than {limits.max_run_bytes} bytes")

    def _check_state(self, event: BaseEvent, size: int) -> None:
        # Measuring the folded state costs its size, so it happens only when the deltas could add up to it.
        if isinstance(event, StateSnapshot):
            self._state_bytes = size
        elif isinstance(event, StateDelta):
            self._state_bytes += size
            if self._state_bytes > self._limits.max_event_bytes:
                self._state_bytes = self._folded_bytes(event)
        if self._state_bytes > self._limits.max_event_bytes:
            raise EventTooLarge(
                f"The state has {self._state_bytes} bytes, the limit is {self._limits.max_event_bytes}"
            )

    def _folded_bytes(self, event: StateDelta) -> int:
        try:
            return len(encode_json(apply_patch(self.reducer.state, event.delta)))
        except PatchError:
            return len(encode_json(self.reducer.state))

    def _keep(self, event: BaseEvent, data: bytes) -> None:
        if isinstance(event, Custom) and event.name == LEGACY_INTERRUPT:
            self.customs.append(data)
        elif isinstance(event, ActivityDelta):
            self.referred.add(event.message_id)
        elif isinstance(event, ReasoningEncryptedValue):
            self.referred.add(event.entity_id)
        if not self._reducing:
            cast("list[bytes]", self._plain).append(data)
            return
        try:
            self.reducer.apply(cast("Event", event))
            self._compactor.add(cast("Event", event), data)
        except Exception:
            logger.exception("reducing %s failed; its log is kept as it is", self._where)
            self._reducing = False
            self._plain = [*self._compactor.result(), data]

    def _foreign_messages(self, event: RunStarted) -> list[Message]:
        sources = (event.input or {}).get("messages")
        if not isinstance(sources, list):
            return []
        known = {message.id for message in self.reducer.messages}
        try:
            messages = [
                from_wire(source, cast("type[Any]", Message)) for source in cast("list[Any]", sources)
            ]
        except msgspec.ValidationError as error:
            raise InvalidEvent(f"RUN_STARTED.input.messages: {error}") from error
        return [message for message in messages if message.id not in known]

    def _warn_once(self, subject: str, text: str) -> None:
        if subject not in self._warned:
            self._warned.add(subject)
            self._warn(text)

    def _warn(self, text: str) -> None:
        logger.warning("%s: %s", self._where, text)
