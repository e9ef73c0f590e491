"""What an after middleware learns of an event stream: its messages, its thread and its run."""

from __future__ import annotations

from typing import Any, Final, TypeAlias, cast

from jumpseat.agents.sse_parser import SseParser
from jumpseat.errors import EventTooLarge
from jumpseat.protocol import codec

__all__ = ["MAX_TEXT_BYTES", "StreamRecord"]

MAX_TEXT_BYTES: Final = 8 * 1024 * 1024

Json: TypeAlias = dict[str, Any]


class _Call:
    """A tool call as it grows."""

    __slots__ = ("args", "id", "name")

    def __init__(self, call_id: str, name: str) -> None:
        self.id = call_id
        self.name = name
        self.args: list[str] = []

    def wire(self) -> Json:
        return {"id": self.id, "name": self.name, "args": "".join(self.args)}


class _Message:
    """A message as it grows; ``text`` is ``None`` until there is any."""

    __slots__ = ("answers", "calls", "id", "role", "text")

    def __init__(self, message_id: str, role: str) -> None:
        self.id = message_id
        self.role = role
        self.text: list[str] | None = None
        self.calls: list[_Call] = []
        self.answers: str | None = None

    def wire(self) -> Json:
        wire: Json = {"id": self.id, "role": self.role}
        if self.text is not None:
            wire["content"] = "".join(self.text)
        if self.calls:
            wire["toolCalls"] = [call.wire() for call in self.calls]
        if self.answers is not None:
            wire["toolCallId"] = self.answers
        return wire


class StreamRecord:
    """Rebuilds messages from the bytes of an event stream as they are sent.

    The last MESSAGES_SNAPSHOT is the result when there is one, otherwise what the events spell out. At most
    8 MiB of text are kept; what comes after that is left out.

    Attributes:
        thread_id: Of the last RUN_STARTED.
        run_id: Of the last RUN_STARTED.
    """

    def __init__(self, max_text_bytes: int = MAX_TEXT_BYTES) -> None:
        self.thread_id: str | None = None
        self.run_id: str | None = None
        # A frame holds one event of at most 8 MiB and its id line.
        self._parser: SseParser | None = SseParser(MAX_TEXT_BYTES + 65536)
        self._room = max_text_bytes
        self._snapshot: list[Any] | None = None
        self._snapshot_size = 0
        self._messages: dict[str, _Message] = {}
        self._calls: dict[str, _Call] = {}

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream; never raises for what they hold."""
        if self._parser is None:
            return
        try:
            for frame in self._parser.feed(data):
                self._take(frame)
        except EventTooLarge:
            self._parser = None

    def messages(self) -> list[Any]:
        """Return the messages so far as JSON objects, tool calls as ``{"id", "name", "args"}``."""
        if self._snapshot is not None:
            return self._snapshot
        return [message.wire() for message in self._messages.values()]

    def _take(self, frame: bytes) -> None:
        try:
            event = codec.decode_json(frame)
        except ValueError:
            return
        if isinstance(event, dict):
            self._apply(cast("Json", event), len(frame))

    def _apply(self, event: Json, size: int) -> None:
        match event.get("type"):
            case "RUN_STARTED":
                self.thread_id, self.run_id = event.get("threadId"), event.get("runId")
            case "MESSAGES_SNAPSHOT":
                self._take_snapshot(event.get("messages"), size)
            case "TEXT_MESSAGE_START" | "TEXT_MESSAGE_CONTENT" | "TEXT_MESSAGE_CHUNK":
                self._take_text(event)
            case "TOOL_CALL_START" | "TOOL_CALL_ARGS" | "TOOL_CALL_CHUNK":
                self._take_call(event)
            case "TOOL_CALL_RESULT":
                self._take_result(event)
            case _:
                pass

    def _take_snapshot(self, messages: object, size: int) -> None:
        if not isinstance(messages, list):
            return
        self._room += self._snapshot_size
        fits = size <= self._room
        self._snapshot = cast("list[Any]", messages) if fits else []
        self._snapshot_size = size if fits else 0
        self._room -= self._snapshot_size

    def _take_text(self, event: Json) -> None:
        message = self._message(event.get("messageId"), event.get("role"))
        if message is None:
            return
        if message.text is None or event["type"] == "TEXT_MESSAGE_START":
            message.text = []
        message.text.append(self._fitting(event.get("delta")))

    def _take_call(self, event: Json) -> None:
        call = self._calls.get(str(event.get("toolCallId"))) or self._new_call(event)
        if call is not None:
            call.args.append(self._fitting(event.get("delta")))

    def _new_call(self, event: Json) -> _Call | None:
        call_id = event.get("toolCallId")
        name = event.get("toolCallName")
        message = self._message(event.get("parentMessageId") or call_id, None)
        if message is None or not isinstance(call_id, str) or self._room < len(call_id):
            return None
        call = self._calls[call_id] = _Call(call_id, self._fitting(name))
        message.calls.append(call)
        return call

    def _take_result(self, event: Json) -> None:
        message = self._message(event.get("messageId"), "tool")
        if message is not None:
            message.role = "tool"
            message.text = [self._fitting(_text(event.get("content")))]
            message.answers = str(event.get("toolCallId"))

    def _message(self, message_id: object, role: object) -> _Message | None:
        """Return the message of this id, a new one if there is room for it."""
        if not isinstance(message_id, str):
            return None
        message = self._messages.get(message_id)
        if message is None and self._fitting(message_id) == message_id:
            kind = role if isinstance(role, str) else "assistant"
            message = self._messages[message_id] = _Message(message_id, kind)
        return message

    def _fitting(self, text: object) -> str:
        """Return as much of ``text`` as there is room for, and take that room."""
        if not isinstance(text, str) or self._room <= 0:
            return ""
        encoded = text.encode("utf-8", "replace")
        if len(encoded) > self._room:
            text = encoded[: self._room].decode("utf-8", "ignore")
        self._room -= len(encoded)
        return text


def _text(content: object) -> object:
    if not isinstance(content, list):
        return content
    parts = (cast("Json", part) for part in cast("list[object]", content) if isinstance(part, dict))
    return "".join(part["text"] for part in parts if isinstance(part.get("text"), str))
