"""``agent/:agentId/connect``: what a thread amounts to, then its live run, by POST or by EventSource."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import Response

from jumpseat.protocol.inputs import RunAgentInput
from jumpseat.runners.base import ConnectRequest, EventStream, IsRunningRequest, Page
from jumpseat.web.call import Call
from jumpseat.web.handlers.running import event_stream, find_agent, run_input
from jumpseat.web.responses import agent_not_found, empty_response, error_response

__all__ = ["connect", "connect_event_source"]


async def connect(call: Call) -> Response:
    """Answer 200 with the stream; an unknown thread is an empty one."""
    if await find_agent(call) is None:
        return agent_not_found(call.agent_id or "")
    given = await run_input(call)
    stream = await call.runtime.runner.connect(
        ConnectRequest(
            thread_id=given.thread_id,
            agent_id=call.agent_id or "",
            owner=call.owner,
            cursor=call.request.headers.get("last-event-id") or _last_seen(given),
            input=given,
        )
    )
    return event_stream(call, stream)


async def connect_event_source(call: Call) -> Response:
    """Answer 200 with the stream, or 204, which keeps an EventSource from asking again."""
    if await find_agent(call) is None:
        return agent_not_found(call.agent_id or "")
    query = call.request.query_params
    thread_id = query.get("threadId")
    if not thread_id:
        return error_response(400, "Invalid request", "Query parameter 'threadId' is required")
    runner = call.runtime.runner
    # Asked first: a run that ends in between leaves an empty stream, never a missed one.
    is_live = await runner.is_running(IsRunningRequest(thread_id=thread_id, owner=call.owner))
    stream = await runner.connect(
        ConnectRequest(
            thread_id=thread_id,
            agent_id=call.agent_id or "",
            owner=call.owner,
            cursor=call.request.headers.get("last-event-id") or query.get("lastSeenEventId"),
        )
    )
    started = stream if is_live else await _started(stream)
    return empty_response() if started is None else event_stream(call, started, retry=True)


def _last_seen(given: RunAgentInput) -> str | None:
    cursor = (given.extra or {}).get("lastSeenEventId")
    return cursor if isinstance(cursor, str) else None


async def _started(stream: EventStream) -> EventStream | None:
    """Return the stream once it has something to send, ``None`` (and close it) if it has nothing."""
    try:
        async for item in stream:
            if not isinstance(item, Page) or item.events:
                return _Started(item, stream)
    except BaseException:
        await stream.aclose()
        raise
    await stream.aclose()
    return None


class _Started:
    """A stream whose first item has been taken already."""

    def __init__(self, first: Any, rest: EventStream) -> None:
        self._first: list[Any] = [first]
        self._rest = rest

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if self._first:
            return self._first.pop()
        return await self._rest.__anext__()

    async def aclose(self) -> None:
        await self._rest.aclose()
