"""A runtime for one of several processes on one store, with an agent that a test can pace and recognise.

`story` is told at the pace of the gates ``<thread id>-1`` and ``<thread id>-2``, `hang` says a few words and
then nothing; all else is answered with how many answers this process has given. The cookie ``user`` says who
asks. ``control`` below the runtime's address is the tests' way in: which process this is, the gates, and
which requests of a user came here, and when. ``JUMPSEAT_E2E`` holds the name of the process and its runner as
JSON.
"""

import asyncio
import itertools
import json
import os
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from e2e.narration import GATES, STORY
from jumpseat import CopilotRuntime, PostgresAgentRunner, RedisAgentRunner

_CONTROL = "/control/"

_configuration: dict[str, Any] = json.loads(os.environ.get("JUMPSEAT_E2E", "{}"))
_process: str = _configuration.get("process", "")
_opened: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
_requests: defaultdict[str, list[tuple[str, float]]] = defaultdict(list)
_answers = itertools.count(1)


class Narrator:
    """Answers as the newest message asks."""

    name = "narrator"
    description = "Tells stories"

    async def run(self, input: Any, context: Any) -> AsyncIterator[Any]:  # noqa: A002
        """Yield one answer."""
        asked = input.messages[-1].content
        message_id = f"answer-{input.run_id}"

        def said(delta: str) -> dict[str, Any]:
            return {"type": "TEXT_MESSAGE_CHUNK", "messageId": message_id, "delta": delta}

        if asked == "story":
            for event in _looked_up(f"call-{input.run_id}"):
                yield event
            for number, word in enumerate(STORY, 1):
                yield said(f"{word} ")
                if number in GATES:
                    await _opened[f"{input.thread_id}-{GATES[number]}"].wait()
        elif asked == "hang":
            yield said("a few words")
            await asyncio.Event().wait()
        else:
            yield said(f"Answer {next(_answers)} of {_process} to {asked!r}")


def _looked_up(call_id: str) -> list[dict[str, Any]]:
    call = {"toolCallId": call_id}
    return [
        {"type": "TOOL_CALL_START", **call, "toolCallName": "look_up"},
        {"type": "TOOL_CALL_ARGS", **call, "delta": '{"q":'},
        {"type": "TOOL_CALL_ARGS", **call, "delta": '"story"}'},
        {"type": "TOOL_CALL_END", **call},
        {"type": "TOOL_CALL_RESULT", **call, "messageId": f"{call_id}-result", "content": "found"},
    ]


def _user(request: Request) -> str | None:
    return request.cookies.get("user")


async def _before(request: Request, path: str) -> Response | None:
    _, found, asked = path.partition(_CONTROL)
    if not found:
        _requests[_user(request) or ""].append((path, time.time()))
        return None
    match asked.split("/"):
        case ["process"]:
            return JSONResponse(_process)
        case ["gates", name]:
            _opened[name].set()
            return JSONResponse({})
        case ["requests", user]:
            return JSONResponse(_requests[user])
        case _:
            return None


_RUNNERS = {"postgres": PostgresAgentRunner, "redis": RedisAgentRunner}

runtime = CopilotRuntime(
    agents={"default": Narrator()},
    runner=_RUNNERS[_configuration["runner"]](**_configuration["options"]),
    identify_user=_user,
    before_request_middleware=_before,
)
