"""LangChain chat models that say what a script says."""

from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, message_chunk_to_message
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult


class ScriptedChatModel(BaseChatModel):
    """Streams one list of chunks per generation; an exception in a list is raised there."""

    scripts: list[list[Any]]
    requests: list[dict[str, Any]]
    temperature: float | None = None
    max_tokens: int | None = None

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **options: Any) -> Any:
        return self.bind(tools=list(tools), **options)

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        raise NotImplementedError

    async def _agenerate(self, *given: Any, **options: Any) -> ChatResult:
        first, *rest = [piece.message async for piece in self._astream(*given[:2], **options)]
        whole = message_chunk_to_message(first + rest)
        return ChatResult(generations=[ChatGeneration(message=whole)])

    async def _astream(self, messages: Any, stop: Any = None, run_manager: Any = None, **options: Any):
        self.requests.append({"messages": messages, "stop": stop, **options})
        for chunk in self.scripts[len(self.requests) - 1]:
            if isinstance(chunk, Exception):
                raise chunk
            # The library writes ids into the chunks that it is given.
            generation = ChatGenerationChunk(message=chunk.model_copy(deep=True))
            if run_manager is not None:
                await run_manager.on_llm_new_token(chunk.text, chunk=generation)
            yield generation


def scripted(*scripts: list[Any], **fields: Any) -> ScriptedChatModel:
    return ScriptedChatModel(scripts=list(scripts), requests=[], **fields)


def says(content: Any = "", **fields: Any) -> AIMessageChunk:
    """A chunk of an answer."""
    return AIMessageChunk(content=content, **fields)


def calls(name: str | None, args: str, call_id: str | None, index: Any = 0, **fields: Any) -> AIMessageChunk:
    """A chunk of a call."""
    piece: Any = {"name": name, "args": args, "id": call_id, "index": index, "type": "tool_call_chunk"}
    return AIMessageChunk(content="", tool_call_chunks=[piece], **fields)
