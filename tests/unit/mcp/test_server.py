"""MCPServer: what it takes, what it refuses, and which headers come of it."""

import pytest

from jumpseat.errors import ConfigurationError
from jumpseat.mcp import MCPPool, MCPServer
from jumpseat.mcp.failures import ServerUnavailable
from jumpseat.mcp.server import as_server, request_headers
from mcp_runs import run_context

URL = "http://tools.example:8080/mcp"


def server(**options) -> MCPServer:
    return as_server({"type": "http", "url": URL, **options}, option="mcp_servers[0]", refused=("agent_id",))


def test_keys_may_be_written_in_either_spelling_and_defaults_are_filled_in():
    given = server(toolPrefix="x_", include_tools=["a"], connectTimeout=2)
    assert (given.tool_prefix, given.include_tools, given.connect_seconds) == ("x_", ["a"], 2)
    assert (given.call_seconds, given.list_seconds, given.label) == (30, 60, "tools.example")
    assert server(name="Tools").label == "Tools"


def test_an_mcp_server_made_by_hand_is_taken_as_it_is():
    made = MCPServer(type="sse", url=URL)
    assert as_server(made, option="mcp_servers[0]", refused=()) is made


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"type": "stdio"}, "Unknown MCP server type 'stdio'"),
        ({"url": "ftp://x/"}, r"MCP URL must use HTTP\(S\) without embedded credentials"),
        ({"url": "http://me:pw@x/"}, r"MCP URL must use HTTP\(S\) without embedded credentials"),
        ({"url": "http:///mcp"}, r"MCP URL must use HTTP\(S\) without embedded credentials"),
        ({"url": "http://[bad/"}, r"MCP URL must use HTTP\(S\) without embedded credentials"),
        ({"url": 3}, r"MCP URL must use HTTP\(S\) without embedded credentials"),
        ({"url": "http://x/#f"}, "fragment"),
        ({"url": "http://x/a b"}, "percent-encoded"),
        ({"headers": {"a b": "c"}}, "'a b' cannot be sent"),
        ({"headers": {"a": "c\n"}}, "'a' cannot be sent"),
        ({"headers": ["a"]}, "must be a dict"),
        ({"headers": lambda one, two: {}}, "headers takes parameters"),
        ({"options": {"timeout": 3}}, "takes only"),
        ({"options": {"requestInit": {"headers": {"a": 1}}}}, "'a' cannot be sent"),
        ({"timeout": 0}, "timeout"),
        ({"connect_timeout": True}, "connect_timeout"),
        ({"tools_ttl": -1}, "tools_ttl"),
        ({"include_tools": "echo"}, "include_tools"),
        ({"exclude_tools": [1]}, "exclude_tools"),
        ({"name": 3}, "name"),
        ({"agent_id": "a"}, "takes no agent_id"),
        ({"agentId": "a"}, "takes no agent_id"),
        ({"command": "npx"}, "unknown option 'command'"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_given(options, words):
    with pytest.raises(ConfigurationError, match=words):
        server(**options)


@pytest.mark.parametrize("value", ["http://x/", None, {"url": URL}, {"type": "http"}])
def test_what_is_no_server_is_refused(value):
    with pytest.raises(ConfigurationError, match="mcp_servers"):
        as_server(value, option="mcp_servers[0]", refused=())


def test_a_refused_header_is_named_but_its_value_is_not():
    with pytest.raises(ConfigurationError) as caught:
        server(headers={"x-key": "secret\nvalue"})
    assert "secret" not in str(caught.value)


def test_include_comes_first_and_then_exclude():
    assert server().allows("a")
    assert not server(include_tools=[]).allows("a")
    both = server(include_tools=["a", "b"], exclude_tools=["b"])
    assert [both.allows(name) for name in ("a", "b", "A")] == [True, False, False]


async def test_headers_of_all_places_are_merged_and_headers_wins():
    given = server(
        headers={"X-One": "1"},
        options={"headers": {"x-two": "2", "x-one": "no"}, "requestInit": {"headers": {"X-THREE": "3"}}},
    )
    assert await request_headers(given, run_context()) == {"x-one": "1", "x-two": "2", "x-three": "3"}


async def _later(context):
    return {"x-user": context.user.id}


@pytest.mark.parametrize("headers", [lambda context: {"x-user": context.user.id}, _later])
async def test_headers_may_depend_on_the_run(headers):
    given = server(headers=headers)
    assert await request_headers(given, run_context(user="ann")) == {"x-user": "ann"}
    assert await request_headers(given, run_context(user="bob")) == {"x-user": "bob"}


def _raises(context):
    raise KeyError("x-secret")


@pytest.mark.parametrize("headers", [_raises, lambda _: {"a": "\n"}, lambda _: "text"])
async def test_headers_that_cannot_be_found_make_the_server_unavailable(headers):
    with pytest.raises(ServerUnavailable) as caught:
        await request_headers(server(headers=headers), run_context())
    assert caught.value.reason == "headers"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("options", [{"idle_ttl": 0}, {"idle_ttl": True}, {"max_connections": 0}])
def test_a_pool_refuses_what_cannot_work(options):
    with pytest.raises(ConfigurationError):
        MCPPool(**options)
