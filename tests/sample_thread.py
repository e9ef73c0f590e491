"""A thread with every role and every disorder, and the tools of its front end."""

from typing import Any

from jumpseat.agents.builtin.reasoning import encrypted_value
from jumpseat.protocol.codec import to_wire
from jumpseat.protocol.inputs import (
    ActivityMessage,
    AssistantMessage,
    DeveloperMessage,
    DocumentPart,
    FunctionCall,
    ImagePart,
    Message,
    PartSource,
    ReasoningMessage,
    SystemMessage,
    TextPart,
    Tool,
    ToolCall,
    ToolMessage,
    UserMessage,
)

NO_RESULT = '{"error":"No result was recorded for this tool call."}'
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF = "JVBERi0xLjQK"


def call(call_id: str, name: str, arguments: str, encrypted: str | None = None) -> ToolCall:
    function = FunctionCall(name=name, arguments=arguments)
    return ToolCall(id=call_id, function=function, encrypted_value=encrypted)


def thread() -> list[Message]:
    """Every role; of the two calls one is answered too late, and one never."""
    return [
        SystemMessage(id="s1", content="Speak plainly."),
        DeveloperMessage(id="d1", content="Use metric units."),
        UserMessage(id="u1", content="Weather in Rome and Oslo?"),
        ReasoningMessage(id="r1", content="Two cities.", encrypted_value=encrypted_value("acme", "sig")),
        AssistantMessage(
            id="a1",
            content="Let me look.",
            tool_calls=[call("call_1", "weather", '{"city":"Rome"}'), call("call_2", "weather", '{"city":')],
        ),
        ActivityMessage(id="x1", activity_type="plan", content={"steps": []}),
        UserMessage(
            id="u2",
            content=[
                TextPart(text="And what is this?"),
                ImagePart(source=PartSource(type="data", value=PIXEL, mime_type="image/png")),
                DocumentPart(
                    source=PartSource(type="data", value=PDF, mime_type="application/pdf"),
                    metadata={"filename": "a.pdf"},
                ),
            ],
        ),
        ToolMessage(id="t1", content="Sunny", tool_call_id="call_1"),
        ToolMessage(id="t9", content="nobody asked", tool_call_id="call_9"),
        AssistantMessage(id="a2", content="Sunny in Rome."),
        UserMessage(id="u3", content="Thanks."),
    ]


def thread_as_dicts() -> list[dict[str, Any]]:
    """The same as a client sends it, and a message that only a newer client knows."""
    return [*(to_wire(message) for message in thread()), {"id": "n1", "role": "hologram", "content": {}}]


def tools() -> list[Tool]:
    """Tools of a front end: with a schema, and without one."""
    schema = {"type": "object", "properties": {"city": {"type": "string", "minLength": 1}}}
    return [
        Tool(name="weather", description="Looks up the weather", parameters=schema),
        Tool(name="wave", description="Waves", parameters={}),
    ]
