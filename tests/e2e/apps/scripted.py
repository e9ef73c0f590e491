"""An app whose agents do what each request tells them to, so that a test reads from top to bottom.

``forwardedProps.script`` is a list of steps:

- ``{"emit": event}``: yield this, whatever it is.
- ``{"struct": event}``: yield it as the package's own event class.
- ``{"gate": name}``: wait until the test opens the gate.
- ``{"raise": text}``: fail.
- ``{"silence": true}``: say nothing until cancelled.

Without a script the agent answers the last message, and calls ``copilotkitSuggest`` when it is offered.
``JUMPSEAT_E2E`` holds the app's configuration as JSON. With ``users`` in it, the header ``x-user`` says who
asks, and everyone has threads of their own; ``db_path`` is a path, a DSN or a URL. ``/control`` is the tests'
way in.
"""

import asyncio
import json
import os
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from back_ends import runner_on
from jumpseat import CopilotRuntime, InMemoryAgentRunner, Limits
from jumpseat.protocol import codec
from jumpseat.runners.base import IsRunningRequest

BASE_PATH = "/api/copilotkit"
CONTROL_SECONDS = 10.0
PROBE_SECONDS = 0.02

_opened: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
_reached: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
_inputs: list[dict[str, Any]] = []


class Scripted:
    """Follows the script of its request."""

    name = "scripted"
    description = "Follows the script of its request"

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    async def run(self, input: Any, context: Any) -> AsyncIterator[Any]:  # noqa: A002
        """Yield what the script says, or an answer when there is none."""
        _inputs.append(json.loads(codec.encode_json(codec.to_wire(input))))
        script = (input.forwarded_props or {}).get("script")
        if script is None:
            for event in _answer(input):
                yield event
            return
        for step in script:
            match step:
                case {"emit": event}:
                    yield event
                case {"struct": event}:
                    yield codec.accept(event)
                case {"gate": name}:
                    _reached[name].set()
                    await _opened[name].wait()
                case {"raise": text}:
                    raise RuntimeError(text)
                case {"silence": True}:
                    await asyncio.Event().wait()
                case _:
                    raise ValueError(f"unknown step {step}")


def _answer(asked: Any) -> list[dict[str, Any]]:
    if [tool.name for tool in asked.tools] == ["copilotkitSuggest"]:
        arguments = json.dumps({"suggestions": [{"title": "Go on", "message": "Please go on"}]})
        call = {"toolCallId": f"suggest-{asked.run_id}", "toolCallName": "copilotkitSuggest"}
        return [{"type": "TOOL_CALL_CHUNK", **call, "delta": arguments}]
    last = asked.messages[-1] if asked.messages else None
    said = codec.content_text(getattr(last, "content", None) or "")
    message_id = f"answer-{asked.run_id}-{len(asked.messages)}"
    return [
        {
            "type": "TEXT_MESSAGE_CHUNK",
            "messageId": message_id,
            "role": "assistant",
            "delta": f"You said: {said}",
        }
    ]


def _runner(configuration: dict[str, Any]) -> Any:
    options = configuration.get("runner", {})
    if "limits" in options:
        options = {**options, "limits": Limits(**options["limits"])}
    where = configuration.get("db_path")
    return runner_on(where, **options) if where else InMemoryAgentRunner(**options)


def _user(request: Request) -> str | None:
    return request.headers.get("x-user")


async def _open_gate(request: Request) -> Response:
    _opened[request.path_params["name"]].set()
    return JSONResponse({})


async def _wait_at_gate(request: Request) -> Response:
    try:
        async with asyncio.timeout(CONTROL_SECONDS):
            await _reached[request.path_params["name"]].wait()
    except TimeoutError:
        return JSONResponse({"error": "no agent came to the gate"}, 504)
    return JSONResponse({})


async def _wait_until_idle(request: Request) -> Response:
    asked = IsRunningRequest(thread_id=request.path_params["thread_id"], owner=None)
    try:
        async with asyncio.timeout(CONTROL_SECONDS):
            while await runtime.runner.is_running(asked):
                await asyncio.sleep(PROBE_SECONDS)
    except TimeoutError:
        return JSONResponse({"error": "a run is still live"}, 504)
    return JSONResponse({})


async def _begin_drain(_request: Request) -> Response:
    runtime.begin_drain()
    return JSONResponse({})


async def _list_inputs(request: Request) -> Response:
    thread_id = request.query_params["threadId"]
    return JSONResponse([seen for seen in _inputs if seen["threadId"] == thread_id])


_configuration: dict[str, Any] = json.loads(os.environ.get("JUMPSEAT_E2E", "{}"))

runtime = CopilotRuntime(
    agents={
        "default": Scripted(),
        "leaves-with-reader": Scripted(on_disconnect="cancel"),
        "needs-terminal": Scripted(requires_terminal=True),
    },
    runner=_runner(_configuration),
    identify_user=_user if _configuration.get("users") else None,
    **_configuration.get("runtime", {}),
)


@asynccontextmanager
async def _lifespan(_app: Starlette) -> AsyncIterator[None]:
    async with runtime:
        yield


app = Starlette(
    routes=[
        Route("/control/gates/{name}", _open_gate, methods=["POST"]),
        Route("/control/gates/{name}", _wait_at_gate, methods=["GET"]),
        Route("/control/inputs", _list_inputs),
        Route("/control/idle/{thread_id}", _wait_until_idle),
        Route("/control/drain", _begin_drain, methods=["POST"]),
        Mount(
            "/",
            runtime.app(
                base_path=BASE_PATH,
                mode=_configuration.get("mode", "multi-route"),
                **_configuration.get("app", {}),
            ),
        ),
    ],
    lifespan=_lifespan,
)
