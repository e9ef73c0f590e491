"""Which headers of a client's request reach an agent, and the agent servers behind it."""

import pytest

from jumpseat.agents.http import HttpAgent
from jumpseat.errors import ConfigurationError
from jumpseat.runtime import CopilotRuntime
from jumpseat.runtime.forwarding import ForwardHeaders
from upstream import Exchange, upstream
from web.live import client_of

SENT = {
    "authorization": "Bearer client",
    "cookie": "session=1",
    "x-tenant": "acme",
    "x-forwarded-for": "10.0.0.1",
    "x-request-id": "req-1",
}


async def reached(forward_headers=None, *, route: str = "run", **agent_options) -> dict[str, list[str]]:
    """The headers that a remote agent server is sent for a client's request."""

    async def script(exchange: Exchange) -> None:
        await exchange.answer(
            200,
            b'data: {"type":"RUN_FINISHED","threadId":"t","runId":"r"}\n\n',
            Content_Type="text/event-stream",
        )

    async with upstream(script) as server:
        agent = HttpAgent(server.url, **agent_options)
        runtime = CopilotRuntime(agents={"a": agent}, forward_headers=forward_headers)
        async with client_of(runtime.app()) as client:
            client.headers.update(SENT)
            body = {"threadId": "t", "runId": "r", "messages": []}
            answer = await client.post(f"/agent/a/{route}", json=body)
            assert answer.status_code == 200
            assert "RUN_FINISHED" in answer.text
        await runtime.aclose()
    (exchange,) = server.exchanges
    return {name: exchange.values(name) for name in SENT}


@pytest.mark.parametrize("route", ["run", "suggest"])
async def test_by_default_authorization_and_application_headers_reach_the_agent_server(route):
    assert await reached(route=route) == {
        "authorization": ["Bearer client"],
        "cookie": [],
        "x-tenant": ["acme"],
        "x-forwarded-for": [],
        "x-request-id": [],
    }


async def test_what_is_denied_does_not_leave_the_house():
    sent = await reached(ForwardHeaders(deny=["Authorization"]))
    assert (sent["authorization"], sent["x-tenant"]) == ([], ["acme"])


async def test_an_allow_list_lets_any_header_through_and_no_other():
    assert await reached(ForwardHeaders(allow=["cookie", "x-forwarded-for"])) == {
        "authorization": [],
        "cookie": ["session=1"],
        "x-tenant": [],
        "x-forwarded-for": ["10.0.0.1"],
        "x-request-id": [],
    }


async def test_the_servers_own_authorization_wins_and_is_the_only_one_on_the_wire():
    sent = await reached(headers={"Authorization": "Bearer server"})
    assert sent["authorization"] == ["Bearer server"]


async def test_an_agent_of_the_same_process_sees_the_same_headers():
    seen = {}

    async def agent(given, context):
        seen.update(context.headers)
        yield {"type": "CUSTOM", "name": "n", "value": 1}

    runtime = CopilotRuntime(agents={"a": agent})
    async with client_of(runtime.app()) as client:
        client.headers.update(SENT)
        await client.post("/agent/a/run", json={"threadId": "t", "runId": "r", "messages": []})
    await runtime.aclose()
    assert seen == {"authorization": "Bearer client", "x-tenant": "acme"}


def test_another_kind_of_policy_is_refused():
    with pytest.raises(ConfigurationError, match="forward_headers"):
        CopilotRuntime(agents={}, forward_headers={"deny": ["cookie"]})
