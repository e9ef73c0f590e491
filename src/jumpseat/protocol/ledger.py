"""One run so far: what is open, what may come next, and what would end it legally."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import msgspec

from jumpseat.errors import IllegalEvent
from jumpseat.protocol.attribution import Attribution
from jumpseat.protocol.endings import Ending
from jumpseat.protocol.events import (
    ActivityDelta,
    ActivitySnapshot,
    Custom,
    Event,
    MessagesSnapshot,
    Raw,
    ReasoningEncryptedValue,
    ReasoningEnd,
    ReasoningMessageContent,
    ReasoningMessageEnd,
    ReasoningMessageStart,
    ReasoningStart,
    RunError,
    RunFinished,
    RunStarted,
    StateDelta,
    StateSnapshot,
    StepFinished,
    StepStarted,
    SubagentError,
    SubagentFinished,
    SubagentStarted,
    TextMessageContent,
    TextMessageEnd,
    TextMessageStart,
    ToolCallArgs,
    ToolCallEnd,
    ToolCallResult,
    ToolCallStart,
)
from jumpseat.protocol.inputs import ToolMessage

__all__ = ["Ledger"]


class Ledger:
    """The bookkeeping of one run, fed with every event in order.

    The ids it keeps grow with the number of messages and calls, never with the length of the text.

    Args:
        thread_id: Given to the terminal event.
        run_id: Given to the terminal event.
        warn: Called with a text the first time the agent does something that is repaired.
    """

    __slots__ = (
        "_answered",
        "_attribution",
        "_calls",
        "_open_calls",
        "_reasoning",
        "_run_id",
        "_spans",
        "_steps",
        "_subagents",
        "_texts",
        "_thread_id",
        "_warn",
        "_warned",
        "terminal",
    )

    terminal: RunFinished | RunError | None
    """The agent's own terminal event as it came, once it came."""

    def __init__(self, thread_id: str, run_id: str, *, warn: Callable[[str], None]) -> None:
        self.terminal = None
        self._thread_id = thread_id
        self._run_id = run_id
        self._warn = warn
        self._warned: set[str] = set()
        self._attribution = Attribution(self._warn_once)
        # Dicts serve as ordered sets: closers follow the order of the starts.
        self._texts: dict[str, None] = {}
        self._reasoning: dict[str, None] = {}
        self._spans: dict[str, None] = {}
        self._calls: dict[str, None] = {}
        self._open_calls: set[str] = set()
        self._answered: set[str] = set()
        self._steps: dict[tuple[str | None, str], None] = {}
        # False: finished. The id names one invocation and cannot come again.
        self._subagents: dict[str, bool] = {}

    def accept(self, event: Event) -> Sequence[Event]:
        """Judge the next event of the agent.

        Returns:
            What is to be stored and sent: usually the event alone, nothing when it is dropped, the event
            with the tag of its owner, or a start that was missing and the event. A terminal event is
            kept in ``terminal`` and not returned, because ``close`` writes it.

        Raises:
            IllegalEvent: No client could go on reading after this event.
        """
        if self.terminal is None:
            event = self._attribution.settle(event)
            return self._rules[type(event)](self, event)
        self._warn_once("event after the run's terminal event: dropped")
        return ()

    def replay(self, event: Event) -> None:
        """Take in an event of a stored log, to close a run that somebody else executed."""
        try:
            self.accept(event)
        except IllegalEvent as error:
            self._warn_once(f"stored log: {error}")

    def close(self, ending: Ending, settled: Sequence[ActivitySnapshot] = ()) -> list[Event]:
        """Return what ends the run in every client: ends of all that is open, then one terminal.

        Args:
            ending: The cause; see ``endings``.
            settled: Activity snapshots that go before the terminal.
        """
        events: list[Event] = [ReasoningMessageEnd(message_id=message_id) for message_id in self._reasoning]
        events += [ReasoningEnd(message_id=message_id) for message_id in self._spans]
        events += [TextMessageEnd(message_id=message_id) for message_id in self._texts]
        events += self._close_calls(ending)
        events += [
            StepFinished(step_name=name, subagent_run_id=owner) for owner, name in reversed(self._steps)
        ]
        events += self._close_subagents(ending)
        events += settled
        events.append(self._with_ids(ending.terminal))
        return events

    def _close_calls(self, ending: Ending) -> list[Event]:
        events: list[Event] = []
        content = ending.result.content() if ending.result else None
        for call_id in self._calls:
            if call_id in self._open_calls:
                events.append(ToolCallEnd(tool_call_id=call_id))
            if content is not None and call_id not in self._answered:
                events.append(
                    ToolCallResult(
                        message_id=f"{call_id}-result", tool_call_id=call_id, content=content, role="tool"
                    )
                )
        return events

    def _close_subagents(self, ending: Ending) -> list[Event]:
        running = [subagent for subagent, active in reversed(self._subagents.items()) if active]
        terminal = ending.terminal
        if isinstance(terminal, RunError):
            return [SubagentError(subagent_run_id=subagent, message=terminal.message) for subagent in running]
        return [SubagentFinished(subagent_run_id=subagent) for subagent in running]

    def _with_ids(self, terminal: RunFinished | RunError) -> Event:
        if isinstance(terminal, RunFinished):
            return msgspec.structs.replace(terminal, thread_id=self._thread_id, run_id=self._run_id)
        return terminal

    def _warn_once(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self._warn(text)

    def _pass(self, event: Any) -> Sequence[Event]:
        return (event,)

    def _started(self, _event: RunStarted) -> Sequence[Event]:
        return ()

    def _ended(self, event: RunFinished | RunError) -> Sequence[Event]:
        self.terminal = event
        return ()

    def _text_start(self, event: TextMessageStart) -> Sequence[Event]:
        if event.message_id in self._texts:
            raise IllegalEvent(
                f"TEXT_MESSAGE_START: message {event.message_id!r} is already open; end it first"
            )
        self._texts[event.message_id] = None
        return (event,)

    def _text_content(self, event: TextMessageContent) -> Sequence[Event]:
        if event.message_id in self._texts:
            return (event,)
        raise IllegalEvent(
            _no_start("TEXT_MESSAGE_CONTENT", "message", event.message_id, "TEXT_MESSAGE_START")
        )

    def _text_end(self, event: TextMessageEnd) -> Sequence[Event]:
        if event.message_id not in self._texts:
            raise IllegalEvent(
                _no_start("TEXT_MESSAGE_END", "message", event.message_id, "TEXT_MESSAGE_START")
            )
        del self._texts[event.message_id]
        return (event,)

    def _call_start(self, event: ToolCallStart) -> Sequence[Event]:
        call_id = event.tool_call_id
        if call_id in self._open_calls:
            raise IllegalEvent(f"TOOL_CALL_START: tool call {call_id!r} is already open; end it first")
        self._open_calls.add(call_id)
        self._calls[call_id] = None
        return (event,)

    def _call_args(self, event: ToolCallArgs) -> Sequence[Event]:
        if event.tool_call_id in self._open_calls:
            return (event,)
        raise IllegalEvent(_no_start("TOOL_CALL_ARGS", "tool call", event.tool_call_id, "TOOL_CALL_START"))

    def _call_end(self, event: ToolCallEnd) -> Sequence[Event]:
        if event.tool_call_id not in self._open_calls:
            raise IllegalEvent(_no_start("TOOL_CALL_END", "tool call", event.tool_call_id, "TOOL_CALL_START"))
        self._open_calls.discard(event.tool_call_id)
        return (event,)

    def _call_result(self, event: ToolCallResult) -> Sequence[Event]:
        self._answered.add(event.tool_call_id)
        return (event,)

    def _messages(self, event: MessagesSnapshot) -> Sequence[Event]:
        self._answered.update(
            message.tool_call_id for message in event.messages if isinstance(message, ToolMessage)
        )
        return (event,)

    def _step_start(self, event: StepStarted) -> Sequence[Event]:
        step = (event.subagent_run_id, event.step_name)
        if step in self._steps:
            raise IllegalEvent(f"STEP_STARTED: step {event.step_name!r} is already active; finish it first")
        self._steps[step] = None
        return (event,)

    def _step_end(self, event: StepFinished) -> Sequence[Event]:
        step = (event.subagent_run_id, event.step_name)
        if step not in self._steps:
            raise IllegalEvent(_no_start("STEP_FINISHED", "step", event.step_name, "STEP_STARTED"))
        del self._steps[step]
        return (event,)

    def _reasoning_start(self, event: ReasoningMessageStart) -> Sequence[Event]:
        if event.message_id in self._reasoning:
            self._warn_once("second REASONING_MESSAGE_START of an open message: dropped")
            return ()
        self._reasoning[event.message_id] = None
        return (event,)

    def _reasoning_content(self, event: ReasoningMessageContent) -> Sequence[Event]:
        if event.message_id in self._reasoning:
            return (event,)
        self._warn_once("REASONING_MESSAGE_CONTENT without REASONING_MESSAGE_START: start inserted")
        self._reasoning[event.message_id] = None
        start = ReasoningMessageStart(message_id=event.message_id, subagent_run_id=event.subagent_run_id)
        return (start, event)

    def _reasoning_end(self, event: ReasoningMessageEnd) -> Sequence[Event]:
        if event.message_id not in self._reasoning:
            self._warn_once("REASONING_MESSAGE_END without REASONING_MESSAGE_START: dropped")
            return ()
        del self._reasoning[event.message_id]
        return (event,)

    def _span_start(self, event: ReasoningStart) -> Sequence[Event]:
        if event.message_id in self._spans:
            self._warn_once("second REASONING_START of an open span: dropped")
            return ()
        self._spans[event.message_id] = None
        return (event,)

    def _span_end(self, event: ReasoningEnd) -> Sequence[Event]:
        if event.message_id not in self._spans:
            self._warn_once("REASONING_END without REASONING_START: dropped")
            return ()
        del self._spans[event.message_id]
        return (event,)

    def _subagent_start(self, event: SubagentStarted) -> Sequence[Event]:
        subagent, parent = event.subagent_run_id, event.parent_subagent_run_id
        if subagent in self._subagents:
            raise IllegalEvent(
                f"SUBAGENT_STARTED: subagent {subagent!r} was already started; every invocation needs its own"
            )
        if parent is not None and parent not in self._subagents:
            raise IllegalEvent(_no_start("SUBAGENT_STARTED", "parent subagent", parent, "SUBAGENT_STARTED"))
        self._subagents[subagent] = True
        return (event,)

    def _subagent_end(self, event: SubagentFinished | SubagentError) -> Sequence[Event]:
        subagent = event.subagent_run_id
        if not self._subagents.get(subagent):
            name = "SUBAGENT_ERROR" if isinstance(event, SubagentError) else "SUBAGENT_FINISHED"
            raise IllegalEvent(_no_start(name, "subagent", subagent, "SUBAGENT_STARTED"))
        self._subagents[subagent] = False
        return (event,)

    _rules: ClassVar[dict[type, Callable[[Ledger, Any], Sequence[Event]]]] = {
        RunStarted: _started,
        RunFinished: _ended,
        RunError: _ended,
        TextMessageStart: _text_start,
        TextMessageContent: _text_content,
        TextMessageEnd: _text_end,
        ToolCallStart: _call_start,
        ToolCallArgs: _call_args,
        ToolCallEnd: _call_end,
        ToolCallResult: _call_result,
        MessagesSnapshot: _messages,
        StepStarted: _step_start,
        StepFinished: _step_end,
        ReasoningStart: _span_start,
        ReasoningMessageStart: _reasoning_start,
        ReasoningMessageContent: _reasoning_content,
        ReasoningMessageEnd: _reasoning_end,
        ReasoningEnd: _span_end,
        SubagentStarted: _subagent_start,
        SubagentFinished: _subagent_end,
        SubagentError: _subagent_end,
        StateSnapshot: _pass,
        StateDelta: _pass,
        ActivitySnapshot: _pass,
        ActivityDelta: _pass,
        Raw: _pass,
        Custom: _pass,
        ReasoningEncryptedValue: _pass,
    }


def _no_start(event: str, noun: str, name: str, opener: str) -> str:
    return f"{event}: {noun} {name!r} is not open; send {opener} first"
