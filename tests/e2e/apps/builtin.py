"""BuiltInAgents for the end-to-end tests, one for each way of getting an answer.

`default` plays the scenes of `builtin_scenes`; `quiet` is the same and keeps its token counts to itself;
`stream` is the developer's own stream, with events among its parts; `openai`, `openai-chat`, `anthropic` and
`google` ask the provider that the environment leads to, and each of them has a twin that should also ask an
MCP server that never answers. A POST to `control/gates/<name>` below the runtime's address opens a gate, a
GET waits until somebody stands there.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from e2e.apps.builtin_scenes import Scenes, opened, reached
from jumpseat import BuiltInAgent, CopilotRuntime, ToolContext, ToolError, define_tool
from jumpseat.agents.builtin import FactoryContext
from jumpseat.protocol.events import StateDelta, StateSnapshot

_CONTROL = "/control/gates/"
_CONTROL_SECONDS = 10.0


@define_tool
async def lookup(q: str) -> str:
    """Look something up."""
    return f"{q}!"


@define_tool
async def weather(city: str) -> dict[str, str]:
    """The weather of a city."""
    return {"city": city, "sky": "sunny"}


@define_tool
async def copy_files(count: int) -> AsyncIterator[dict[str, int]]:
    """Copy files, and say how far it is."""
    for number in range(1, count + 1):
        yield {"copied": number}


@define_tool
async def copy_slowly(context: ToolContext) -> AsyncIterator[dict[str, int]]:
    """Copy files, the last one when the gate of the thread is open."""
    # A value is progress, and not the result, once there is another one.
    yield {"copied": 1}
    yield {"copied": 2}
    reached[context.thread_id].set()
    await opened[context.thread_id].wait()
    yield {"copied": 3}


@define_tool
def count_up(context: ToolContext) -> str:
    """Count in the shared state."""
    context.sync.set_state({"count": 0})
    for number in (1, 2):
        context.sync.patch_state([{"op": "replace", "path": "/count", "value": number}])
    context.sync.custom("counted", {"to": 2})
    return f"counted to {context.state['count']}"


@define_tool
async def always_fails() -> None:
    """Fail."""
    raise ToolError("no luck")


@define_tool
async def work_for_ever(context: ToolContext) -> None:
    """Work until the run is aborted."""
    await context.custom("working", None)
    await asyncio.Event().wait()


book_flight = define_tool(
    name="book_flight",
    description="Book a flight, once a person has approved it.",
    parameters={"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]},
    interrupt=True,
    interrupt_message="Book this flight?",
)

_TOOLS = [lookup, weather, copy_files, copy_slowly, count_up, always_fails, work_for_ever, book_flight]


async def _own_stream(context: FactoryContext) -> AsyncIterator[Any]:
    """State changes in the middle of a text."""
    del context
    yield {"type": "text-start", "id": "1"}
    yield {"type": "text-delta", "id": "1", "text": "half "}
    yield StateSnapshot(snapshot={"items": []})
    yield StateDelta(delta=[{"op": "add", "path": "/items/-", "value": "between"}])
    yield {"type": "text-delta", "id": "1", "text": "and half"}
    yield {"type": "text-end", "id": "1"}
    yield {"type": "finish", "finishReason": "stop", "totalUsage": {"inputTokens": 3, "outputTokens": 4}}


def _playing(**options: Any) -> BuiltInAgent:
    return BuiltInAgent(
        model=Scenes(),
        prompt="You play scenes.",
        description="Plays scenes",
        tools=_TOOLS,
        max_steps=5,
        **options,
    )


def _asking(model: str, **options: Any) -> BuiltInAgent:
    return BuiltInAgent(
        model=model, description=f"Asks {model}", prompt="Be kind.", tools=[weather], max_steps=3, **options
    )


async def _gates(request: Request, path: str) -> Response | None:
    _, found, name = path.partition(_CONTROL)
    if not found:
        return None
    if request.method == "POST":
        opened[name].set()
        return JSONResponse({})
    try:
        async with asyncio.timeout(_CONTROL_SECONDS):
            await reached[name].wait()
    except TimeoutError:
        return JSONResponse({"error": "nobody came to the gate"}, 504)
    return JSONResponse({})


_MODELS = {
    "openai": "openai/gpt-5",
    "openai-chat": "openai-chat/gpt-4o",
    "anthropic": "anthropic/claude-sonnet-4-5",
    "google": "google/gemini-2.5-pro",
}
# Takes connections and never answers.
_silent = socket.create_server(("127.0.0.1", 0))
_SILENT = [
    {"type": "http", "url": f"http://127.0.0.1:{_silent.getsockname()[1]}/mcp", "connect_timeout": 60.0}
]
_THINKING = {"anthropic": {"thinking": {"type": "enabled", "budgetTokens": 2_000}}}

runtime = CopilotRuntime(
    agents={
        "default": _playing(),
        "quiet": _playing(expose_usage=False),
        "stream": BuiltInAgent(factory=_own_stream, type="aisdk"),
        **{name: _asking(model, provider_options=_THINKING) for name, model in _MODELS.items()},
        **{
            f"{name}-with-silent-mcp": _asking(model, provider_options=_THINKING, mcp_servers=_SILENT)
            for name, model in _MODELS.items()
        },
    },
    before_request_middleware=_gates,
)
