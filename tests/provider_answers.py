"""The answers that the mock provider gives in tests of foreign streams."""

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
