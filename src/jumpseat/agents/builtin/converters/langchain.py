"""From the chunks of a LangChain model, or of a LangGraph graph, to stream parts."""

from __future__ import annotations

from collections.abc import AsyncIterable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as member
from typing import Any, Final, cast

from jumpseat.agents.builtin.block_ids import fresh_call_id
from jumpseat.agents.builtin.converters.base import Converter, Item
from jumpseat.agents.builtin.converters.fields import field, has_field
from jumpseat.agents.builtin.converters.langchain_content import content_parts
from jumpseat.agents.builtin.converters.passing import EVENT_TYPES
from jumpseat.agents.builtin.converters.upstream import async_stream, events_in, plain
from jumpseat.agents.builtin.parts import (
    ApprovalRequest,
    StepBreak,
    TextDelta,
    TextEnd,
    TextStart,
    ToolCall,
    ToolFailure,
    ToolInputDelta,
    ToolInputEnd,
    ToolInputStart,
    ToolResult,
    Usage,
    UsageReport,
)
from jumpseat.protocol.events import Custom, StateSnapshot
from jumpseat.protocol.inputs import RunAgentInput

__all__ = ["open_langchain"]

_EXPECTED: Final = "model.astream(...) or graph.astream(..., stream_mode=[...])"
_MESSAGES: Final = frozenset({"AIMessageChunk", "ai", "tool"})
_INTERRUPT: Final = "__interrupt__"
_COUNTS: Final = (
    ("input_tokens", "input_tokens", None),
    ("output_tokens", "output_tokens", None),
    ("total_tokens", "total_tokens", None),
    ("reasoning_tokens", "output_token_details", "reasoning"),
    ("cached_input_tokens", "input_token_details", "cache_read"),
    ("cache_write_input_tokens", "input_token_details", "cache_creation"),
)


def open_langchain(returned: Any, given: RunAgentInput) -> Converter:
    """Return the converter for the chunks of a model or of a graph, in any of the forms a graph has.

    Raises:
        TypeError: ``returned`` is no stream.
    """
    return _LangChain(async_stream(returned, _EXPECTED), given)


@dataclass(slots=True)
class _Answer:
    """One message of a model while it streams."""

    id: str | None
    calls: dict[Hashable, str] = member(default_factory=dict[Hashable, str])
    open_call: str | None = None
    reasoning_at: Hashable = None
    ended: bool = False
    counts: dict[str, Any] = member(default_factory=dict[str, Any])
    provider: str | None = None
    model: str | None = None


class _LangChain:
    def __init__(self, stream: AsyncIterable[Any], given: RunAgentInput) -> None:
        self.stream = stream
        self._known: set[str | None] = {message.id for message in given.messages}
        self._answers: dict[str | None, _Answer] = {}
        self._current: _Answer | None = None
        self._has_messages_mode = False
        self._has_values = False
        self._interrupts: set[str] = set()

    def feed(self, chunk: Any) -> Iterable[Item]:
        if isinstance(chunk, str):
            # What a chain yields that ends in a parser of texts.
            return (TextDelta(delta=chunk),)
        if isinstance(chunk, tuple | list):
            return self._listed(cast("Sequence[Any]", chunk))
        kind = field(chunk, "type")
        if kind in _MESSAGES:
            return self._message(chunk, None)
        if kind in EVENT_TYPES:
            return events_in(chunk)
        if isinstance(kind, str) and has_field(chunk, "ns"):
            return self._mode(kind, field(chunk, "data"), field(chunk, "ns"), field(chunk, "interrupts"))
        # What a graph yields whose only mode tells what its nodes returned.
        return self._updates(cast("Mapping[str, Any]", chunk)) if isinstance(chunk, Mapping) else ()

    def end(self) -> Iterable[Item]:
        for answer in self._answers.values():
            yield from self._end_answer(answer)

    def _listed(self, chunk: Sequence[Any]) -> Iterable[Item]:
        if len(chunk) == 3:
            return self._mode(chunk[1], chunk[2], chunk[0], None)
        if len(chunk) != 2:
            return ()
        first, second = chunk
        if isinstance(first, str):
            return self._mode(first, second, (), None)
        if isinstance(first, tuple | list):
            # One mode, with the graph's name in front.
            return self.feed(second)
        self._has_messages_mode = True
        return self._message(first, second)

    def _mode(self, mode: str, data: Any, namespace: Any, interrupts: Any) -> Iterable[Item]:
        if mode == "messages":
            self._has_messages_mode = True
            return self._message(data[0], data[1])
        if mode == "updates":
            return self._updates(data)
        if mode == "custom":
            return (Custom(name="langgraph", value=plain(data)),)
        if mode == "values":
            return self._values(data, interrupts, is_root=not namespace)
        return ()

    # --- messages

    def _message(self, message: Any, metadata: Any) -> Iterable[Item]:
        kind = field(message, "type")
        if kind == "AIMessageChunk":
            return self._chunk(message, metadata)
        if kind == "ai":
            return self._whole(message, metadata)
        return self._tool_message(message) if kind == "tool" else ()

    def _chunk(self, message: Any, metadata: Any) -> Iterator[Item]:
        message_id = field(message, "id")
        self._known.add(message_id)
        answer = self._answer(message_id)
        answer.reasoning_at, parts = content_parts(message, answer.id, answer.reasoning_at)
        if answer.id not in self._answers:
            if not (parts or field(message, "tool_call_chunks") or field(message, "usage_metadata")):
                # The id of an empty first chunk may be none of those that follow.
                return
            # Of two messages that stream at once neither may end the other.
            if self._answers and all(other.ended for other in self._answers.values()):
                yield StepBreak()
            self._answers[answer.id] = answer
        self._current = answer
        yield from parts
        for call in field(message, "tool_call_chunks") or ():
            yield from self._call_chunk(answer, call)
        _count(answer, message, metadata)
        if field(message, "chunk_position") == "last":
            yield from self._end_answer(answer)

    def _answer(self, message_id: str | None) -> _Answer:
        if message_id is None and self._current is not None:
            return self._current
        return self._answers.get(message_id) or _Answer(message_id)

    def _call_chunk(self, answer: _Answer, chunk: Mapping[str, Any]) -> Iterator[Item]:
        call_id, name, arguments = field(chunk, "id"), field(chunk, "name"), field(chunk, "args")
        place = field(chunk, "index")
        known = answer.calls.get(place) if place is not None else answer.open_call
        if _begins_call(known, place, call_id, name):
            if answer.open_call is not None:
                yield ToolInputEnd(id=answer.open_call)
            known = call_id or fresh_call_id()
            yield ToolInputStart(id=known, name=name or "")
        elif known is None:
            known = self._take_open_call()
        if known is None:
            return
        answer.calls[place] = answer.open_call = known
        if arguments:
            yield ToolInputDelta(id=known, delta=arguments)

    def _take_open_call(self) -> str | None:
        # The first chunk may have named the message otherwise.
        for other in reversed(self._answers.values()):
            if (open_call := other.open_call) is not None:
                other.open_call = None
                return open_call
        return None

    def _end_answer(self, answer: _Answer) -> Iterator[Item]:
        answer.ended = True
        if answer.open_call is not None:
            yield ToolInputEnd(id=answer.open_call)
            answer.open_call = None
        counts, answer.counts = answer.counts, {}
        if counts:
            yield UsageReport(usage=Usage(**counts, provider=answer.provider, model=answer.model))

    def _whole(self, message: Any, metadata: Any) -> Iterator[Item]:
        message_id = field(message, "id")
        if message_id is not None and message_id in self._known:
            return
        self._known.add(message_id)
        answer = _Answer(message_id)
        self._answers[message_id] = answer
        yield TextStart(id=message_id)
        _, parts = content_parts(message, message_id, None)
        yield from parts
        yield TextEnd()
        for call in field(message, "tool_calls") or ():
            call_id = field(call, "id") or fresh_call_id()
            yield ToolCall(id=call_id, name=field(call, "name"), input=field(call, "args"))
        _count(answer, message, metadata)
        yield from self._end_answer(answer)

    def _tool_message(self, message: Any) -> Iterable[Item]:
        call_id, content = field(message, "tool_call_id"), field(message, "content")
        if field(message, "status") == "error":
            return (ToolFailure(id=call_id, error=content if isinstance(content, str) else plain(content)),)
        name = field(message, "name")
        return (ToolResult(id=call_id, name=name, output=plain(content), verbatim=True),)

    # --- graphs

    def _updates(self, data: Mapping[str, Any]) -> Iterator[Item]:
        for node, update in data.items():
            if node == _INTERRUPT:
                yield from self._waiting(update)
            elif not self._has_messages_mode:
                # With that mode on each message comes there, unless the graph hides it.
                for returned in _several(update):
                    yield from self._returned(returned)

    def _returned(self, update: Any) -> Iterator[Item]:
        if not isinstance(update, Mapping):
            return
        messages = cast("Mapping[str, Any]", update).get("messages")
        for message in _several(messages):
            yield from self._message(message, None)

    def _values(self, data: Any, interrupts: Any, *, is_root: bool) -> Iterator[Item]:
        state = dict(cast("Mapping[str, Any]", data)) if isinstance(data, Mapping) else plain(data)
        if not isinstance(state, dict):
            return
        members = cast("dict[str, Any]", state)
        messages, waiting = members.pop("messages", None), members.pop(_INTERRUPT, None)
        if not self._has_values and isinstance(messages, list):
            # What the graph remembers of earlier runs is not said again.
            self._has_values = True
            self._known |= {field(message, "id") for message in cast("list[Any]", messages)}
        # A graph whose state is its messages has nothing to say about the client's.
        if is_root and members:
            yield StateSnapshot(snapshot=plain(members))
        yield from self._waiting(waiting)
        yield from self._waiting(interrupts)

    def _waiting(self, interrupts: Any) -> Iterator[Item]:
        for interrupt in interrupts or ():
            own_id, value = field(interrupt, "id"), field(interrupt, "value")
            if own_id in self._interrupts:
                continue
            self._interrupts.add(own_id)
            schema = field(interrupt, "response_schema")
            yield ApprovalRequest(
                id=own_id,
                reason="interrupt",
                message=value if isinstance(value, str) else None,
                response_schema=cast("dict[str, Any]", schema) if isinstance(schema, dict) else None,
                metadata={"value": plain(value)},
            )


def _begins_call(known: str | None, place: Hashable, call_id: str | None, name: str | None) -> bool:
    if known is None:
        return bool(name or call_id)
    if not name:
        return False
    return call_id != known if call_id else place is None


def _several(value: Any) -> Sequence[Any]:
    return cast("Sequence[Any]", value) if isinstance(value, list | tuple) else (value,)


def _count(answer: _Answer, message: Any, metadata: Any) -> None:
    about: Any = field(message, "response_metadata")
    if answer.provider is None:
        answer.provider = field(about, "model_provider") or field(metadata, "ls_provider")
    if answer.model is None:
        answer.model = field(about, "model_name") or field(metadata, "ls_model_name")
    usage = field(message, "usage_metadata")
    if usage is None:
        return
    for name, source, detail in _COUNTS:
        count = field(usage, source)
        if detail is not None:
            count = field(count, detail)
        if isinstance(count, int):
            # Some providers count the input with the first chunk and the output with the last.
            answer.counts[name] = answer.counts.get(name, 0) + count
