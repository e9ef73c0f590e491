"""Each example is run as a user would run it, against a mock of its provider."""

import importlib.util
import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from chats import RUN, add_call_then_answer, calling, client_of, of, results, say, text
from mcp_servers import real_server
from mock_provider import MockProvider, mock_server, provider
from serving import run_body

__all__ = ["mock_server", "provider"]

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def mcp_port() -> int:
    """A port where nothing listens yet."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


@pytest.fixture
def example(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    provider: MockProvider,
    mcp_port: int,
) -> Iterator[ModuleType]:
    """The example whose name is the parameter; its thread file is the test's own."""
    provider.use(monkeypatch)
    monkeypatch.setenv("MCP_URL", f"http://127.0.0.1:{mcp_port}/mcp")
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location(request.param, EXAMPLES / f"{request.param}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[request.param] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules[request.param]


def uses(name: str) -> pytest.MarkDecorator:
    """Marks a test of one example."""
    return pytest.mark.parametrize("example", [name], indirect=True, ids=[name])


@uses("server_tool")
async def test_server_tools(example: Any, provider: MockProvider):
    add_call_then_answer(provider, "order", calling("order_status", order_id="1001"), "On its way.")
    add_call_then_answer(provider, "missing", calling("order_status", order_id="7"), "Sorry.")
    add_call_then_answer(provider, "buy", calling("search_catalogue", words="spade"), "A spade.")
    async with client_of(example) as client:
        found = await say(client, "where is my order")
        assert results(found) == [{"order": "1001", "status": "in the mail"}]
        assert text(found) == "On its way."
        missing = await say(client, "missing", run_id="r2")
        assert results(missing) == [{"error": "There is no order 7"}]
        bought = await say(client, "buy", run_id="r3")
        progress = [event["content"]["value"] for event in of("ACTIVITY_SNAPSHOT", bought)]
        assert progress == [{"searching": shelf} for shelf in ("garden", "kitchen", "workshop")]
        assert results(bought)[0][0]["price"] == 12.5


@uses("shared_state")
async def test_shared_state(example: Any, provider: MockProvider):
    patch = [{"op": "add", "path": "/items/-", "value": {"name": "milk", "bought": False}}]
    add_call_then_answer(provider, "milk", calling("AGUISendStateDelta", delta=patch), "Added.")
    add_call_then_answer(provider, "clear", calling("clear_bought"), "Cleared.")
    async with client_of(example) as client:
        added = await say(client, "buy milk")
        assert of("STATE_DELTA", added)[0]["delta"][-1] == patch[0]
        items = [{"name": "milk", "bought": True}, {"name": "tea"}]
        cleared = await say(client, "clear", run_id="r2", state={"items": items})
        assert of("STATE_SNAPSHOT", cleared)[-1]["snapshot"] == {"items": [{"name": "tea"}]}
        assert results(cleared) == [1]
    assert "Application State" in json.dumps(provider.requests[-1].json)


@uses("approval")
async def test_approval(example: Any, provider: MockProvider):
    pay = calling("pay_refund", customer="Ann", amount=5)
    provider.add(
        {"match": {"toolCallId": "call_approve_refund"}, "response": pay},
        {"match": {"toolCallId": "call_pay_refund"}, "response": {"content": "Paid."}},
        {"match": {"userMessage": "refund"}, "response": calling("approve_refund", customer="Ann", amount=5)},
    )
    async with client_of(example) as client:
        asked = await say(client, "refund Ann 5")
        (interrupt,) = asked[-1]["outcome"]["interrupts"]
        assert interrupt["message"] == "A refund wants to be approved."
        assert example.SENT == []
        made = {"name": "approve_refund", "arguments": '{"customer":"Ann","amount":5}'}
        call = {
            "id": "a1",
            "role": "assistant",
            "toolCalls": [{"id": interrupt["toolCallId"], "type": "function", "function": made}],
        }
        answer = {"interruptId": interrupt["id"], "status": "resolved", "payload": {"approved": True}}
        done = await say(client, "refund Ann 5", call, run_id="r2", resume=[answer])
        assert example.SENT == [("Ann", 5.0)]
        assert text(done) == "Paid."


@uses("mcp_tools")
async def test_mcp_tools(example: Any, provider: MockProvider, mcp_port: int):
    add_call_then_answer(provider, "echo", calling("notes_echo", text="hi"), "It said hi.")
    provider.say("No notes.")
    async with client_of(example) as client:
        away = await say(client, "anything", run_id="r0")
        assert of("CUSTOM", away)[0]["value"] == {"server": "notes", "reason": "unreachable"}
        assert text(away) == "No notes."
        async with real_server("http", port=mcp_port) as server:
            headers = {"authorization": "Bearer ann-0123456789"}
            events = await say(client, "echo", headers=headers)
            assert results(events)[0]["content"][0]["text"] == "hi"
            assert text(events) == "It said hi."
            assert {seen.headers["authorization"] for seen in server.seen} == {"Bearer ann-0123456789"}


@uses("langgraph_factory")
async def test_langgraph(example: Any, provider: MockProvider):
    add_call_then_answer(provider, "count", calling("word_count", text="one two three"), "Three words.")
    async with client_of(example) as client:
        events = await say(client, "count this")
        assert [event["toolCallName"] for event in of("TOOL_CALL_START", events)] == ["word_count"]
        assert results(events) == [3]
        assert text(events) == "Three words."
        assert events[-1]["type"] == "RUN_FINISHED"


@uses("multi_tenant")
async def test_tenants_have_their_own_keys_and_prompts(
    example: Any, provider: MockProvider, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ACME_OPENAI_KEY", "sk-acme-0123456789")
    monkeypatch.setenv("UMBRELLA_OPENAI_KEY", "sk-umbrella-0123456789")
    provider.say("Hello.")
    async with client_of(example) as client:
        body = run_body("t0", "r0")
        nobody = await client.post(RUN, json=body)
        assert nobody.status == 401
        for tenant, tone in (("acme", "formal"), ("umbrella", "cheerful")):
            events = await say(
                client, "hi", run_id=tenant, threadId=tenant, headers={"x-user": f"{tenant}:ann"}
            )
            assert text(events) == "Hello."
            request = provider.requests[-1]
            assert request.headers["authorization"] == f"Bearer sk-{tenant}-0123456789"
            assert tone in request.text
