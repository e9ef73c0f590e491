"""What the OpenAI SDK is given, for both of its APIs."""

import logging

import pytest
from openai.types.chat import ChatCompletionMessageParam
from openai.types.responses import ResponseInputParam
from pydantic import TypeAdapter

from jumpseat.agents.builtin.outgoing import to_openai_messages, to_openai_tools
from jumpseat.agents.builtin.reasoning import encrypted_value
from jumpseat.protocol.inputs import (
    AssistantMessage,
    AudioPart,
    BinaryPart,
    DocumentPart,
    ImagePart,
    PartSource,
    ReasoningMessage,
    UserMessage,
    VideoPart,
)
from sample_thread import NO_RESULT, PDF, PIXEL, call, thread, tools

RESPONSES = [
    {"role": "user", "content": "Weather in Rome and Oslo?"},
    {"role": "assistant", "content": "Let me look."},
    {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Rome"}'},
    {"type": "function_call", "call_id": "call_2", "name": "weather", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "call_1", "output": "Sunny"},
    {"type": "function_call_output", "call_id": "call_2", "output": NO_RESULT},
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "And what is this?"},
            {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"},
            {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
        ],
    },
    {"role": "assistant", "content": "Sunny in Rome."},
    {"role": "user", "content": "Thanks."},
]
CHAT = [
    {"role": "user", "content": "Weather in Rome and Oslo?"},
    {
        "role": "assistant",
        "content": "Let me look.",
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "weather", "arguments": '{"city":"Rome"}'},
            },
            {"id": "call_2", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "Sunny"},
    {"role": "tool", "tool_call_id": "call_2", "content": NO_RESULT},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "And what is this?"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
            {
                "type": "file",
                "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
            },
        ],
    },
    {"role": "assistant", "content": "Sunny in Rome."},
    {"role": "user", "content": "Thanks."},
]


def test_the_items_of_the_responses_api():
    assert to_openai_messages(thread()) == RESPONSES
    TypeAdapter(ResponseInputParam).validate_python(RESPONSES)


def test_the_messages_of_chat_completions():
    assert to_openai_messages(thread(), api="chat") == CHAT
    TypeAdapter(list[ChatCompletionMessageParam]).validate_python(CHAT)


@pytest.mark.parametrize(("api", "rest"), [("responses", RESPONSES), ("chat", CHAT)])
def test_instructions_come_as_system_messages(api, rest):
    forwarded = to_openai_messages(
        thread(), api=api, system="First.", forward_system_messages=True, forward_developer_messages=True
    )
    assert forwarded == [
        {"role": "system", "content": "First."},
        {"role": "system", "content": "Speak plainly."},
        {"role": "system", "content": "Use metric units."},
        *rest,
    ]


def test_a_call_without_text_has_no_content():
    messages = [AssistantMessage(id="a", tool_calls=[call("1", "f", "{}")])]
    assert to_openai_messages(messages, api="chat")[0]["content"] is None
    assert [item["type"] for item in to_openai_messages(messages)] == [
        "function_call",
        "function_call_output",
    ]


def url(value: str, mime_type: str | None = None) -> PartSource:
    return PartSource(type="url", value=value, mime_type=mime_type)


def data(mime_type: str) -> PartSource:
    return PartSource(type="data", value="aGk=", mime_type=mime_type)


@pytest.mark.parametrize(
    ("part", "responses", "chat"),
    [
        (
            ImagePart(source=url("https://a.example/b")),
            {"type": "input_image", "image_url": "https://a.example/b", "detail": "auto"},
            {"type": "image_url", "image_url": {"url": "https://a.example/b"}},
        ),
        (
            BinaryPart(mime_type="image/png", url="https://a.example/b"),
            {"type": "input_image", "image_url": "https://a.example/b", "detail": "auto"},
            {"type": "image_url", "image_url": {"url": "https://a.example/b"}},
        ),
        (
            BinaryPart(mime_type="application/octet-stream", url="https://a.example/b.png"),
            {"type": "input_image", "image_url": "https://a.example/b.png", "detail": "auto"},
            {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}},
        ),
        (
            DocumentPart(source=url("https://a.example/b.pdf")),
            {"type": "input_file", "file_url": "https://a.example/b.pdf"},
            None,
        ),
        (
            DocumentPart(source=data("text/plain")),
            {
                "type": "input_file",
                "filename": "document.txt",
                "file_data": "data:text/plain;base64,aGk=",
            },
            {
                "type": "file",
                "file": {"filename": "document.txt", "file_data": "data:text/plain;base64,aGk="},
            },
        ),
        (
            AudioPart(source=data("audio/mpeg")),
            None,
            {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "mp3"}},
        ),
        (AudioPart(source=data("audio/ogg")), None, None),
        (AudioPart(source=url("https://a.example/b.wav")), None, None),
        (VideoPart(source=data("video/mp4")), None, None),
    ],
)
def test_media_that_an_api_does_not_take_are_left_out_with_a_warning(part, responses, chat, caplog):
    for api, expected in (("responses", responses), ("chat", chat)):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            (message,) = to_openai_messages([UserMessage(id="u", content=[part])], api=api)
        assert message["content"] == ([expected] if expected else "")
        assert len(caplog.records) == (0 if expected else 1)


def test_reasoning_that_openai_encrypted_goes_back_in_front_of_the_answer_once_for_each_id():
    messages = [
        ReasoningMessage(id="r1", content="One", encrypted_value=encrypted_value("openai", "e1", "rs_1")),
        ReasoningMessage(id="r2", content="Two", encrypted_value=encrypted_value("openai", "e1", "rs_1")),
        ReasoningMessage(id="r3", content="No id", encrypted_value=encrypted_value("openai", "e2")),
        AssistantMessage(
            id="a",
            content="x",
            tool_calls=[call("1", "f", "{}", encrypted_value("openai", "e3", "rs_3"))],
        ),
    ]
    items = to_openai_messages(messages)
    assert items[:2] == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "One"}, {"type": "summary_text", "text": "Two"}],
            "encrypted_content": "e1",
        },
        {"type": "reasoning", "id": "rs_3", "summary": [], "encrypted_content": "e3"},
    ]
    assert items[2] == {"role": "assistant", "content": "x"}
    TypeAdapter(ResponseInputParam).validate_python(items)
    assert [message["role"] for message in to_openai_messages(messages, api="chat")] == ["assistant", "tool"]


def test_tools_keep_their_schemas_and_are_not_strict():
    weather, wave = tools()
    described = [
        {
            "name": "weather",
            "description": "Looks up the weather",
            "parameters": weather.parameters,
            "strict": False,
        },
        {
            "name": "wave",
            "description": "Waves",
            "parameters": {"type": "object", "properties": {}},
            "strict": False,
        },
    ]
    assert to_openai_tools([weather, wave]) == [{"type": "function", **one} for one in described]
    assert to_openai_tools([weather, wave], api="chat") == [
        {"type": "function", "function": one} for one in described
    ]


@pytest.mark.parametrize("convert", [to_openai_messages, to_openai_tools])
def test_an_unknown_api_is_named(convert):
    with pytest.raises(ValueError, match='api is "responses" or "chat", not \'completions\''):
        convert([], api="completions")
