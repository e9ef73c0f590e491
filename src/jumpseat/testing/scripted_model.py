"""A language model that follows a script: for tests of agents, tools and prompts without a provider."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec

from jumpseat.agents.builtin.language_model import ModelRequest
from jumpseat.agents.builtin.parts import StreamPart

__all__ = ["ScriptedModel"]


class ScriptedModel:
    """Answers the first request with the first list of its script, the second with the second, and so on.

    ::

        model = ScriptedModel([
            [{"type": "tool-call", "id": "c1", "name": "weather", "input": {"city": "Rome"}}],
            ["Sunny."],
        ])
        agent = BuiltInAgent(model=model, tools=[weather], max_steps=2)

    Args:
        script: One list for each generation. Its items: a part as a struct or a dict; a string, short for a
            text delta; a number, a pause in seconds; an ``asyncio.Event``, which is waited for; an exception,
            which is raised there. A list that does not say how the generation finishes is finished with
            ``stop``, or ``tool_call`` when it made a call; give ``finish=False`` to leave that out.
        finish: Finish generations that do not do it themselves.
        provider: What usage is reported under.
        model: What usage is reported under.

    Attributes:
        requests: Every ``ModelRequest`` so far, as it was when it came.
    """

    def __init__(
        self,
        script: Sequence[
            Sequence[StreamPart | Mapping[str, Any] | str | float | asyncio.Event | BaseException]
        ],
        *,
        finish: bool = True,
        provider: str = "scripted",
        model: str = "script",
    ) -> None:
        self.requests: list[ModelRequest] = []
        self.provider = provider
        self.model = model
        self._script = [list(generation) for generation in script]
        self._finish = finish

    async def stream(self, request: ModelRequest) -> AsyncIterator[StreamPart | Mapping[str, Any]]:
        """Yield the parts of the next generation. Raises ``AssertionError`` behind the end of the script."""
        number = len(self.requests)
        self.requests.append(msgspec.structs.replace(request, messages=list(request.messages)))
        if number >= len(self._script):
            raise AssertionError(
                f"the script has {len(self._script)} generations, and one more was asked for"
            )
        finished = called = False
        for item in self._script[number]:
            if isinstance(item, BaseException):
                raise item
            if isinstance(item, asyncio.Event):
                await item.wait()
                continue
            if isinstance(item, int | float):
                await asyncio.sleep(item)
                continue
            part: StreamPart | Mapping[str, Any] = (
                {"type": "text-delta", "delta": item} if isinstance(item, str) else item
            )
            kind = _kind(part)
            finished = finished or kind in ("finish", "error")
            called = called or kind in ("tool-call", "tool-input-start")
            yield part
        if self._finish and not finished:
            yield {"type": "finish", "reason": "tool_call" if called else "stop"}


def _kind(part: StreamPart | Mapping[str, Any]) -> object:
    return part.get("type") if isinstance(part, Mapping) else part.__struct_config__.tag
