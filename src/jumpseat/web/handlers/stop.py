"""``POST agent/:agentId/stop/:threadId``: stop what runs on a thread."""

from __future__ import annotations

from typing import Any, cast

from starlette.responses import Response

from jumpseat.runners.base import IsRunningRequest, StopRequest
from jumpseat.web.call import Call
from jumpseat.web.handlers.running import find_agent
from jumpseat.web.responses import agent_not_found, error_response, json_response, thread_not_found

__all__ = ["stop"]

_INTERRUPT = {"type": "RUN_ERROR", "message": "Run stopped by user", "code": "STOPPED"}


async def stop(call: Call) -> Response:
    """Answer whether this call stopped a run; the run's streams end by themselves."""
    if await find_agent(call) is None:
        return agent_not_found(call.agent_id or "")
    run_id = await _run_id(call)
    if isinstance(run_id, Response):
        return run_id
    runtime, thread_id = call.runtime, call.thread_id or ""
    ended_suggestions = runtime.suggestions.stop(call.owner, thread_id, run_id)
    stopped = await runtime.runner.stop(StopRequest(thread_id=thread_id, run_id=run_id, owner=call.owner))
    if stopped or ended_suggestions:
        return json_response({"stopped": True, "interrupt": _INTERRUPT})
    if stopped is None and runtime.identify_user is not None:
        return thread_not_found(thread_id)
    return json_response({"stopped": False, "message": await _why_not(call, thread_id, run_id)})


async def _run_id(call: Call) -> str | Response | None:
    """Return the run that the body names, ``None`` if it names none, or the 400 of an unusable body."""
    if not await call.body():
        return None
    try:
        body: Any = await call.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return error_response(400, "Invalid stop request")
    fields = cast("dict[str, Any]", body)
    if "runId" not in fields:
        return None
    run_id = fields["runId"]
    if not isinstance(run_id, str) or not run_id.strip():
        return error_response(400, "Invalid runId")
    return run_id


async def _why_not(call: Call, thread_id: str, run_id: str | None) -> str:
    live = IsRunningRequest(thread_id=thread_id, owner=call.owner)
    if run_id is not None and await call.runtime.runner.is_running(live):
        return f"Run '{run_id}' is not the active run for thread '{thread_id}'."
    return f"No active run for thread '{thread_id}'."
