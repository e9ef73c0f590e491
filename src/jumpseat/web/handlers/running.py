"""What run, connect, stop and suggest share: a request's agent, input, context and stream."""

from __future__ import annotations

import asyncio

from jumpseat.agents.base import Agent
from jumpseat.context import RunContext
from jumpseat.errors import RunnerClosed
from jumpseat.protocol.inputs import RunAgentInput
from jumpseat.protocol.parse import parse_run_input
from jumpseat.runners.base import EventStream
from jumpseat.runtime.forwarding import forwarded_headers
from jumpseat.web.call import Call
from jumpseat.web.sse import EventStreamResponse

__all__ = ["accepts_runs", "event_stream", "find_agent", "run_context", "run_input"]

# Parsing a body of this size takes long enough to hold up other streams.
LARGE_BODY = 1024 * 1024


async def find_agent(call: Call) -> Agent | None:
    """Return the agent that the route names, ``None`` if this request has no such agent."""
    return (await call.runtime.agents_for(call.request)).get(call.agent_id or "")


def accepts_runs(call: Call) -> None:
    """Raise ``RunnerClosed`` while the runtime drains, ``Overloaded`` when it has enough to do."""
    if call.runtime.draining:
        raise RunnerClosed("the server is shutting down")
    call.runtime.live_runs.check()


async def run_input(call: Call) -> RunAgentInput:
    """Return the body. Raises ``InvalidInput``, ``BodyTooLarge`` and Starlette's ``ClientDisconnect``."""
    body = await call.body()
    if len(body) > LARGE_BODY:
        return await asyncio.to_thread(parse_run_input, body)
    return parse_run_input(body)


def run_context(call: Call, given: RunAgentInput) -> RunContext:
    """Return what the agent is told about its request."""
    return RunContext(
        thread_id=given.thread_id,
        run_id=given.run_id,
        run_key="",
        agent_id=call.agent_id or "",
        user=call.user,
        headers=forwarded_headers(call.request.headers, call.runtime.forward_headers),
        request_id=call.request_id,
        hides_errors=call.runtime.expose_errors is False,
    )


def event_stream(call: Call, stream: EventStream, *, retry: bool = False) -> EventStreamResponse:
    """Return the response that sends ``stream``."""
    return EventStreamResponse(stream, keep_alive=call.runtime.sse_keep_alive_interval_seconds, retry=retry)
