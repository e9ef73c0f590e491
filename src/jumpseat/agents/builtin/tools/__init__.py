"""Tools that this server runs: made of functions, called by models."""

from jumpseat.agents.builtin.tools.context import ToolContext
from jumpseat.agents.builtin.tools.define import define_tool
from jumpseat.agents.builtin.tools.definition import ToolDefinition
from jumpseat.agents.builtin.tools.state_tools import state_tools
from jumpseat.errors import ToolError

__all__ = ["ToolContext", "ToolDefinition", "ToolError", "define_tool", "state_tools"]
