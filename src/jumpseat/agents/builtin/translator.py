"""From the parts of a model's answer to AG-UI events: one place for ids, pairing and order."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, cast

import msgspec

from jumpseat.agents.builtin.block_ids import CallIds, MessageIds, fresh_message_id
from jumpseat.agents.builtin.parts import (
    ApprovalRequest,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    StepBreak,
    StreamPart,
    TextDelta,
    TextEnd,
    TextStart,
    ToolCall,
    ToolFailure,
    ToolInputDelta,
    ToolInputEnd,
    ToolInputStart,
    ToolOutputDenied,
    ToolResult,
)
from jumpseat.agents.builtin.reasoning import Signature, encrypted_value
from jumpseat.agents.builtin.state import SharedState, state_events
from jumpseat.agents.builtin.tools.results import error_content, progress_event, result_content
from jumpseat.errors import StatePatchError
from jumpseat.protocol.codec import decode_json, encode_json
from jumpseat.protocol.events import (
    Event,
    Interrupt,
    ReasoningEncryptedValue,
    ReasoningMessageChunk,
    ReasoningMessageContent,
    ReasoningMessageEnd,
    ReasoningMessageStart,
    TextMessageChunk,
    TextMessageContent,
    TextMessageEnd,
    TextMessageStart,
    ToolCallArgs,
    ToolCallChunk,
    ToolCallEnd,
    ToolCallResult,
    ToolCallStart,
)
from jumpseat.protocol.events import ReasoningEnd as ReasoningEnded
from jumpseat.protocol.events import ReasoningStart as ReasoningStarted
from jumpseat.protocol.inputs import RunAgentInput, ToolMessage

__all__ = ["OpenCall", "Translator"]

logger = logging.getLogger("jumpseat")

# Events that open, continue or end a message, a call or reasoning.
_SPEAKING: Final = (
    TextMessageStart,
    TextMessageChunk,
    ReasoningStarted,
    ReasoningMessageStart,
    ReasoningMessageChunk,
    ToolCallStart,
    ToolCallChunk,
)
_DENIED: Final = '{"status":"denied"}'


class OpenCall:
    """One call of a model, from its first part to its result.

    Attributes:
        id: Its id on the wire.
        upstream_id: What the provider calls it.
        name: The tool.
        arguments: The JSON text of its arguments so far, as the client has it.
        ended: The arguments are complete.
        answered: It has a result.
        provider_executed: The provider runs it.
    """

    __slots__ = (
        "_pieces",
        "answered",
        "ended",
        "id",
        "name",
        "provider",
        "provider_executed",
        "signature",
        "upstream_id",
    )

    def __init__(self, wire_id: str, upstream_id: str, name: str) -> None:
        self.id = wire_id
        self.upstream_id = upstream_id
        self.name = name
        self.ended = False
        self.answered = False
        self.provider_executed = False
        self.signature: str | None = None
        self.provider: str | None = None
        self._pieces: list[str] = []

    @property
    def arguments(self) -> str:
        """The arguments so far."""
        return "".join(self._pieces)

    @property
    def has_arguments(self) -> bool:
        """Whether any of them came yet."""
        return bool(self._pieces)

    def add(self, delta: str) -> None:
        """Append to the arguments."""
        self._pieces.append(delta)


class Translator:
    """Feeds on the parts of a run in order and returns the events each of them makes.

    Every block is opened once and closed once, text and reasoning never overlap, and no id is used twice.

    Args:
        given: The run's input; its ids are taken.
        provider: Named in the signatures that parts bring without a provider.
        reannounced: Upstream may repeat calls that it announced before, in this run or in the input; they
            are the same calls. Without it they are new calls with a used id, which is then replaced.
        state: Changed by results of the two state tools that come as parts; without it they mean nothing.
    """

    def __init__(
        self,
        given: RunAgentInput,
        *,
        provider: str | None = None,
        reannounced: bool = False,
        state: SharedState | None = None,
    ) -> None:
        self.calls: list[OpenCall] = []
        """The calls of this step, in order."""
        self.interrupts: dict[str, Interrupt] = {}
        """Decisions that the run waits for, by id."""
        self.said_something = False
        """Whether this step made any event."""
        self._provider = provider
        self._reannounced = reannounced
        self._state = state
        self._message_ids = MessageIds(given)
        self._call_ids = CallIds(given)
        self._answered_before = {m.tool_call_id for m in given.messages if isinstance(m, ToolMessage)}
        self._by_upstream: dict[str, OpenCall] = {}
        self._text: str | None = None
        self._text_upstream: str | None = None
        self._text_wanted: str | None = None
        self._reasoning: str | None = None
        self._hidden: list[Signature] = []
        self._results_since_text = False
        self._begin_step()

    @property
    def step_id(self) -> str:
        """The id that stands for this step where no message has another."""
        return self._step_id

    def feed(self, part: StreamPart) -> list[Event]:
        """Return the events that ``part`` makes; none for parts that end or measure a generation."""
        if type(part) is TextDelta and self._text is not None and part.id in (None, self._text_upstream):
            # The short way for what most of a stream is.
            return [TextMessageContent(message_id=self._text, delta=part.delta)] if part.delta else []
        handle = self._handlers.get(type(part))
        if handle is None:
            return []
        events = handle(self, part)
        if events:
            self.said_something = True
        return events

    def new_step(self) -> list[Event]:
        """Close what is open and let what follows belong to another generation."""
        events = self._next_step()
        # What a generation hid is of no use to the calls of another one.
        self._hidden.clear()
        return events

    def close(self) -> list[Event]:
        """Return the ends of everything open."""
        events = self.close_message()
        for call in self.calls:
            events += self._end_call(call)
        return events

    def close_message(self) -> list[Event]:
        """Return the ends of open text and reasoning; calls stay open."""
        return [*self._close_reasoning(), *self._close_text()]

    def result(self, call_id: str, content: str, first: Sequence[Event] = ()) -> list[Event]:
        """Return ``first`` and the one result of the call with this wire id; neither when it has one."""
        call = self._with_wire_id(call_id)
        events = self.close_message()
        if call is not None:
            if call.answered:
                return events
            events += self._end_call(call)
            call.answered = True
        elif call_id in self._answered_before:
            return events
        else:
            self._answered_before.add(call_id)
        self._results_since_text = True
        events += first
        events.append(
            ToolCallResult(message_id=fresh_message_id(), tool_call_id=call_id, role="tool", content=content)
        )
        return events

    def around(self, event: Event) -> list[Event]:
        """Return an event that the developer's stream brought among its parts, made to fit in."""
        if isinstance(event, ToolCallResult):
            call_id = self.wire_id(event.tool_call_id)
            call = self._with_wire_id(call_id)
            name = "" if call is None else call.name
            content = event.content
            first = self._state_events(name, _parsed(content)) if isinstance(content, str) else ()
            events = self.result(call_id, "", first)
            if not any(isinstance(made, ToolCallResult) for made in events):
                return events
            return [*events[:-1], msgspec.structs.replace(event, tool_call_id=call_id)]
        if isinstance(event, _SPEAKING):
            return [*self.close_message(), event]
        return [event]

    def wire_id(self, upstream_id: str) -> str:
        """Return the id on the wire of the call that the provider calls ``upstream_id``."""
        call = self._by_upstream.get(upstream_id)
        return upstream_id if call is None else call.id

    def _next_step(self) -> list[Event]:
        events = self.close()
        self._begin_step()
        return events

    def _begin_step(self) -> None:
        self._step_id = self._message_ids.take(None)
        self._step_id_free = True
        self._parent = self._step_id
        self.calls = []
        self.said_something = False
        self._text_wanted = None
        self._results_since_text = False
        if not self._reannounced:
            self._by_upstream = {}

    def _after_results(self) -> list[Event]:
        # A foreign stream does not say where a generation begins: it is where a model speaks after results.
        if not (self._reannounced and self._results_since_text):
            return []
        said = self.said_something
        events = self._next_step()
        self.said_something = said
        return events

    # --- text

    def _text_start(self, part: TextStart) -> list[Event]:
        events = self.close_message()
        self._text_wanted = part.id
        return events

    def _text_delta(self, part: TextDelta) -> list[Event]:
        events = self._close_reasoning()
        named = part.id or None
        if self._text is not None and named not in (None, self._text_upstream):
            events += self._close_text()
        if not part.delta:
            return events
        if self._text is None:
            wanted = named or self._text_wanted
            events += self._after_results()
            self._text = self._text_id(wanted)
            self._text_upstream = wanted
            self._text_wanted = None
            events.append(TextMessageStart(message_id=self._text, role="assistant"))
        events.append(TextMessageContent(message_id=self._text, delta=part.delta))
        return events

    def _text_id(self, wanted: str | None) -> str:
        taken = self._message_ids.take(wanted)
        if taken != wanted and self._step_id_free:
            taken = self._step_id
        self._step_id_free = False
        self._parent = taken
        return taken

    def _text_end(self, _: TextEnd) -> list[Event]:
        self._text_wanted = None
        return self.close_message()

    def _close_text(self) -> list[Event]:
        if self._text is None:
            return []
        ended, self._text, self._text_upstream = self._text, None, None
        return [TextMessageEnd(message_id=ended)]

    # --- reasoning

    def _reasoning_start(self, part: ReasoningStart) -> list[Event]:
        events = [*self.close_message(), *self._after_results()]
        self._reasoning = self._message_ids.take(part.id)
        events.append(ReasoningStarted(message_id=self._reasoning))
        events.append(ReasoningMessageStart(message_id=self._reasoning, role="reasoning"))
        return events

    def _reasoning_delta(self, part: ReasoningDelta) -> list[Event]:
        if not part.delta:
            return self._close_text()
        events: list[Event] = []
        if self._reasoning is None:
            events += self._reasoning_start(ReasoningStart(id=part.id))
        events.append(ReasoningMessageContent(message_id=cast("str", self._reasoning), delta=part.delta))
        return events

    def _reasoning_end(self, part: ReasoningEnd) -> list[Event]:
        open_block = self._reasoning
        if part.signature is None:
            return self.close_message()
        provider = part.provider or self._provider or ""
        # Before anything changes, because details without a JSON form raise here.
        value = encrypted_value(provider, part.signature, part.id, part.details)
        events = self.close_message()
        if open_block is None:
            self._hidden.append(
                Signature(provider=provider, signature=part.signature, id=part.id, details=part.details)
            )
        else:
            events.append(
                ReasoningEncryptedValue(subtype="message", entity_id=open_block, encrypted_value=value)
            )
        return events

    def _close_reasoning(self) -> list[Event]:
        if self._reasoning is None:
            return []
        ended, self._reasoning = self._reasoning, None
        return [ReasoningMessageEnd(message_id=ended), ReasoningEnded(message_id=ended)]

    # --- calls

    def _input_start(self, part: ToolInputStart) -> list[Event]:
        events = self.close_message()
        if not self._is_new(part.id, part.name):
            return events
        return [*events, *self._after_results(), self._open_call(part.id, part.name)]

    def _input_delta(self, part: ToolInputDelta) -> list[Event]:
        events = self.close_message()
        call = self._by_upstream.get(part.id)
        if call is None or call.ended or not part.delta:
            return events
        call.add(part.delta)
        events.append(ToolCallArgs(tool_call_id=call.id, delta=part.delta))
        return events

    def _input_end(self, part: ToolInputEnd) -> list[Event]:
        events = self.close_message()
        if self._reannounced and (call := self._by_upstream.get(part.id)) is not None:
            events += self._end_call(call)
        return events

    def _call(self, part: ToolCall) -> list[Event]:
        call = self._by_upstream.get(part.id)
        has_streamed = call is not None and not call.ended and call.has_arguments
        # Before anything changes, because what has no JSON form raises here.
        text = "" if has_streamed else _arguments_text(part.input)
        events = self.close_message()
        if call is None or (call.ended and not self._reannounced):
            if not self._is_new(part.id, part.name):
                return events
            events += self._after_results()
            events.append(self._open_call(part.id, part.name))
            call = self.calls[-1]
        call.provider_executed = call.provider_executed or part.provider_executed
        if call.ended:
            return events
        if text and not call.has_arguments:
            call.add(text)
            events.append(ToolCallArgs(tool_call_id=call.id, delta=text))
        if part.signature is not None:
            call.signature, call.provider = part.signature, part.provider
        return [*events, *self._end_call(call)]

    def _is_new(self, upstream_id: str, name: str) -> bool:
        call = self._by_upstream.get(upstream_id)
        if call is not None:
            return not self._reannounced and call.ended
        return not (self._reannounced and self._call_ids.known.get(upstream_id) == name)

    def _open_call(self, upstream_id: str, name: str) -> Event:
        call = OpenCall(self._call_ids.take(upstream_id), upstream_id, name)
        self.calls.append(call)
        self._by_upstream[upstream_id] = call
        return ToolCallStart(tool_call_id=call.id, tool_call_name=name, parent_message_id=self._parent)

    def _end_call(self, call: OpenCall) -> list[Event]:
        if call.ended:
            return []
        call.ended = True
        events: list[Event] = [ToolCallEnd(tool_call_id=call.id)]
        signatures, self._hidden = self._hidden, []
        if call.signature is not None:
            provider = call.provider or self._provider or ""
            signatures.append(Signature(provider=provider, signature=call.signature))
        if signatures:
            *earlier, own = signatures
            value = encrypted_value(own.provider, own.signature, own.id, own.details, earlier=earlier)
            events.append(
                ReasoningEncryptedValue(subtype="tool-call", entity_id=call.id, encrypted_value=value)
            )
        return events

    def _with_wire_id(self, call_id: str) -> OpenCall | None:
        # Few calls are open at a time, and of one run there are never many.
        return next((call for call in self._by_upstream.values() if call.id == call_id), None)

    # --- results and decisions

    def _tool_result(self, part: ToolResult) -> list[Event]:
        call = self._by_upstream.get(part.id)
        name = part.name or ("" if call is None else call.name)
        if part.preliminary:
            return [progress_event(self.wire_id(part.id), name, part.value)]
        value = part.value
        verbatim = part.verbatim and isinstance(value, str)
        content = cast("str", value) if verbatim else result_content(value, name)
        return self.result(self.wire_id(part.id), content, self._state_events(name, value))

    def _state_events(self, name: str, value: Any) -> Sequence[Event]:
        if self._state is None:
            return ()
        try:
            return state_events(name, value, self._state)
        except StatePatchError as error:
            logger.warning("a state change was dropped: %s", error)
            return ()

    def _tool_failure(self, part: ToolFailure) -> list[Event]:
        text = part.error if isinstance(part.error, str) else str(part.error or "The tool failed")
        return self.result(self.wire_id(part.id), error_content(text))

    def _denied(self, part: ToolOutputDenied) -> list[Event]:
        return self.result(self.wire_id(part.id), _DENIED)

    def _approval(self, part: ApprovalRequest) -> list[Event]:
        events = self.close_message()
        call_id = None
        if part.tool_call_id is not None:
            call_id = self.wire_id(part.tool_call_id)
            if (call := self._by_upstream.get(part.tool_call_id)) is not None:
                events += self._end_call(call)
        self.interrupts.setdefault(
            part.id,
            Interrupt(
                id=part.id,
                reason=part.reason,
                message=part.message,
                tool_call_id=call_id,
                response_schema=part.response_schema,
                metadata=part.metadata,
            ),
        )
        return events

    def _step_break(self, _: StepBreak) -> list[Event]:
        return self.new_step()

    _handlers: ClassVar[dict[type[Any], Callable[[Translator, Any], list[Event]]]] = {
        TextStart: _text_start,
        TextDelta: _text_delta,
        TextEnd: _text_end,
        ReasoningStart: _reasoning_start,
        ReasoningDelta: _reasoning_delta,
        ReasoningEnd: _reasoning_end,
        ToolInputStart: _input_start,
        ToolInputDelta: _input_delta,
        ToolInputEnd: _input_end,
        ToolCall: _call,
        ToolResult: _tool_result,
        ToolFailure: _tool_failure,
        ToolOutputDenied: _denied,
        ApprovalRequest: _approval,
        StepBreak: _step_break,
    }


def _parsed(content: str) -> Any:
    try:
        return decode_json(content.encode())
    except ValueError:
        return None


def _arguments_text(given: Any) -> str:
    if given is None:
        return ""
    return given if isinstance(given, str) else encode_json(given).decode()
