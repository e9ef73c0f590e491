"""From a streamed run of the OpenAI Agents SDK to stream parts."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any, Final

from jumpseat.agents.builtin.converters.base import Converter, Item
from jumpseat.agents.builtin.converters.fields import field
from jumpseat.agents.builtin.converters.openai_responses import ResponsesReader
from jumpseat.agents.builtin.converters.upstream import async_stream, events_in
from jumpseat.agents.builtin.parts import ApprovalRequest, ToolResult
from jumpseat.protocol.inputs import RunAgentInput

__all__ = ["open_openai_agents"]

_EXPECTED: Final = "Runner.run_streamed(...) or its .stream_events()"


def open_openai_agents(returned: Any, given: RunAgentInput) -> Converter:
    """Return the converter for a run.

    Of the events alone nobody can tell which approvals the run waits for: return the run itself where tools
    need them. A run whose stream is closed early is cancelled.

    Raises:
        TypeError: ``returned`` is neither a run nor the stream of one.
    """
    if callable(getattr(returned, "stream_events", None)):
        return _Agents(_events(returned), returned)
    return _Agents(async_stream(returned, _EXPECTED), None)


class _Agents:
    def __init__(self, stream: AsyncIterable[Any], run: Any) -> None:
        self.stream = stream
        self._run = run
        # The SDK answers approvals of hosted tools itself when it can, and lists the others when it ends.
        self._reader = ResponsesReader(hosted_approvals=False)

    def feed(self, chunk: Any) -> Iterable[Item]:
        kind = field(chunk, "type")
        if kind == "raw_response_event":
            return self._reader.feed(field(chunk, "data"))
        if kind == "run_item_stream_event":
            return _result(field(chunk, "name"), field(chunk, "item"))
        return events_in(chunk)

    def end(self) -> Iterable[Item]:
        for waiting in field(self._run, "interruptions") or ():
            raw = field(waiting, "raw_item")
            name = field(waiting, "tool_name") or field(raw, "name")
            call_id = field(raw, "call_id")
            yield ApprovalRequest(
                id=call_id or field(raw, "id"),
                tool_call_id=call_id,
                message=f'Approve "{name}"?',
                metadata={"toolName": name},
            )


def _result(name: str, item: object) -> Iterable[Item]:
    raw = field(item, "raw_item")
    if name == "tool_output":
        output = field(item, "output")
    elif name == "handoff_occured":
        # The call that handed over is the SDK's own, and it is done.
        output = field(raw, "output")
    else:
        return ()
    return (ToolResult(id=field(raw, "call_id") or field(raw, "id"), output=output),)


async def _events(run: Any) -> AsyncIterator[Any]:
    events = run.stream_events()
    try:
        async for event in events:
            yield event
    finally:
        # The SDK works in tasks of its own, and closing its iterator waits for them.
        if not run.is_complete:
            run.cancel()
        await events.aclose()
