"""The first event of every run: RUN_STARTED, which tells each reader what the run was asked."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from jumpseat.protocol.codec import encode_json, encode_message, to_wire
from jumpseat.protocol.history import readable
from jumpseat.protocol.inputs import Message, RunAgentInput

__all__ = ["opening_event"]

_FRAME_ROOM = 128


def opening_event(request: RunAgentInput, new: Sequence[Message], max_bytes: int) -> bytes:
    """Return the encoded RUN_STARTED of a run.

    Args:
        request: What the client sent. Its ``forwardedProps`` are not echoed: they may hold credentials.
        new: The messages that the thread did not show before.
        max_bytes: If the event would be larger, first the messages, then the state are left out.
    """
    messages = [msgspec.Raw(readable(encode_message(message))) for message in new]
    data = _encode(request, messages, request.state)
    if len(data) > max_bytes - _FRAME_ROOM:
        data = _encode(request, [], request.state)
    if len(data) > max_bytes - _FRAME_ROOM:
        data = _encode(request, [], None)
    return data


def _encode(request: RunAgentInput, messages: Sequence[msgspec.Raw], state: object) -> bytes:
    ids: dict[str, object] = {"threadId": request.thread_id, "runId": request.run_id}
    if request.parent_run_id is not None:
        ids["parentRunId"] = request.parent_run_id
    echo: dict[str, object] = {
        **ids,
        "state": state,
        "messages": messages,
        "tools": to_wire(list(request.tools)),
        "context": to_wire(list(request.context)),
        "forwardedProps": {},
    }
    if request.resume is not None:
        echo["resume"] = to_wire(list(request.resume))
    return encode_json({"type": "RUN_STARTED", **ids, "input": echo})
