"""What Pydantic AI is given."""

import pytest
from pydantic_ai import (
    AudioUrl,
    BinaryContent,
    DocumentUrl,
    ImageUrl,
    ModelRequest,
    ModelResponse,
    RunContext,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolDefinition,
    ToolReturnPart,
    UserPromptPart,
    VideoUrl,
)
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RunUsage

from jumpseat.agents.builtin.outgoing import to_pydantic_ai_messages, to_pydantic_ai_tools
from jumpseat.agents.builtin.reasoning import encrypted_value
from jumpseat.protocol.inputs import (
    AssistantMessage,
    AudioPart,
    DocumentPart,
    ImagePart,
    PartSource,
    ReasoningMessage,
    UserMessage,
    VideoPart,
)
from sample_thread import NO_RESULT, call, thread, tools


def shape(part) -> tuple:
    match part:
        case ToolCallPart():
            return part.tool_name, part.args, part.tool_call_id
        case ToolReturnPart():
            return part.tool_name, part.content, part.tool_call_id
        case _:
            return type(part), part.content


def test_the_history_alternates_between_requests_and_responses():
    history = to_pydantic_ai_messages(thread())
    assert [type(message) for message in history] == [
        ModelRequest,
        ModelResponse,
        ModelRequest,
        ModelResponse,
        ModelRequest,
    ]
    assert [shape(part) for part in history[1].parts] == [
        (TextPart, "Let me look."),
        ("weather", {"city": "Rome"}, "call_1"),
        ("weather", {}, "call_2"),
    ]
    result, missing, user = history[2].parts
    assert [shape(result), shape(missing)] == [
        ("weather", "Sunny", "call_1"),
        ("weather", NO_RESULT, "call_2"),
    ]
    text, image, document = user.content
    assert text == "And what is this?"
    assert isinstance(image, BinaryContent)
    assert (image.media_type, document.media_type, document.data) == (
        "image/png",
        "application/pdf",
        b"%PDF-1.4\n",
    )
    assert [shape(part) for part in (*history[0].parts, *history[3].parts, *history[4].parts)] == [
        (UserPromptPart, "Weather in Rome and Oslo?"),
        (TextPart, "Sunny in Rome."),
        (UserPromptPart, "Thanks."),
    ]


def test_instructions_come_as_system_prompts():
    forwarded = to_pydantic_ai_messages(
        thread(), system="First.", forward_system_messages=True, forward_developer_messages=True
    )
    assert [shape(part) for part in forwarded[0].parts[:3]] == [
        (SystemPromptPart, "First."),
        (SystemPromptPart, "Speak plainly."),
        (SystemPromptPart, "Use metric units."),
    ]


def test_media_by_url():
    source = PartSource(type="url", value="https://a.example/b", mime_type="application/x")
    parts = [kind(source=source) for kind in (ImagePart, AudioPart, VideoPart, DocumentPart)]
    (request,) = to_pydantic_ai_messages([UserMessage(id="u", content=parts)])
    seen = request.parts[0].content
    assert [type(part) for part in seen] == [ImageUrl, AudioUrl, VideoUrl, DocumentUrl]
    assert {(part.url, part.media_type) for part in seen} == {("https://a.example/b", "application/x")}


def test_what_a_provider_signed_goes_back_to_it():
    def messages(provider: str, **more) -> list:
        encrypted = encrypted_value(provider, "s1", **more)
        return [
            ReasoningMessage(id="r", content="Hm", encrypted_value=encrypted),
            AssistantMessage(id="a", tool_calls=[call("1", "f", "{}", encrypted_value(provider, "s2"))]),
        ]

    response, _ = to_pydantic_ai_messages(messages("google"), provider="google")
    thinking, made = response.parts
    assert (thinking.content, thinking.signature, thinking.provider_name) == ("Hm", "s1", "google")
    assert (made.provider_name, made.provider_details) == ("google", {"thought_signature": "s2"})

    response, _ = to_pydantic_ai_messages(
        messages("anthropic", id="i", details={"a": 1}), provider="anthropic"
    )
    thinking, hidden, made = response.parts
    assert (thinking.id, thinking.provider_details) == ("i", {"a": 1})
    assert isinstance(hidden, ThinkingPart)
    assert (hidden.content, hidden.signature, hidden.provider_name) == ("", "s2", "anthropic")
    assert made.provider_details is None

    response, _ = to_pydantic_ai_messages(messages("anthropic"))
    assert [type(part) for part in response.parts] == [ToolCallPart]


@pytest.mark.parametrize(
    ("details", "signature", "provider_details"),
    [
        ({"signs": "thought"}, None, {"thought_signature": "s1"}),
        ({"signs": "hidden thought"}, "s1", None),
    ],
)
def test_reasoning_of_a_run_without_a_factory_goes_back_too(details, signature, provider_details):
    messages = [
        ReasoningMessage(
            id="r", content="Hm", encrypted_value=encrypted_value("google", "s1", details=details)
        ),
        AssistantMessage(id="a", content="x"),
    ]
    (response,) = to_pydantic_ai_messages(messages, provider="google")
    thinking = response.parts[0]
    assert (thinking.signature, thinking.provider_details) == (signature, provider_details)


async def test_tools_are_external():
    toolset = to_pydantic_ai_tools(tools())
    known = await toolset.get_tools(RunContext(deps=None, model=TestModel(), usage=RunUsage()))
    assert {name: tool.tool_def for name, tool in known.items()} == {
        tool.name: ToolDefinition(
            name=tool.name,
            description=tool.description,
            parameters_json_schema=tool.parameters or {"type": "object", "properties": {}},
            kind="external",
        )
        for tool in tools()
    }
