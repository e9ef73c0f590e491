"""The answers that the mock provider gives, and streams that a test writes itself."""

import json
from typing import Any

WEATHER: list[dict[str, Any]] = [
    {
        "match": {"userMessage": "weather", "hasToolResult": False},
        "response": {
            "reasoning": "Let me look.",
            "toolCalls": [
                {"id": "call_1", "name": "weather", "arguments": {"city": "Rome"}},
                {"id": "call_2", "name": "weather", "arguments": {"city": "Oslo"}},
            ],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        },
    },
    {"match": {"userMessage": "weather"}, "response": {"content": "Sunny in Rome, cold in Oslo."}},
]
HELLO: dict[str, Any] = {
    "match": {"userMessage": "hello"},
    "response": {"content": "Hello there, my good friend.", "reasoning": "A greeting."},
}


def anthropic_events(
    *blocks: tuple[dict[str, Any], list[dict[str, Any]]], stop: str = "tool_use"
) -> list[bytes]:
    """A stream of the Messages API, as it is on the wire."""
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "usage": usage,
    }
    events: list[dict[str, Any]] = [{"type": "message_start", "message": {**message, "stop_reason": None}}]
    for index, (block, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": usage})
    events.append({"type": "message_stop"})
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]
