"""What a client sends to start a run: messages, tools, context and the input that holds them.

The shapes are those of ``@ag-ui/core`` 0.0.57 to 1.0: what any of these versions accepts is accepted.
Keys that none of them knows are kept in ``extra``.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeAlias

import msgspec

__all__ = [
    "ActivityMessage",
    "AssistantMessage",
    "AudioPart",
    "BinaryPart",
    "ContentPart",
    "Context",
    "DeveloperMessage",
    "DocumentPart",
    "Extensible",
    "FunctionCall",
    "ImagePart",
    "Message",
    "PartSource",
    "ReasoningMessage",
    "ResumeEntry",
    "RunAgentInput",
    "SystemMessage",
    "TextPart",
    "Tool",
    "ToolCall",
    "ToolMessage",
    "UserMessage",
    "VideoPart",
]


class Extensible(
    msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True, gc=False, repr_omit_defaults=True
):
    """A wire object that keeps the keys it does not know in ``extra``."""

    # The wire name cannot occur in practice, so a key called "extra" is an unknown key like any other.
    extra: dict[str, Any] | None = msgspec.field(default=None, name="~extra~")


class PartSource(Extensible, kw_only=True):
    """Where a media part's bytes are: ``data`` (base64), ``url``, or ``file`` (a provider's handle)."""

    type: Literal["data", "url", "file"]
    value: str
    mime_type: str | None = None
    provider: str | None = None


class _Part(Extensible, tag_field="type", kw_only=True):
    id: str | None = None
    metadata: Any = None


class TextPart(_Part, tag="text", kw_only=True):
    """A piece of text."""

    type: ClassVar[Literal["text"]] = "text"
    text: str


class ImagePart(_Part, tag="image", kw_only=True):
    """An image."""

    type: ClassVar[Literal["image"]] = "image"
    source: PartSource


class AudioPart(_Part, tag="audio", kw_only=True):
    """A recording."""

    type: ClassVar[Literal["audio"]] = "audio"
    source: PartSource


class VideoPart(_Part, tag="video", kw_only=True):
    """A film."""

    type: ClassVar[Literal["video"]] = "video"
    source: PartSource


class DocumentPart(_Part, tag="document", kw_only=True):
    """A document, for example a PDF."""

    type: ClassVar[Literal["document"]] = "document"
    source: PartSource


class BinaryPart(_Part, tag="binary", kw_only=True):
    """The form that older clients use for any media."""

    type: ClassVar[Literal["binary"]] = "binary"
    mime_type: str
    url: str | None = None
    data: str | None = None
    filename: str | None = None


ContentPart: TypeAlias = TextPart | ImagePart | AudioPart | VideoPart | DocumentPart | BinaryPart


class FunctionCall(Extensible, kw_only=True):
    """The name of a called function and its arguments as JSON text."""

    name: str
    arguments: str


class ToolCall(Extensible, kw_only=True):
    """A call that an assistant message makes."""

    id: str
    type: Literal["function"] = msgspec.field(default_factory=lambda: "function")
    function: FunctionCall
    encrypted_value: str | None = None
    metadata: dict[str, Any] | None = None


class _Message(Extensible, tag_field="role", kw_only=True):
    id: str
    metadata: dict[str, Any] | None = None
    subagent_run_id: str | None = None
    encrypted_value: str | None = None


class DeveloperMessage(_Message, tag="developer", kw_only=True):
    """Instructions from the application's developer."""

    role: ClassVar[Literal["developer"]] = "developer"
    content: str
    name: str | None = None


class SystemMessage(_Message, tag="system", kw_only=True):
    """Instructions from the system."""

    role: ClassVar[Literal["system"]] = "system"
    content: str
    name: str | None = None


class UserMessage(_Message, tag="user", kw_only=True):
    """What a person said: text, or parts."""

    role: ClassVar[Literal["user"]] = "user"
    content: str | list[ContentPart]
    name: str | None = None


class AssistantMessage(_Message, tag="assistant", kw_only=True):
    """What an agent said and which tools it called."""

    role: ClassVar[Literal["assistant"]] = "assistant"
    content: str | None = None
    tool_calls: list[ToolCall] | None = None
    name: str | None = None


class ToolMessage(_Message, tag="tool", kw_only=True):
    """What a tool returned for the call ``tool_call_id``."""

    role: ClassVar[Literal["tool"]] = "tool"
    content: str | list[ContentPart]
    tool_call_id: str
    error: str | None = None


class ActivityMessage(_Message, tag="activity", kw_only=True):
    """Structured progress that is not conversation."""

    role: ClassVar[Literal["activity"]] = "activity"
    activity_type: str
    content: dict[str, Any]


class ReasoningMessage(_Message, tag="reasoning", kw_only=True):
    """A span of an agent's reasoning."""

    role: ClassVar[Literal["reasoning"]] = "reasoning"
    content: str


Message: TypeAlias = (
    DeveloperMessage
    | SystemMessage
    | UserMessage
    | AssistantMessage
    | ToolMessage
    | ActivityMessage
    | ReasoningMessage
)


class Tool(Extensible, kw_only=True):
    """A tool that the front end offers; ``parameters`` is a JSON Schema."""

    name: str
    description: str
    parameters: Any = None
    metadata: dict[str, Any] | None = None


class Context(Extensible, kw_only=True):
    """One thing the application wants the agent to know."""

    description: str
    value: str


class ResumeEntry(Extensible, kw_only=True):
    """The answer to one interrupt."""

    interrupt_id: str
    status: Literal["resolved", "cancelled"]
    payload: Any = None
    metadata: dict[str, Any] | None = None


class RunAgentInput(Extensible, kw_only=True):
    """A request to run an agent, as it reaches the agent."""

    thread_id: str
    run_id: str
    parent_run_id: str | None = None
    state: Any = None
    messages: list[Message]
    tools: list[Tool] = []
    context: list[Context] = []
    forwarded_props: Any = msgspec.field(default_factory=dict[str, Any])
    resume: list[ResumeEntry] | None = None
