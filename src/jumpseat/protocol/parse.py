"""Request bodies to RunAgentInput: what any supported AG-UI client sends is accepted, the rest named."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias, cast
from uuid import uuid4

import msgspec

from jumpseat.errors import InvalidInput
from jumpseat.protocol.codec import decode_json, from_wire, scrub, scrubbed
from jumpseat.protocol.inputs import (
    AssistantMessage,
    BinaryPart,
    ContentPart,
    Message,
    RunAgentInput,
    TextPart,
    ToolMessage,
    UserMessage,
)

__all__ = ["parse_input", "parse_run_input"]

Json: TypeAlias = Any

MAX_DEPTH: Final = 256
MAX_ID_LENGTH: Final = 512
_BOM: Final = b"\xef\xbb\xbf"
_CONTROL: Final = re.compile("[\0-\x1f\x7f-\x9f]")
_FAULT: Final = re.compile(r"(?P<text>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_MISSING_FIELD: Final = re.compile(r"Object missing required field `(.*)`")
_BAD_TAG: Final = re.compile(r"Invalid value (.*)", re.DOTALL)
_CONTAINERS: Final = frozenset({dict, list})


def parse_run_input(body: bytes) -> RunAgentInput:
    """Return the RunAgentInput that ``body`` holds as JSON.

    Optional fields that are null count as absent, a missing ``runId`` becomes a fresh UUID, lone
    surrogates become U+FFFD, and unknown keys are kept.

    Raises:
        InvalidInput: The body is no UTF-8 JSON or no RunAgentInput; ``detail`` begins with the path
            of the first fault.
    """
    try:
        value = decode_json(body.removeprefix(_BOM))
    except UnicodeDecodeError as error:
        raise InvalidInput(f"body: not UTF-8 at byte {_first_bad_byte(body)}") from error
    except ValueError as error:
        raise InvalidInput(f"body: not JSON: {error}") from error
    return _parse(value, maybe_surrogates=b"\\ud" in body or b"\\uD" in body)


def _first_bad_byte(body: bytes) -> int:
    # The decoder counts from the beginning of the string that it was reading.
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return error.start
    return 0


def parse_input(value: object) -> RunAgentInput:
    """Return the RunAgentInput that an already decoded JSON value is; see ``parse_run_input``."""
    return _parse(value, maybe_surrogates=True)


def _parse(value: object, *, maybe_surrogates: bool) -> RunAgentInput:
    if not isinstance(value, dict):
        raise InvalidInput(f"body: expected an object, got {_kind_of(value)}")
    source = {key: entry for key, entry in cast("dict[str, Json]", value).items() if entry is not None}
    _check_depth(source)
    if source.get("runId", "") == "":
        source["runId"] = str(uuid4())
    clean = scrubbed(source) if maybe_surrogates else source
    if clean is not source:
        # In text they are replaced; in an id they would make two ids equal, so NUL stands in for them.
        _check_ids(_convert(scrub(source, "\0")))
    parsed = _convert(clean)
    _check_ids(parsed)
    _check_parts(parsed.messages)
    return parsed


def _check_depth(source: dict[str, Json]) -> None:
    """Refuse deep nesting level by level, because walking it later would exhaust the stack."""
    level: list[Json] = [source]
    depth = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise InvalidInput(f"body: more than {MAX_DEPTH} levels of nesting")
        level = [child for container in level for child in _children(container)]


def _children(container: dict[str, Json] | list[Json]) -> list[Any]:
    members = container.values() if isinstance(container, dict) else container
    return [member for member in members if type(member) in _CONTAINERS]


def _convert(source: dict[str, Json]) -> RunAgentInput:
    try:
        return from_wire(source, RunAgentInput)
    except msgspec.ValidationError:
        pass
    try:
        # Clients differ in which keys they know, so an odd value of such a key counts as absent.
        return from_wire(_without_oddities(source), RunAgentInput)
    except msgspec.ValidationError as error:
        raise InvalidInput(_complaint(str(error))) from error


def _without_oddities(source: dict[str, Json]) -> dict[str, Json]:
    cleaned = dict(source)
    for name, clean in (("messages", _plain_message), ("tools", _plain), ("resume", _plain)):
        if name in source:
            cleaned[name] = _each(source[name], clean)
    return cleaned


def _plain_message(message: dict[str, Json]) -> dict[str, Json]:
    cleaned = _plain(message)
    if not isinstance(cleaned.get("subagentRunId", ""), str):
        del cleaned["subagentRunId"]
    if cleaned.get("role") == "activity" and not isinstance(cleaned.get("encryptedValue", ""), str):
        del cleaned["encryptedValue"]
    if "toolCalls" in cleaned:
        cleaned["toolCalls"] = _each(cleaned["toolCalls"], _plain)
    if cleaned.get("role") in ("user", "tool") and "content" in cleaned:
        cleaned["content"] = _each(cleaned["content"], _plain_part)
    return cleaned


def _plain_part(part: dict[str, Json]) -> dict[str, Json]:
    cleaned = dict(part)
    if part.get("type") != "binary" and not isinstance(part.get("id", ""), str):
        del cleaned["id"]
    source = part.get("source")
    if isinstance(source, dict):
        cleaned["source"] = _plain_source(cast("dict[str, Json]", source))
    return cleaned


def _plain_source(source: dict[str, Json]) -> dict[str, Json]:
    if source.get("type") == "file" or isinstance(source.get("provider", ""), str):
        return source
    return {key: entry for key, entry in source.items() if key != "provider"}


def _plain(item: dict[str, Json]) -> dict[str, Json]:
    cleaned = {key: entry for key, entry in item.items() if entry is not None}
    if not isinstance(cleaned.get("metadata", {}), dict):
        del cleaned["metadata"]
    return cleaned


def _each(items: Json, clean: Callable[[dict[str, Json]], dict[str, Json]]) -> Json:
    if not isinstance(items, list):
        return items
    entries = cast("list[Json]", items)
    return [clean(cast("dict[str, Json]", item)) if isinstance(item, dict) else item for item in entries]


def _check_ids(parsed: RunAgentInput) -> None:
    if not 1 <= len(parsed.thread_id) <= MAX_ID_LENGTH or _CONTROL.search(parsed.thread_id):
        raise InvalidInput(f"threadId: must be 1 to {MAX_ID_LENGTH} characters without control characters")
    if len(parsed.run_id) > MAX_ID_LENGTH or _CONTROL.search(parsed.run_id):
        raise InvalidInput(f"runId: must be at most {MAX_ID_LENGTH} characters without control characters")
    for path, identifier in _ids(parsed):
        if "\0" in identifier:
            raise InvalidInput(f"{path}: must not hold NUL or half of a surrogate pair")


def _ids(parsed: RunAgentInput) -> Iterator[tuple[str, str]]:
    yield "threadId", parsed.thread_id
    yield "runId", parsed.run_id
    yield "parentRunId", parsed.parent_run_id or ""
    for index, message in enumerate(parsed.messages):
        yield f"messages[{index}].id", message.id
        if message.subagent_run_id is not None:
            yield f"messages[{index}].subagentRunId", message.subagent_run_id
        if isinstance(message, ToolMessage):
            yield f"messages[{index}].toolCallId", message.tool_call_id
        elif isinstance(message, AssistantMessage):
            for number, call in enumerate(message.tool_calls or ()):
                yield f"messages[{index}].toolCalls[{number}].id", call.id
    for index, entry in enumerate(parsed.resume or ()):
        yield f"resume[{index}].interruptId", entry.interrupt_id


def _check_parts(messages: Sequence[Message]) -> None:
    for index, message in enumerate(messages):
        if isinstance(message, (UserMessage, ToolMessage)) and not isinstance(message.content, str):
            for number, part in enumerate(message.content):
                _check_part(part, f"messages[{index}].content[{number}]")


def _check_part(part: ContentPart, path: str) -> None:
    if isinstance(part, TextPart):
        return
    if isinstance(part, BinaryPart):
        if not (part.id or part.url or part.data):
            raise InvalidInput(f"{path}: a binary part needs an id, a url or data")
    elif part.source.type == "data" and part.source.mime_type is None:
        raise InvalidInput(f"{path}.source.mimeType: required")


def _complaint(error: str) -> str:
    fault = _FAULT.fullmatch(error)
    text, path = (fault["text"], fault["path"] or "") if fault else (error, "")
    missing = _MISSING_FIELD.fullmatch(text)
    if missing:
        field = missing[1]
        return f"{path}.{field}: required" if path else f"{field}: required"
    bad = _BAD_TAG.fullmatch(text)
    if bad:
        text = f"unknown {path.rpartition('.')[2]} {bad[1]}"
    return f"{path or 'body'}: {text[:1].lower()}{text[1:]}"


def _kind_of(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "a number"
