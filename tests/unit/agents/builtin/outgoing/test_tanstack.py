"""What TanStack AI is given."""

import copy

import pytest

from jumpseat.agents.builtin.outgoing import (
    TanStackInput,
    convert_input_to_tanstack_ai,
    to_tanstack_messages,
    to_tanstack_tools,
)
from jumpseat.agents.builtin.reasoning import encrypted_value
from jumpseat.protocol.inputs import (
    AssistantMessage,
    Context,
    ImagePart,
    PartSource,
    ReasoningMessage,
    RunAgentInput,
    Tool,
    UserMessage,
)
from sample_thread import NO_RESULT, PDF, PIXEL, call, thread, tools

MESSAGES = [
    {"role": "user", "content": "Weather in Rome and Oslo?"},
    {
        "role": "assistant",
        "content": "Let me look.",
        "toolCalls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "weather", "arguments": '{"city":"Rome"}'},
            },
            {"id": "call_2", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
        ],
    },
    {"role": "tool", "toolCallId": "call_1", "content": "Sunny"},
    {"role": "tool", "toolCallId": "call_2", "content": NO_RESULT},
    {
        "role": "user",
        "content": [
            {"type": "text", "content": "And what is this?"},
            {"type": "image", "source": {"type": "data", "value": PIXEL, "mimeType": "image/png"}},
            {"type": "document", "source": {"type": "data", "value": PDF, "mimeType": "application/pdf"}},
        ],
    },
    {"role": "assistant", "content": "Sunny in Rome."},
    {"role": "user", "content": "Thanks."},
]


def run_input(**more) -> RunAgentInput:
    return RunAgentInput(thread_id="t", run_id="r", messages=thread(), **more)


def test_the_model_messages():
    assert to_tanstack_messages(thread()) == MESSAGES


def test_instructions_are_messages_only_when_asked_for():
    forwarded = to_tanstack_messages(
        thread(), system="First.", forward_system_messages=True, forward_developer_messages=True
    )
    assert [message["content"] for message in forwarded[:3]] == [
        "First.",
        "Speak plainly.",
        "Use metric units.",
    ]
    assert {message["role"] for message in forwarded[:3]} == {"system"}
    assert forwarded[3:] == MESSAGES


def test_media_by_url():
    known = ImagePart(source=PartSource(type="url", value="https://a.example/b", mime_type="image/png"))
    unknown = ImagePart(source=PartSource(type="url", value="https://a.example/b"))
    (message,) = to_tanstack_messages([UserMessage(id="u", content=[known, unknown])])
    source = {"type": "url", "value": "https://a.example/b"}
    assert message["content"] == [
        {"type": "image", "source": {**source, "mimeType": "image/png"}},
        {"type": "image", "source": source},
    ]


def test_an_input_gives_all_three_fields():
    given = convert_input_to_tanstack_ai(
        run_input(tools=tools(), context=[Context(description="User", value="Zoë")], state={"n": "ü"})
    )
    assert isinstance(given, TanStackInput)
    assert given.messages == MESSAGES
    assert given.system_prompts == [
        "Speak plainly.",
        "Use metric units.",
        "User:\nZoë",
        'Application State:\n```json\n{\n  "n": "ü"\n}\n```',
    ]
    assert given.tools == to_tanstack_tools(tools())


@pytest.mark.parametrize("forward", [True, False])
def test_the_prompts_have_all_instructions_whatever_is_forwarded(forward):
    given = convert_input_to_tanstack_ai(
        run_input(), forward_system_messages=forward, forward_developer_messages=forward
    )
    assert given.system_prompts == ["Speak plainly.", "Use metric units."]
    assert given.messages == MESSAGES


def test_empty_state_is_no_prompt_and_an_own_prompt_comes_first():
    for state in (None, {}, []):
        assert convert_input_to_tanstack_ai(run_input(state=state), system="Own.").system_prompts == [
            "Own.",
            "Speak plainly.",
            "Use metric units.",
        ]


def test_what_a_provider_signed_goes_back_to_it():
    messages = [
        ReasoningMessage(id="r", content="Hm", encrypted_value=encrypted_value("google", "s1")),
        AssistantMessage(id="a", tool_calls=[call("1", "f", "{}", encrypted_value("google", "s2"))]),
    ]
    answer = to_tanstack_messages(messages, provider="google")[0]
    assert answer["thinking"] == [{"content": "Hm", "signature": "s1"}]
    assert answer["toolCalls"][0]["metadata"] == {"thoughtSignature": "s2"}
    assert set(to_tanstack_messages(messages)[0]) == {"role", "content", "toolCalls"}


def test_every_object_of_a_schema_is_closed():
    inner = {"type": "object", "properties": {"a": {"type": "string"}}}
    closed = {**inner, "additionalProperties": False}
    schema = {
        "type": "object",
        "properties": {
            "list": {"type": "array", "items": inner},
            "either": {"anyOf": [inner, {"type": "null"}]},
            "maybe": {"type": ["object", "null"], "additionalProperties": True},
            "default": {"const": {"type": "object"}},
            "ref": {"$ref": "#/$defs/inner"},
        },
        "$defs": {"inner": inner},
    }
    before = copy.deepcopy(schema)
    (tool,) = to_tanstack_tools([Tool(name="f", description="d", parameters=schema)])
    assert tool == {
        "__toolSide": "client",
        "name": "f",
        "description": "d",
        "inputSchema": {
            "type": "object",
            "properties": {
                "list": {"type": "array", "items": closed},
                "either": {"anyOf": [closed, {"type": "null"}]},
                "maybe": {"type": ["object", "null"], "additionalProperties": False},
                "default": {"const": {"type": "object"}},
                "ref": {"$ref": "#/$defs/inner"},
            },
            "$defs": {"inner": closed},
            "additionalProperties": False,
        },
    }
    assert schema == before
