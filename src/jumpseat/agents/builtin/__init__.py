"""BuiltInAgent: the agent that ships with Jumpseat, and what its parts are made of."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from jumpseat.agents.builtin.agent import BuiltInAgent
    from jumpseat.agents.builtin.factory import FactoryContext, InterruptSignal, convert_stream
    from jumpseat.agents.builtin.failures import AgentFailure
    from jumpseat.agents.builtin.language_model import (
        AssistantTurn,
        LanguageModel,
        MediaData,
        MediaUrl,
        ModelMessage,
        ModelRequest,
        ModelSettings,
        ModelTool,
        RequestedCall,
        SystemText,
        Text,
        Thinking,
        ToolReturn,
        UserTurn,
    )
    from jumpseat.agents.builtin.models.resolving import resolve_model
    from jumpseat.agents.builtin.outgoing import (
        convert_input_to_tanstack_ai,
        convert_messages_to_vercel_ai_sdk_messages,
        convert_tool_definitions_to_vercel_ai_tools,
        convert_tools_to_vercel_ai_tools,
        to_ai_sdk_messages,
        to_ai_sdk_tools,
        to_anthropic_messages,
        to_anthropic_tools,
        to_langchain_messages,
        to_langchain_tools,
        to_openai_messages,
        to_openai_tools,
        to_pydantic_ai_messages,
        to_pydantic_ai_tools,
        to_tanstack_messages,
        to_tanstack_tools,
    )
    from jumpseat.agents.builtin.tools import ToolContext, ToolDefinition, define_tool, state_tools
    from jumpseat.errors import ModelSpecError, StatePatchError, ToolDefinitionError, ToolError
    from jumpseat.mcp import MCPPool, MCPServer

__all__ = [
    "AgentFailure",
    "AssistantTurn",
    "BuiltInAgent",
    "FactoryContext",
    "InterruptSignal",
    "LanguageModel",
    "MCPPool",
    "MCPServer",
    "MediaData",
    "MediaUrl",
    "ModelMessage",
    "ModelRequest",
    "ModelSettings",
    "ModelSpecError",
    "ModelTool",
    "RequestedCall",
    "StatePatchError",
    "SystemText",
    "Text",
    "Thinking",
    "ToolContext",
    "ToolDefinition",
    "ToolDefinitionError",
    "ToolError",
    "ToolReturn",
    "UserTurn",
    "convert_input_to_tanstack_ai",
    "convert_messages_to_vercel_ai_sdk_messages",
    "convert_stream",
    "convert_tool_definitions_to_vercel_ai_tools",
    "convert_tools_to_vercel_ai_tools",
    "define_tool",
    "resolve_model",
    "state_tools",
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

# Modules inside import each other through this package: nothing is imported before it is asked for.
_MODULES: Final = {
    "jumpseat.agents.builtin.agent": ("BuiltInAgent",),
    "jumpseat.agents.builtin.factory": (
        "FactoryContext",
        "InterruptSignal",
        "convert_stream",
    ),
    "jumpseat.agents.builtin.failures": ("AgentFailure",),
    "jumpseat.agents.builtin.language_model": (
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
        "ToolReturn",
        "UserTurn",
    ),
    "jumpseat.agents.builtin.models.resolving": ("resolve_model",),
    "jumpseat.agents.builtin.outgoing": (
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
    ),
    "jumpseat.agents.builtin.tools": (
        "ToolContext",
        "ToolDefinition",
        "define_tool",
        "state_tools",
    ),
    "jumpseat.errors": ("ModelSpecError", "StatePatchError", "ToolDefinitionError", "ToolError"),
    "jumpseat.mcp": ("MCPPool", "MCPServer"),
}
_ORIGIN: Final = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in _ORIGIN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_ORIGIN[name]), name)
    globals()[name] = found
    return found
