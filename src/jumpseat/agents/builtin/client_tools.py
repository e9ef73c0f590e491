"""The front end's tools as the model sees them: their schemas go to the provider as they came."""

from __future__ import annotations

from typing import Any, cast

from jumpseat.agents.builtin.failures import AgentFailure
from jumpseat.agents.builtin.language_model import ModelTool
from jumpseat.protocol.inputs import Tool

__all__ = ["client_model_tool", "completed_schema"]


def client_model_tool(tool: Tool) -> ModelTool:
    """Return a tool of the request for the model.

    Raises:
        AgentFailure: Its parameters are not the schema of an object (``invalid_request``).
    """
    schema = completed_schema(tool.parameters)
    if schema is None:
        raise AgentFailure("invalid_request", f"Invalid JSON schema for tool {tool.name}")
    return ModelTool(name=tool.name, description=tool.description, parameters=schema)


def completed_schema(given: Any) -> dict[str, Any] | None:
    """Return a schema whose root says that it is an object; ``None`` for the schema of something else."""
    if given is None or given == {}:
        return {"type": "object", "properties": {}}
    if not isinstance(given, dict):
        return None
    schema = cast("dict[str, Any]", given)
    if schema.get("type", "object") != "object" or not isinstance(schema.get("properties", {}), dict):
        return None
    return schema if "type" in schema else {"type": "object", **schema}
