"""``POST agent/:agentId/suggest``: an agent's suggestions, streamed and kept nowhere."""

from __future__ import annotations

from starlette.responses import Response

from jumpseat.agents.base import Agent
from jumpseat.protocol.inputs import RunAgentInput
from jumpseat.runtime.suggestions import SuggestionStream
from jumpseat.web.call import Call
from jumpseat.web.exposure import agent_error_text
from jumpseat.web.handlers.running import accepts_runs, event_stream, find_agent, run_context, run_input
from jumpseat.web.responses import agent_not_found

__all__ = ["stream_suggestions", "suggest"]


async def suggest(call: Call) -> Response:
    """Answer 200 with the agent's events; a client that leaves ends the agent."""
    agent = await find_agent(call)
    if agent is None:
        return agent_not_found(call.agent_id or "")
    accepts_runs(call)
    return stream_suggestions(call, agent, await run_input(call))


def stream_suggestions(call: Call, agent: Agent, given: RunAgentInput) -> Response:
    """Return the response that runs ``agent`` for suggestions."""
    runtime = call.runtime
    stream = SuggestionStream(
        agent.run, given, run_context(call, given), error_text=agent_error_text(runtime.expose_errors)
    )
    runtime.suggestions.add(call.owner, given, stream)
    return event_stream(call, stream)
