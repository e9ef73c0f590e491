"""Configuration of one MCP server: where it is, what to send it, which of its tools count."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, TypeAlias, cast
from urllib.parse import urlsplit

from jumpseat.calling import call_form
from jumpseat.context import RunContext
from jumpseat.errors import ConfigurationError
from jumpseat.http_clients import checked_url, is_header
from jumpseat.mcp.failures import ServerUnavailable

__all__ = ["HeaderSource", "MCPServer", "as_server", "request_headers"]

Headers: TypeAlias = Mapping[str, str]
HeaderSource: TypeAlias = Headers | Callable[[RunContext], Headers | Awaitable[Headers]]

_CONNECT_SECONDS: Final = 10.0
_CALL_SECONDS: Final = 30.0
_LIST_SECONDS: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class MCPServer:
    """One MCP server, for ``mcp_servers`` of an agent and for MCP Apps.

    An option that a use does not know is refused there; one that is ``None`` was not given.

    Attributes:
        type: ``"http"`` (Streamable HTTP) or ``"sse"``.
        url: Where it is: http or https, without user and password.
        headers: What each request to it carries; or a callable that gets the run's context and returns
            that, sync or async, asked once per run, so that a user's own token can be used.
        options: The same headers as the TypeScript runtime takes them: ``{"headers": ...}`` or
            ``{"requestInit": {"headers": ...}}``. A name in ``headers`` wins.
        include_tools: Names of the tools that count, exact; ``[]`` is none of them.
        exclude_tools: Names of tools that do not count.
        name: How events and logs call it; the URL's host by default. For tools of an agent.
        tool_prefix: Put in front of the names of its tools. For tools of an agent.
        connect_timeout: Seconds for connecting and listing its tools, 10 by default. For tools of an agent.
        timeout: Seconds for one call, 30 by default. For tools of an agent.
        tools_ttl: Seconds for which its list of tools is trusted, 60 by default. For tools of an agent.
        server_id: Its name in events. For MCP Apps.
        agent_id: The only agent it serves. For MCP Apps.
        resource_schemes: Schemes of resources that an app may read. For MCP Apps.

    Raises:
        ConfigurationError: An option has a value that cannot work.
    """

    type: Literal["http", "sse"]
    url: str
    headers: HeaderSource | None = None
    options: Mapping[str, Any] | None = None
    include_tools: Sequence[str] | None = None
    exclude_tools: Sequence[str] | None = None
    name: str | None = None
    tool_prefix: str | None = None
    connect_timeout: float | None = None
    timeout: float | None = None
    tools_ttl: float | None = None
    server_id: str | None = None
    agent_id: str | None = None
    resource_schemes: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.type not in ("http", "sse"):
            raise ConfigurationError(f"Unknown MCP server type '{self.type}'")
        _check_url(self.url)
        for option in ("name", "tool_prefix", "server_id", "agent_id"):
            if not isinstance(getattr(self, option), str | None):
                raise ConfigurationError(f"{option} of an MCP server must be a string")
        for option in ("include_tools", "exclude_tools", "resource_schemes"):
            _check_names(getattr(self, option), option)
        for option in ("connect_timeout", "timeout", "tools_ttl"):
            _check_seconds(getattr(self, option), option)
        if callable(self.headers):
            call_form(self.headers, option="headers", names=("context",), positional=(("context",),))
        else:
            _checked(self.headers, "headers")
        _headers_of_options(self.options)

    @property
    def label(self) -> str:
        """How events and logs call the server."""
        return self.name or urlsplit(self.url).hostname or "server"

    @property
    def connect_seconds(self) -> float:
        """How long connecting and listing may take."""
        return _CONNECT_SECONDS if self.connect_timeout is None else self.connect_timeout

    @property
    def call_seconds(self) -> float:
        """How long a call may take."""
        return _CALL_SECONDS if self.timeout is None else self.timeout

    @property
    def list_seconds(self) -> float:
        """How long a list of tools is trusted."""
        return _LIST_SECONDS if self.tools_ttl is None else self.tools_ttl

    def allows(self, tool: str) -> bool:
        """Say whether the tool with this original name counts."""
        if self.include_tools is not None and tool not in self.include_tools:
            return False
        return self.exclude_tools is None or tool not in self.exclude_tools


def as_server(value: object, *, option: str, refused: Collection[str]) -> MCPServer:
    """Return ``value`` as an ``MCPServer``; a mapping may spell its keys in snake_case or camelCase.

    Args:
        value: What the developer gave.
        option: How to name it in an error.
        refused: Fields that the use at hand does not know.

    Raises:
        ConfigurationError: It is neither, or an option cannot work here.
    """
    if isinstance(value, MCPServer):
        server = value
    elif isinstance(value, Mapping):
        server = _from_mapping(cast("Mapping[object, Any]", value), option)
    else:
        raise ConfigurationError(f"{option} must be a dict or an MCPServer, not {type(value).__name__}")
    given = [name for name in refused if getattr(server, name) is not None]
    if given:
        raise ConfigurationError(f"{option} takes no {', '.join(sorted(given))}")
    return server


async def request_headers(server: MCPServer, context: RunContext) -> dict[str, str]:
    """Return what each request to ``server`` carries in this run, by lower-case name.

    Raises:
        ServerUnavailable: The ``headers`` callable raised, or returned what cannot be sent.
    """
    given = server.headers
    if callable(given):
        form = call_form(given, option="headers", names=("context",), positional=(("context",),))
        try:
            given = _checked(await form({"context": context}), "headers")
        except Exception as error:
            raise ServerUnavailable("headers") from error
    return _headers_of_options(server.options) | _checked(given, "headers")


def _from_mapping(source: Mapping[object, Any], option: str) -> MCPServer:
    known = {field.name for field in fields(MCPServer)}
    spellings = known | {_camel(name) for name in known}
    unknown = [key for key in source if key not in spellings]
    if unknown:
        raise ConfigurationError(
            f"{option} has an unknown option {unknown[0]!r}: it takes {', '.join(sorted(known))}"
        )
    for required in ("type", "url"):
        if required not in source:
            raise ConfigurationError(f"{option} needs {required!r}")
    values: dict[str, Any] = {}
    for name in known:
        for key in (_camel(name), name):
            if key in source:
                values[name] = source[key]
    return MCPServer(**values)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _check_url(url: object) -> None:
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        plain = parts and parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
    except ValueError:
        plain = False
    if not plain:
        raise ConfigurationError("MCP URL must use HTTP(S) without embedded credentials")
    checked_url(url, "MCP URL")


def _check_names(names: object, option: str) -> None:
    if names is None:
        return
    listed = cast("Sequence[object]", names) if isinstance(names, Sequence) else (None,)
    if isinstance(names, str) or not all(isinstance(name, str) for name in listed):
        raise ConfigurationError(f"{option} of an MCP server must be a list of strings")


def _check_seconds(seconds: object, option: str) -> None:
    if seconds is None:
        return
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    lowest = 0 if option == "tools_ttl" else math.ulp(0.0)
    if not is_number or not lowest <= cast("float", seconds) < math.inf:
        raise ConfigurationError(f"{option} of an MCP server must be a positive number of seconds")


def _headers_of_options(options: object) -> dict[str, str]:
    if options is None:
        return {}
    found = _mapping_with(options, {"headers", "requestInit"}, "options")
    request = _mapping_with(found.get("requestInit") or {}, {"headers"}, "options.requestInit")
    return _checked(request.get("headers"), "options.requestInit.headers") | _checked(
        found.get("headers"), "options.headers"
    )


def _mapping_with(value: object, keys: set[str], option: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{option} of an MCP server must be a dict")
    found = cast("Mapping[str, Any]", value)
    if not keys.issuperset(found):
        raise ConfigurationError(f"{option} of an MCP server takes only {' and '.join(sorted(keys))}")
    return found


def _checked(headers: object, option: str) -> dict[str, str]:
    if headers is None:
        return {}
    if not isinstance(headers, Mapping):
        raise ConfigurationError(f"{option} of an MCP server must be a dict of strings")
    checked: dict[str, str] = {}
    for name, value in cast("Mapping[object, object]", headers).items():
        if not is_header(name, value):
            # The value stays out of the message: it may be a secret.
            raise ConfigurationError(f"{option}: the name or value of {name!r} cannot be sent as a header")
        checked[cast("str", name).lower()] = cast("str", value)
    return checked
