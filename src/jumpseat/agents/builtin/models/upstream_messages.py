"""Neutral messages as pydantic-ai's, with what a provider wants back of its own earlier answers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Final

from jumpseat.agents.builtin.language_model import (
    AssistantTurn,
    MediaData,
    MediaUrl,
    ModelMessage,
    RequestedCall,
    SystemText,
    Text,
    Thinking,
    ToolReturn,
    UserTurn,
)
from jumpseat.agents.builtin.models.downloads import download
from jumpseat.agents.builtin.models.library import Library
from jumpseat.agents.builtin.models.media_urls import is_fetched, media_kind
from jumpseat.agents.builtin.models.signatures import call_details, is_base64, thinking_fields

__all__ = ["MessageWriter", "restored_signatures"]

# What providers fetch by themselves, by the name of pydantic-ai's class for their interface. Everything else
# is downloaded: bytes suit every provider.
_FETCHED: Final = {
    "OpenAIResponsesModel": frozenset({"image", "document"}),
    "OpenAIChatModel": frozenset({"image"}),
    "AnthropicModel": frozenset({"image", "document"}),
}


def restored_signatures(messages: Sequence[ModelMessage]) -> list[str]:
    """Return the signatures that messages of earlier runs bring back; what is native is not among them."""
    return [
        part.signature
        for message in messages
        if isinstance(message, AssistantTurn) and message.native is None
        for part in message.content
        if isinstance(part, Thinking | RequestedCall) and part.signature is not None
    ]


class MessageWriter:
    """Writes the messages of one request for one model.

    Args:
        library: pydantic-ai.
        model: pydantic-ai's model that will read them.
        without: Signatures that the provider has refused; what they belong to is left out.
    """

    def __init__(self, library: Library, model: Any, *, without: Collection[str] = ()) -> None:
        self._types = library.messages
        self._model = model
        self._without = without
        self._is_google = any(kind.__name__ == "GoogleModel" for kind in type(model).__mro__)
        self._fetched = next(
            (_FETCHED[kind.__name__] for kind in type(model).__mro__ if kind.__name__ in _FETCHED),
            frozenset[str](),
        )

    async def write(self, messages: Sequence[ModelMessage]) -> list[Any]:
        """Return the messages; neighbours on the user's side share one request, as the library has it.

        Raises:
            AgentFailure: ``invalid_request``: a file cannot be loaded, or must not be.
        """
        written: list[Any] = []
        asked: list[Any] = []
        for message in messages:
            if not isinstance(message, AssistantTurn):
                asked.append(await self._asked(message))
                continue
            answer = self._answer(message)
            if answer is not None:
                if asked:
                    written.append(self._types.ModelRequest(parts=asked))
                    asked = []
                written.append(answer)
        if asked:
            written.append(self._types.ModelRequest(parts=asked))
        return written

    async def _asked(self, message: SystemText | UserTurn | ToolReturn) -> Any:
        match message:
            case SystemText():
                return self._types.SystemPromptPart(content=message.content)
            case UserTurn():
                return self._types.UserPromptPart(content=await self._content(message.content))
            case ToolReturn():
                content = await self._content(message.content)
                return self._types.ToolReturnPart(
                    tool_name=message.name, content=content, tool_call_id=message.tool_call_id
                )

    async def _content(self, content: str | list[Text | MediaData | MediaUrl]) -> Any:
        if isinstance(content, str):
            return content
        return [await self._item(item) for item in content]

    async def _item(self, item: Text | MediaData | MediaUrl) -> Any:
        if isinstance(item, Text):
            return item.text
        if isinstance(item, MediaUrl):
            if is_fetched(item, self._fetched):
                made = getattr(self._types, f"{media_kind(item).capitalize()}Url")
                return made(url=item.url, media_type=item.media_type)
            item = await download(item)
        return self._types.BinaryContent(data=item.data, media_type=item.media_type)

    def _answer(self, turn: AssistantTurn) -> Any:
        if isinstance(turn.native, self._types.ModelResponse):
            return _renamed(turn.native, turn.renamed_calls)
        parts = [part for item in turn.content if (part := self._said(item)) is not None]
        if not parts:
            return None
        return self._types.ModelResponse(parts=parts, provider_name=self._model.system)

    def _said(self, item: Text | Thinking | RequestedCall) -> Any:
        system = self._model.system
        match item:
            case Text():
                return self._types.TextPart(content=item.text)
            case Thinking():
                if not self._takes(item.signature):
                    return None
                return self._types.ThinkingPart(
                    content=item.text, provider_name=system, **thinking_fields(item)
                )
            case RequestedCall():
                signature = item.signature
                details = call_details(signature) if signature and self._takes(signature) else None
                return self._types.ToolCallPart(
                    tool_name=item.name,
                    args=item.arguments,
                    tool_call_id=item.id,
                    provider_name=system if details else None,
                    provider_details=details,
                )

    def _takes(self, signature: str) -> bool:
        return signature not in self._without and (not self._is_google or is_base64(signature))


def _renamed(native: Any, renamed: dict[str, str]) -> Any:
    """A copy of ``native`` with other call ids; the object itself belongs to the run's history."""
    if not renamed:
        return native
    parts = [
        replace(part, tool_call_id=renamed[part.tool_call_id])
        if getattr(part, "tool_call_id", None) in renamed
        else part
        for part in native.parts
    ]
    return replace(native, parts=parts)
