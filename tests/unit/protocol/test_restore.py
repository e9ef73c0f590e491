"""What a client got shortened and sends again becomes what is stored; what it changed stays changed."""

from __future__ import annotations

import pytest

from jumpseat.protocol.codec import decode_message, encode_message
from jumpseat.protocol.inputs import (
    ActivityMessage,
    AssistantMessage,
    FunctionCall,
    ImagePart,
    PartSource,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from jumpseat.protocol.restore import is_shortened, restore_message
from jumpseat.protocol.shrink import shrink_message


def image(letter, size=500):
    return ImagePart(source=PartSource(type="data", value=letter * size, mime_type="image/png"))


def linked(size):
    return ImagePart(source=PartSource(type="url", value="data:image/png;base64," + "A" * size))


def call(name, arguments):
    return ToolCall(id=name, function=FunctionCall(name=name, arguments=arguments))


MESSAGES = {
    "a text": UserMessage(id="u", content='\u00fc"\n\u0001' * 200),
    "parts": UserMessage(id="u", content=[TextPart(text="x" * 300), image("A"), image("B"), linked(400)]),
    "calls": AssistantMessage(id="a", content="y" * 90, tool_calls=[call("c", "1" * 400), call("d", "{}")]),
    "an error": ToolMessage(id="t", tool_call_id="c", content="z" * 100, error="e" * 700),
    "a hidden value": AssistantMessage(id="a", content="short", encrypted_value="v" * 500),
    "metadata": SystemMessage(id="s", content="short", metadata={"a": [{"b": "m" * 500}]}),
    "many parts": UserMessage(id="u", content=[TextPart(text="x" * 60)] * 100),
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_whatever_was_replaced_to_make_a_message_fit_is_put_back(message):
    stored = encode_message(message)
    assert not is_shortened(message)
    for room in range(200, len(stored), 10):
        shortened = decode_message(shrink_message(stored, room))
        if shortened != message:
            assert is_shortened(shortened)
            assert restore_message(shortened, stored) == message
    assert restore_message(message, stored) is message


NOTE = TextPart(text="[omitted: 500 bytes]")
TEXT = TextPart(text="And this?")


@pytest.mark.parametrize(
    ("sent", "whole"),
    [
        ([NOTE, TEXT, NOTE], [image("A"), TEXT, image("B")]),
        ([TEXT, NOTE, NOTE], [TEXT, image("A"), image("B")]),
        ([NOTE, NOTE], [image("A"), image("B")]),
        ([NOTE], [image("A")]),
        ([NOTE, NOTE, NOTE], [image("A"), NOTE, image("B")]),
        ([TextPart(text="[omitted: 499 bytes]"), TEXT], [TextPart(text="[omitted: 499 bytes]"), TEXT]),
        ("[omitted: 500 bytes]", "[omitted: 500 bytes]"),
        ("What of [omitted: 500 bytes]?", "What of [omitted: 500 bytes]?"),
    ],
)
def test_an_edit_counts_and_what_it_left_alone_is_put_back(sent, whole):
    stored = encode_message(UserMessage(id="u", content=[image("A"), TextPart(text="This?"), image("B")]))
    assert restore_message(UserMessage(id="u", content=sent), stored) == UserMessage(id="u", content=whole)


def test_an_edit_among_many_equal_notes_takes_no_longer_than_there_are_parts():
    stored = encode_message(UserMessage(id="u", content=[TextPart(text="x" * 70)] * 20_000))
    sent = UserMessage(id="u", content=[TextPart(text="[omitted: 71 bytes]")] * 19_999)
    assert restore_message(sent, stored) == sent


def test_an_activity_is_never_taken_for_a_shortened_message():
    content = {"omitted": "[omitted: 500 bytes]"}
    assert not is_shortened(ActivityMessage(id="x", activity_type="a", content=content))
