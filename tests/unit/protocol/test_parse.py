"""A body that any supported client sends is accepted; another one is refused with the path of its fault."""

import contextlib
import json
import time
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_streams import JSON, MESSAGES
from jumpseat.errors import InvalidInput
from jumpseat.protocol.codec import encode_json, to_wire
from jumpseat.protocol.inputs import (
    ActivityMessage,
    AssistantMessage,
    BinaryPart,
    DocumentPart,
    PartSource,
    RunAgentInput,
    TextPart,
    Tool,
    ToolMessage,
    UserMessage,
)
from jumpseat.protocol.parse import parse_input, parse_run_input

BODY = {
    "threadId": "t",
    "runId": "r",
    "state": {},
    "messages": [],
    "tools": [],
    "context": [],
    "forwardedProps": {},
}
UNSTORABLE = "must not hold NUL or half of a surrogate pair"
NO_MIME_TYPE = {"type": "image", "source": {"type": "data", "value": "x"}}
USER = {"id": "m", "role": "user", "content": "x"}


def parse(**fields) -> RunAgentInput:
    return parse_run_input(json.dumps({**BODY, **fields}).encode())


def fault(body: bytes) -> str:
    with pytest.raises(InvalidInput) as caught:
        parse_run_input(body)
    return caught.value.detail


def fault_of(**fields) -> str:
    return fault(json.dumps({**BODY, **fields}).encode())


@given(MESSAGES, JSON, JSON)
def test_an_input_survives_the_wire(messages, state, props):
    given_input = RunAgentInput(
        thread_id="t",
        run_id="r",
        state=state,
        messages=messages,
        forwarded_props=props if props is not None else {},
    )
    assert parse_run_input(encode_json(to_wire(given_input))) == given_input


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_an_input_or_a_named_fault(body):
    with contextlib.suppress(InvalidInput):
        assert isinstance(parse_run_input(body), RunAgentInput)


@given(st.recursive(JSON, lambda inner: st.dictionaries(st.sampled_from(sorted(BODY)), inner), max_leaves=20))
def test_any_value_in_any_field_is_an_input_or_a_named_fault(value):
    for field in BODY:
        with contextlib.suppress(InvalidInput):
            assert isinstance(parse_input({**BODY, field: value}), RunAgentInput)


def test_a_body_and_its_decoded_value_are_the_same_input():
    assert parse(messages=[USER], tools=None) == parse_input({**BODY, "messages": [USER]})


def test_absent_and_null_lists_are_empty_and_absent_props_an_empty_object():
    for body in ({"threadId": "t", "messages": []}, {**BODY, **dict.fromkeys(("tools", "context"))}):
        parsed = parse_run_input(json.dumps(body).encode())
        assert (parsed.tools, parsed.context, parsed.forwarded_props) == ([], [], {})
    parsed = parse(forwardedProps=None, state=None, resume=None, parentRunId=None)
    assert (parsed.forwarded_props, parsed.state, parsed.resume, parsed.parent_run_id) == (
        {},
        None,
        None,
        None,
    )


@pytest.mark.parametrize("run_id", [{}, {"runId": ""}, {"runId": None}], ids=["absent", "empty", "null"])
def test_a_run_without_id_gets_a_fresh_uuid(run_id):
    body = json.dumps({"threadId": "t", "messages": [], **run_id}).encode()
    first, second = parse_run_input(body).run_id, parse_run_input(body).run_id
    assert UUID(first).version == 4
    assert first != second


def test_a_byte_order_mark_is_skipped_and_the_last_of_two_equal_keys_wins():
    body = b'\xef\xbb\xbf{"threadId":"a","threadId":"b","messages":[]}'
    assert parse_run_input(body).thread_id == "b"


def test_unknown_keys_are_kept_at_every_level():
    parsed = parse(
        protocolVersion="1.0",
        messages=[{**USER, "score": 1, "content": [{"type": "text", "text": "x", "lang": "en"}]}],
        tools=[{"name": "f", "description": "d", "strict": True}],
    )
    assert parsed.extra == {"protocolVersion": "1.0"}
    assert parsed.messages == [
        UserMessage(id="m", content=[TextPart(text="x", extra={"lang": "en"})], extra={"score": 1})
    ]
    assert parsed.tools == [Tool(name="f", description="d", extra={"strict": True})]


def test_parts_of_every_client_version_are_accepted():
    parts = [
        {"type": "binary", "mimeType": "image/png", "id": "file-1"},
        {"type": "document", "source": {"type": "file", "value": "file-1", "provider": "p"}},
        {"type": "document", "source": {"type": "url", "value": "https://x"}},
    ]
    (message,) = parse(messages=[{**USER, "content": parts}]).messages
    assert message.content == [
        BinaryPart(mime_type="image/png", id="file-1"),
        DocumentPart(source=PartSource(type="file", value="file-1", provider="p")),
        DocumentPart(source=PartSource(type="url", value="https://x")),
    ]


def test_a_tool_message_may_hold_parts():
    tool = {"id": "m", "role": "tool", "toolCallId": "c", "content": [{"type": "text", "text": "x"}]}
    assert parse(messages=[tool]).messages == [
        ToolMessage(id="m", tool_call_id="c", content=[TextPart(text="x")])
    ]


def test_null_for_an_optional_field_counts_as_absent():
    message = {"id": "a", "role": "assistant", "content": None, "toolCalls": None, "name": None}
    assert parse(messages=[message]).messages == [AssistantMessage(id="a")]


def test_odd_values_of_keys_that_some_clients_do_not_know_are_dropped():
    parsed = parse(
        messages=[
            {**USER, "metadata": "odd", "subagentRunId": 5},
            {"id": "x", "role": "activity", "activityType": "a", "content": {}, "encryptedValue": 1},
            {
                **USER,
                "content": [
                    {"type": "image", "id": 7, "source": {"type": "url", "value": "u", "provider": 1}}
                ],
            },
            {
                "id": "a",
                "role": "assistant",
                "toolCalls": [
                    {
                        "id": "c",
                        "type": "function",
                        "function": {"name": "f", "arguments": ""},
                        "metadata": [],
                    }
                ],
            },
        ],
        resume=[{"interruptId": "i", "status": "resolved", "metadata": 1}],
    )
    assert parsed.messages[0] == UserMessage(id="m", content="x")
    assert parsed.messages[1] == ActivityMessage(id="x", activity_type="a", content={})
    assert parsed.messages[3].tool_calls[0].metadata is None
    assert parsed.resume[0].metadata is None


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"threadId": ""}, "threadId: must be 1 to 512 characters without control characters"),
        ({"threadId": "t" * 513}, "threadId: must be 1 to 512 characters without control characters"),
        ({"threadId": "a\nb"}, "threadId: must be 1 to 512 characters without control characters"),
        ({"threadId": None}, "threadId: required"),
        ({"threadId": 5}, "threadId: expected `str`, got `int`"),
        ({"runId": "r" * 513}, "runId: must be at most 512 characters without control characters"),
        ({"runId": 0}, "runId: expected `str`, got `int`"),
        ({"parentRunId": "a\0"}, f"parentRunId: {UNSTORABLE}"),
        ({"messages": None}, "messages: required"),
        ({"messages": {}}, "messages: expected `array`, got `object`"),
        ({"messages": [USER, USER, {"id": "m", "role": "x"}]}, "messages[2].role: unknown role 'x'"),
        ({"messages": [{"id": "m", "content": "x"}]}, "messages[0].role: required"),
        ({"messages": [{"role": "user", "content": "x"}]}, "messages[0].id: required"),
        ({"messages": [{"id": "m", "role": "user"}]}, "messages[0].content: required"),
        (
            {"messages": [{**USER, "id": "a\0b"}]},
            f"messages[0].id: {UNSTORABLE}",
        ),
        (
            {"messages": [{**USER, "content": [{"type": "zip"}]}]},
            "messages[0].content[0].type: unknown type 'zip'",
        ),
        (
            {"messages": [{**USER, "content": [{"type": "binary", "mimeType": "a/b"}]}]},
            "messages[0].content[0]: a binary part needs an id, a url or data",
        ),
        (
            {"messages": [{**USER, "content": [NO_MIME_TYPE]}]},
            "messages[0].content[0].source.mimeType: required",
        ),
        ({"tools": [{"name": "f"}]}, "tools[0].description: required"),
        ({"context": [{"description": "d", "value": 1}]}, "context[0].value: expected `str`, got `int`"),
        ({"resume": [{"interruptId": "i", "status": "no"}]}, "resume[0].status: invalid enum value 'no'"),
        (
            {"messages": [{**USER, "id": "\ud800"}]},
            f"messages[0].id: {UNSTORABLE}",
        ),
    ],
)
def test_a_fault_is_named_with_its_path(fields, detail):
    assert fault_of(**fields) == detail


@pytest.mark.parametrize(
    ("body", "start"),
    [
        (b"", "body: not JSON"),
        (b"{", "body: not JSON"),
        (b'{"state":NaN}', "body: not JSON: NaN"),
        (b'{"state":-Infinity}', "body: not JSON: -Infinity"),
        (
            b'{"state":' + b"9" * 5000 + b"}",
            "body: not JSON: number 9999999999999999999999999999999999999999...",
        ),
        (b'{"state":1e999}', "body: not JSON: number 1e999"),
        (b'{"state":"\xff"}', "body: not UTF-8 at byte 10"),
        (b'{"state":"\xed\xa0\x80"}', "body: not UTF-8"),
        (b"\xff\xfe{\x00}\x00", "body: not UTF-8"),
        (b"[]", "body: expected an object, got an array"),
        (b"null", "body: expected an object, got null"),
        (b'"x"', "body: expected an object, got a string"),
        (b"true", "body: expected an object, got a boolean"),
        (b"[" * 1_000_000, "body: not JSON: JSON is nested too deeply"),
        (b'"\\ud800' + b"[" * 10, "body: not JSON"),
        (b'["\\ud800",' + b"[" * 100_000, "body: not JSON: JSON is nested too deeply"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(body, start):
    assert fault(body).startswith(start)


@pytest.mark.parametrize(("levels", "accepted"), [(255, True), (256, False), (700, False)])
def test_256_levels_of_nesting_are_accepted_and_no_more(levels, accepted):
    body = b'{"threadId":"t","messages":[],"state":' + b"[" * levels + b"]" * levels + b"}"
    if accepted:
        parse_run_input(body)
    else:
        assert fault(body) == "body: more than 256 levels of nesting"


def test_half_a_surrogate_pair_in_text_or_a_key_becomes_a_replacement_character():
    body = (
        b'{"threadId":"t","runId":"r","messages":[{"id":"m","role":"user","content":"a\\ud83d"}],'
        b'"state":{"\\uD83D":"\\ude00"}}'
    )
    parsed = parse_run_input(body)
    assert parsed.messages == [UserMessage(id="m", content="a�")]
    assert parsed.state == {"�": "�"}
    assert parse_run_input(body.replace(b"a\\ud83d", b"\\ud83d\\ude00")).messages[0].content == "😀"


def test_a_long_history_is_parsed_in_well_under_a_second():
    messages = [{**USER, "id": str(number), "content": "word " * 40} for number in range(10_000)]
    body = json.dumps({**BODY, "messages": messages}).encode()
    began = time.perf_counter()
    assert len(parse_run_input(body).messages) == len(messages)
    assert time.perf_counter() - began < 1
