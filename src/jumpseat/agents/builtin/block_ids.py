"""Ids of messages and calls: the provider's where a client can live with it, a fresh one everywhere else."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from uuid import uuid4

from jumpseat.protocol.inputs import AssistantMessage, RunAgentInput

__all__ = ["CallIds", "MessageIds", "fresh_call_id", "fresh_message_id"]

# An index or a short counter ("0", "txt-0", "msg_12") comes again in the next generation.
_COUNTER: Final = re.compile(r"([A-Za-z]+[-_:]?)?\d{1,6}")


def fresh_message_id() -> str:
    """Return an id that nothing else has."""
    return str(uuid4())


def fresh_call_id() -> str:
    """Return a call id that nothing else has, in the form providers accept."""
    return f"call_{uuid4().hex}"


class MessageIds:
    """Ids of the messages and reasoning blocks of one run; none is given twice."""

    __slots__ = ("_used",)

    def __init__(self, given: RunAgentInput) -> None:
        self._used = {message.id for message in given.messages}

    def take(self, wanted: str | None) -> str:
        """Return ``wanted`` if it may name a new block, else a fresh id."""
        if not wanted or wanted in self._used or _COUNTER.fullmatch(wanted):
            wanted = fresh_message_id()
        self._used.add(wanted)
        return wanted


class CallIds:
    """Ids of the calls of one run; none is given twice, and none that the input knows."""

    __slots__ = ("_used", "known")

    def __init__(self, given: RunAgentInput) -> None:
        self.known = dict(_calls_of(given))
        """Calls of the input: id -> name."""
        self._used = set(self.known)

    def take(self, wanted: str) -> str:
        """Return ``wanted`` if no call has it, else a fresh id."""
        if not wanted or wanted in self._used:
            wanted = fresh_call_id()
        self._used.add(wanted)
        return wanted


def _calls_of(given: RunAgentInput) -> Iterable[tuple[str, str]]:
    for message in given.messages:
        if isinstance(message, AssistantMessage):
            for call in message.tool_calls or ():
                yield call.id, call.function.name
