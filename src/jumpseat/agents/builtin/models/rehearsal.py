"""Goes through one answer of each interface without a network, so that no run has to load its library.

The libraries of the providers import parts of themselves at the first request, and build the validators of
their events at the first answer. That is up to a second of work, which must not happen on an event loop.
"""

from __future__ import annotations

import asyncio
import logging
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from jumpseat.agents.builtin.models.library import Library, load, make_upstream
from jumpseat.agents.builtin.models.providers import Provider
from jumpseat.protocol.codec import encode_json

if TYPE_CHECKING:
    import httpx2

__all__ = ["rehearse"]

_logger: Final = logging.getLogger("jumpseat")

_SECONDS: Final = 10.0
_ITEM: Final[dict[str, Any]] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [],
}
_RESPONSE: Final[dict[str, Any]] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "m",
    "status": "completed",
    "output": [_ITEM],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
}
_TEXT: Final = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
_ANSWERS: Final[dict[str, list[dict[str, Any]]]] = {
    "responses": [
        {
            "type": "response.created",
            "sequence_number": 0,
            "response": {**_RESPONSE, "status": "in_progress"},
        },
        {"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": _ITEM},
        {"type": "response.output_text.delta", "sequence_number": 2, **_TEXT, "delta": "x", "logprobs": []},
        {"type": "response.output_item.done", "sequence_number": 3, "output_index": 0, "item": _ITEM},
        {"type": "response.completed", "sequence_number": 4, "response": _RESPONSE},
    ],
    "chat": [
        {
            "id": "c",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}],
        }
    ],
    "anthropic": [
        {
            "type": "message_start",
            "message": {
                "id": "m",
                "type": "message",
                "role": "assistant",
                "model": "m",
                "content": [],
                "stop_reason": None,
                "usage": {"input_tokens": 1, "output_tokens": 1},
            },
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"input_tokens": 1, "output_tokens": 1},
        },
        {"type": "message_stop"},
    ],
    "google": [
        {"candidates": [{"content": {"role": "model", "parts": [{"text": "x"}]}, "finishReason": "STOP"}]}
    ],
}
_OFFLINE: Final = "http://offline.invalid"


@cache
def rehearse(provider: Provider) -> None:
    """Go through one answer of the provider's interface, once per process; call it in a thread."""
    events = _ANSWERS.get(provider.api)
    if events is None:
        return
    try:
        _rehearse(provider, events)
    except Exception as error:
        _logger.debug("could not rehearse an answer of %s: %r", provider.name, error)


def _rehearse(provider: Provider, events: list[dict[str, Any]]) -> None:
    import anyio  # noqa: PLC0415 - it comes with the HTTP client
    import httpx2  # noqa: PLC0415

    lines = b"".join(_framed(event) for event in events)

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=lines)

    # Loads what the HTTP client opens its connections with.
    _ = anyio.connect_tcp
    library = load()
    http_client = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    model = make_upstream(provider, "offline", _OFFLINE, http_client=http_client).model("m")
    asyncio.run(_listen(library, model, http_client))


def _framed(event: dict[str, Any]) -> bytes:
    name = f"event: {event['type']}\n" if "type" in event else ""
    return b"%bdata: %b\n\n" % (name.encode(), encode_json(event))


async def _listen(library: Library, model: Any, http_client: httpx2.AsyncClient) -> None:
    messages, models, tools = library.messages, library.models, library.tools
    call = library.direct.model_request_stream(
        model,
        [messages.ModelRequest(parts=[messages.UserPromptPart(content="x")])],
        model_request_parameters=models.ModelRequestParameters(
            function_tools=[tools.ToolDefinition(name="t", parameters_json_schema={"type": "object"})]
        ),
        instrument=False,
    )
    async with http_client, asyncio.timeout(_SECONDS), call as response:
        async for _ in response:
            pass
        response.get()
