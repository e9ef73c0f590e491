"""An AG-UI server that is none of ours: Pydantic AI around its own test model. Runs in a venv of its own."""

from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel
from pydantic_ai.ui.ag_ui import AGUIAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

seen: list[dict] = []


async def run(request: Request) -> Response:
    seen.append({"headers": [list(pair) for pair in request.headers.items()], "body": await request.json()})
    return await AGUIAdapter.dispatch_request(request, agent=agent)


async def asked(request: Request) -> Response:
    return JSONResponse(seen[-1])


agent = Agent(TestModel(call_tools=["dice"], custom_output_text="You rolled a four. Ünd 😀"))


@agent.tool_plain
def dice(sides: int) -> int:
    """Roll a die."""
    return 4


app = Starlette(routes=[Route("/", run, methods=["POST"]), Route("/asked", asked)])
