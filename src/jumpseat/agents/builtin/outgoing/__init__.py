"""From AG-UI messages and tools to those of other libraries, for factories that call a model themselves.

Every ``to_*_messages`` repairs the history first: each call is followed by exactly one result. The names
with ``convert_`` are those by which the same is known in TypeScript.
"""

from __future__ import annotations

from jumpseat.agents.builtin.outgoing.ai_sdk import to_ai_sdk_messages, to_ai_sdk_tools
from jumpseat.agents.builtin.outgoing.anthropic import to_anthropic_messages, to_anthropic_tools
from jumpseat.agents.builtin.outgoing.langchain import to_langchain_messages, to_langchain_tools
from jumpseat.agents.builtin.outgoing.openai import to_openai_messages, to_openai_tools
from jumpseat.agents.builtin.outgoing.pydantic_ai import to_pydantic_ai_messages, to_pydantic_ai_tools
from jumpseat.agents.builtin.outgoing.tanstack import (
    TanStackInput,
    convert_input_to_tanstack_ai,
    to_tanstack_messages,
    to_tanstack_tools,
)

__all__ = [
    "TanStackInput",
    "convert_input_to_tanstack_ai",
    "convert_messages_to_vercel_ai_sdk_messages",
    "convert_tool_definitions_to_vercel_ai_tools",
    "convert_tools_to_vercel_ai_tools",
    "to_ai_sdk_messages",
    "to_ai_sdk_tools",
    "to_anthropic_messages",
    "to_anthropic_tools",
    "to_langchain_messages",
    "to_langchain_tools",
    "to_openai_messages",
    "to_openai_tools",
    "to_pydantic_ai_messages",
    "to_pydantic_ai_tools",
    "to_tanstack_messages",
    "to_tanstack_tools",
]

convert_messages_to_vercel_ai_sdk_messages = to_ai_sdk_messages
convert_tools_to_vercel_ai_tools = to_ai_sdk_tools
convert_tool_definitions_to_vercel_ai_tools = to_ai_sdk_tools
