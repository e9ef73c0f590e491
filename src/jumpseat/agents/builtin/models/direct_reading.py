"""Goes through one answer: in the library's events, and past the library where text is only appended."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from jumpseat.agents.builtin.models.library import Streamed
from jumpseat.agents.builtin.models.upstream_events import EventReader
from jumpseat.agents.builtin.parts import ReasoningDelta, StreamPart, TextDelta, ToolInputDelta

if TYPE_CHECKING:
    from jumpseat.agents.builtin.models.tap import AnswerTap

__all__ = ["read_events"]

_DELTAS = (TextDelta, ReasoningDelta, ToolInputDelta)


async def read_events(
    opened: Streamed, reader: EventReader, deadline: float | None
) -> AsyncGenerator[StreamPart]:
    """Yield the parts of an answer up to its end, which is ``reader.finish``'s to tell.

    Args:
        opened: The call.
        reader: Reads the library's events.
        deadline: By the loop's clock, for what is read past the library, which has limits of its own.

    Raises:
        TimeoutError: The deadline has passed.
    """
    tap = opened.tap
    async with aclosing(aiter(opened.response)) as events:
        async for event in events:
            parts = reader.read(event)
            if tap is None or not parts:
                for part in parts:
                    yield part
            elif tap.repeats:
                for part in parts:
                    if not isinstance(part, _DELTAS):
                        yield part
            else:
                for part in parts:
                    yield part
                async with aclosing(_read_on(tap, parts, deadline)) as following:
                    async for part in following:
                        yield part


async def _read_on(
    tap: AnswerTap, parts: Sequence[StreamPart], deadline: float | None
) -> AsyncGenerator[StreamPart]:
    """Yield what follows ``parts`` for as long as it only appends to the last of them.

    That the library made of an event's text a part with the same text, and nothing else, shows that it would
    do the same with the texts that follow.
    """
    last, appended = parts[-1], tap.appended()
    if appended is None or not isinstance(last, _DELTAS) or last.delta != appended[1]:
        return
    async with aclosing(tap.texts(appended, deadline)) as pages:
        async for texts in pages:
            for text in texts:
                yield _more(last, text)


def _more(last: TextDelta | ReasoningDelta | ToolInputDelta, text: str) -> StreamPart:
    match last:
        case TextDelta():
            return TextDelta(delta=text, id=last.id)
        case ReasoningDelta():
            return ReasoningDelta(delta=text, id=last.id)
        case ToolInputDelta():
            return ToolInputDelta(id=last.id, delta=text)
