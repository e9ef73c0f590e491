"""Connections to servers that do odd things, each byte of them decided here."""

import asyncio
import json
from contextlib import asynccontextmanager
from typing import Any

import pytest

from jumpseat.mcp.tool_lists import TOOL_LISTS
from mcp_runs import AUTHORIZED, TOKEN, call, mcp_tools, names, reasons, run_context
from serving import own_tasks, until
from upstream import Exchange, upstream

OBJECT = {"type": "object"}
INITIALIZED = {
    "protocolVersion": "2025-06-18",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "odd", "version": "1"},
}


@pytest.fixture(autouse=True)
async def nothing_is_left():
    TOOL_LISTS.clear()
    yield
    await until(lambda: not [task for task in own_tasks() if task.get_name().startswith("mcp-")])


@asynccontextmanager
async def odd_server(**answers: Any):
    """A server of the older kind.

    ``answers`` by method, slashes as underscores: a result, the bytes of a body, or a function that returns
    one.
    """

    async def script(exchange: Exchange) -> None:
        if exchange.method != "POST":
            await exchange.answer(405)
            return
        message = exchange.json()
        if "id" not in message:
            await exchange.answer(202)
            return
        given = answers.get(message["method"].replace("/", "_"))
        if callable(given):
            given = await given(exchange, message)
            if given is None:
                return
        if given is None:
            given = (
                INITIALIZED if message["method"] == "initialize" else ReplyWith(-32601, "Method not found")
            )
        if isinstance(given, bytes):
            await exchange.answer(200, given, Content_Type="application/json")
            return
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        reply |= given if isinstance(given, ReplyWith) else {"result": given}
        await exchange.answer(200, json.dumps(reply).encode(), Content_Type="application/json")

    async with upstream(script) as server:
        yield server


class ReplyWith(dict):
    """A JSON-RPC error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(error={"code": code, "message": message})


def config(server: Any, **options: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "url": server.url,
        "name": "odd",
        "connect_timeout": 3,
        "headers": AUTHORIZED,
    } | options


async def looked(server: Any, **options: Any) -> tuple[list[str], list[tuple[str, str]]]:
    async with mcp_tools(config(server, **options)).for_run(run_context(), taken=()) as run:
        return names(run), reasons(run)


async def test_pages_are_followed_and_tools_without_an_object_schema_are_dropped_alone():
    async def pages(_: Exchange, message: dict) -> dict:
        if not message.get("params", {}).get("cursor"):
            return {
                "tools": [
                    {"name": "text", "inputSchema": {"type": "string"}},
                    {"name": "none"},
                    {"name": "list", "inputSchema": []},
                    {"name": "one", "inputSchema": OBJECT, "title": "One"},
                ],
                "nextCursor": "2",
            }
        return {
            "tools": [{"name": "two", "inputSchema": {"type": "object", "properties": {"a": {"minimum": 1}}}}]
        }

    async with (
        odd_server(tools_list=pages) as server,
        mcp_tools(config(server)).for_run(run_context(), taken=()) as run,
    ):
        assert names(run) == ["one", "two"]
        assert run.tools[0].description == "One"
        assert run.tools[1].parameters == {"type": "object", "properties": {"a": {"minimum": 1}}}


async def test_a_server_without_tools_is_fine():
    async with odd_server() as server:
        assert await looked(server) == ([], [])


def _endless() -> Any:
    pages = iter(range(10_000))

    async def page(*_: Any) -> dict:
        return {"tools": [], "nextCursor": str(next(pages))}

    return page


@pytest.mark.parametrize(
    "listed",
    [
        {"tools": [], "nextCursor": "same"},
        _endless(),
        {"tools": [{"name": f"t{number}", "inputSchema": OBJECT} for number in range(1001)]},
        ReplyWith(-32000 - 3, f"no, {TOKEN}"),
    ],
    ids=["same cursor", "endless", "too many", "error"],
)
async def test_a_list_that_is_no_list_leaves_the_server_out(listed):
    async with odd_server(tools_list=listed) as server:
        tools, why = await looked(server)
        assert tools == []
        assert why == [("odd", "list")]


@pytest.mark.parametrize("listed", [{"tools": "x"}, {"nope": 1}, b"{", b"[]", b"<html>"])
async def test_what_is_not_mcp_leaves_the_server_out(listed):
    async with odd_server(tools_list=listed) as server:
        tools, why = await looked(server)
        assert tools == []
        assert [word for _, word in why] != []


async def test_a_list_that_never_comes_is_given_up_in_time():
    async def never(exchange: Exchange, _: Any) -> None:
        await exchange.wait_closed()

    async with odd_server(tools_list=never) as server:
        assert await looked(server, connect_timeout=0.5) == ([], [("odd", "timeout")])


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_a_redirect_is_not_followed_and_carries_no_header_away(kind, status):
    async def elsewhere(exchange: Exchange) -> None:
        await exchange.answer(200)

    async with upstream(elsewhere) as thief:

        async def script(exchange: Exchange) -> None:
            await exchange.answer(status, Location=thief.url)

        async with upstream(script) as server:
            assert await looked(server, type=kind) == ([], [("odd", "redirected")])
            assert (len(server.exchanges), thief.exchanges) == (1, [])


async def test_an_sse_server_that_points_elsewhere_gets_nothing_there():
    async def elsewhere(exchange: Exchange) -> None:
        await exchange.answer(202)

    async with upstream(elsewhere) as thief:

        async def script(exchange: Exchange) -> None:
            await exchange.open_stream()
            await exchange.chunk(f"event: endpoint\ndata: {thief.url}\n\n".encode())
            await exchange.wait_closed()

        async with upstream(script) as server:
            tools, why = await looked(server, type="sse", connect_timeout=1)
            assert tools == []
            assert len(why) == 1
            assert thief.exchanges == []


async def test_an_sse_server_that_refuses_a_message_fails_the_run_at_once():
    async def script(exchange: Exchange) -> None:
        if exchange.method == "POST":
            await exchange.answer(403)
            return
        await exchange.open_stream()
        await exchange.chunk(b"event: endpoint\ndata: /messages\n\n")
        await exchange.wait_closed()

    async with upstream(script) as server:
        began = asyncio.get_running_loop().time()
        assert await looked(server, type="sse", connect_timeout=8) == ([], [("odd", "unauthorized")])
        assert asyncio.get_running_loop().time() - began < 2


async def test_an_error_of_the_protocol_is_the_answer_to_the_call_redacted():
    listed = {"tools": [{"name": "one", "inputSchema": OBJECT}]}
    refused = ReplyWith(-32603, f"cannot use {TOKEN}")
    async with (
        odd_server(tools_list=listed, tools_call=refused) as server,
        mcp_tools(config(server)).for_run(run_context(), taken=()) as run,
    ):
        answer = await call(run, "one", redact=lambda text: text.replace(TOKEN, "[redacted]"))
        assert answer.content == '{"error":"MCP error -32603: cannot use [redacted]"}'
        assert answer.error == "mcp_error"


@pytest.mark.parametrize("reply", [b"{", b"<html>", b'{"jsonrpc":"2.0"}'])
async def test_a_call_answered_by_rubbish_is_an_error_of_the_call(reply):
    listed = {"tools": [{"name": "one", "inputSchema": OBJECT}]}
    async with (
        odd_server(tools_list=listed, tools_call=reply) as server,
        mcp_tools(config(server, timeout=2)).for_run(run_context(), taken=()) as run,
    ):
        answer = await call(run, "one")
        assert set(json.loads(answer.content)) == {"error"}
        assert server.url not in answer.content


async def test_a_call_that_the_server_has_seen_is_never_sent_again():
    calls = []

    async def cut(exchange: Exchange, message: dict) -> None:
        calls.append(message["params"]["name"])
        exchange.writer.close()

    listed = {"tools": [{"name": "one", "inputSchema": OBJECT}]}
    async with (
        odd_server(tools_list=listed, tools_call=cut) as server,
        mcp_tools(config(server, timeout=5)).for_run(run_context(), taken=()) as run,
    ):
        answer = await call(run, "one")
        assert "error" in json.loads(answer.content)
        assert calls == ["one"]


def sized(megabytes: int) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": "x" * (megabytes * 1024 * 1024)}]}


@pytest.mark.parametrize("as_stream", [False, True])
async def test_large_results_arrive_and_larger_ones_are_an_error(as_stream):
    async def answered(exchange: Exchange, message: dict) -> dict | None:
        result = sized(message["params"]["arguments"]["size"])
        if not as_stream:
            return result
        reply = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result})
        await exchange.open_stream()
        await exchange.chunk(f"event: message\ndata: {reply}\n\n".encode())
        await exchange.chunk(b"")
        return None

    listed = {"tools": [{"name": "one", "inputSchema": OBJECT}]}
    async with (
        odd_server(tools_list=listed, tools_call=answered) as server,
        mcp_tools(config(server)).for_run(run_context(), taken=()) as run,
    ):
        for size, fits in ((1, True), (12, True), (17, False), (1, True)):
            answer = await call(run, "one", json.dumps({"size": size}))
            assert (answer.error is None) is fits


async def test_a_tool_that_wants_input_first_is_an_error_of_the_call():
    newer = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
    discovered = newer | {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
    listed = newer | {"tools": [{"name": "one", "inputSchema": OBJECT}]}
    unfinished = {"resultType": "input_required", "requestState": "s"}
    async with (
        odd_server(server_discover=discovered, tools_list=listed, tools_call=unfinished) as server,
        mcp_tools(config(server)).for_run(run_context(), taken=()) as run,
    ):
        answer = await call(run, "one")
        assert (answer.content, answer.error) == ('{"error":"MCP tool call failed"}', "unfinished")
