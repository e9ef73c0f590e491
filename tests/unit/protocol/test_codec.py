"""What goes through the codec comes out the same, and what no client could read does not get in."""

import json
from collections import OrderedDict
from enum import StrEnum
from types import MappingProxyType

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_streams import CHUNKS, EVENTS, JSON, MESSAGES, TERMINALS
from jumpseat.errors import InvalidEvent, UnknownEventType, UnsendableEvent
from jumpseat.protocol.codec import (
    EVENT_TYPES,
    accept,
    content_text,
    decode,
    decode_json,
    decode_message,
    encode,
    encode_json,
    encode_message,
    scrub,
    scrubbed,
    to_wire,
)
from jumpseat.protocol.events import (
    ActivityDelta,
    Custom,
    MessagesSnapshot,
    ReasoningMessageContent,
    RunError,
    StateDelta,
    StateSnapshot,
    TextMessageChunk,
    TextMessageContent,
    TextMessageStart,
    ToolCallArgs,
    ToolCallResult,
)
from jumpseat.protocol.inputs import (
    AssistantMessage,
    BinaryPart,
    FunctionCall,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)

ANY_TEXT = st.text(st.characters(), max_size=8)
KEYS = st.sampled_from(["score", "x-trace", "extra", "~odd~"])
UNKNOWN = st.dictionaries(KEYS, JSON.filter(lambda value: value is not None), min_size=1, max_size=2)
ALL_EVENTS = EVENTS | CHUNKS | TERMINALS


class Kind(StrEnum):
    CUSTOM = "CUSTOM"


@given(ALL_EVENTS)
def test_an_event_survives_encoding_and_decoding(event):
    assert decode(encode(event)) == event


@given(ALL_EVENTS)
def test_an_accepted_struct_is_equal_to_what_the_agent_yielded(event):
    try:
        assert accept(event) == event
    except UnsendableEvent:
        assert isinstance(event, (StateDelta, ActivityDelta))


@given(ALL_EVENTS)
def test_a_dict_in_wire_form_is_the_same_event_as_the_struct(event):
    wire = to_wire(event)
    try:
        assert accept(wire) == event
        assert accept(MappingProxyType(wire)) == event
        assert encode(accept(wire)) == encode(event)
    except UnsendableEvent:
        assert isinstance(event, (StateDelta, ActivityDelta))


@given(ALL_EVENTS, UNKNOWN)
def test_unknown_keys_are_kept_and_written_behind_the_known_ones(event, unknown):
    wire = {**unknown, **to_wire(event)}
    try:
        accepted = accept(wire)
    except UnsendableEvent:
        return
    assert accepted.extra == unknown
    encoded = json.loads(encode(accepted), object_pairs_hook=OrderedDict)
    assert list(encoded)[-len(unknown) :] == list(unknown)
    assert dict(encoded) == wire


@given(MESSAGES, UNKNOWN)
def test_unknown_keys_of_messages_survive_storage_at_every_level(messages, unknown):
    for message in messages:
        message.extra = unknown
        if isinstance(message, AssistantMessage) and message.tool_calls:
            message.tool_calls[0].extra = unknown
        stored = encode_message(message)
        assert decode_message(stored) == message
        assert encode_message(decode_message(stored)) == stored


@given(ANY_TEXT, ANY_TEXT)
def test_lone_surrogates_become_replacement_characters_wherever_they_are(text, key):
    for item in (
        {"type": "CUSTOM", "name": text, "value": {key: [text]}, key or "k": text},
        {"type": "TEXT_MESSAGE_START", "messageId": text, "name": key},
        Custom(name=text, value={key: [text]}),
        TextMessageStart(message_id=text),
        ToolCallArgs(tool_call_id=text, delta=text),
    ):
        assert encode(accept(item)).decode() == scrub(encode(accept(item)).decode())
    assert encode(accept(TextMessageContent(message_id="m", delta=text))) == encode(
        TextMessageContent(message_id="m", delta=scrub(text))
    )


@given(st.text(st.characters(exclude_categories=()), min_size=1, max_size=3))
def test_an_id_is_repaired_alike_in_every_event_that_names_it(text):
    start = accept(TextMessageStart(message_id=text))
    content = accept(TextMessageContent(message_id=text, delta="x"))
    assert start.message_id == content.message_id == scrub(text)


def test_the_order_of_keys_is_that_of_the_struct_whatever_the_agents_was():
    wire = {"delta": "x", "messageId": "m", "timestamp": 1, "type": "TEXT_MESSAGE_CONTENT"}
    assert (
        encode(accept(wire)) == b'{"type":"TEXT_MESSAGE_CONTENT","timestamp":1,"messageId":"m","delta":"x"}'
    )


def test_nulls_of_optional_fields_are_dropped():
    wire = {"type": "TEXT_MESSAGE_START", "messageId": "m", "role": None, "rawEvent": None, "odd": None}
    assert encode(accept(wire)) == b'{"type":"TEXT_MESSAGE_START","messageId":"m"}'


def test_an_event_type_may_be_an_enum():
    assert accept({"type": Kind.CUSTOM, "name": "n", "value": 1}) == Custom(name="n", value=1)


def test_a_fractional_timestamp_becomes_whole_because_clients_refuse_others():
    assert accept({"type": "CUSTOM", "name": "n", "value": 1, "timestamp": 17.9}).timestamp == 17


@pytest.mark.parametrize(
    ("item", "complaint"),
    [
        (None, "expected an AG-UI event, got NoneType"),
        ("text", "expected an AG-UI event, got str"),
        (b"{}", "expected an AG-UI event, got bytes"),
        (StateSnapshot, "expected an AG-UI event, got StructMeta"),
        ({}, "an event needs a string 'type'"),
        ({"type": 7}, "an event needs a string 'type'"),
        ({"type": "TEXT_MESSAGE_CONTENT"}, "TEXT_MESSAGE_CONTENT: .*messageId"),
        ({"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": 1}, "TEXT_MESSAGE_CONTENT.delta: "),
        (TextMessageContent(message_id="m", delta=1), "TEXT_MESSAGE_CONTENT.delta: "),
        (TextMessageContent(message_id=None, delta="x"), "TEXT_MESSAGE_CONTENT.messageId: "),
        (
            TextMessageContent(message_id="m", delta="x", subagent_run_id=1),
            "TEXT_MESSAGE_CONTENT.subagentRun",
        ),
        (ToolCallArgs(tool_call_id="c", delta=None), "TOOL_CALL_ARGS.delta: "),
        (ReasoningMessageContent(message_id="m", delta=["x"]), "REASONING_MESSAGE_CONTENT.delta: "),
        (TextMessageChunk(delta=1), "TEXT_MESSAGE_CHUNK.delta"),
        (TextMessageChunk(delta="x", role="nobody"), "TEXT_MESSAGE_CHUNK.role"),
        (
            {"type": "MESSAGES_SNAPSHOT", "messages": [{"id": "m", "role": "user", "content": 5}]},
            r"MESSAGES_SNAPSHOT.messages\[0\].content: ",
        ),
        (Custom(name="n", value=object()), "CUSTOM cannot be written as JSON"),
        ({"type": "CUSTOM", "name": "n", "value": object()}, "CUSTOM cannot be written as JSON"),
        ({"type": "RUN_ERROR", "message": None}, "RUN_ERROR.message"),
    ],
)
def test_what_is_no_event_is_refused_with_type_and_path(item, complaint):
    with pytest.raises(InvalidEvent, match=complaint) as caught:
        accept(item)
    assert not isinstance(caught.value, UnsendableEvent)


def test_an_unknown_type_can_be_told_from_a_malformed_event():
    with pytest.raises(UnknownEventType) as caught:
        accept({"type": "NOPE"})
    assert caught.value.subject == "NOPE"


@pytest.mark.parametrize(
    "operation",
    [
        5,
        {},
        {"op": "add", "path": "/a"},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "path": "/~2", "value": 1},
        {"op": "move", "path": "/a"},
        {"op": "copy", "path": "/a", "from": "b"},
        {"op": "merge", "path": "/a"},
        {"op": "remove"},
    ],
)
def test_a_patch_that_is_no_json_patch_can_be_left_out(operation):
    for event in (
        StateDelta(delta=[operation]),
        ActivityDelta(message_id="m", activity_type="a", patch=[operation]),
    ):
        with pytest.raises(UnsendableEvent):
            accept(event)


def test_an_agent_cannot_change_what_it_has_yielded():
    state = {"n": [1]}
    accepted = [
        accept({"type": "STATE_SNAPSHOT", "snapshot": state}),
        accept(StateSnapshot(snapshot=state)),
        accept({"type": "CUSTOM", "name": "n", "value": 1, "metadata": state}),
    ]
    state["n"].append(2)
    assert [accepted[0].snapshot, accepted[1].snapshot, accepted[2].metadata] == [{"n": [1]}] * 3


def test_values_of_a_dict_become_what_the_log_will_hold():
    snapshot = {"pair": (1, 2), "nan": float("nan"), "id": msgspec.Raw(b"7")}
    assert accept({"type": "STATE_SNAPSHOT", "snapshot": snapshot}).snapshot == {
        "pair": [1, 2],
        "nan": None,
        "id": 7,
    }


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("plain", "plain"),
        ([TextPart(text="a"), TextPart(text="b")], "ab"),
        ([], ""),
        (
            [BinaryPart(mime_type="a/b", url="u", extra={"k": 1})],
            '[{"type":"binary","mimeType":"a/b","url":"u","k":1}]',
        ),
    ],
)
def test_tool_content_becomes_text_for_the_clients_that_know_no_parts(content, text):
    assert content_text(content) == text
    result = accept(ToolCallResult(message_id="t", tool_call_id="c", content=content))
    assert result.content == text
    snapshot = MessagesSnapshot(messages=[ToolMessage(id="t", tool_call_id="c", content=content)])
    assert accept(snapshot).messages[0].content == text


def test_a_message_whose_key_is_called_extra_keeps_it():
    message = UserMessage(id="u", content="x", extra={"extra": {"a": 1}})
    assert decode_message(encode_message(message)) == message
    assert json.loads(encode_message(message))["extra"] == {"a": 1}


def test_defaults_that_clients_require_are_written():
    call = ToolCall(id="c", function=FunctionCall(name="f", arguments=""))
    assert json.loads(encode_message(AssistantMessage(id="a", tool_calls=[call])))["toolCalls"] == [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
    ]


def test_every_event_type_of_the_table_names_its_struct():
    for name, struct in EVENT_TYPES.items():
        assert struct.__struct_config__.tag == name
    assert EVENT_TYPES["RUN_ERROR"] is RunError


@given(JSON)
def test_json_survives_encoding_and_decoding(value):
    assert decode_json(encode_json(value)) == value
    assert scrubbed(value) is value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"\\ud800"', "\ud800"),
        ('{"a":"\\ud83d\\ude00\\udc00"}', {"a": "😀\udc00"}),
        (b'["\\udfff",1.5,-0.0]', ["\udfff", 1.5, 0]),
        ("123456789012345678901234567890", 123456789012345678901234567890),
    ],
)
def test_what_only_a_lenient_decoder_reads_is_read(text, value):
    assert decode_json(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        '["\\ud800",NaN]',
        '["\\ud800",-Infinity]',
        '["\\ud800",1e999]',
        "1e999",
        b'"\xed\xa0\x80"',
        b"\xff",
        "",
        "[1,]",
        "[" * 100_000,
        '["\\ud800",' + "[" * 100_000,
    ],
)
def test_what_is_not_json_is_a_value_error(text):
    with pytest.raises(ValueError):
        decode_json(text)


def test_json_that_no_encoder_knows_is_a_type_error_and_nan_becomes_null():
    assert encode_json({"a": float("inf"), "b": "\ud800"}) == '{"a":null,"b":"�"}'.encode()
    with pytest.raises(TypeError):
        encode_json(object())
