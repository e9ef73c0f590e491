"""What the AI SDK is given, in TypeScript and in Python."""

import importlib.util

import pytest

from jumpseat.agents.builtin.outgoing import to_ai_sdk_messages, to_ai_sdk_tools
from jumpseat.agents.builtin.reasoning import encrypted_value
from jumpseat.errors import MissingDependencyError
from jumpseat.protocol.inputs import (
    AssistantMessage,
    AudioPart,
    BinaryPart,
    DocumentPart,
    ImagePart,
    PartSource,
    ReasoningMessage,
    UserMessage,
)
from sample_thread import NO_RESULT, PDF, PIXEL, call, thread, tools

MESSAGES = [
    {"role": "user", "content": "Weather in Rome and Oslo?"},
    {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "Let me look."},
            {
                "type": "tool-call",
                "toolCallId": "call_1",
                "toolName": "weather",
                "input": {"city": "Rome"},
            },
            {"type": "tool-call", "toolCallId": "call_2", "toolName": "weather", "input": {}},
        ],
    },
    *(
        {
            "role": "tool",
            "content": [
                {
                    "type": "tool-result",
                    "toolCallId": call_id,
                    "toolName": "weather",
                    "output": {"type": "text", "value": value},
                }
            ],
        }
        for call_id, value in (("call_1", "Sunny"), ("call_2", NO_RESULT))
    ),
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "And what is this?"},
            {"type": "image", "image": PIXEL, "mediaType": "image/png"},
            {"type": "file", "data": PDF, "mediaType": "application/pdf", "filename": "a.pdf"},
        ],
    },
    {"role": "assistant", "content": [{"type": "text", "text": "Sunny in Rome."}]},
    {"role": "user", "content": "Thanks."},
]


def test_the_model_messages():
    assert to_ai_sdk_messages(thread()) == MESSAGES


def test_instructions_come_as_system_messages():
    forwarded = to_ai_sdk_messages(
        thread(), system="First.", forward_system_messages=True, forward_developer_messages=True
    )
    assert forwarded == [
        {"role": "system", "content": "First."},
        {"role": "system", "content": "Speak plainly."},
        {"role": "system", "content": "Use metric units."},
        *MESSAGES,
    ]


def url(value: str, mime_type: str | None = None) -> PartSource:
    return PartSource(type="url", value=value, mime_type=mime_type)


@pytest.mark.parametrize(
    ("part", "seen"),
    [
        (ImagePart(source=url("https://a.example/b")), {"type": "image", "image": "https://a.example/b"}),
        (
            DocumentPart(source=url("https://a.example/b.PDF?x=1")),
            {"type": "file", "data": "https://a.example/b.PDF?x=1", "mediaType": "application/pdf"},
        ),
        (
            AudioPart(source=url("https://a.example/b", "audio/wav")),
            {"type": "file", "data": "https://a.example/b", "mediaType": "audio/wav"},
        ),
        (
            BinaryPart(mime_type="application/octet-stream", url="https://a.example/b"),
            {"type": "file", "data": "https://a.example/b", "mediaType": "application/octet-stream"},
        ),
    ],
)
def test_media_by_url(part, seen):
    assert to_ai_sdk_messages([UserMessage(id="u", content=[part])]) == [{"role": "user", "content": [seen]}]


def answer(provider: str, signature: str, **more) -> list:
    encrypted = encrypted_value(provider, signature, **more)
    return [
        ReasoningMessage(id="r", content="Hm", encrypted_value=encrypted),
        AssistantMessage(id="a", content="x"),
    ]


@pytest.mark.parametrize(
    ("provider", "more", "options"),
    [
        ("anthropic", {}, {"signature": "s"}),
        ("anthropic", {"id": "redacted_thinking"}, {"redactedData": "s"}),
        ("openai", {"id": "rs_1"}, {"itemId": "rs_1", "reasoningEncryptedContent": "s"}),
        ("google", {}, {"thoughtSignature": "s"}),
    ],
)
def test_reasoning_goes_back_to_who_signed_it_under_the_names_it_knows(provider, more, options):
    (message,) = to_ai_sdk_messages(answer(provider, "s", **more), provider=provider)
    assert message["content"][0] == {
        "type": "reasoning",
        "text": "Hm",
        "providerOptions": {provider: options},
    }
    for other in (None, "acme"):
        (message,) = to_ai_sdk_messages(answer(provider, "s", **more), provider=other)
        assert message["content"] == [{"type": "text", "text": "x"}]


def test_the_signature_of_a_call_goes_back_with_it():
    one = call("1", "f", "{}", encrypted_value("google", "s"))
    message, _ = to_ai_sdk_messages([AssistantMessage(id="a", tool_calls=[one])], provider="google")
    assert message["content"][0]["providerOptions"] == {"google": {"thoughtSignature": "s"}}


def test_tools_by_name():
    weather, wave = tools()
    assert to_ai_sdk_tools([weather, wave]) == {
        "weather": {"description": "Looks up the weather", "inputSchema": weather.parameters},
        "wave": {"description": "Waves", "inputSchema": {"type": "object", "properties": {}}},
    }


def test_objects_are_those_of_the_python_package_where_it_is_installed():
    if importlib.util.find_spec("ai") is None:
        with pytest.raises(MissingDependencyError, match=r'pip install "jumpseat\[ai\]"'):
            to_ai_sdk_messages(thread(), as_objects=True)
        with pytest.raises(MissingDependencyError, match=r'pip install "jumpseat\[ai\]"'):
            to_ai_sdk_tools(tools(), as_objects=True)
        return
    messages = to_ai_sdk_messages(thread(), as_objects=True, system="First.")
    assert [message.role for message in messages] == [
        "system",
        "user",
        "assistant",
        "tool",
        "tool",
        "user",
        "assistant",
        "user",
    ]
    assert [part.tool_args for part in messages[2].tool_calls] == ['{"city":"Rome"}', "{}"]
    assert [one.tool_results[0].result for one in messages[3:5]] == ["Sunny", NO_RESULT]
    assert [part.media_type for part in messages[5].files] == ["image/png", "application/pdf"]
    assert [tool.spec.params["type"] for tool in to_ai_sdk_tools(tools(), as_objects=True)] == ["object"] * 2
