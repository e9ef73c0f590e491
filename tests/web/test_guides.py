"""What the guides say happens: their programs are run, with a mock in the provider's place."""

import asyncio
import json
import os
import re
import socket
import sys
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from builtin_agents import given, run, run_context
from chats import (
    RUN,
    add_call_then_answer,
    call_message,
    calling,
    client_of,
    client_of_agent,
    failure,
    of,
    results,
    say,
    text,
)
from documents import ROOT, code, page, quoted, table
from jumpseat import BuiltInAgent, ToolContext, define_tool
from jumpseat.agents import builtin
from jumpseat.agents.builtin import FactoryContext, ToolDefinition, ToolReturn
from jumpseat.agents.builtin.factory.types import TYPES
from jumpseat.agents.builtin.failures import FAILURE_CODES
from jumpseat.agents.builtin.models.providers import find_provider
from jumpseat.agents.builtin.state import STATE_TOOL_NAMES
from jumpseat.testing import ScriptedModel
from jumpseat.testing.client import AsgiClient
from mcp_servers import real_server
from mock_provider import MockProvider, mock_server, provider
from serving import run_body, until

__all__ = ["mock_server", "provider"]

GUIDES = ROOT / "docs" / "guides"
REFERENCE = ROOT / "docs" / "reference" / "built-in-agent.md"


@pytest.fixture
async def guide(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, provider: MockProvider
) -> AsyncIterator[Any]:
    """The program of the guide whose name is the parameter; its files are the test's own."""
    provider.use(monkeypatch)
    monkeypatch.setenv("SERVICE_URL", provider.origin)
    # It would report runs to its vendor.
    monkeypatch.setenv("OPENAI_AGENTS_DISABLE_TRACING", "1")
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    monkeypatch.setenv("MCP_URL", f"http://127.0.0.1:{port}/mcp")
    monkeypatch.chdir(tmp_path)
    async with page(GUIDES / f"{request.param}.md") as program:
        program.PORT = port
        yield program


def reads(name: str) -> pytest.MarkDecorator:
    """Marks a test of one guide."""
    return pytest.mark.parametrize("guide", [name], indirect=True, ids=[name])


# --- the README


async def test_the_agent_of_the_readme_answers_with_its_tool(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, provider: MockProvider
):
    provider.use(monkeypatch)
    monkeypatch.chdir(tmp_path)
    add_call_then_answer(provider, "order", calling("order_status", order_id="1001"), "On its way.")
    async with page(ROOT / "README.md") as program, client_of_agent(program.agent) as client:
        events = await say(client, "where is my order")
    assert (results(events), text(events)) == (["in the mail"], "On its way.")


# --- a first agent


@reads("first-agent")
async def test_the_first_agent_answers(guide: Any, provider: MockProvider):
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    provider.say("Good day.", usage=usage)
    async with client_of(guide) as client:
        events = await say(client, "hello")
    assert text(events) == "Good day."
    assert events[-1]["usage"][0]["model"] == "gpt-5"
    assert provider.requests[0].path == "/v1/responses"
    assert "You work at the help desk" in provider.requests[0].text
    assert guide.complaint.startswith('Invalid model string "gpt-5". Use "openai/gpt-5"')


@reads("first-agent")
async def test_settings_and_options_of_a_provider_reach_it(guide: Any, provider: MockProvider):
    provider.say("Good day.")
    async with client_of_agent(guide.careful) as client:
        await say(client, "hello")
    body = provider.requests[0].json
    assert (body["max_output_tokens"], body["reasoning"]["effort"]) == (2000, "low")


@reads("first-agent")
async def test_prompt_and_key_are_asked_for_in_each_run(guide: Any, provider: MockProvider):
    provider.say("Good day.")
    async with client_of_agent(guide.shared) as client:
        for tenant in ("acme", "umbrella"):
            await say(client, "hello", run_id=tenant, headers={"x-tenant": tenant})
            request = provider.requests[-1]
            assert request.headers["authorization"] == f"Bearer sk-{tenant}-0123456789"
            assert f"the people of {tenant}" in request.text


@reads("first-agent")
async def test_a_run_without_a_key_names_the_variable(
    guide: Any, provider: MockProvider, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("OPENAI_API_KEY")
    async with client_of(guide) as client:
        end = failure(await say(client, "hello"))
    assert end["code"] == "authentication_error"
    assert "OPENAI_API_KEY" in end["message"]
    assert provider.requests == []


@reads("first-agent")
async def test_usage_is_billed_and_kept_from_the_page(guide: Any, provider: MockProvider):
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    provider.say("Good day.", usage=usage)
    async with client_of_agent(guide.billed) as client:
        events = await say(client, "hello")
    assert "usage" not in events[-1]
    assert guide.BILL == [("t1", "gpt-5", 10)]


@reads("first-agent")
async def test_a_run_that_is_aborted_keeps_its_record(guide: Any, provider: MockProvider):
    provider.add({"match": {}, "response": {"content": "a long answer " * 50}, "chunkSize": 4, "latency": 50})
    context = run_context()
    running = asyncio.create_task(run(guide.agent, given(), context))
    request = (await provider.seen())[0]
    assert guide.agent.abort_run(thread_id="another") == 0
    assert guide.agent.abort_run(thread_id="t1") == 1
    events = await running
    assert not {"RUN_FINISHED", "RUN_ERROR"} & {event["type"] for event in events}
    assert await asyncio.to_thread(request.hung_up.wait, 5)
    assert context.record["steps"] == 1


@pytest.mark.parametrize("document", ["guides/first-agent", "reference/built-in-agent"])
def test_providers_are_looked_up_where_the_documents_say(document: str):
    rows = table(ROOT / "docs" / f"{document}.md", "provider", "key")
    named = set()
    for row in rows:
        address = next(cell for column, cell in row.items() if column.startswith("address"))
        for name in quoted(row["provider"]):
            known = find_provider(name)
            assert known is not None, name
            if known.api == "other":
                continue
            named.add(name)
            variables = [word for word in quoted(row["key"]) if word.endswith("_API_KEY")]
            assert tuple(variables) == known.key_variables
            assert next(iter(quoted(address)), None) == known.url_variable
            assert f"`{known.url}`" in address or not known.url or "guides" in document
            assert known.install in row.get("`pip install`", known.install)
    assert {"openai", "openai-chat", "anthropic", "google", "gemini", "vertex", "minimax"} <= named


def test_every_extra_is_named_with_what_it_is_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = set(project["project"]["optional-dependencies"]) - {"server"}
    assert {quoted(row["extra"])[0] for row in table(GUIDES / "first-agent.md", "extra")} == extras


# --- tools


def tool(name: str) -> dict[str, Any]:
    """A frontend tool."""
    return {"name": name, "description": name, "parameters": {"type": "object", "properties": {}}}


@reads("tools")
async def test_the_model_gets_results_within_max_steps(guide: Any, provider: MockProvider):
    add_call_then_answer(provider, "order", calling("order_status", order_id="1001"), "On its way.")
    add_call_then_answer(provider, "missing", calling("order_status", order_id="7"), "Sorry.")
    once = BuiltInAgent(model="openai/gpt-5", tools=[guide.order_status])
    async with client_of_agent(guide.agent) as client:
        events = await say(client, "where is my order")
        assert (results(events), text(events)) == (
            [{"order": "1001", "status": "in the mail"}],
            "On its way.",
        )
        assert results(await say(client, "missing", run_id="r2")) == [{"error": "There is no order 7"}]
    (function,) = [one for one in provider.requests[0].json["tools"] if one["name"] == "order_status"]
    assert function["description"] == "Look up where an order is."
    assert function["parameters"]["properties"]["order_id"]["description"] == "The number on the receipt"
    provider.requests.clear()
    async with client_of_agent(once) as client:
        events = await say(client, "where is my order")
        assert (len(results(events)), text(events), events[-1]["type"]) == (1, "", "RUN_FINISHED")
    assert len(provider.requests) == 1


ANSWERS = {
    "stock": ({"article": "spade", "shelf": "3"}, 21),
    "convert_money": ({"euros": 2, "currency": "USD"}, 2.2),
    "ship": ({"street": "Main 1", "city": "Rome"}, "to Main 1, Rome"),
    "search": ({"words": "spade", "limit": 2}, ["spade", "spade"]),
    "book": ({"day": "Monday"}, "Monday for 2"),
    "paint": ({"colour": "red"}, "red"),
    "my_orders": ({"limit": 1}, ["order 0 of nobody"]),
    "export": ({"rows": 200}, {"file": "orders.csv", "rows": 200}),
}
UNFIT = {
    "stock": {},
    "convert_money": {"euros": "many", "currency": "USD"},
    "ship": {"street": "Main 1"},
    "search": {"words": "spade", "limit": 51},
    "book": {"day": "Monday", "guests": "few"},
    "paint": {"colour": "blue"},
}


def tools_of(guide: Any) -> dict[str, ToolDefinition]:
    return {found.name: found for found in vars(guide).values() if isinstance(found, ToolDefinition)}


async def called(guide: Any, name: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    model = ScriptedModel([[{"type": "tool-call", "id": "c1", "name": name, "input": arguments}], ["Done."]])
    agent = BuiltInAgent(model=model, tools=[tools_of(guide)[name]], max_steps=2)
    events = await run(agent, given())
    assert text(events) == "Done."
    return events


@reads("tools")
@pytest.mark.parametrize("name", ANSWERS)
async def test_tools_of_every_form_answer(guide: Any, name: str):
    arguments, expected = ANSWERS[name]
    assert results(await called(guide, name, arguments)) == [expected]
    assert set(ANSWERS) | {"order_status"} == set(tools_of(guide))


@reads("tools")
@pytest.mark.parametrize("name", UNFIT)
async def test_arguments_that_do_not_fit_are_told_to_the_model(guide: Any, name: str):
    (result,) = results(await called(guide, name, UNFIT[name]))
    assert result["error"].startswith(f'Invalid arguments for tool "{name}": ')


@reads("tools")
async def test_schemas_describe_what_the_guide_says(guide: Any):
    found = {name: one.parameters["properties"] for name, one in tools_of(guide).items()}
    assert found["stock"]["article"]["description"] == "What to count."
    assert found["ship"]["street"]["description"] == "With the number"
    assert found["search"]["limit"] | {"default": 10, "minimum": 1, "maximum": 50} == found["search"]["limit"]
    assert set(found["my_orders"]) == {"limit"}
    assert guide.order_status("1001")["status"] == "in the mail"


@reads("tools")
async def test_progress_and_custom_events_reach_the_page(guide: Any):
    exported = await called(guide, "export", {"rows": 200})
    assert [event["content"]["value"] for event in of("ACTIVITY_SNAPSHOT", exported)] == [
        {"done": 0},
        {"done": 100},
    ]
    listed = await called(guide, "my_orders", {"limit": 1})
    (custom,) = of("CUSTOM", listed)
    assert (custom["name"], custom["value"]) == ("looked_up", {"owner": "nobody", "step": 1})


def test_the_context_has_all_that_the_guide_names():
    rows = table(GUIDES / "tools.md", "of the context", "what it is")
    words = (word for row in rows for word in quoted(row["of the context"]))
    named = {word.removeprefix("await ").partition("(")[0] for word in words}
    public = {name for name in vars(ToolContext) if not name.startswith("_")}
    assert named == public


@reads("tools")
async def test_calls_of_both_kinds_end_the_run_after_the_servers_own(guide: Any):
    both = [
        {"type": "tool-call", "id": "c1", "name": "pick", "input": {}},
        {"type": "tool-call", "id": "c2", "name": "order_status", "input": {"order_id": "1001"}},
    ]
    agent = BuiltInAgent(model=ScriptedModel([both]), tools=[guide.order_status], max_steps=5)
    events = await run(agent, given(tools=[tool("pick")]))
    assert [event["toolCallId"] for event in of("TOOL_CALL_RESULT", events)] == ["c2"]
    assert events[-1]["type"] == "RUN_FINISHED"
    same = [{"type": "tool-call", "id": "c1", "name": "order_status", "input": {"order_id": "1001"}}]
    agent = BuiltInAgent(model=ScriptedModel([same]), tools=[guide.order_status])
    assert results(await run(agent, given(tools=[tool("order_status")])))[0]["status"] == "in the mail"


# --- shared state


def editing(*operations: dict[str, Any]) -> dict[str, Any]:
    return calling("AGUISendStateDelta", delta=list(operations))


@reads("shared-state")
async def test_the_model_edits_the_state(guide: Any, provider: MockProvider):
    milk = {"op": "add", "path": "/items/-", "value": {"name": "milk", "bought": False}}
    add_call_then_answer(provider, "milk", editing(milk), "Added.")
    add_call_then_answer(provider, "wrong", editing(milk, {"op": "remove", "path": "/nothing"}), "Hm.")
    async with client_of_agent(guide.agent) as client:
        added = await say(client, "buy milk", state={"note": "é"})
        kinds = [event["type"] for event in added if "STATE" in event["type"] or "RESULT" in event["type"]]
        assert kinds == ["STATE_SNAPSHOT", "STATE_DELTA", "TOOL_CALL_RESULT"]
        assert of("STATE_DELTA", added)[0]["delta"] == [{"op": "add", "path": "/items", "value": []}, milk]
        assert text(added) == "Added."
        wrong = await say(client, "wrong", run_id="r2", state={"items": []})
        assert of("STATE_DELTA", wrong) == []
        assert results(wrong)[0]["error"].startswith("State delta could not be applied: 1: ")
    first = provider.requests[0]
    assert {"AGUISendStateSnapshot", "AGUISendStateDelta"} <= {one["name"] for one in first.json["tools"]}
    assert "## Application State" in json.dumps(first.json)


@reads("shared-state")
async def test_without_the_state_tools_the_model_only_reads(guide: Any, provider: MockProvider):
    provider.say("I see.")
    async with client_of_agent(guide.reader) as client:
        await say(client, "hello", state={"items": []})
    request = provider.requests[0]
    assert "## Application State" in json.dumps(request.json)
    assert not request.json.get("tools")


@reads("shared-state")
async def test_tools_edit_the_state(guide: Any, provider: MockProvider):
    add_call_then_answer(provider, "clear", calling("clear_bought"), "Cleared.")
    add_call_then_answer(provider, "tea", calling("add_item", name="tea"), "Added.")
    items = [{"name": "milk", "bought": True}, {"name": "eggs"}]
    async with client_of_agent(guide.shop) as client:
        cleared = await say(client, "clear", state={"items": items})
        assert of("STATE_SNAPSHOT", cleared)[-1]["snapshot"] == {"items": [{"name": "eggs"}]}
        assert results(cleared) == [1]
        added = await say(client, "tea", run_id="r2", state={"items": []})
        assert of("STATE_DELTA", added)[0]["delta"][-1]["value"] == {"name": "tea", "bought": False}


# --- approval


@reads("approval")
async def test_a_question_is_asked_and_answered_after_a_reload(guide: Any, provider: MockProvider):
    asked = {"customer": "Ann", "amount": 5}
    provider.add(
        {"match": {"toolCallId": "call_approve_refund"}, "response": calling("pay_refund", **asked)},
        {"match": {"toolCallId": "call_pay_refund"}, "response": {"content": "Paid."}},
        {"match": {"userMessage": "refund"}, "response": calling("approve_refund", **asked)},
    )
    async with client_of(guide) as client:
        events = await say(client, "refund Ann 5")
        shape = json.loads(code(GUIDES / "approval.md", "json")[0])
        (interrupt,) = events[-1]["outcome"]["interrupts"]
        (shown,) = shape["outcome"]["interrupts"]
        assert interrupt | {"id": "call_1", "toolCallId": "call_1"} == shown
        assert results(events) == []
        reloaded = await client.post(RUN.replace("/run", "/connect"), json=run_body("t1", "c1", messages=[]))
        messages = next(
            event["messages"] for event in reloaded.events if event["type"] == "MESSAGES_SNAPSHOT"
        )
        assert [event["outcome"] for event in of("RUN_FINISHED", reloaded.events)] == [events[-1]["outcome"]]
        (answer,) = json.loads(code(GUIDES / "approval.md", "json")[1])["resume"]
        answer["interruptId"] = interrupt["id"]
        assert guide.PAID == []
        paid = await say(client, *messages, run_id="r2", resume=[answer])
    assert guide.PAID == [("Ann", 5.0)]
    assert text(paid) == "Paid."


@reads("approval")
@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        ({"status": "resolved", "payload": {"approved": True}}, {"approved": True}),
        ({"status": "resolved", "payload": False}, False),
        ({"status": "resolved"}, {"status": "resolved"}),
        ({"status": "cancelled"}, {"status": "cancelled"}),
        (None, {"error": "No result was recorded for this tool call."}),
    ],
)
async def test_the_model_sees_the_answer_as_the_result(guide: Any, answer: Any, seen: Any):
    model = ScriptedModel([["All right."]])
    agent = BuiltInAgent(model=model, tools=[guide.approve_refund])
    call = call_message("approve_refund", "call_1", customer="Ann", amount=5)
    resume = [] if answer is None else [{"interruptId": "call_1", **answer}]
    assert text(await run(agent, given("refund", call, resume=resume))) == "All right."
    (result,) = [message for message in model.requests[0].messages if isinstance(message, ToolReturn)]
    assert json.loads(result.content) == seen


# --- branches


@reads("branches")
async def test_branches_are_listed_read_and_gone_on_from(guide: Any, provider: MockProvider):
    provider.say("Rome.")
    first = [{"id": "u1", "role": "user", "content": "where to?"}]
    async with client_of(guide) as client:
        events = await say(client, *first, run_id="r1")
        (start,) = of("TEXT_MESSAGE_START", events)
        turn = [*first, {"id": start["messageId"], "role": "assistant", "content": "Rome."}]
        for run_id, said in (("r2", "by train?"), ("r3", "by ship?")):
            await say(client, *turn, {"id": said, "role": "user", "content": said}, run_id=run_id)
        assert await guide.branches("t1") == {
            "r1": ["where to?", "Rome."],
            "r2": ["where to?", "Rome.", "by train?", "Rome."],
            "r3": ["where to?", "Rome.", "by ship?", "Rome."],
        }
        thread = RUN.removesuffix("agent/default/run") + "threads/t1"
        listed = (await client.get(f"{thread}/runs")).json()
        (written,) = map(json.loads, code(GUIDES / "branches.md", "json"))
        assert [list(run) for run in listed["runs"][:2]] == [list(run) for run in written["runs"]]
        assert [run.get("parentRunId") for run in listed["runs"]] == [None, "r1", "r1"]
        key = listed["runs"][1]["runKey"]
        older = (await client.get(f"{thread}/messages?at={key}")).json()["messages"]
        await say(client, *older, "and back?", run_id="r4")
        assert "by train?" in provider.requests[-1].text
        assert "by ship?" not in provider.requests[-1].text
        shown = (await client.get(f"{thread}/messages")).json()["messages"]
    assert [message["content"] for message in shown] == [
        "where to?", "Rome.", "by train?", "Rome.", "and back?", "Rome.",
    ]  # fmt: skip


# --- MCP

NOTES_SERVER = """#!{python}
from mcp.server.mcpserver import MCPServer

server = MCPServer("notes", log_level="CRITICAL")


@server.tool()
def echo(text: str) -> str:
    return text


server.run("stdio")
"""


def offered(provider: MockProvider) -> set[str]:
    """The names of the tools in the newest request."""
    return {one["name"] for one in provider.requests[-1].json["tools"]} - STATE_TOOL_NAMES


@reads("mcp")
async def test_tools_of_a_server_are_called_with_the_users_own_token(guide: Any, provider: MockProvider):
    add_call_then_answer(provider, "echo", calling("notes_echo", text="hi"), "It said hi.")
    async with (
        real_server("http", port=guide.PORT) as server,
        client_of_agent(guide.agent) as client,
    ):
        events = await say(client, "echo", headers={"authorization": "Bearer ann-0123456789"})
        assert results(events)[0]["content"][0]["text"] == "hi"
        assert text(events) == "It said hi."
        assert {seen.headers["authorization"] for seen in server.seen} == {"Bearer ann-0123456789"}
        assert "notes_echo" in offered(provider)


@reads("mcp")
@pytest.mark.parametrize("mode", ["log", "event", "fail"])
async def test_a_server_that_is_away_does_what_the_guide_says(
    guide: Any, provider: MockProvider, caplog: pytest.LogCaptureFixture, mode: str
):
    rows = table(GUIDES / "mcp.md", "`on_mcp_failure`")
    assert [quoted(row["`on_mcp_failure`"])[0] for row in rows] == ['"log"', '"event"', '"fail"']
    provider.say("No notes.")
    server = {"type": "http", "url": guide.URL, "name": "notes"}
    agent = BuiltInAgent(model="openai/gpt-5", mcp_servers=[server], on_mcp_failure=mode)
    async with client_of_agent(guide.telling if mode == "event" else agent) as client:
        events = await say(client, "hello")
    assert "MCP server notes is left out of run r1: unreachable" in caplog.text
    assert guide.URL not in caplog.text
    assert [event["value"] for event in of("CUSTOM", events)] == (
        [{"server": "notes", "reason": "unreachable"}] if mode == "event" else []
    )
    if mode == "fail":
        assert failure(events)["code"] == "mcp_error"
    else:
        assert text(events) == "No notes."


@reads("mcp")
async def test_a_pool_keeps_the_connection_between_runs(guide: Any, provider: MockProvider):
    add_call_then_answer(provider, "echo", calling("echo", text="hi"), "It said hi.")
    async with real_server("http", port=guide.PORT) as server:
        async with client_of_agent(guide.pooled) as client:
            for number in range(2):
                events = await say(client, "echo", run_id=f"r{number}", threadId=f"t{number}")
                assert results(events)[0]["content"][0]["text"] == "hi"
        assert server.connections == 1
        await guide.pool.aclose()


@reads("mcp")
async def test_a_program_is_a_server_through_a_client_of_ones_own(
    guide: Any, provider: MockProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    program = tmp_path / "notes-server"
    program.write_text(NOTES_SERVER.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    add_call_then_answer(provider, "echo", calling("echo", text="hi"), "It said hi.")
    client = AsgiClient(guide.app)
    async with client.lifespan():
        events = await say(client, "echo")
    assert results(events)[0]["content"][0]["text"] == "hi"
    assert text(events) == "It said hi."


@reads("mcp")
async def test_only_what_the_agent_needs_and_never_a_name_of_its_own(guide: Any, provider: MockProvider):
    provider.say("Hm.")
    mine = define_tool(name="whoami", description="Mine.", execute=lambda: "me")
    for options, expected in (
        ({"include_tools": ["echo", "whoami"]}, {"echo", "whoami"}),
        ({"include_tools": ["whoami"], "tool_prefix": "x_"}, {"whoami", "x_whoami"}),
    ):
        async with real_server("http", port=guide.PORT) as server:
            agent = BuiltInAgent(model="openai/gpt-5", tools=[mine], mcp_servers=[server.config(**options)])
            async with client_of_agent(agent) as client:
                await say(client, "hello")
            assert offered(provider) == expected
            (found,) = [one for one in provider.requests[-1].json["tools"] if one["name"] == "whoami"]
            assert found["description"] == "Mine."


# --- your own model call

PICK = tool("pick")
LIBRARIES = ["openai", "anthropic", "langchain", "pydantic_ai", "agents"]


@reads("your-own-model-call")
async def test_a_custom_factory_says_what_it_yields(guide: Any):
    events = await run(guide.echoing, given("hello"))
    assert events[0]["type"] == "RUN_STARTED"
    assert of("TEXT_MESSAGE_CHUNK", events)[0]["delta"] == "You said: hello"


@reads("your-own-model-call")
@pytest.mark.parametrize("library", LIBRARIES)
async def test_each_library_answers_behind_the_same_page(guide: Any, provider: MockProvider, library: str):
    provider.add(
        {"match": {"userMessage": "hello"}, "response": {"content": "Good day."}},
        {"match": {"userMessage": "pick"}, "response": calling("pick")},
    )
    async with client_of_agent(getattr(guide, f"with_{library}")) as client:
        events = await say(client, "hello")
        assert text(events) == "Good day."
        assert [event["type"] for event in events if event["type"].startswith("RUN_")] == [
            "RUN_STARTED",
            "RUN_FINISHED",
        ]
        if library != "agents":  # its agent has tools of its own only
            picked = await say(client, "pick", run_id="r2", tools=[PICK])
            assert [event["toolCallName"] for event in of("TOOL_CALL_START", picked)] == ["pick"]
            assert of("TOOL_CALL_RESULT", picked) == []
            assert picked[-1]["type"] == "RUN_FINISHED"
    assert "Be brief." in provider.requests[0].text


@reads("your-own-model-call")
async def test_a_factory_runs_the_state_tools_itself(guide: Any, provider: MockProvider):
    milk = {"op": "add", "path": "/items/-", "value": "milk"}
    add_call_then_answer(provider, "milk", editing(milk), "Added.")
    async with client_of_agent(guide.keeping) as client:
        events = await say(client, "buy milk", state={"items": []}, tools=[PICK])
    assert of("STATE_DELTA", events)[0]["delta"] == [milk]
    assert results(events)[0]["success"] is True
    assert text(events) == "Added."
    assert {one["name"] for one in provider.requests[0].json["tools"]} == {"pick", *STATE_TOOL_NAMES}


SERVICES = {
    "ai_sdk": [
        {"type": "start"},
        {"type": "text-start", "id": "t1"},
        {"type": "text-delta", "id": "t1", "delta": "Good day."},
        {"type": "text-end", "id": "t1"},
        {"type": "finish"},
    ],
    "tanstack": [
        {"type": "RUN_STARTED", "threadId": "x", "runId": "y"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "Good day."},
        {"type": "RUN_FINISHED", "threadId": "x", "runId": "y"},
    ],
    "framework": [
        {"type": "RUN_STARTED", "threadId": "x", "runId": "y"},
        {"type": "TEXT_MESSAGE_START", "messageId": "m", "role": "assistant"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "Good day."},
        {"type": "TEXT_MESSAGE_END", "messageId": "m"},
        {"type": "RUN_FINISHED", "threadId": "x", "runId": "y"},
    ],
}


@reads("your-own-model-call")
@pytest.mark.parametrize("service", SERVICES)
async def test_services_elsewhere_are_read(guide: Any, provider: MockProvider, service: str):
    frames = [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in SERVICES[service]]
    provider.answer_once(200, stream=[*frames, b"" if service == "framework" else b"data: [DONE]\n\n"])
    async with client_of_agent(getattr(guide, f"with_{service}")) as client:
        events = await say(client, "hello")
    assert text(events) == "Good day."
    assert (events[-1]["type"], events[-1]["runId"]) == ("RUN_FINISHED", "r1")
    assert "hello" in provider.requests[0].text


@reads("your-own-model-call")
async def test_a_factory_asks_and_is_called_again_with_the_answer(guide: Any):
    asked = await run(guide.paying, given())
    assert asked[-1]["outcome"]["interrupts"] == [{"id": "pay-1", "reason": "payment", "message": "Pay 5?"}]
    resume = [{"interruptId": "pay-1", "status": "resolved", "payload": "yes"}]
    answered = await run(guide.paying, given(resume=resume))
    assert of("TEXT_MESSAGE_CHUNK", answered)[0]["delta"] == "resolved: yes"


@reads("your-own-model-call")
async def test_a_graph_asks_and_goes_on_with_the_answer(guide: Any):
    asked = await run(guide.with_graph, given("pay"))
    (question,) = asked[-1]["outcome"]["interrupts"]
    assert question["message"] == "Pay 5?"
    resume = [{"interruptId": question["id"], "status": "resolved", "payload": "yes"}]
    answered = await run(guide.with_graph, given("pay", resume=resume))
    assert text(answered) == "The answer is yes."
    assert "outcome" not in answered[-1]


@reads("your-own-model-call")
async def test_an_answer_to_what_a_graph_did_not_ask_is_no_yes(guide: Any):
    await run(guide.with_graph, given("pay"))
    resume = [{"interruptId": "another", "status": "resolved", "payload": "yes"}]
    again = await run(guide.with_graph, given("pay", resume=resume))
    assert text(again) == ""
    assert again[-1]["outcome"]["interrupts"][0]["message"] == "Pay 5?"


@reads("your-own-model-call")
@pytest.mark.parametrize(
    ("answer", "paid"),
    [
        ({"status": "resolved", "payload": {"approved": True}}, [5]),
        ({"status": "resolved", "payload": {"approved": False}}, []),
        ({"status": "cancelled"}, []),
    ],
)
async def test_a_tool_that_a_library_asks_for_runs_only_when_it_is_approved(
    guide: Any, provider: MockProvider, answer: dict[str, Any], paid: list[int]
):
    add_call_then_answer(provider, "pay", calling("pay_out", amount=5), "Done.")
    asked = await run(guide.with_cashier, given("pay"))
    (question,) = asked[-1]["outcome"]["interrupts"]
    assert (question["reason"], question["message"]) == ("tool_approval", 'Approve "pay_out"?')
    assert guide.PAID == []
    call = call_message("pay_out", question["toolCallId"], amount=5)
    resume = [{"interruptId": question["id"], **answer}]
    answered = await run(guide.with_cashier, given("pay", call, resume=resume))
    assert paid == guide.PAID
    assert (results(answered) == ["paid"]) == bool(paid)
    assert text(answered) == "Done."


@reads("your-own-model-call")
async def test_a_converter_works_by_itself(guide: Any, provider: MockProvider):
    provider.say("Good day.")
    async with client_of_agent(guide.by_hand) as client:
        assert text(await say(client, "hello")) == "Good day."


@reads("your-own-model-call")
async def test_models_of_ones_own_answer(guide: Any):
    events = await run(guide.parrot, given("hello"))
    assert text(events) == "You said: hello"
    (used,) = events[-1]["usage"]
    assert (used["provider"], used["model"], used["totalTokens"]) == ("parrot", "parrot-1", 7)


@reads("your-own-model-call")
async def test_a_model_around_models_asks_the_next(guide: Any, provider: MockProvider):
    provider.say("Good day.")
    provider.answer_once(401, {"error": {"message": "no"}})
    assert text(await run(guide.sturdy, given("hello"))) == "Good day."
    assert [request.path for request in provider.requests] == ["/v1/responses", "/v1/messages"]
    for _ in range(2):
        provider.answer_once(401, {"error": {"message": "no"}})
    assert failure(await run(guide.sturdy, given("hello")))["code"] == "authentication_error"
    await guide.fallback.aclose()


@reads("your-own-model-call")
async def test_the_test_in_the_guide_passes(guide: Any):
    await guide.test_the_agent_looks_the_weather_up()


def test_the_context_of_a_factory_has_all_that_the_guide_names():
    found = table(GUIDES / "your-own-model-call.md", "of the context", "what it is")
    words = (word for row in found for word in quoted(row["of the context"]))
    named = {word.removeprefix("await ").partition("(")[0] for word in words}
    assert named == {name for name in dir(FactoryContext) if not name.startswith("_")}


def test_every_type_of_factory_and_every_converter_is_shown():
    guide_text = (GUIDES / "your-own-model-call.md").read_text(encoding="utf-8")
    shown = set(re.findall(r'type="(\w+)"\)', guide_text)) | {"custom"}
    named = {quoted(row["`type`"])[0] for row in table(REFERENCE, "`type`", "the factory returns")}
    assert shown == named == TYPES
    converters = {name for name in builtin.__all__ if name.startswith("to_")}
    rows = table(GUIDES / "your-own-model-call.md", "messages", "tools")
    listed = {word.partition("(")[0] for row in rows for word in quoted(row["messages"] + row["tools"])}
    assert listed == converters


# --- errors


@reads("errors")
async def test_a_provider_that_repeats_the_key_does_not_give_it_away(
    guide: Any, provider: MockProvider, caplog: pytest.LogCaptureFixture
):
    provider.answer_once(401, {"error": {"message": "Incorrect API key provided: sk-abc"}})
    end = failure(await run(guide.agent, given()))
    assert end["message"] == "Incorrect API key provided: [redacted]"
    assert end["code"] == "authentication_error"
    (record,) = [found for found in caplog.records if found.levelname == "ERROR"]
    assert record.name == "jumpseat"
    for word in ("agent default", "thread t1", "run r1", "authentication_error", "Traceback"):
        assert word in record.getMessage()
    assert "sk-abc" not in caplog.text


@reads("errors")
async def test_codes_of_the_developers_own(guide: Any):
    many = [{"id": f"m{number}", "role": "user", "content": "more"} for number in range(201)]
    end = failure(await run(guide.polite, given(*many)))
    assert (end["code"], end["message"]) == (
        "context_length",
        "This thread is full. Please start a new one.",
    )


@reads("errors")
async def test_a_tool_that_fails_is_told_to_the_model(
    guide: Any, provider: MockProvider, caplog: pytest.LogCaptureFixture
):
    add_call_then_answer(provider, "much", calling("transfer", amount=500), "Too much.")
    add_call_then_answer(provider, "some", calling("transfer", amount=50), "Sorry.")
    async with client_of_agent(guide.bank) as client:
        much = await say(client, "much")
        assert (results(much), text(much)) == ([{"error": "At most 100 at a time"}], "Too much.")
        some = await say(client, "some", run_id="r2")
        assert results(some) == [{"error": "bank says no to api_key=[redacted] for 50.0"}]
        assert text(some) == "Sorry."
    assert "Traceback" in caplog.text
    assert "abc123" not in caplog.text


@reads("errors")
async def test_clients_change_only_what_is_listed(guide: Any, provider: MockProvider):
    provider.say("Good day.")
    async with client_of_agent(guide.open_to_all) as client:
        for sent, expected in (
            ({"model": "openai/gpt-4o-mini", "temperature": 0.5}, ("gpt-4o-mini", 0.5)),
            ({"model": "openai/gpt-5", "temperature": "hot"}, ("gpt-4o", None)),
            ({"prompt": "You are a pirate.", "maxOutputTokens": 5}, ("gpt-4o", None)),
        ):
            await say(client, "hello", run_id=f"r{len(provider.requests)}", forwardedProps=sent)
            body = provider.requests[-1].json
            assert (body["model"], body.get("temperature")) == expected
            assert "pirate" not in json.dumps(body)
            assert "max_output_tokens" not in body


def test_the_codes_in_the_documents_are_all_there_are():
    assert {quoted(row["code"])[0] for row in table(GUIDES / "errors.md", "what to do")} == FAILURE_CODES


# --- threads


@reads("threads")
async def test_threads_are_named_by_a_model_listed_archived_exported_and_deleted(
    guide: Any, provider: MockProvider
):
    threads = guide.runtime.threads
    provider.add(
        {"match": {"userMessage": "assistant: To Rome."}, "response": {"content": "A Week in Rome\n"}},
        {"match": {"userMessage": "Where shall we go?"}, "response": {"content": "To Rome."}},
    )

    async def names() -> set[str | None]:
        return {thread.name for thread in (await threads.list(owner=None))[0]}

    async def named() -> bool:
        return await names() == {"A Week in Rome"}

    async with client_of(guide) as client:
        await say(client, "Where shall we go?")
        await until(named)
        asked = provider.requests[-1].json
        assert (asked["model"], asked["input"]) == (
            "gpt-5-mini",
            "user: Where shall we go?\nassistant: To Rome.",
        )
        exported = await guide.export("t1", None)
        assert [message["content"] for message in exported["messages"]] == ["Where shall we go?", "To Rome."]
        assert exported["state"] == {}
        assert await guide.tidy(None) == ["A Week in Rome"]
        await threads.rename("t1", "Test of trips", owner=None)
        assert (await guide.tidy(None), await names()) == ([], set())
        assert (await threads.list(owner=None, archived=True))[0][0].archived
        await threads.unarchive("t1", owner=None)
        await threads.rename("t1", None, owner=None)
        assert await guide.tidy(None) == []
        assert await threads.get("t1", owner=None) is None
