"""The thread routes: list, inspect now or after an earlier run, rename, archive, delete, clear."""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import msgspec
from starlette.responses import Response

from jumpseat.errors import InvalidCursor, ThreadNotFound
from jumpseat.runners.base import BranchStore, RunRecord
from jumpseat.stores.base import ThreadChange, ThreadRecord
from jumpseat.threads import clean_name
from jumpseat.web.call import Call, Handler
from jumpseat.web.responses import empty_response, error_response, invalid_body, json_response

__all__ = [
    "archive_thread",
    "clear_threads",
    "delete_thread",
    "list_threads",
    "subscribe_threads",
    "thread_events",
    "thread_messages",
    "thread_runs",
    "thread_state",
    "update_thread",
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DEFAULT_LIMIT: Final = "200"
# What a run's key or id can be; anything else is a mistake of the caller, not a run that is unknown.
_RUN_NAME: Final = re.compile("[^\x00-\x1f\x7f-\x9f]{1,512}")


def _with_threads(handler: Callable[[Call], Awaitable[Response]]) -> Handler:
    """Answer 422 on a runner that keeps no threads."""

    @functools.wraps(handler)
    async def checked(call: Call) -> Response:
        if call.runtime.runner.threads is None:
            return error_response(422, "This runner does not support threads")
        return await handler(call)

    return checked


def _with_branches(handler: Callable[[Call], Awaitable[Response]]) -> Handler:
    """Answer 422 on a runner that tells nothing of older branches."""

    @_with_threads
    @functools.wraps(handler)
    async def checked(call: Call) -> Response:
        if not isinstance(call.runtime.runner.threads, BranchStore):
            return error_response(422, "This runner does not support older branches")
        return await handler(call)

    return checked


def _with_at(handler: Callable[[Call], Awaitable[Response]]) -> Handler:
    """Check the query's ``at``, the run after which the thread is to be shown, if there is one."""

    @_with_branches
    @functools.wraps(handler)
    async def after_a_run(call: Call) -> Response:
        if not _RUN_NAME.fullmatch(_at(call) or ""):
            return error_response(
                400, "Invalid at", "at must be the runKey or the runId of a run of the thread"
            )
        return await handler(call)

    now = _with_threads(handler)

    @functools.wraps(handler)
    async def checked(call: Call) -> Response:
        return await (now if _at(call) is None else after_a_run)(call)

    return checked


def _at(call: Call) -> str | None:
    return call.request.query_params.get("at")


def _limit(call: Call) -> int | None:
    """Return how long a page may be, ``None`` if the query's ``limit`` is no positive number."""
    limit = call.request.query_params.get("limit", _DEFAULT_LIMIT)
    if not (limit.isascii() and limit.isdigit() and limit.strip("0")):
        return None
    # More than four digits are above the maximum whatever they say.
    return int(limit) if len(limit) < 5 else int(_DEFAULT_LIMIT)


@_with_threads
async def list_threads(call: Call) -> Response:
    """``GET threads``: a page of the caller's threads, newest run first."""
    query, limit = call.request.query_params, _limit(call)
    if limit is None:
        return error_response(400, "Invalid limit")
    try:
        records, cursor = await call.runtime.threads.list(
            owner=call.owner,
            agent_id=query.get("agentId") or None,
            archived=query.get("includeArchived") == "true",
            limit=limit,
            cursor=query.get("cursor") or None,
        )
    except InvalidCursor:
        return error_response(400, "Invalid cursor")
    return json_response({"threads": [_record(record) for record in records], "nextCursor": cursor})


@_with_threads
async def update_thread(call: Call) -> Response:
    """``PATCH threads/:threadId``: set the name, the archive mark, or both in one step."""
    change = await _change(call)
    if change is None:
        return invalid_body()
    record = await call.runtime.threads.update(call.thread_id or "", change, owner=call.owner)
    return json_response(_record(record))


@_with_threads
async def archive_thread(call: Call) -> Response:
    """``POST threads/:threadId/archive``."""
    if await _body_object(call) is None:
        return invalid_body()
    thread_id = call.thread_id or ""
    await call.runtime.threads.archive(thread_id, owner=call.owner)
    return json_response({"threadId": thread_id, "archived": True})


@_with_threads
async def delete_thread(call: Call) -> Response:
    """``DELETE threads/:threadId``."""
    if await _body_object(call) is None:
        return invalid_body()
    thread_id = call.thread_id or ""
    await call.runtime.threads.delete(thread_id, owner=call.owner)
    return json_response({"threadId": thread_id, "deleted": True})


@_with_threads
async def clear_threads(call: Call) -> Response:
    """``POST threads/clear``: delete the caller's threads."""
    runtime = call.runtime
    if runtime.identify_user is None and not (runtime.dev or runtime.allow_clear_threads):
        return error_response(403, "Clearing threads is not allowed")
    await runtime.threads.clear(owner=call.owner)
    return empty_response()


@_with_threads
async def subscribe_threads(_: Call) -> Response:
    """``POST threads/subscribe``: there are no live thread lists to subscribe to."""
    return error_response(422, "Realtime is not enabled on this runtime")


@_with_branches
async def thread_runs(call: Call) -> Response:
    """``GET threads/:threadId/runs``: a page of the thread's runs, oldest first."""
    threads, limit = call.runtime.threads, _limit(call)
    if limit is None:
        return error_response(400, "Invalid limit", "limit must be a whole number from 1 to 200")
    cursor = call.request.query_params.get("cursor") or None
    try:
        found = await threads.runs(call.thread_id or "", owner=call.owner, limit=limit, cursor=cursor)
    except InvalidCursor as error:
        return error_response(400, "Invalid cursor", str(error))
    if found is None:
        _unknown(call)
    runs, following = found or ([], None)
    return json_response({"runs": [_run(run) for run in runs], "nextCursor": following})


@_with_at
async def thread_messages(call: Call) -> Response:
    """``GET threads/:threadId/messages``: the messages now, or after the run that the query names."""
    at = _at(call)
    messages = await call.runtime.threads.messages(call.thread_id or "", owner=call.owner, at=at)
    if messages is None:
        _unknown(call, at)
    return json_response({"messages": messages or []})


@_with_threads
async def thread_events(call: Call) -> Response:
    """``GET threads/:threadId/events``: the stored events, the newest 10,000 of them."""
    found = await call.runtime.threads.events(call.thread_id or "", owner=call.owner)
    if found is None:
        _unknown(call)
    events, truncated = found or ([], False)
    body: dict[str, Any] = {"events": [msgspec.Raw(event) for event in events]}
    return json_response(body | {"truncated": True} if truncated else body)


@_with_at
async def thread_state(call: Call) -> Response:
    """``GET threads/:threadId/state``: the state now, or after the run in the query, if it is an object."""
    threads, thread_id, at = call.runtime.threads, call.thread_id or "", _at(call)
    state = await threads.state(thread_id, owner=call.owner, at=at)
    if state is None and await threads.get(thread_id, owner=call.owner) is None:
        _unknown(call, at)
    return json_response({"state": state if isinstance(state, dict) else None})


def _unknown(call: Call, at: str | None = None) -> None:
    """Raise ``ThreadNotFound``, unless all callers share their threads and an unknown one is an empty one.

    An empty one has no run ``at`` which it could be shown.
    """
    if call.runtime.identify_user is not None or at is not None:
        raise ThreadNotFound(call.thread_id or "")


async def _body_object(call: Call) -> dict[str, Any] | None:
    """Return the body, ``{}`` for an empty one, ``None`` if it is no JSON object."""
    if not await call.body():
        return {}
    try:
        body = await call.json()
    except ValueError:
        return None
    return cast("dict[str, Any]", body) if isinstance(body, dict) else None


async def _change(call: Call) -> ThreadChange | None:
    body = await _body_object(call)
    if body is None:
        return None
    name, archived = body.get("name"), body.get("archived")
    if not isinstance(name, str | None) or ("archived" in body and not isinstance(archived, bool)):
        return None
    try:
        name = clean_name(name)
    except ValueError:
        return None
    return ThreadChange(set_name="name" in body, name=name, archived=archived)


def _record(record: ThreadRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "name": record.name,
        "agentId": record.agent_id,
        "organizationId": "",
        "createdById": record.owner or "",
        "archived": record.archived,
        "createdAt": _time(record.created_at),
        "updatedAt": _time(record.updated_at),
        "lastRunAt": _time(record.last_run_at),
    }


def _run(run: RunRecord) -> dict[str, Any]:
    wire: dict[str, Any] = {"runKey": run.run_key, "runId": run.run_id}
    if run.parent_key is not None:
        wire |= {"parentRunKey": run.parent_key, "parentRunId": run.parent_id}
    wire |= {"agentId": run.agent_id, "status": run.status, "createdAt": _time(run.created_at)}
    if run.ended_at is not None:
        wire["endedAt"] = _time(run.ended_at)
    wire |= {"eventCount": run.event_count, "readable": run.readable}
    if run.error is not None:
        wire["error"] = {"code": run.error.code, "message": run.error.message}
    return wire


def _time(milliseconds: int) -> str:
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
