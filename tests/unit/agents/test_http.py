"""HttpAgent against a server that behaves well, and against servers that do not."""

import asyncio
import gzip
import json
from contextlib import aclosing, asynccontextmanager

import pytest

from jumpseat.agents.http import HttpAgent
from jumpseat.context import RunContext
from jumpseat.errors import AgentServerError, ConfigurationError, EventTooLarge, InvalidEvent
from jumpseat.protocol import codec
from jumpseat.protocol.inputs import RunAgentInput, Tool, UserMessage
from upstream import Exchange, upstream


def run_input(**fields) -> RunAgentInput:
    return RunAgentInput(
        thread_id="t", run_id="r", **{"messages": [UserMessage(id="1", content="hi")], **fields}
    )


def run_context(**headers: str) -> RunContext:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return RunContext(thread_id="t", run_id="r", run_key="k", agent_id="a", headers=named)


@asynccontextmanager
async def agent_at(url: str, **options):
    agent = HttpAgent(url, **options)
    try:
        yield agent
    finally:
        await agent.aclose()


async def events_of(script, *, given=None, context=None, **options):
    """What an agent yields of this server, and what the server was sent."""
    async with (
        upstream(script) as server,
        agent_at(server.url, **options) as agent,
        aclosing(agent.run(given or run_input(), context or run_context())) as stream,
    ):
        return [event async for event in stream], server.exchanges


def frames(*events: dict) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def streaming(*pieces: bytes, content_type: str = "text/event-stream"):
    async def script(exchange: Exchange) -> None:
        await exchange.open_stream(content_type)
        for piece in pieces:
            await exchange.chunk(piece)
        await exchange.chunk(b"")

    return script


STARTED = {"type": "RUN_STARTED", "threadId": "t", "runId": "r"}
FINISHED = {"type": "RUN_FINISHED", "threadId": "t", "runId": "r"}


async def test_the_events_of_the_server_are_yielded_as_dicts_in_order():
    events, _ = await events_of(streaming(frames(STARTED), frames({"type": "X", "text": "ü😀"}, FINISHED)))
    assert events == [STARTED, {"type": "X", "text": "ü😀"}, FINISHED]


async def test_the_server_gets_the_whole_input_with_unknown_keys_and_no_missing_ones():
    given = codec.from_wire(
        {
            "threadId": "t",
            "runId": "r",
            "messages": [{"id": "1", "role": "user", "content": "hi", "mine": [1]}],
            "tools": [{"name": "x", "description": "d"}],
            "protocolVersion": "1.0",
            "resume": [{"interruptId": "i", "status": "resolved", "payload": {"a": 1}}],
        },
        RunAgentInput,
    )
    _, (exchange,) = await events_of(streaming(frames(FINISHED)), given=given)
    assert (exchange.method, exchange.target) == ("POST", "/agent")
    assert exchange.json() == {
        "threadId": "t",
        "runId": "r",
        "messages": [{"id": "1", "role": "user", "content": "hi", "mine": [1]}],
        "tools": [{"name": "x", "description": "d", "parameters": {"type": "object", "properties": {}}}],
        "context": [],
        "state": {},
        "forwardedProps": {},
        "protocolVersion": "1.0",
        "resume": [{"interruptId": "i", "status": "resolved", "payload": {"a": 1}}],
    }


async def test_state_and_tool_parameters_travel_as_they_are():
    given = run_input(
        state=[1], tools=[Tool(name="x", description="d", parameters=False)], forwarded_props={"a": None}
    )
    _, (exchange,) = await events_of(streaming(frames(FINISHED)), given=given)
    sent = exchange.json()
    assert (sent["state"], sent["tools"][0]["parameters"], sent["forwardedProps"]) == (
        [1],
        False,
        {"a": None},
    )


async def test_forwarded_headers_travel_and_own_ones_win_whatever_their_case():
    context = run_context(authorization="Bearer client", x_tenant="acme", x_both="client")
    _, (exchange,) = await events_of(
        streaming(frames(FINISHED)),
        context=context,
        headers={"AUTHORIZATION": "Bearer own", "X-Both": "first", "x-both": "second"},
    )
    assert exchange.values("authorization") == ["Bearer own"]
    assert exchange.values("x-both") == ["first"]
    assert exchange.values("x-tenant") == ["acme"]
    assert exchange.values("accept") == ["text/event-stream"]
    assert exchange.values("content-type") == ["application/json"]


async def test_headers_about_the_clients_own_connection_never_travel():
    context = run_context(
        host="evil.example",
        content_length="1",
        transfer_encoding="chunked",
        connection="x",
        accept_encoding="br",
    )
    _, (exchange,) = await events_of(streaming(frames(FINISHED)), context=context)
    assert exchange.values("host")[0].startswith("127.0.0.1:")
    assert exchange.values("content-length") == [str(len(exchange.body))]
    assert exchange.values("transfer-encoding") == []
    assert exchange.values("accept-encoding") == ["identity"]


async def test_no_header_of_the_client_travels_when_forwarding_is_off():
    context = run_context(authorization="Bearer client", x_tenant="acme")
    _, (exchange,) = await events_of(streaming(frames(FINISHED)), context=context, forward_headers=False)
    assert exchange.values("authorization") == exchange.values("x-tenant") == []


async def test_a_latin_1_header_value_arrives_as_it_was_sent():
    _, (exchange,) = await events_of(streaming(frames(FINISHED)), context=run_context(x_name="Zoë"))
    assert exchange.values("x-name") == ["Zoë"]


async def test_a_cookie_of_the_server_never_reaches_the_next_run():
    async def script(exchange: Exchange) -> None:
        await exchange.answer(
            200, frames(FINISHED), Content_Type="text/event-stream", Set_Cookie="session=alice; Path=/"
        )

    async with upstream(script) as server, agent_at(server.url) as agent:
        for _ in range(2):
            assert [event async for event in agent.run(run_input(), run_context())] == [FINISHED]
    assert [exchange.values("cookie") for exchange in server.exchanges] == [[], []]


@pytest.mark.parametrize(
    "written",
    [
        frames(STARTED, FINISHED).replace(b"\n", b"\r\n"),
        frames(STARTED, FINISHED).replace(b"data: ", b"data:"),
        b": hello\n\nid: 1\nevent: x\n" + frames(STARTED) + b": ping\n\ndata:\n\n" + frames(FINISHED),
        b"".join(
            b"data: " + b"\ndata: ".join(json.dumps(event, indent=1).encode().split(b"\n")) + b"\n\n"
            for event in (STARTED, FINISHED)
        ),
        frames(STARTED, FINISHED).removesuffix(b"\n\n"),
    ],
    ids=["CRLF", "no blank", "comments and fields", "several data lines", "last frame not closed"],
)
async def test_every_legal_way_to_write_a_stream_is_understood(written):
    for size in (1, 7, len(written)):
        pieces = [written[start : start + size] for start in range(0, len(written), size)]
        events, _ = await events_of(streaming(*pieces))
        assert events == [STARTED, FINISHED]


async def test_a_stream_that_is_cut_off_just_ends():
    async def script(exchange: Exchange) -> None:
        await exchange.open_stream()
        await exchange.chunk(frames(STARTED) + b'data: {"type":"TEXT_MES')
        exchange.writer.transport.abort()

    events, _ = await events_of(script)
    assert events == [STARTED]


async def test_a_half_frame_at_a_clean_end_is_left_out():
    events, _ = await events_of(streaming(frames(STARTED), b'data: {"type":"TEXT_MES'))
    assert events == [STARTED]


async def test_a_refusal_names_the_status_and_the_beginning_of_the_body():
    async def script(exchange: Exchange) -> None:
        await exchange.answer(500, b'{"error":"no\r\n\x1b[31mmodel"}' + b"x" * 100_000)

    with pytest.raises(AgentServerError) as caught:
        await events_of(script)
    assert caught.value.upstream_status == 500
    assert str(caught.value).startswith('The agent server answered HTTP 500: {"error":"no [31mmodel"}xxx')
    assert len(str(caught.value)) < 400


async def test_a_refusal_whose_body_never_comes_still_names_the_status():
    async def script(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 503 X\r\nContent-Length: 10\r\n\r\n")

    with pytest.raises(AgentServerError, match=r"answered HTTP 503$"):
        await events_of(script)


async def test_a_redirect_is_an_error_and_its_target_is_not_asked():
    async def target(exchange: Exchange) -> None:
        await exchange.answer(200, frames(FINISHED), Content_Type="text/event-stream")

    async with upstream(target) as other:

        async def script(exchange: Exchange) -> None:
            await exchange.answer(307, b"", Location=other.url)

        with pytest.raises(AgentServerError, match=r"HTTP 307 \(redirects are not followed"):
            await events_of(script)
    assert other.exchanges == []


async def test_a_web_page_instead_of_a_stream_is_named_as_such():
    async def script(exchange: Exchange) -> None:
        await exchange.answer(200, b"<html>\n\n<p>Log in</p></html>", Content_Type="text/html")

    with pytest.raises(AgentServerError, match="answered text/html instead of an event stream"):
        await events_of(script)


async def test_a_stream_under_another_content_type_is_read_all_the_same():
    events, _ = await events_of(streaming(frames(FINISHED), content_type="application/octet-stream"))
    assert events == [FINISHED]


@pytest.mark.parametrize("data", [b"data: nope\n\n", b"data: [1]\n\n", b'data: "x"\n\n', b"data: \xff\n\n"])
async def test_a_frame_that_is_no_json_object_is_an_invalid_event(data):
    with pytest.raises(InvalidEvent):
        await events_of(streaming(frames(STARTED), data))


async def test_a_frame_above_8_mib_is_refused():
    with pytest.raises(EventTooLarge):
        await events_of(streaming(*[b"data: " + b"x" * (1 << 20)] * 9))


async def test_a_frame_just_below_8_mib_arrives():
    big = {"type": "X", "text": "x" * (8 * 1024 * 1024 - 100)}
    events, _ = await events_of(streaming(frames(big)))
    assert events == [big]


async def test_a_server_that_stalls_in_its_stream_is_given_up_after_the_timeout():
    async def script(exchange: Exchange) -> None:
        await exchange.open_stream()
        await exchange.chunk(frames(STARTED))
        await exchange.wait_closed()

    with pytest.raises(AgentServerError, match=r"sent nothing for 1\.5 seconds"):
        await events_of(script, timeout=1.5)


async def test_a_server_that_never_answers_is_given_up_after_the_timeout():
    async def script(exchange: Exchange) -> None:
        await exchange.wait_closed()

    with pytest.raises(AgentServerError, match=r"did not answer within 1\.5 seconds"):
        await events_of(script, timeout=1.5)


async def test_a_server_that_is_not_there_is_named_as_unreachable():
    async with upstream(streaming()) as server:
        pass
    async with agent_at(server.url) as agent:
        with pytest.raises(AgentServerError, match="cannot be reached"):
            _ = [event async for event in agent.run(run_input(), run_context())]


async def test_a_server_that_hangs_up_before_it_answers_is_an_error():
    async def script(exchange: Exchange) -> None:
        exchange.writer.transport.abort()

    with pytest.raises(AgentServerError, match="cannot be reached"):
        await events_of(script)


async def test_a_compressed_stream_is_unpacked_and_a_broken_one_is_an_error():
    async def zipped(exchange: Exchange) -> None:
        await exchange.answer(
            200, gzip.compress(frames(FINISHED)), Content_Type="text/event-stream", Content_Encoding="gzip"
        )

    async def broken(exchange: Exchange) -> None:
        await exchange.answer(200, b"nope", Content_Type="text/event-stream", Content_Encoding="gzip")

    events, _ = await events_of(zipped)
    assert events == [FINISHED]
    with pytest.raises(AgentServerError, match="broken compressed stream"):
        await events_of(broken)


def endless(exchange: Exchange):
    async def script() -> None:
        await exchange.open_stream()
        await exchange.chunk(frames(STARTED))
        await exchange.wait_closed()

    return script()


async def test_closing_the_stream_closes_the_request():
    async with upstream(endless) as server, agent_at(server.url) as agent:
        async with aclosing(agent.run(run_input(), run_context())) as stream:
            assert await anext(stream) == STARTED
        await server.closed.wait()


async def test_cancelling_the_reader_closes_the_request():
    async with upstream(endless) as server, agent_at(server.url) as agent:
        begun = asyncio.Event()

        async def read() -> None:
            async with aclosing(agent.run(run_input(), run_context())) as stream:
                async for _ in stream:
                    begun.set()

        task = asyncio.create_task(read())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.closed.wait()


async def test_more_runs_than_a_usual_pool_has_connections_stream_at_once():
    begun = 0
    everyone = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        nonlocal begun
        await exchange.open_stream()
        begun += 1
        if begun == 120:
            everyone.set()
        await everyone.wait()
        await exchange.chunk(frames(FINISHED))
        await exchange.chunk(b"")

    async with upstream(script) as server, agent_at(server.url) as agent:

        async def read():
            return [event async for event in agent.run(run_input(), run_context())]

        assert await asyncio.gather(*(read() for _ in range(120))) == [[FINISHED]] * 120


async def test_an_agent_that_was_closed_opens_again_at_its_next_run():
    async with upstream(streaming(frames(FINISHED))) as server, agent_at(server.url) as agent:
        for _ in range(2):
            assert [event async for event in agent.run(run_input(), run_context())] == [FINISHED]
            await agent.aclose()


def test_one_agent_serves_event_loops_that_come_and_go():
    agents = []

    async def once() -> None:
        async with asyncio.timeout(10), upstream(streaming(frames(FINISHED))) as server:
            if not agents:
                agents.append(HttpAgent(server.url))
            agents[0].url = server.url
            assert [event async for event in agents[0].run(run_input(), run_context())] == [FINISHED]
            await agents[0].aclose()

    for _ in range(2):
        asyncio.run(once())


@pytest.mark.parametrize(
    "options",
    [
        {"url": "ftp://x/"},
        {"url": "/relative"},
        {"url": "http://"},
        {"url": "http://u:p@x/"},
        {"url": "http://x/#f"},
        {"url": "http://x:99999/"},
        {"url": "http://x/\n"},
        {"url": "http://ü/"},
        {"url": 7},
        {"url": "http://x/", "timeout": 0},
        {"url": "http://x/", "timeout": float("inf")},
        {"url": "http://x/", "headers": {"a b": "c"}},
        {"url": "http://x/", "headers": {"a": "c\r\nd: e"}},
        {"url": "http://x/", "headers": {"a": "€"}},
        {"url": "http://x/", "headers": {"a": 1}},
    ],
)
def test_what_cannot_work_is_refused_at_construction(options):
    with pytest.raises(ConfigurationError, match="HttpAgent"):
        HttpAgent(**options)


def test_a_remote_agents_stream_needs_a_terminal_event():
    agent = HttpAgent("http://x/", name="far", description="away")
    assert (agent.requires_terminal, agent.name, agent.description) == (True, "far", "away")
