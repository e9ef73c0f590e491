"""Streams of other libraries for the tests of the factory converters: recorded, and run through one."""

import asyncio
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jumpseat.agents.builtin.factory import convert_stream
from jumpseat.protocol import codec
from jumpseat.protocol.inputs import RunAgentInput

RECORDED = Path(__file__).parent / "unit" / "agents" / "builtin" / "converters" / "recorded"
SECONDS = 10
FREE = {"input", "output", "data", "providerMetadata"}


def recorded(kind: str, name: str) -> list[dict[str, Any]]:
    """Return the chunks that a library really sent."""
    return [json.loads(line) for line in (RECORDED / kind / f"{name}.jsonl").read_text().splitlines()]


def run_input(**members: Any) -> RunAgentInput:
    """Return the input of a run, members in wire form."""
    return codec.from_wire({"threadId": "t-1", "runId": "r-1", "messages": [], **members}, RunAgentInput)


async def converted(kind: str, chunks: Any, **members: Any) -> list[dict[str, Any]]:
    """Return the events, in wire form, that a factory of type ``kind`` makes of the chunks."""
    stream = stream_of(chunks) if isinstance(chunks, list) else chunks
    async with asyncio.timeout(SECONDS):
        events = convert_stream(stream, type=kind, input=run_input(**members))
        return [codec.to_wire(event) async for event in events]


async def stream_of(chunks: Any) -> Any:
    """Yield the chunks; an exception among them is raised."""
    for chunk in chunks:
        if isinstance(chunk, BaseException):
            raise chunk
        yield chunk


def as_objects(value: Any) -> Any:
    """Return dicts as objects with snake_case attributes; what an application put in stays as it is."""
    if isinstance(value, dict):
        members = {
            re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", key).lower(): member
            if key in FREE
            else as_objects(member)
            for key, member in value.items()
        }
        return SimpleNamespace(**members)
    return [as_objects(item) for item in value] if isinstance(value, list) else value


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """Return the events' types."""
    return [event["type"] for event in events]


def of(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Return the events of a type."""
    return [event for event in events if event["type"] == kind]


def text_of(events: list[dict[str, Any]], kind: str = "TEXT_MESSAGE_CONTENT") -> str:
    """Return the deltas of a type as one text."""
    return "".join(event["delta"] for event in of(events, kind))


def results(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Return call id -> content, once per result."""
    found = of(events, "TOOL_CALL_RESULT")
    assert len({event["toolCallId"] for event in found}) == len(found)
    return {event["toolCallId"]: event["content"] for event in found}


def is_paired(events: list[dict[str, Any]]) -> bool:
    """Say whether the run is whole: one start, one terminal at the end, everything opened closed once."""
    ends = [event for event in events if event["type"] in ("RUN_FINISHED", "RUN_ERROR")]
    spans = [("TEXT_MESSAGE", "messageId"), ("TOOL_CALL", "toolCallId"), ("REASONING_MESSAGE", "messageId")]
    return (
        events[0]["type"] == "RUN_STARTED"
        and ends == [events[-1]]
        and all(
            [e[key] for e in of(events, f"{span}_START")]
            == list(dict.fromkeys(e[key] for e in of(events, f"{span}_START")))
            and sorted(e[key] for e in of(events, f"{span}_START"))
            == sorted(e[key] for e in of(events, f"{span}_END"))
            for span, key in spans
        )
    )
