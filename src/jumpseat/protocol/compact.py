"""A finished run's events with neighbouring deltas joined, so that a kept log is small."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from jumpseat.protocol.codec import decode, encode
from jumpseat.protocol.events import (
    Event,
    ReasoningMessageContent,
    TextMessageContent,
    ToolCallArgs,
)

__all__ = ["Compactor", "compact"]

_DELTAS: Final = frozenset({TextMessageContent, ToolCallArgs, ReasoningMessageContent})
_NO_EVENT: Final[type] = object


class Compactor:
    """Joins neighbouring deltas of the same type, id and subagent while a run goes on.

    Joined events keep the first timestamp and the metadata of all, later keys winning, and lose
    their raw events. Nothing else changes, and nothing changes its place. An event with keys that
    AG-UI does not define stays as it is.
    """

    __slots__ = (
        "_data",
        "_deltas",
        "_first",
        "_id",
        "_kind",
        "_metadata",
        "_subagent",
        "_timestamp",
        "_written",
    )

    def __init__(self) -> None:
        self._written: list[bytes] = []
        self._kind: Any = _NO_EVENT
        self._id = ""
        self._subagent: str | None = None
        self._data = b""
        self._deltas: list[str] = []
        self._metadata: dict[str, Any] | None = None
        self._timestamp: float | None = None

    def add(self, event: Event, data: bytes) -> None:
        """Take the next event; ``data`` is its encoded form."""
        kind = type(event)
        if kind is self._kind:
            delta: Any = event
            own_id: str = delta.tool_call_id if kind is ToolCallArgs else delta.message_id
            if own_id == self._id and delta.subagent_run_id == self._subagent and delta.extra is None:
                self._deltas.append(delta.delta)
                if delta.metadata is not None:
                    self._metadata = {**(self._metadata or {}), **delta.metadata}
                if self._timestamp is None:
                    self._timestamp = delta.timestamp
                return
        self._begin(kind, event, data)

    def sink(self) -> Callable[[str], None] | None:
        """Return what takes further plain deltas of the event added last, until anything else is used.

        ``None`` when the last event was no delta.
        """
        return None if self._kind is _NO_EVENT else self._deltas.append

    def result(self) -> list[bytes]:
        """Return the encoded events so far; deltas added later are not joined to them."""
        self._flush()
        return list(self._written)

    def _begin(self, kind: type, event: Any, data: bytes) -> None:
        self._flush()
        if kind not in _DELTAS or event.extra is not None:
            self._written.append(data)
            return
        self._kind = kind
        self._id = event.tool_call_id if kind is ToolCallArgs else event.message_id
        self._subagent = event.subagent_run_id
        self._data = data
        self._deltas = [event.delta]
        self._metadata = event.metadata
        self._timestamp = event.timestamp

    def _flush(self) -> None:
        if self._kind is _NO_EVENT:
            return
        self._written.append(self._data if len(self._deltas) == 1 else encode(self._joined()))
        self._kind = _NO_EVENT
        self._deltas = []

    def _joined(self) -> Any:
        id_field = "tool_call_id" if self._kind is ToolCallArgs else "message_id"
        fields: dict[str, Any] = {id_field: self._id}
        return self._kind(
            **fields,
            delta="".join(self._deltas),
            subagent_run_id=self._subagent,
            timestamp=self._timestamp,
            metadata=self._metadata,
        )


def compact(events: Iterable[bytes]) -> list[bytes]:
    """Return the encoded events of a log with neighbouring deltas joined; twice changes nothing."""
    compactor = Compactor()
    for data in events:
        event = decode(data)
        if type(event) in _DELTAS and encode(event) != data:
            # Decoding forgets unknown keys: what does not come out as it went in has some.
            event.extra = {}
        compactor.add(event, data)
    return compactor.result()
