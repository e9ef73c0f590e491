"""AG-UI events among the chunks of another library: they go out as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast, get_args

from jumpseat.agents.builtin.converters.fields import field
from jumpseat.protocol import codec
from jumpseat.protocol.events import BaseEvent, Event

__all__ = ["EVENT_TYPES", "passing_event"]

EVENT_TYPES: Final = frozenset(str(kind.__struct_config__.tag) for kind in get_args(Event))


def passing_event(chunk: object) -> Event | None:
    """Return a chunk that is an AG-UI event (a struct, an ``ag_ui`` model or a dict), ``None`` for others.

    Raises:
        InvalidEvent: Its type is one of AG-UI's, but it is malformed.
    """
    if isinstance(chunk, BaseEvent):
        return cast("Event", chunk)
    if field(chunk, "type") not in EVENT_TYPES or not _is_wire_form(chunk):
        return None
    return codec.accept(chunk)


def _is_wire_form(chunk: Any) -> bool:
    return isinstance(chunk, Mapping) or callable(getattr(chunk, "model_dump_json", None))
