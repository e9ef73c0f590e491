"""The demo agent at the pace of a test: it never pauses, and its long story waits at gates.

The story waits at the gates ``<thread id>-1`` and ``<thread id>-2``. A POST to ``control/gates/<name>`` below
the runtime's address opens one.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from jumpseat import CopilotRuntime
from jumpseat.cli.demo import DemoAgent
from jumpseat.protocol.events import TextMessageContent

_GATES = {80: "1", 160: "2"}
"""The gate behind a word of the story, by the number of the word."""

_STORY = "Tell me a long story"
_CONTROL = "/control/gates/"
_opened: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)


class PacedDemo(DemoAgent):
    """The demo agent without its pauses."""

    def __init__(self) -> None:
        super().__init__(pause=0)

    async def run(self, input: Any, context: Any) -> AsyncIterator[Any]:  # noqa: A002
        """Play the scene; tell the long story only as far as its gates are open."""
        gates = _GATES if input.messages[-1].content == _STORY else {}
        words = 0
        async with aclosing(super().run(input, context)) as scene:
            async for event in scene:
                yield event
                if isinstance(event, TextMessageContent):
                    words += 1
                    if words in gates:
                        await _opened[f"{input.thread_id}-{gates[words]}"].wait()


async def _open_gates(request: Request, path: str) -> Response | None:
    _, found, name = path.partition(_CONTROL)
    if not found:
        return None
    _opened[name].set()
    return JSONResponse({})


runtime = CopilotRuntime(agents={"default": PacedDemo()}, before_request_middleware=_open_gates)
