import json
from typing import Any

import pytest

from jumpseat.agents.builtin.models.appending import APPENDING

CHUNK: dict[str, Any] = {
    "id": "c",
    "object": "chat.completion.chunk",
    "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}],
}
TEXT: dict[str, Any] = {
    "type": "response.output_text.delta",
    "item_id": "m",
    "content_index": 0,
    "delta": "Hi",
}
BLOCK: dict[str, Any] = {
    "type": "content_block_delta",
    "index": 0,
    "delta": {"type": "text_delta", "text": "Hi"},
}


def read(api: str, event: Any, name: str = "") -> Any:
    return APPENDING[api].read(name.encode(), json.dumps(event).encode())


def chunk(**choice: Any) -> dict[str, Any]:
    return {**CHUNK, "choices": [{**CHUNK["choices"][0], **choice}]}


@pytest.mark.parametrize(
    "event",
    [
        {**CHUNK, "usage": {"prompt_tokens": 1}},
        {**CHUNK, "error": {"message": "no"}},
        {**CHUNK, "moderation": {}},
        {**CHUNK, "unheard_of": 1},
        {**CHUNK, "choices": []},
        {**CHUNK, "choices": CHUNK["choices"] * 2},
        chunk(finish_reason="stop"),
        chunk(logprobs={"content": []}),
        chunk(delta={"content": ""}),
        chunk(delta={"content": "<think>"}),
        chunk(delta={"content": "a", "reasoning": "b"}),
        chunk(delta={"content": "a", "refusal": "b"}),
        chunk(delta={"content": "a", "annotations": []}),
        chunk(delta={"content": ["a"]}),
        chunk(delta={"tool_calls": [{"index": 0, "id": "x", "function": {"arguments": "{}"}}]}),
        chunk(delta={"tool_calls": [{"index": 0, "function": {"arguments": "{", "name": "n"}}]}),
        chunk(delta={"tool_calls": [{"index": n, "function": {"arguments": "{"}} for n in (0, 1)]}),
        chunk(delta=None),
        [CHUNK],
    ],
)
def test_a_chunk_that_says_more_than_its_text_is_left_to_the_library(event: Any):
    assert read("chat", CHUNK) == (("content",), "Hi")
    assert read("chat", event) is None


@pytest.mark.parametrize(
    "event",
    [
        {**TEXT, "error": {"message": "no"}},
        {**TEXT, "delta": ""},
        {**TEXT, "delta": None},
        {**TEXT, "type": "response.output_text.done"},
        {**TEXT, "type": "response.mcp_call_arguments.delta"},
        {**TEXT, "item_id": 1},
    ],
)
def test_an_event_of_the_responses_interface_that_does_not_only_append_is_left_to_the_library(event: Any):
    assert read("responses", TEXT) == read("responses", TEXT, "response.output_text.delta")
    assert read("responses", TEXT)[1] == "Hi"
    assert read("responses", event) is None
    assert read("responses", TEXT, "thread.created") is None


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (BLOCK, ""),
        (BLOCK, "error"),
        ({**BLOCK, "type": "content_block_start"}, "content_block_delta"),
        ({**BLOCK, "delta": {"type": "signature_delta", "signature": "x"}}, "content_block_delta"),
        ({**BLOCK, "delta": {"type": "text_delta", "text": ""}}, "content_block_delta"),
    ],
)
def test_an_event_of_anthropic_that_does_not_only_append_is_left_to_the_library(event: Any, name: str):
    assert read("anthropic", BLOCK, "content_block_delta") == (("text", 0), "Hi")
    assert read("anthropic", event, name) is None


def test_text_that_is_no_json_is_left_to_the_library():
    for appending in APPENDING.values():
        assert appending.read(b"content_block_delta", b'{"type":"content_block_delta"') is None
        assert appending.read(b"", b'{"delta":"\xff"}') is None


@pytest.mark.parametrize(
    ("api", "event", "name"),
    [
        ("responses", {**TEXT, "sequence_number": 7, "logprobs": []}, ""),
        ("responses", {**TEXT, "type": "response.function_call_arguments.delta"}, ""),
        ("chat", {**CHUNK, "service_tier": "default"}, ""),
        ("chat", chunk(delta={"reasoning_content": "x", "content": None}), ""),
        ("chat", chunk(delta={"tool_calls": [{"index": 1, "function": {"arguments": "{"}}]}), ""),
        ("anthropic", BLOCK, "content_block_delta"),
        (
            "anthropic",
            {**BLOCK, "delta": {"type": "input_json_delta", "partial_json": "{"}},
            "content_block_delta",
        ),
        ("anthropic", {**BLOCK, "delta": {"type": "thinking_delta", "thinking": "x"}}, "content_block_delta"),
    ],
)
def test_a_merged_event_differs_in_nothing_but_its_text(api: str, event: Any, name: str):
    target, text = read(api, event, name)
    merged = APPENDING[api].merged(json.dumps(event).encode(), target, 'Hi "you" 🙂')
    assert APPENDING[api].read(name.encode(), merged) == (target, 'Hi "you" 🙂')
    assert APPENDING[api].merged(merged, target, text) == APPENDING[api].merged(
        json.dumps(event).encode(), target, text
    )
    assert json.loads(APPENDING[api].merged(merged, target, text)) == event
