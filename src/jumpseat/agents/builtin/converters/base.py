"""What every converter of a foreign stream is: a stream, and a function from its chunks to parts."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import Any, Protocol, TypeAlias

from jumpseat.agents.builtin.parts import StreamPart
from jumpseat.protocol.events import Event
from jumpseat.protocol.inputs import RunAgentInput

__all__ = ["Converter", "Item", "OpenConverter"]

# AG-UI events among the parts go out as they are.
Item: TypeAlias = StreamPart | Event


class Converter(Protocol):
    """One upstream stream on its way to parts; made for one run."""

    @property
    def stream(self) -> AsyncIterable[Any]:
        """The upstream's chunks."""
        ...

    def feed(self, chunk: Any) -> Iterable[Item]:
        """Return what a chunk says; nothing for a kind of chunk that says nothing to a client."""
        ...

    def end(self) -> Iterable[Item]:
        """Return what is known only when the upstream has ended: usage, approvals that wait."""
        ...


class OpenConverter(Protocol):
    """The one public function of a converter module."""

    def __call__(self, returned: Any, given: RunAgentInput) -> Converter:
        """Return the converter for what a factory returned.

        Raises:
            TypeError: It is nothing that this type of factory returns; the message says what it should be.
        """
        ...
