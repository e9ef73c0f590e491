"""What the Anthropic SDK is given."""

import logging
import re

import pytest
from anthropic.types import MessageParam, ToolParam
from pydantic import TypeAdapter

from jumpseat.agents.builtin.outgoing import to_anthropic_messages, to_anthropic_tools
from jumpseat.agents.builtin.reasoning import encrypted_value
from jumpseat.protocol.inputs import (
    AssistantMessage,
    AudioPart,
    DocumentPart,
    ImagePart,
    PartSource,
    ReasoningMessage,
    UserMessage,
)
from sample_thread import NO_RESULT, PDF, PIXEL, call, thread, tools

MESSAGES = [
    {"role": "user", "content": [{"type": "text", "text": "Weather in Rome and Oslo?"}]},
    {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Rome"}},
            {"type": "tool_use", "id": "call_2", "name": "weather", "input": {}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "call_1", "content": "Sunny"},
            {"type": "tool_result", "tool_use_id": "call_2", "content": NO_RESULT},
            {"type": "text", "text": "And what is this?"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
        ],
    },
    {"role": "assistant", "content": [{"type": "text", "text": "Sunny in Rome."}]},
    {"role": "user", "content": [{"type": "text", "text": "Thanks."}]},
]


def test_the_roles_alternate_and_results_come_first():
    system, messages = to_anthropic_messages(thread())
    assert system == ""
    assert messages == MESSAGES
    TypeAdapter(list[MessageParam]).validate_python(messages)


def test_all_instructions_are_in_the_system_text():
    system, messages = to_anthropic_messages(
        thread(), system="First.", forward_system_messages=True, forward_developer_messages=True
    )
    assert system == "First.\n\nSpeak plainly.\n\nUse metric units."
    assert messages == MESSAGES


def user(*content) -> UserMessage:
    return UserMessage(id="u", content=content[0] if isinstance(content[0], str) else list(content))


def test_texts_without_a_visible_character_are_left_out():
    messages = [user("hi"), AssistantMessage(id="a", content=" \n"), user(""), user("  "), user("there")]
    assert to_anthropic_messages(messages)[1] == [
        {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "text", "text": "there"}]}
    ]


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            ImagePart(source=PartSource(type="url", value="https://a.example/b")),
            {"type": "image", "source": {"type": "url", "url": "https://a.example/b"}},
        ),
        (
            DocumentPart(source=PartSource(type="url", value="https://a.example/b.pdf")),
            {"type": "document", "source": {"type": "url", "url": "https://a.example/b.pdf"}},
        ),
        (
            DocumentPart(source=PartSource(type="data", value="w7w=", mime_type="text/csv")),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "ü"}},
        ),
        (DocumentPart(source=PartSource(type="data", value="aGk=", mime_type="application/zip")), None),
        (AudioPart(source=PartSource(type="data", value="aGk=", mime_type="audio/wav")), None),
    ],
)
def test_media(part, block, caplog):
    with caplog.at_level(logging.WARNING):
        _, messages = to_anthropic_messages([user(part)])
    assert messages == ([{"role": "user", "content": [block]}] if block else [])
    assert len(caplog.records) == (0 if block else 1)


def test_signed_thinking_goes_back_first_whatever_carried_its_signature():
    messages = [
        ReasoningMessage(id="r", content="Hm", encrypted_value=encrypted_value("anthropic", "s1")),
        AssistantMessage(
            id="a",
            content="x",
            tool_calls=[
                call("1", "f", "{}", encrypted_value("anthropic", "s2", "redacted_thinking")),
                call("2", "f", "{}", encrypted_value("anthropic", "s3")),
                call("3", "f", "{}", encrypted_value("anthropic", "s4", details={"redacted": True})),
                call("4", "f", "{}", encrypted_value("openai", "s5", "rs")),
            ],
        ),
    ]
    _, (answer, _) = to_anthropic_messages(messages)
    assert answer["content"][:5] == [
        {"type": "thinking", "thinking": "Hm", "signature": "s1"},
        {"type": "redacted_thinking", "data": "s2"},
        {"type": "redacted_thinking", "data": "s4"},
        {"type": "thinking", "thinking": "", "signature": "s3"},
        {"type": "text", "text": "x"},
    ]
    assert [block["type"] for block in answer["content"][5:]] == ["tool_use"] * 4
    TypeAdapter(MessageParam).validate_python(answer)


def test_ids_of_other_providers_become_ids_that_anthropic_takes_and_stay_apart():
    ids = ["functions.f:0", "functions_f_0", "", "ünï", "ok-1_A", "a.b", "a:b"]
    messages = [AssistantMessage(id="a", tool_calls=[call(one, "f", "{}") for one in ids])]
    _, (answer, results) = to_anthropic_messages(messages)
    used = [block["id"] for block in answer["content"]]
    assert [block["tool_use_id"] for block in results["content"]] == used
    assert len(set(used)) == len(ids)
    assert all(re.fullmatch("[A-Za-z0-9_-]+", one) for one in used)
    assert used[1] == "functions_f_0"
    assert used[4] == "ok-1_A"


def test_tools_keep_their_schemas():
    weather, wave = tools()
    described = to_anthropic_tools([weather, wave])
    assert described == [
        {"name": "weather", "description": "Looks up the weather", "input_schema": weather.parameters},
        {"name": "wave", "description": "Waves", "input_schema": {"type": "object", "properties": {}}},
    ]
    TypeAdapter(list[ToolParam]).validate_python(described)
