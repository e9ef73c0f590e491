"""``GET info``: what this runtime offers, asked by every client before anything else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from jumpseat.agents.base import Agent
from jumpseat.calling import is_failure
from jumpseat.protocol import codec
from jumpseat.version import __version__
from jumpseat.web.call import Call
from jumpseat.web.responses import json_response

__all__ = ["info"]

CAPABILITIES_SECONDS = 2.0

_logger = logging.getLogger("jumpseat")


async def info(call: Call) -> Response:
    """Answer with the agents and the features of this runtime; the same for every user."""
    agents = await call.runtime.agents_for(call.request)
    described = await asyncio.gather(*(_describe(agent_id, agent) for agent_id, agent in agents.items()))
    has_threads = call.runtime.runner.threads is not None
    body: dict[str, Any] = {
        "version": __version__,
        "agents": dict(zip(agents, described, strict=True)),
        "audioFileTranscriptionEnabled": call.runtime.transcription_service is not None,
        "mode": "sse",
        "threadEndpoints": _thread_endpoints(has_threads),
    }
    if call.app.mode == "single-route":
        # Older clients would send thread requests to URLs that a single route does not have.
        body["threadEndpoints"] = _thread_endpoints(False)
        body["singleRoute"] = {
            "resourceOperations": True,
            "threadEndpoints": _thread_endpoints(has_threads),
        }
    body |= {
        "suggestions": True,
        "a2uiEnabled": False,
        "openGenerativeUIEnabled": False,
        "telemetryDisabled": True,
    }
    return json_response(body)


def _thread_endpoints(available: bool) -> dict[str, bool]:
    return {"list": available, "inspect": available, "mutations": available, "realtimeMetadata": False}


async def _describe(agent_id: str, agent: Agent) -> dict[str, Any]:
    description: dict[str, Any] = {"name": agent_id}
    if agent.description:
        description["description"] = agent.description
    description["className"] = type(getattr(agent, "target", agent)).__name__
    capabilities = await _capabilities(agent_id, agent)
    if capabilities is not None:
        description["capabilities"] = capabilities
    return description


async def _capabilities(agent_id: str, agent: Agent) -> Mapping[str, Any] | None:
    try:
        async with asyncio.timeout(CAPABILITIES_SECONDS):
            capabilities = await agent.capabilities()
        # Proven here, so that one agent cannot spoil the whole answer.
        return None if capabilities is None else codec.decode_json(codec.encode_json(capabilities))
    except BaseException as error:  # An agent that calls sys.exit() here loses its key, not the server.
        if not is_failure(error):
            raise
        _logger.warning("agent %r did not tell its capabilities", agent_id, exc_info=True)
        return None
