"""What LangChain is given."""

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from jumpseat.agents.builtin.outgoing import to_langchain_messages, to_langchain_tools, to_openai_tools
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
)
from sample_thread import NO_RESULT, PDF, PIXEL, thread, tools

MESSAGES = [
    HumanMessage(content="Weather in Rome and Oslo?", id="u1"),
    AIMessage(
        content="Let me look.",
        id="a1",
        tool_calls=[
            {"type": "tool_call", "id": "call_1", "name": "weather", "args": {"city": "Rome"}},
            {"type": "tool_call", "id": "call_2", "name": "weather", "args": {}},
        ],
    ),
    ToolMessage(content="Sunny", tool_call_id="call_1", name="weather", id="t1"),
    ToolMessage(content=NO_RESULT, tool_call_id="call_2", name="weather", id="call_2-result"),
    HumanMessage(
        content=[
            {"type": "text", "text": "And what is this?"},
            {"type": "image", "base64": PIXEL, "mime_type": "image/png"},
            {"type": "file", "base64": PDF, "mime_type": "application/pdf", "filename": "a.pdf"},
        ],
        id="u2",
    ),
    AIMessage(content="Sunny in Rome.", id="a2"),
    HumanMessage(content="Thanks.", id="u3"),
]


def test_the_messages_keep_their_ids():
    assert to_langchain_messages(thread()) == MESSAGES


def test_instructions_come_as_system_messages():
    forwarded = to_langchain_messages(
        thread(), system="First.", forward_system_messages=True, forward_developer_messages=True
    )
    assert forwarded == [
        SystemMessage(content="First."),
        SystemMessage(content="Speak plainly.", id="s1"),
        SystemMessage(content="Use metric units.", id="d1"),
        *MESSAGES,
    ]


def test_media():
    def url(mime_type: str | None = None) -> PartSource:
        return PartSource(type="url", value="https://a.example/b", mime_type=mime_type)

    audio = PartSource(type="data", value="aGk=", mime_type="audio/wav")
    parts = [
        ImagePart(source=url()),
        DocumentPart(source=url("application/pdf")),
        AudioPart(source=audio),
        BinaryPart(mime_type="application/zip", data="aGk="),
    ]
    (message,) = to_langchain_messages([UserMessage(id="", content=parts)])
    assert message.id is None
    assert message.content == [
        {"type": "image", "url": "https://a.example/b"},
        {"type": "file", "url": "https://a.example/b", "mime_type": "application/pdf"},
        {"type": "audio", "base64": "aGk=", "mime_type": "audio/wav"},
        {"type": "file", "base64": "aGk=", "mime_type": "application/zip", "filename": "document.bin"},
    ]


def reasoned(provider: str, own_id: str | None = None) -> list:
    encrypted = encrypted_value(provider, "s", own_id)
    return [
        ReasoningMessage(id="r", content="Hm", encrypted_value=encrypted),
        AssistantMessage(id="a", content="x"),
    ]


def test_reasoning_goes_back_to_who_signed_it():
    text = {"type": "text", "text": "x"}
    (answer,) = to_langchain_messages(reasoned("anthropic"), provider="anthropic")
    assert answer.content == [{"type": "thinking", "thinking": "Hm", "signature": "s"}, text]
    (answer,) = to_langchain_messages(reasoned("openai", "rs_1"), provider="openai")
    summary = [{"type": "summary_text", "text": "Hm"}]
    assert answer.content == [
        {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "s"},
        text,
    ]
    for provider in (None, "acme"):
        (answer,) = to_langchain_messages(reasoned("anthropic"), provider=provider)
        assert answer.content == "x"


def test_tools_are_those_of_chat_completions():
    assert to_langchain_tools(tools()) == to_openai_tools(tools(), api="chat")
