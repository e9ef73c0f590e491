"""Jumpseat: the Python runtime for AI copilots. Works with CopilotKit clients, speaks AG-UI."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from jumpseat.agents.base import Agent
from jumpseat.agents.http import HttpAgent
from jumpseat.context import AbortSignal, RunContext, User
from jumpseat.errors import (
    ClaimLost,
    ConfigurationError,
    InvalidExport,
    InvalidInput,
    JumpseatError,
    MissingDependencyError,
    RespondWith,
    RunnerClosed,
    RunNotFound,
    StoreUnavailable,
    ThreadAlreadyRunning,
    ThreadNotFound,
    ToolError,
    TranscriptionError,
)
from jumpseat.protocol.events import (
    ActivityDelta,
    ActivitySnapshot,
    Custom,
    Event,
    Interrupt,
    MessagesSnapshot,
    Raw,
    ReasoningEncryptedValue,
    ReasoningEnd,
    ReasoningMessageChunk,
    ReasoningMessageContent,
    ReasoningMessageEnd,
    ReasoningMessageStart,
    ReasoningStart,
    RunError,
    RunFinished,
    RunOutcome,
    RunStarted,
    StateDelta,
    StateSnapshot,
    StepFinished,
    StepStarted,
    SubagentError,
    SubagentFinished,
    SubagentStarted,
    TextMessageChunk,
    TextMessageContent,
    TextMessageEnd,
    TextMessageStart,
    TokenUsage,
    ToolCallArgs,
    ToolCallChunk,
    ToolCallEnd,
    ToolCallResult,
    ToolCallStart,
)
from jumpseat.protocol.inputs import (
    ActivityMessage,
    AssistantMessage,
    Context,
    DeveloperMessage,
    FunctionCall,
    Message,
    ReasoningMessage,
    RunAgentInput,
    SystemMessage,
    Tool,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from jumpseat.runners.base import AgentRunner
from jumpseat.runners.event_log import EventLogRunner
from jumpseat.runners.in_memory import InMemoryAgentRunner
from jumpseat.runners.options import Limits
from jumpseat.runtime import CopilotRuntime, DebugConfig
from jumpseat.runtime.forwarding import ForwardHeaders
from jumpseat.stores.base import Retention
from jumpseat.transcription import OpenAITranscriptionService, TranscriptionService
from jumpseat.web.cors import CorsConfig
from jumpseat.web.hooks import Hooks
from jumpseat.web.requests import replace_request
from jumpseat.web.webhooks import Webhook

if TYPE_CHECKING:
    from jumpseat.agents.builtin.agent import BuiltInAgent
    from jumpseat.agents.builtin.tools import ToolContext, define_tool
    from jumpseat.runners.postgres import PostgresAgentRunner
    from jumpseat.runners.redis import RedisAgentRunner
    from jumpseat.runners.sqlite import SqliteAgentRunner
    from jumpseat.stores.exporting import export
    from jumpseat.stores.importing import ImportReport, import_

__all__ = [
    "AbortSignal",
    "ActivityDelta",
    "ActivityMessage",
    "ActivitySnapshot",
    "Agent",
    "AgentRunner",
    "AssistantMessage",
    "BuiltInAgent",
    "ClaimLost",
    "ConfigurationError",
    "Context",
    "CopilotRuntime",
    "CorsConfig",
    "Custom",
    "DebugConfig",
    "DeveloperMessage",
    "Event",
    "EventLogRunner",
    "ForwardHeaders",
    "FunctionCall",
    "Hooks",
    "HttpAgent",
    "ImportReport",
    "InMemoryAgentRunner",
    "Interrupt",
    "InvalidExport",
    "InvalidInput",
    "JumpseatError",
    "Limits",
    "Message",
    "MessagesSnapshot",
    "MissingDependencyError",
    "OpenAITranscriptionService",
    "PostgresAgentRunner",
    "Raw",
    "ReasoningEncryptedValue",
    "ReasoningEnd",
    "ReasoningMessage",
    "ReasoningMessageChunk",
    "ReasoningMessageContent",
    "ReasoningMessageEnd",
    "ReasoningMessageStart",
    "ReasoningStart",
    "RedisAgentRunner",
    "RespondWith",
    "Retention",
    "RunAgentInput",
    "RunContext",
    "RunError",
    "RunFinished",
    "RunNotFound",
    "RunOutcome",
    "RunStarted",
    "RunnerClosed",
    "SqliteAgentRunner",
    "StateDelta",
    "StateSnapshot",
    "StepFinished",
    "StepStarted",
    "StoreUnavailable",
    "SubagentError",
    "SubagentFinished",
    "SubagentStarted",
    "SystemMessage",
    "TextMessageChunk",
    "TextMessageContent",
    "TextMessageEnd",
    "TextMessageStart",
    "ThreadAlreadyRunning",
    "ThreadNotFound",
    "TokenUsage",
    "Tool",
    "ToolCall",
    "ToolCallArgs",
    "ToolCallChunk",
    "ToolCallEnd",
    "ToolCallResult",
    "ToolCallStart",
    "ToolContext",
    "ToolError",
    "ToolMessage",
    "TranscriptionError",
    "TranscriptionService",
    "User",
    "UserMessage",
    "Webhook",
    "define_tool",
    "export",
    "import_",
    "replace_request",
]


# What is imported when it is asked for: it takes longer to import than the rest of the package.
_LATER: Final = {
    "BuiltInAgent": "jumpseat.agents.builtin.agent",
    "ImportReport": "jumpseat.stores.importing",
    "PostgresAgentRunner": "jumpseat.runners.postgres",
    "RedisAgentRunner": "jumpseat.runners.redis",
    "SqliteAgentRunner": "jumpseat.runners.sqlite",
    "ToolContext": "jumpseat.agents.builtin.tools",
    "define_tool": "jumpseat.agents.builtin.tools",
    "export": "jumpseat.stores.exporting",
    "import_": "jumpseat.stores.importing",
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_LATER[name]), name)
    globals()[name] = found
    return found
