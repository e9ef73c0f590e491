"""MCP tools in a run, against real servers."""

import asyncio
import json
import logging
import sys
import time
from contextlib import aclosing

import pytest

from jumpseat.agents.builtin.language_model import MediaData, Text
from jumpseat.errors import ConfigurationError, MissingDependencyError
from jumpseat.mcp import MCPPool, MCPServer
from jumpseat.mcp.tool_lists import TOOL_LISTS
from mcp_runs import AUTHORIZED, TOKEN, call, invocation, mcp_tools, names, reasons, run_context
from mcp_servers import nowhere, real_server
from serving import own_tasks, until

KINDS = [("http", True), ("http", False), ("sse", True)]
ABORT_SECONDS = 1.0


@pytest.fixture(autouse=True)
async def nothing_is_left():
    """No list of another test, and no task of ours after this one."""
    TOOL_LISTS.clear()
    yield
    await until(lambda: not [task for task in own_tasks() if task.get_name().startswith("mcp-")])


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def value(answer) -> dict:
    return json.loads(answer.content)


@pytest.mark.parametrize(("kind", "legacy"), KINDS)
async def test_tools_are_listed_called_and_their_connection_is_closed(kind, legacy):
    async with real_server(kind, legacy=legacy) as server:
        async with mcp_tools(server.config(headers=AUTHORIZED)).for_run(run_context(), taken=()) as run:
            assert {"echo", "whoami", "dotted_n_me"} <= set(names(run))
            echo = next(tool for tool in run.tools if tool.name == "echo")
            assert echo.description == "Says it again."
            assert echo.parameters["properties"]["text"]["type"] == "string"
            answer = await call(run, "echo", '{"text":"hé"}')
            assert answer.content == (
                '{"content":[{"text":"hé","type":"text"}],"structuredContent":{"result":"hé"},"isError":false}'
            )
            assert (answer.for_model, answer.error) == ("hé", None)
            assert (await call(run, "whoami")).for_model == TOKEN[::-1]
            assert TOKEN in run.secrets
            assert reasons(run) == []
        assert server.connections == 1
        assert all(one.headers["authorization"] == f"Bearer {TOKEN}" for one in server.seen)
        await until(lambda: server.open == 0 and not server.sessions)


async def test_what_the_tool_says_of_itself_comes_back_whole_and_pictures_reach_the_model():
    async with (
        real_server() as server,
        mcp_tools(server.config()).for_run(run_context(), taken=()) as run,
    ):
        answer = await call(run, "dotted_n_me")
        assert value(answer)["structuredContent"] == {"seen": True, "ü": None}
        assert value(answer)["content"][1]["mimeType"] == "image/png"
        assert answer.for_model == [
            Text(text="a picture"),
            MediaData(data=b"\x89PNG\r\n\x1a\n", media_type="image/png"),
        ]
        failed = await call(run, "fails")
        assert value(failed)["isError"] is True
        assert failed.error == "tool_error"


@pytest.mark.parametrize(
    ("arguments", "problem"), [("{", "not valid JSON"), ("[1]", "not an object"), ('"x"', "not an object")]
)
async def test_broken_arguments_never_reach_the_server(arguments, problem):
    async with (
        real_server() as server,
        mcp_tools(server.config()).for_run(run_context(), taken=()) as run,
    ):
        answer = await call(run, "echo", arguments)
        assert value(answer) == {"error": f'Invalid arguments for tool "echo": {problem}'}
        assert server.count("tools/call") == 0


@pytest.mark.parametrize("legacy", [True, False])
async def test_an_unknown_tool_is_an_error_and_the_list_is_asked_for_again(legacy):
    async with real_server(legacy=legacy) as server:
        tools = mcp_tools(server.config())
        async with tools.for_run(run_context(), taken=()) as run:
            await call(run, "shrink")
            answer = await call(run, "echo", '{"text":"x"}')
            assert "nknown tool" in answer.content
            assert answer.error
        async with tools.for_run(run_context(), taken=()) as run:
            assert "echo" not in names(run)


async def test_headers_differ_per_user_and_so_do_lists_and_connections():
    async with real_server() as server:
        tools = mcp_tools(server.config(headers=lambda context: bearer(context.user.id)))

        async def who(user: str) -> str:
            async with tools.for_run(run_context(user=user), taken=()) as run:
                return (await call(run, "whoami")).for_model[::-1]

        assert await asyncio.gather(*(who(f"user-{n}") for n in range(5))) == [f"user-{n}" for n in range(5)]
        assert server.count("tools/list") == 5


async def test_state_of_a_connection_never_mixes_runs():
    async with real_server() as server:
        tools = mcp_tools(server.config())
        for _ in range(2):
            async with tools.for_run(run_context(), taken=()) as run:
                assert [(await call(run, "count")).for_model for _ in range(2)] == ["1", "2"]


@pytest.mark.parametrize(("kind", "legacy"), KINDS)
async def test_a_warm_list_connects_only_when_a_tool_is_called(kind, legacy):
    async with real_server(kind, legacy=legacy) as server:
        tools = mcp_tools(server.config())
        async with tools.for_run(run_context(), taken=()):
            pass
        before = len(server.seen)
        async with tools.for_run(run_context(), taken=()) as run:
            assert "echo" in names(run)
            assert len(server.seen) == before
            both = await asyncio.gather(call(run, "echo", '{"text":"a"}'), call(run, "echo", '{"text":"b"}'))
            assert [answer.for_model for answer in both] == ["a", "b"]
        assert server.connections == 2
        assert server.count("tools/list") == 1
        async with mcp_tools(server.config(tools_ttl=0)).for_run(run_context(), taken=()):
            assert server.count("tools/list") == 2


@pytest.mark.parametrize(("kind", "legacy"), [("http", True), ("sse", True)])
async def test_a_server_that_says_its_tools_changed_is_asked_again(kind, legacy):
    async with real_server(kind, legacy=legacy) as server:
        tools = mcp_tools(server.config())
        async with tools.for_run(run_context(), taken=()) as run:
            assert "grown" not in names(run)
            await call(run, "grow")
        async with tools.for_run(run_context(), taken=()) as run:
            assert "grown" in names(run)


async def test_a_pooled_connection_hears_of_changes_from_servers_of_the_newer_kind():
    pool = MCPPool()
    async with real_server(legacy=False) as server:
        tools = mcp_tools(server.config(), pool=pool)
        async with tools.for_run(run_context(), taken=()) as run:
            await until(lambda: server.count("subscriptions/listen") == 1)
            await call(run, "grow")

        async def heard() -> bool:
            async with tools.for_run(run_context(), taken=()) as run:
                return "grown" in names(run)

        await until(heard)
        await pool.aclose()


async def hang(context):
    await asyncio.Event().wait()


def broken(context):
    raise RuntimeError(TOKEN)


class RaisingClient:
    name = "raising"

    async def tools(self):
        raise RuntimeError(f"http://hidden/{TOKEN}")


async def test_servers_that_fail_are_left_out_and_the_healthy_one_is_there_in_time(caplog):
    caplog.set_level(logging.DEBUG, "jumpseat")
    async with real_server() as well, real_server() as hanging, real_server() as broken_server:
        hanging.behave, broken_server.behave = "hang", 500
        tools = mcp_tools(
            {
                "type": "http",
                "url": nowhere(),
                "name": "refused",
                "headers": AUTHORIZED,
            },
            {"type": "sse", "url": nowhere(), "name": "refused-sse"},
            hanging.config(name="hanging", connect_timeout=0.5, headers=AUTHORIZED),
            broken_server.config(name="500", headers=AUTHORIZED),
            well.config(name="headers", headers=broken),
            well.config(name="slow-headers", headers=hang, connect_timeout=0.5),
            well.config(headers=AUTHORIZED),
            clients=[RaisingClient()],
        )
        began = time.monotonic()
        async with tools.for_run(run_context(), taken=()) as run:
            assert time.monotonic() - began < 1.5
            assert (await call(run, "echo", '{"text":"on"}')).for_model == "on"
            assert reasons(run) == [
                ("raising", "error"),
                ("refused", "unreachable"),
                ("refused-sse", "unreachable"),
                ("hanging", "timeout"),
                ("500", "refused"),
                ("headers", "headers"),
                ("slow-headers", "timeout"),
            ]
        await until(lambda: well.open == hanging.open == broken_server.open == 0)
    ours = [
        record.getMessage() + str(record.exc_info) for record in caplog.records if "jumpseat" in record.name
    ]
    assert len([line for line in ours if "is left out" in line]) == 7
    assert not [line for line in ours if TOKEN in line or "://" in line or "secret-body" in line]


@pytest.mark.parametrize(("kind", "legacy"), KINDS)
@pytest.mark.parametrize("behave", ["well", 403, 404, 500, "gone"])
async def test_no_log_of_any_library_names_an_address_or_a_header(caplog, kind, legacy, behave):
    caplog.set_level(logging.INFO)
    async with real_server(kind, legacy=legacy) as server:
        server.behave = behave if isinstance(behave, int) else "well"
        tools = mcp_tools(server.config(headers=AUTHORIZED, name="tools", connect_timeout=1, timeout=1))
        async with tools.for_run(run_context(), taken=()) as run:
            if behave == "gone":
                await server.stop()
            for tool in run.tools[:2]:
                await tool.call(invocation('{"text":"x"}'))
        if behave == "gone":
            await server.start()
    ours = [record for record in caplog.records if not record.name.startswith(("mcp.server", "uvicorn"))]
    lines = [record.getMessage() + str(record.exc_info or "") for record in ours]
    assert lines
    assert not [line for line in lines if TOKEN in line or f":{server.port}" in line or "/mcp" in line]


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(("kind", "legacy"), KINDS)
async def test_a_refused_token_has_its_own_word(kind, legacy, status):
    async with real_server(kind, legacy=legacy) as server:
        server.behave = status
        async with mcp_tools(server.config()).for_run(run_context(), taken=()) as run:
            assert reasons(run) == [("127.0.0.1", "unauthorized")]


@pytest.mark.parametrize(("kind", "legacy"), KINDS)
@pytest.mark.parametrize("where", ["hang", "initialize", "tools/list", "server/discover"])
async def test_an_abort_while_connecting_ends_at_once(kind, legacy, where):
    if where == "initialize" and not legacy:
        where = "tools/list"
    if where == "server/discover" and kind == "sse":
        where = "notifications/initialized"
    async with real_server(kind, legacy=legacy) as server:
        server.behave = where

        async def start():
            async with mcp_tools(server.config()).for_run(run_context(), taken=()):
                pytest.fail("there is nothing to run with")

        run = asyncio.create_task(start())
        await until(lambda: any(where in (one.rpc, "hang") for one in server.seen))
        began = time.monotonic()
        run.cancel()
        await asyncio.wait({run})
        assert run.cancelled()
        assert time.monotonic() - began < ABORT_SECONDS
        await until(lambda: server.open == 0)


@pytest.mark.parametrize(("kind", "legacy"), KINDS)
@pytest.mark.parametrize("pooled", [False, True])
async def test_an_abort_while_a_tool_runs_ends_at_once_and_the_server_hears_of_it(kind, legacy, pooled):
    pool = MCPPool() if pooled else None
    async with real_server(kind, legacy=legacy) as server:

        async def start():
            async with mcp_tools(server.config(), pool=pool).for_run(run_context(), taken=()) as run:
                await call(run, "wait")

        run = asyncio.create_task(start())
        async with asyncio.timeout(10):
            await server.running.wait()
        began = time.monotonic()
        run.cancel()
        await asyncio.wait({run})
        assert run.cancelled()
        assert time.monotonic() - began < ABORT_SECONDS
        await until(lambda: server.cancelled == 1)
        if pool is not None:
            await pool.aclose()
        await until(lambda: server.open == 0 and not server.sessions)


@pytest.mark.parametrize(("kind", "legacy"), KINDS)
async def test_an_abort_ends_at_once_even_when_the_server_answers_nothing_any_more(kind, legacy):
    async with real_server(kind, legacy=legacy) as server:

        async def start():
            async with mcp_tools(server.config()).for_run(run_context(), taken=()) as run:
                await call(run, "wait")

        run = asyncio.create_task(start())
        async with asyncio.timeout(10):
            await server.running.wait()
        server.behave = "hang"
        began = time.monotonic()
        run.cancel()
        await asyncio.wait({run})
        assert run.cancelled()
        assert time.monotonic() - began < ABORT_SECONDS


@pytest.mark.parametrize(("kind", "legacy"), KINDS)
async def test_a_call_that_takes_too_long_is_an_error(kind, legacy):
    async with real_server(kind, legacy=legacy) as server:
        tools = mcp_tools(server.config(timeout=0.3))
        async with tools.for_run(run_context(), taken=()) as run:
            assert value(await call(run, "wait")) == {"error": 'Tool "wait" timed out after 0.3 s'}
            assert (await call(run, "echo", '{"text":"still"}')).for_model == "still"


@pytest.mark.parametrize(("kind", "legacy"), KINDS)
async def test_a_server_that_dies_in_a_call_gives_an_error_and_the_next_call_finds_it_again(kind, legacy):
    async with real_server(kind, legacy=legacy) as server:
        async with mcp_tools(server.config()).for_run(run_context(), taken=()) as run:
            running = asyncio.create_task(call(run, "wait"))
            async with asyncio.timeout(10):
                await server.running.wait()
            await server.stop()
            answer = await asyncio.wait_for(running, 10)
            assert "error" in value(answer)
            assert str(server.port) not in answer.content
            await server.start()
            answers = [await call(run, "echo", '{"text":"again"}') for _ in range(2)]
            assert answers[-1].for_model == "again"
        assert server.calls == [("echo", "again")] * len([a for a in answers if a.for_model == "again"])


async def test_a_server_that_hangs_at_good_bye_does_not_hold_the_run_up():
    async with real_server() as server:
        async with mcp_tools(server.config()).for_run(run_context(), taken=()):
            server.behave = "hang"
            began = time.monotonic()
        assert time.monotonic() - began < 3.5


async def test_secrets_in_results_and_errors_are_taken_out():
    async with (
        real_server() as server,
        mcp_tools(server.config(headers=AUTHORIZED)).for_run(run_context(), taken=()) as run,
    ):

        def redact(text: str) -> str:
            for secret in run.secrets:
                text = text.replace(secret, "[redacted]")
            return text

        answer = await call(run, "leak", redact=redact)
        assert TOKEN not in answer.content + str(answer.for_model)
        assert "[redacted]" in answer.content


async def test_local_names_win_over_mcp_names_and_later_servers_over_earlier_ones(caplog):
    class Client:
        async def tools(self):
            return {"echo": {"execute": lambda arguments: "client"}}

    async with real_server() as first, real_server() as second:
        tools = mcp_tools(
            first.config(name="first", include_tools=["echo", "count", "fails"]),
            second.config(name="second", include_tools=["echo", "count"], exclude_tools=["count"]),
            clients=[Client()],
        )
        for _ in range(2):
            async with tools.for_run(run_context(), taken={"fails"}) as run:
                assert sorted(names(run)) == ["count", "echo"]
                await call(run, "echo", '{"text":"x"}')
        assert (first.calls, second.calls) == ([], [("echo", "x")] * 2)
        warned = [record.getMessage() for record in caplog.records if record.name.startswith("jumpseat")]
        assert sorted(warned) == [
            "Tool echo of MCP server first replaces the one of MCP server Client",
            "Tool echo of MCP server second replaces the one of MCP server first",
            "Tool fails of MCP server first is left out: a tool of the agent has its name",
        ]
        prefixed = mcp_tools(first.config(tool_prefix="a."), second.config(tool_prefix="b" * 70))
        async with prefixed.for_run(run_context(), taken={"echo"}) as run:
            assert "a_echo" in names(run)
            long = [name for name in names(run) if name.startswith("b")]
            assert {len(name) for name in long} == {64}
            assert len(set(long)) == len(long) == 9
            await call(run, "a_echo", '{"text":"y"}')
        assert first.calls == [("echo", "y")]


async def test_fifty_runs_at_once_mix_nothing_up_and_leave_nothing_open():
    async with real_server() as server:
        tools = mcp_tools(server.config(headers=lambda context: bearer(context.run_id)))

        async def one(number: int) -> tuple[str, str]:
            async with tools.for_run(run_context(f"run-{number}"), taken=()) as run:
                said = await call(run, "echo", json.dumps({"text": f"text-{number}"}))
                who = await call(run, "whoami")
                return said.for_model, who.for_model[::-1]

        results = await asyncio.gather(*(one(number) for number in range(50)))
        assert results == [(f"text-{n}", f"run-{n}") for n in range(50)]
        assert server.connections == 50
        await until(lambda: server.open == 0 and not server.sessions)


async def test_leaving_by_an_exception_closes_too():
    async with real_server() as server:
        with pytest.raises(ZeroDivisionError):
            async with mcp_tools(server.config()).for_run(run_context(), taken=()):
                raise ZeroDivisionError
        await until(lambda: server.open == 0 and not server.sessions)


async def test_closing_the_generator_that_holds_the_tools_closes_them():
    async with real_server() as server:

        async def agent():
            async with mcp_tools(server.config()).for_run(run_context(), taken=()) as run:
                for tool in run.tools:
                    yield tool

        async with aclosing(agent()) as stream:
            await anext(stream)
        await until(lambda: server.open == 0 and not server.sessions)


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "mcp", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r'pip install "jumpseat\[mcp\]"'):
        mcp_tools({"type": "http", "url": "http://x/"})
    mcp_tools(clients=[RaisingClient()])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"on_failure": "explode"}, "on_mcp_failure"),
        ({"pool": 3}, "mcp_pool"),
        ({"clients": "x"}, "mcp_clients"),
        ({"clients": [object()]}, r"mcp_clients\[0\]"),
        ({"clients": [RaisingClient]}, r"mcp_clients\[0\]"),
    ],
)
def test_configuration_that_cannot_work_is_refused(options, words):
    from jumpseat.agents.builtin.mcp_tools import MCPTools

    given = {"servers": [], "clients": [], "pool": None, "on_failure": "log"} | options
    with pytest.raises(ConfigurationError, match=words):
        MCPTools(**given)


def test_what_is_for_mcp_apps_only_is_refused():
    with pytest.raises(ConfigurationError, match=r"mcp_servers\[0\] takes no server_id"):
        mcp_tools(MCPServer(type="http", url="http://x/", server_id="a"))


async def test_without_servers_there_is_nothing_to_do():
    async with mcp_tools().for_run(run_context(), taken=()) as run:
        assert (run.tools, run.unavailable, run.secrets) == ([], [], [])
    assert invocation().arguments == ""
