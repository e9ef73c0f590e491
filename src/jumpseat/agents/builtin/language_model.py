"""The port to a language model: what a generation is asked for, and who answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import msgspec

from jumpseat.agents.builtin.parts import StreamPart
from jumpseat.context import AbortSignal

__all__ = [
    "AssistantTurn",
    "LanguageModel",
    "MediaData",
    "MediaUrl",
    "ModelMessage",
    "ModelRequest",
    "ModelSettings",
    "ModelTool",
    "RequestedCall",
    "SystemText",
    "Text",
    "Thinking",
    "ToolChoice",
    "ToolReturn",
    "UserTurn",
]


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of text."""

    text: str


class MediaData(msgspec.Struct, frozen=True, kw_only=True):
    """A picture, a recording, a film or a document, as bytes."""

    data: bytes
    media_type: str
    filename: str | None = None


class MediaUrl(msgspec.Struct, frozen=True, kw_only=True):
    """The same behind an ``http``, ``https`` or ``data`` URL; ``kind`` is how the message names it."""

    url: str
    kind: Literal["image", "audio", "video", "document", "binary"]
    media_type: str | None = None


class Thinking(msgspec.Struct, frozen=True, kw_only=True):
    """Reasoning of an earlier answer that its provider wants back, with the signature it gave."""

    text: str
    signature: str
    provider: str
    id: str | None = None
    details: dict[str, Any] | None = None


class RequestedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that the model made. ``arguments`` is always an object.

    ``signature`` and ``provider``: what its provider wants back with it.
    """

    id: str
    name: str
    arguments: dict[str, Any]
    signature: str | None = None
    provider: str | None = None


class SystemText(msgspec.Struct, frozen=True, kw_only=True):
    """Instructions."""

    content: str


class UserTurn(msgspec.Struct, frozen=True, kw_only=True):
    """What a person said."""

    content: str | list[Text | MediaData | MediaUrl]


class AssistantTurn(msgspec.Struct, frozen=True, kw_only=True):
    """What the model said and which tools it called.

    Attributes:
        content: In the order in which it was said.
        native: The provider's own form of this answer (``Finish.native``), when it was given in this run; an
            adapter prefers it, so that nothing of the provider's is lost between two steps.
        renamed_calls: Provider's call ids that had to be replaced -> the ids that ``content`` and the results
            use; an adapter that sends ``native`` applies them to it.
    """

    content: list[Text | Thinking | RequestedCall]
    native: Any = None
    renamed_calls: dict[str, str] = {}


class ToolReturn(msgspec.Struct, frozen=True, kw_only=True):
    """The result of the call ``tool_call_id``."""

    tool_call_id: str
    name: str
    content: str | list[Text | MediaData | MediaUrl]


ModelMessage: TypeAlias = SystemText | UserTurn | AssistantTurn | ToolReturn
ToolChoice: TypeAlias = Literal["auto", "required", "none"] | tuple[Literal["tool"], str]


class ModelTool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool as the model sees it; ``parameters`` is a JSON Schema with an object at its root."""

    name: str
    description: str
    parameters: dict[str, Any]
    strict: bool = False


class ModelSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to generate; what is ``None`` is left to the provider."""

    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop_sequences: list[str] | None = None
    seed: int | None = None
    max_retries: int | None = None
    timeout: float | None = None


class ModelRequest(msgspec.Struct, kw_only=True):
    """One generation.

    Attributes:
        messages: The conversation, system texts first, every call with its result.
        tools: What the model may call.
        tool_choice: ``"auto"``, ``"required"``, ``"none"`` or ``("tool", name)``.
        settings: Sampling and transport settings.
        provider_options: The active provider's own options, keys as the developer wrote them.
        step: Number of the generation within the run, from 1.
        abort_signal: Set when the run is to end; the stream is cancelled as well.
        thinking: False when the provider must not think in this request (a forced tool, or a repeated
            request without restored reasoning).
    """

    messages: list[ModelMessage]
    abort_signal: AbortSignal
    tools: list[ModelTool] = []
    tool_choice: ToolChoice = "auto"
    settings: ModelSettings = ModelSettings()
    provider_options: Mapping[str, Any] = {}
    step: int = 1
    thinking: bool = True


@runtime_checkable
class LanguageModel(Protocol):
    """Anything that can answer a ``ModelRequest``.

    It may also have ``provider`` and ``model``, two strings that usage is reported under.
    """

    def stream(self, request: ModelRequest) -> AsyncIterator[StreamPart | Mapping[str, Any]]:
        """Return the parts of one generation, the last of them a ``Finish``.

        Closing or cancelling the iterator gives up the request and closes its connection. A failure is
        raised, or reported as a ``ModelError`` part. Arguments of calls are never validated here.
        """
        ...
