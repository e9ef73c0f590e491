"""Clients of MCP servers that a developer opened, of whatever library, as sources of tools."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from typing import Any, Final, TypeAlias, cast

from jumpseat.agents.builtin.mcp_results import as_result
from jumpseat.agents.builtin.server_tools import Invocation
from jumpseat.calling import call_form, call_user
from jumpseat.errors import ConfigurationError
from jumpseat.mcp.failures import ServerUnavailable

__all__ = ["ClientTool", "ClientTools", "client_tools"]

Run: TypeAlias = Callable[[dict[str, Any], Invocation], Awaitable[dict[str, Any]]]

_MAX_PAGES: Final = 20


@dataclass(frozen=True, slots=True)
class ClientTool:
    """A tool as its client describes it; ``run`` returns an MCP result or raises."""

    name: str
    description: str
    parameters: Any
    run: Run


@dataclass(frozen=True, slots=True)
class ClientTools:
    """A client: what events and logs call it, and how its tools are listed."""

    label: str
    list: Callable[[], Awaitable[list[ClientTool]]]


def client_tools(client: Any, *, option: str) -> ClientTools:
    """Recognise a client by its methods.

    A client may be a toolset of Pydantic AI, a client of FastMCP, a ``Client`` or ``ClientSession`` of the
    ``mcp`` package, or any object with an async ``tools()`` that returns ``{name: tool}``. A tool there is an
    object or a mapping with ``execute(arguments)`` or ``execute(arguments, options)``, sync or async, an
    optional ``description``, and its JSON Schema as ``inputSchema``, ``input_schema`` or ``parameters``: a
    dict, an object with ``jsonSchema`` or ``json_schema``, or a pydantic model. ``options`` is a dict with
    ``toolCallId``, ``abortSignal`` and ``context``. What ``execute`` returns may be an MCP result or any
    JSON value.

    Raises:
        ConfigurationError: It is none of these.
    """

    def has(*methods: str) -> bool:
        return all(callable(getattr(client, method, None)) for method in methods)

    lists: Callable[[Any], Awaitable[list[ClientTool]]]
    if isinstance(client, type):
        lists = _refuse(option)
    elif has("get_tools", "call_tool"):
        lists = _tools_of_toolset
    elif has("list_tools", "call_tool"):
        lists = _tools_of_session
    elif has("tools"):
        lists = _tools_of_mapping
    else:
        lists = _refuse(option)
    return ClientTools(_label(client), lambda: lists(client))


def _refuse(option: str) -> Any:
    raise ConfigurationError(
        f"{option} must be an open MCP client: an object with an async tools(), a client of the mcp package "
        "or of FastMCP, or a toolset of Pydantic AI"
    )


def _label(client: Any) -> str:
    for attribute in ("name", "id"):
        given = getattr(client, attribute, None)
        if isinstance(given, str) and given:
            return given
    return type(client).__name__


async def _tools_of_mapping(client: Any) -> list[ClientTool]:
    found: Any = await call_user(client.tools)
    if not isinstance(found, Mapping):
        raise ServerUnavailable("list")
    return [_described(str(name), tool) for name, tool in cast("Mapping[Any, Any]", found).items()]


def _described(name: str, tool: Any) -> ClientTool:
    execute = _member(tool, "execute")
    if execute is None:
        raise ServerUnavailable("list")
    form = call_form(
        execute,
        option=f"execute of tool {name}",
        names=("arguments", "options"),
        positional=(("arguments", "options"), ("arguments",)),
    )

    async def run(arguments: dict[str, Any], invocation: Invocation) -> dict[str, Any]:
        options = {
            "toolCallId": invocation.id,
            "abortSignal": invocation.context.abort_signal,
            "context": invocation.context,
        }
        return as_result(await form({"arguments": arguments, "options": options}))

    description = _member(tool, "description")
    schema = _schema(_member(tool, "inputSchema", "input_schema", "parameters"))
    return ClientTool(name, description if isinstance(description, str) else "", schema, run)


def _schema(given: Any) -> Any:
    if callable(getattr(given, "model_json_schema", None)):
        return given.model_json_schema()
    for key in ("jsonSchema", "json_schema"):
        wrapped = _member(given, key)
        if isinstance(wrapped, Mapping):
            return cast("Mapping[str, Any]", wrapped)
    return given


def _member(of: Any, *keys: str) -> Any:
    """Return the first of these keys of a mapping, or attributes of an object, that has a value."""
    for key in keys:
        value = cast("Mapping[str, Any]", of).get(key) if isinstance(of, Mapping) else getattr(of, key, None)
        if value is not None:
            return value
    return None


async def _tools_of_session(client: Any) -> list[ClientTool]:
    # These libraries check results by it, and import it in the middle of the first call.
    await asyncio.to_thread(_load, "jsonschema.validators")
    # FastMCP's own name for a call whose result comes back whole, errors included.
    call = getattr(client, "call_tool_mcp", None) or client.call_tool

    def runner(name: str) -> Run:
        async def run(arguments: dict[str, Any], _: Invocation) -> dict[str, Any]:
            return as_result(await call(name, arguments))

        return run

    listed = await _all_pages(client)
    return [
        ClientTool(
            tool.name,
            tool.description or "",
            getattr(tool, "input_schema", None) or getattr(tool, "inputSchema", None),
            runner(tool.name),
        )
        for tool in listed
    ]


def _load(module: str) -> None:
    with suppress(ImportError):
        import_module(module)


async def _all_pages(client: Any) -> list[Any]:
    found: list[Any] = []
    page: Any = await client.list_tools()
    for _ in range(_MAX_PAGES):
        if isinstance(page, list):
            return cast("list[Any]", page)
        found += page.tools
        cursor = getattr(page, "next_cursor", None) or getattr(page, "nextCursor", None)
        if not cursor:
            return found
        page = await client.list_tools(**_next(client, cursor))
    raise ServerUnavailable("list")


def _next(client: Any, cursor: str) -> dict[str, Any]:
    if "cursor" in signature(client.list_tools).parameters:
        return {"cursor": cursor}
    # The client's package is loaded: it made the client.
    return {"params": sys.modules["mcp.types"].PaginatedRequestParams(cursor=cursor)}


async def _tools_of_toolset(toolset: Any) -> list[ClientTool]:
    # Loaded already, by whoever made the toolset.
    library: Any = sys.modules["pydantic_ai"]
    context = library.RunContext(deps=None, model=None, usage=library.RunUsage())
    found: Mapping[str, Any] = await toolset.get_tools(context)

    def runner(name: str, tool: Any) -> Run:
        async def run(arguments: dict[str, Any], _: Invocation) -> dict[str, Any]:
            checked = tool.args_validator.validate_python(arguments)
            return as_result(await toolset.call_tool(name, checked, context, tool))

        return run

    return [
        ClientTool(
            name,
            tool.tool_def.description or "",
            tool.tool_def.parameters_json_schema,
            runner(name, tool),
        )
        for name, tool in found.items()
    ]
