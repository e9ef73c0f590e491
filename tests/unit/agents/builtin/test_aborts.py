"""Aborting a run between any two of its steps: nothing more comes, and nothing of the run is left."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import aclosing, suppress
from typing import Any

import pytest

from builtin_agents import SECONDS, given, run_context, wired
from jumpseat import BuiltInAgent, ToolContext, define_tool
from jumpseat.context import RunContext
from serving import own_tasks


class Watched:
    """Says a bit of everything, with a pause between any two parts, and needs a while to clean up."""

    provider = "watched"
    model = "m"

    def __init__(self) -> None:
        self.opened = self.closed = self.cancelled = self.cleaned_up = 0

    async def stream(self, request: Any) -> Any:
        self.opened += 1
        try:
            for part in self.parts(request.step):
                await asyncio.sleep(0)
                yield part
        except asyncio.CancelledError:
            self.cancelled += 1
            for _ in range(5):
                await asyncio.sleep(0)
            self.cleaned_up += 1
            raise
        finally:
            self.closed += 1

    def parts(self, step: int) -> Iterator[dict[str, Any]]:
        yield {"type": "reasoning-delta", "delta": "Hm"}
        yield {"type": "text-delta", "delta": "Let me "}
        yield {"type": "text-delta", "delta": "see."}
        if step < 3:
            for name in ("asynchronous", "generating", "threaded"):
                call_id = f"call-{name}-{step}"
                yield {"type": "tool-input-start", "id": call_id, "name": name}
                yield {"type": "tool-input-delta", "id": call_id, "delta": "{}"}
                yield {"type": "tool-call", "id": call_id, "name": name}
        yield {"type": "finish", "reason": "stop", "usage": {"inputTokens": 1}}


class Counters:
    """How many tools have begun and ended."""

    def __init__(self) -> None:
        self.begun = self.ended = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self.begun += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.ended += 1


def tools_of(counters: Counters) -> list[Any]:
    @define_tool
    async def asynchronous(context: ToolContext) -> int:
        with counters:
            await context.set_state({"step": context.step})
            await asyncio.sleep(0)
            await context.patch_state([{"op": "add", "path": "/x", "value": 1}])
            return 1

    @define_tool
    async def generating() -> Any:
        with counters:
            for number in range(3):
                await asyncio.sleep(0)
                yield number

    @define_tool
    def threaded(context: ToolContext) -> int:
        with counters:
            context.sync.custom("from a thread", 1)
            return 1

    return [asynchronous, generating, threaded]


async def aborted_after(ticks: int, how: str) -> list[dict[str, Any]]:
    """The events of a run that is aborted once the loop has gone round so many times."""
    model, counters, context = Watched(), Counters(), run_context()

    async def prompt(*_: Any) -> str:
        await asyncio.sleep(0)
        return "Be kind."

    async def api_key(_: RunContext) -> str:
        await asyncio.sleep(0)
        return "k"

    agent = BuiltInAgent(model=model, tools=tools_of(counters), prompt=prompt, api_key=api_key, max_steps=3)
    events: list[Any] = []

    async def read() -> None:
        stream: Any = agent.run(given(), context)
        async with aclosing(stream):
            async for event in stream:
                events.append(event)  # noqa: PERF401 - what came before a cancellation counts

    before = own_tasks()
    reader = asyncio.create_task(read())
    for _ in range(ticks):
        await asyncio.sleep(0)
    seen = len(events)
    begun = seen > 0
    if how == "reader":
        reader.cancel()
    elif how == "agent":
        agent.abort_run()
    else:
        context.abort()
    async with asyncio.timeout(SECONDS):
        await asyncio.wait({reader})
        while (own_tasks() - before) or counters.begun != counters.ended:
            await asyncio.sleep(0.001)
    # An agent knows of a run from its first event on.
    assert len(events) == seen or (how == "agent" and not begun)
    assert model.opened == model.closed
    assert model.cancelled == model.cleaned_up
    assert agent.abort_run() == 0
    return wired(events)


@pytest.mark.parametrize("how", ["context", "agent", "reader"])
async def test_an_abort_at_any_moment_ends_the_run_and_leaves_nothing(how: str):
    lengths: list[int] = []
    for ticks in range(140):
        events = await aborted_after(ticks, how)
        assert events[:1] == (
            [] if not events else [{"type": "RUN_STARTED", "threadId": "t1", "runId": "r1"}]
        )
        lengths.append(len(events))
    assert lengths[0] == 0 or how == "agent"
    assert max(lengths) > 40


class Deaf:
    """Takes no notice of a cancellation."""

    provider = model = "deaf"

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def stream(self, request: Any) -> Any:
        try:
            while True:
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(0)
                yield {"type": "text-delta", "delta": "x"}
        finally:
            self.closed.set()


@pytest.mark.parametrize("how", ["context", "agent", "reader"])
async def test_a_model_that_swallows_its_cancellation_is_left_with_the_next_event(
    how: str, caplog: pytest.LogCaptureFixture
):
    model, context = Deaf(), run_context()
    agent = BuiltInAgent(model=model)
    before = own_tasks()
    async with aclosing(agent.run(given(), context)) as stream:  # type: ignore[type-var]
        async for event in stream:
            if event.type != "TEXT_MESSAGE_CONTENT":
                continue
            if how == "reader":
                break
            context.abort() if how == "context" else agent.abort_run()
    async with asyncio.timeout(2):
        await model.closed.wait()
        while own_tasks() - before:
            await asyncio.sleep(0.001)
    assert caplog.records == []
