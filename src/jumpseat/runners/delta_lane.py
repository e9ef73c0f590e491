"""The short cut for what most of a run is: plain deltas of one message, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import msgspec

from jumpseat.protocol.codec import encode_json
from jumpseat.protocol.compact import Compactor
from jumpseat.protocol.events import (
    BaseEvent,
    Event,
    ReasoningMessageChunk,
    ReasoningMessageContent,
    TextMessageChunk,
    TextMessageContent,
    ToolCallArgs,
    ToolCallChunk,
)
from jumpseat.protocol.reduce import Reducer

__all__ = ["DeltaLane", "open_lane"]

_encode_text: Final = msgspec.json.Encoder().encode
_DELTAS: Final = (TextMessageContent, ReasoningMessageContent, ToolCallArgs)
_CHUNKS: Final = (TextMessageChunk, ReasoningMessageChunk, ToolCallChunk)
_OF_CALLS: Final = (ToolCallArgs, ToolCallChunk)


class DeltaLane:
    """Takes further deltas that differ from the last event in nothing but their text.

    Every other event closes the lane, so what a lane takes is legal, needs no look-up, and its encoded form
    is known but for the delta.
    """

    __slots__ = (
        "_compact",
        "_delta",
        "_head",
        "_id",
        "_id_key",
        "_kind",
        "_of_call",
        "_of_chunk",
        "_reduce",
        "_tag",
    )

    def __init__(
        self,
        source: BaseEvent,
        stored: BaseEvent,
        reduce: Callable[[str], None],
        compact: Callable[[str], None],
    ) -> None:
        self._kind = type(source)
        self._tag = cast("str", source.__struct_config__.tag)
        self._of_call = isinstance(source, _OF_CALLS)
        self._of_chunk = isinstance(source, _CHUNKS)
        self._id_key = "toolCallId" if self._of_call else "messageId"
        self._id = delta_id(stored)
        self._head = b'{"type":%b,"%b":%b,"delta":' % (
            encode_json(stored.__struct_config__.tag),
            self._id_key.encode(),
            encode_json(self._id),
        )
        self._delta = ""
        self._reduce = reduce
        self._compact = compact

    def encoded(self, item: Any) -> bytes | None:
        """Return the encoded event of an item that belongs here, ``None`` for any other item."""
        kind = cast("type[object]", type(item))
        if kind is self._kind:
            own_id = item.tool_call_id if self._of_call else item.message_id
            if (
                (own_id != self._id and not (own_id is None and self._of_chunk))
                or item.subagent_run_id is not None
                or item.extra is not None
                or item.metadata is not None
                or item.raw_event is not None
                or item.timestamp is not None
            ):
                return None
            delta = item.delta
        elif kind is dict:
            if len(item) != 3 or item.get("type") != self._tag or item.get(self._id_key) != self._id:
                return None
            delta = item.get("delta")
        else:
            return None
        if type(delta) is not str:
            return None
        try:
            data = self._head + _encode_text(delta) + b"}"
        except UnicodeEncodeError:
            return None
        self._delta = delta
        return data

    def keep(self) -> None:
        """Add the item that was encoded last to its message."""
        self._reduce(self._delta)
        self._compact(self._delta)


def open_lane(source: Event, stored: Event, reducer: Reducer, compactor: Compactor) -> DeltaLane | None:
    """Return a lane for what may follow ``source``, an item that was stored as ``stored``, if any."""
    if not isinstance(stored, _DELTAS) or not _is_plain(stored):
        return None
    if type(source) is not type(stored) and not isinstance(source, _CHUNKS):
        return None
    reduce, compact = reducer.sink(stored), compactor.sink()
    if reduce is None or compact is None:
        return None
    return DeltaLane(source, stored, reduce, compact)


def delta_id(event: BaseEvent) -> str:
    """Return the id of the message or call that a delta belongs to."""
    return event.tool_call_id if isinstance(event, ToolCallArgs) else cast("Any", event).message_id


def _is_plain(event: TextMessageContent | ReasoningMessageContent | ToolCallArgs) -> bool:
    return (
        event.subagent_run_id is None
        and event.extra is None
        and event.metadata is None
        and event.timestamp is None
    )
