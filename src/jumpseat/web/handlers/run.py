"""``POST agent/:agentId/run``: start a run and stream its log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from jumpseat.agents.base import Agent
from jumpseat.errors import CallerLeft
from jumpseat.protocol.inputs import RunAgentInput
from jumpseat.runners.base import DisconnectPolicy, EventStream, RunOptions, RunRequest
from jumpseat.runtime.debug_log import log_tap
from jumpseat.runtime.thread_names import first_message_name
from jumpseat.web.body import body_of
from jumpseat.web.call import Call
from jumpseat.web.exposure import agent_error_text
from jumpseat.web.handlers.running import accepts_runs, event_stream, find_agent, run_context, run_input
from jumpseat.web.handlers.suggest import stream_suggestions
from jumpseat.web.responses import agent_not_found

__all__ = ["run"]

SUGGEST_TOOL = "copilotkitSuggest"


async def run(call: Call) -> Response:
    """Answer 200 with the run's events once its thread is claimed; the run outlives the response."""
    agent = await find_agent(call)
    if agent is None:
        return agent_not_found(call.agent_id or "")
    accepts_runs(call)
    given = await run_input(call)
    if is_suggestion(given):
        return stream_suggestions(call, agent, given)
    return event_stream(call, await _start(call, agent, given))


def is_suggestion(given: RunAgentInput) -> bool:
    """Say whether a run only asks for suggestions: clients with one URL send them as throw-away runs."""
    if len(given.tools) != 1 or given.tools[0].name != SUGGEST_TOOL or not given.messages:
        return False
    return given.messages[-1].id == given.thread_id and _tool_choice(given.forwarded_props) == SUGGEST_TOOL


def _tool_choice(props: Any) -> Any:
    for key in ("toolChoice", "function", "name"):
        props = cast("dict[str, Any]", props).get(key) if isinstance(props, dict) else None
    return props


async def _start(call: Call, agent: Agent, given: RunAgentInput) -> EventStream:
    runtime = call.runtime
    left = body_of(call.request, limit=call.app.max_body_bytes).glance()
    request = RunRequest(
        thread_id=given.thread_id,
        agent=agent.run,
        agent_id=call.agent_id or "",
        input=given,
        context=run_context(call, given),
        owner=call.owner,
        options=_options(call, agent, given, lambda: not left()),
    )
    try:
        if runtime.max_live_runs is None:
            return await runtime.runner.run(request)
        return await runtime.live_runs.run(runtime.runner, request)
    except CallerLeft:
        raise ClientDisconnect from None
    finally:
        left()


def _options(call: Call, agent: Agent, given: RunAgentInput, wanted: Callable[[], bool]) -> RunOptions:
    runtime = call.runtime
    return RunOptions(
        on_disconnect=cast("DisconnectPolicy | None", agent.on_disconnect),
        requires_terminal=agent.requires_terminal,
        error_text=agent_error_text(runtime.expose_errors),
        tap=_tap(call, given),
        thread_name=first_message_name(given.messages) if runtime.thread_names is not None else None,
        wanted=wanted,
        first_run_sealed=runtime.name_calls.ask if runtime.name_calls is not None else None,
        request_id=call.request_id,
    )


def _tap(call: Call, given: RunAgentInput) -> Callable[[bytes], None] | None:
    """Return who else sees the run's events: the debug feed, and in debug mode the log."""
    runtime, agent_id = call.runtime, call.agent_id or ""
    if runtime.debug_config is None and not runtime.dev:
        return None
    feed = runtime.debug_feed.tap(
        agent_id=agent_id, thread_id=given.thread_id, run_id=given.run_id, owner=call.owner
    )
    if runtime.debug_config is None:
        return feed
    log = log_tap(
        runtime.debug_config,
        agent_id=agent_id,
        thread_id=given.thread_id,
        run_id=given.run_id,
        request_id=call.request_id,
    )

    def both(event: bytes) -> None:
        feed(event)
        log(event)

    return both
