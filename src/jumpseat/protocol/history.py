"""A thread's past as others need it: what a client rebuilds it from, and tool calls a model accepts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias, cast

import msgspec

from jumpseat.protocol.codec import (
    content_text,
    decode_json,
    decode_message,
    encode_json,
    encode_message,
)
from jumpseat.protocol.inputs import (
    AssistantMessage,
    Message,
    ToolCall,
    ToolMessage,
)
from jumpseat.protocol.shrink import shrink_message

__all__ = ["ThreadView", "prelude", "readable", "repair_tool_history"]

Json: TypeAlias = Any

# Clients give up at 10 MiB. The rest of 8 MiB is for what a transport puts around an event.
MAX_EVENT_BYTES: Final = 8 * 1024 * 1024 - 1024

_SNAPSHOT_HEAD: Final = b'{"type":"MESSAGES_SNAPSHOT","messages":['
# Activity messages a client holds and the snapshot lacks are gone: the view is complete.
_SNAPSHOT_TAIL: Final = b'],"metadata":{"@ag-ui/client":{"authoritativeActivityTypes":null}}}'
_PLACEHOLDER_RESULT: Final = "Forwarded to client"
_NO_RESULT: Final = '{"error":"No result was recorded for this tool call."}'
_EMPTY_STATES: Final = (None, b"null", b"{}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadView:
    """What a thread shows, as the prelude of a connect needs it.

    Attributes:
        run_id: The id the prelude's own lifecycle events carry.
        messages: The encoded messages in order.
        state: The encoded state, if there is one.
        customs: Encoded CUSTOM events that are still open.
        error: Code, message and run id of the newest run, if it failed.
        result: The result of the newest run.
        interrupts: The open interrupts in wire form.
        live: A run is live; its events follow the prelude.
        tail_reasoning: Id of a reasoning message that the live run has started and a client holds
            part of.
        now: Decides which interrupts have expired.
    """

    thread_id: str
    run_id: str
    messages: Sequence[bytes] = ()
    state: bytes | None = None
    customs: Sequence[bytes] = ()
    error: tuple[str | None, str, str] | None = None
    result: Json = None
    interrupts: Sequence[Mapping[str, Json]] = ()
    live: bool = False
    tail_reasoning: str | None = None
    now: datetime


def prelude(view: ThreadView) -> list[bytes]:
    """Return the encoded events from which any client rebuilds the thread, whatever it held before.

    No event is larger than 8 MiB: a larger view comes in parts, in a larger message the longest texts are
    replaced, a larger state is left out.
    """
    events = [*_message_events(view)]
    if view.state not in _EMPTY_STATES:
        state = b'{"type":"STATE_SNAPSHOT","snapshot":' + view.state + b"}"
        if len(state) <= MAX_EVENT_BYTES:
            events.append(state)
    if not view.live:
        events += view.customs
        if view.error is not None:
            events.append(_error_event(view.error))
    events.append(_finish(view))
    return events


def _message_events(view: ThreadView) -> Iterable[bytes]:
    messages = [readable(message) for message in view.messages]
    if view.tail_reasoning is not None:
        messages.append(encode_json({"id": view.tail_reasoning, "role": "reasoning", "content": ""}))
    ids = {"threadId": view.thread_id, "runId": view.run_id}
    started = encode_json({"type": "RUN_STARTED", **ids})
    finished = encode_json({"type": "RUN_FINISHED", **ids})
    # A further part travels as the input of another run start, which clients append in order.
    head = started[:-1] + b',"input":' + encode_json(ids)[:-1] + b',"state":null,"messages":['
    tail = b'],"tools":[],"context":[],"forwardedProps":{}}}'
    room = MAX_EVENT_BYTES - max(len(_SNAPSHOT_HEAD) + len(_SNAPSHOT_TAIL), len(head) + len(tail))
    first, *further = _parts(messages, room)
    yield started
    yield _SNAPSHOT_HEAD + b",".join(first) + _SNAPSHOT_TAIL
    for part in further:
        yield finished
        yield head + b",".join(part) + tail


def _parts(messages: Iterable[bytes], room: int) -> list[list[bytes]]:
    """Split messages into runs that fit into ``room`` bytes with their commas."""
    parts: list[list[bytes]] = [[]]
    left = room
    for message in messages:
        fitting = message if len(message) < room else shrink_message(message, room - 1)
        size = len(fitting) + 1
        if size > left and parts[-1]:
            parts.append([])
            left = room
        parts[-1].append(fitting)
        left -= size
    return parts


def readable(message: bytes) -> bytes:
    """Return the message in the form that every supported client version accepts."""
    if b'"role":"tool"' in message and b'"content":[' in message:
        decoded = decode_message(message)
        if isinstance(decoded, ToolMessage):
            text = content_text(decoded.content)
            return encode_message(msgspec.structs.replace(decoded, content=text))
    return _with_media_parts(message) if b'"type":"binary"' in message else message


def _with_media_parts(message: bytes) -> bytes:
    source = decode_json(message)
    content = source.get("content")
    if not isinstance(content, list):
        return message
    parts = [_media_part(part) for part in cast("list[Json]", content)]
    return encode_json({**source, "content": parts})


def _media_part(part: Json) -> Json:
    """Turn a legacy binary part into the media part it stands for; one with only an id has none."""
    if not isinstance(part, dict) or cast("dict[str, Json]", part).get("type") != "binary":
        return cast("Json", part)
    binary = cast("dict[str, Json]", part)
    kind, value = ("data", binary["data"]) if binary.get("data") else ("url", binary.get("url"))
    if not value:
        return binary
    mime_type = str(binary.get("mimeType"))
    family = mime_type.partition("/")[0]
    media: dict[str, Json] = {
        "type": family if family in ("image", "audio", "video") else "document",
        "source": {"type": kind, "value": value, "mimeType": mime_type},
    }
    if binary.get("filename"):
        media["metadata"] = {"filename": binary["filename"]}
    return media


def _error_event(error: tuple[str | None, str, str]) -> bytes:
    code, message, run_id = error
    # Not a RUN_ERROR: clients raise that again on every connect, or refuse what follows.
    value = {"runId": run_id, "code": code, "message": message}
    return encode_json({"type": "CUSTOM", "name": "jumpseat.run_error", "value": value})


def _finish(view: ThreadView) -> bytes:
    event: dict[str, Json] = {"type": "RUN_FINISHED", "threadId": view.thread_id, "runId": view.run_id}
    if view.result is not None:
        event["result"] = view.result
    interrupts = [] if view.live else [_clean(one) for one in view.interrupts if not _expired(one, view.now)]
    if interrupts:
        event["outcome"] = {"type": "interrupt", "interrupts": interrupts}
    return encode_json(event)


def _clean(interrupt: Mapping[str, Json]) -> dict[str, Json]:
    return {key: value for key, value in interrupt.items() if value is not None}


def _expired(interrupt: Mapping[str, Json], now: datetime) -> bool:
    text = interrupt.get("expiresAt")
    if not isinstance(text, str):
        return False
    try:
        expires = datetime.fromisoformat(text)
    except ValueError:
        # Clients take a date they cannot read for one that never comes.
        return False
    return (expires if expires.tzinfo else expires.replace(tzinfo=UTC)) <= now


def repair_tool_history(
    messages: Sequence[Message], *, pending: Collection[str] = frozenset()
) -> list[Message]:
    """Return ``messages`` with every tool call followed by exactly one result, as models require.

    Each call is kept once, with arguments that are a JSON object; its result comes directly behind
    it; a call nobody answered gets a result that says so; results without a call and assistant
    messages without content go. The input is not changed, and repairing twice changes nothing.

    Args:
        messages: A conversation, in any state a client or a stopped run may leave it in.
        pending: Ids of calls that may stay without a result, because it is about to be added.
    """
    arguments = _best_arguments(messages)
    results = _best_results(messages)
    repaired: list[Message] = []
    for message in messages:
        if isinstance(message, ToolMessage):
            continue
        if not isinstance(message, AssistantMessage) or not message.tool_calls:
            if not isinstance(message, AssistantMessage) or message.content:
                repaired.append(message)
            continue
        calls = _first_calls(message.tool_calls, arguments)
        if not calls and not message.content:
            continue
        repaired.append(_with_calls(message, calls))
        for call in calls:
            result = results.get(call.id)
            if result is not None or call.id not in pending:
                repaired.append(result or _missing_result(call.id))
    return repaired


def _best_arguments(messages: Sequence[Message]) -> dict[str, str]:
    """Return each call's arguments: the longest version that is a JSON object, or an empty object."""
    best: dict[str, str] = {}
    for message in messages:
        for call in (message.tool_calls or ()) if isinstance(message, AssistantMessage) else ():
            arguments, known = call.function.arguments, best.setdefault(call.id, "{}")
            if arguments != known and len(arguments) > len(known) and _is_object(arguments):
                best[call.id] = arguments
    return best


def _best_results(messages: Sequence[Message]) -> dict[str, ToolMessage]:
    """Return each call's last result; one that only says where the call went does not replace another."""
    best: dict[str, ToolMessage] = {}
    for message in messages:
        if isinstance(message, ToolMessage):
            known = best.get(message.tool_call_id)
            if known is None or not _is_placeholder(message) or _is_placeholder(known):
                best[message.tool_call_id] = message
    return best


def _first_calls(calls: Sequence[ToolCall], arguments: dict[str, str]) -> list[ToolCall]:
    """Return the calls that did not come before, taking each out of ``arguments``."""
    first: list[ToolCall] = []
    for call in calls:
        best = arguments.pop(call.id, None)
        if best is not None:
            same = best == call.function.arguments
            first.append(call if same else _with_arguments(call, best))
    return first


def _with_arguments(call: ToolCall, arguments: str) -> ToolCall:
    function = msgspec.structs.replace(call.function, arguments=arguments)
    return msgspec.structs.replace(call, function=function)


def _with_calls(message: AssistantMessage, calls: list[ToolCall]) -> AssistantMessage:
    if calls == message.tool_calls:
        return message
    return msgspec.structs.replace(message, tool_calls=calls or None)


def _missing_result(call_id: str) -> ToolMessage:
    return ToolMessage(id=f"{call_id}-result", content=_NO_RESULT, tool_call_id=call_id)


def _is_placeholder(result: ToolMessage) -> bool:
    return content_text(result.content).strip() == _PLACEHOLDER_RESULT


def _is_object(arguments: str) -> bool:
    try:
        return isinstance(decode_json(arguments), dict)
    except ValueError:
        return False
