"""A runtime served in process, and the requests that clients send, in one line each."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from jumpseat import CopilotRuntime
from jumpseat.runners.base import IsRunningRequest
from jumpseat.testing.client import Answer, AsgiClient, StreamedAnswer

SECONDS = 10.0


def said(text: str = "hello", message_id: str = "m1") -> list[dict[str, Any]]:
    """The events of an agent that says one thing."""
    return [
        {"type": "TEXT_MESSAGE_START", "messageId": message_id, "role": "assistant"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": message_id, "delta": text},
        {"type": "TEXT_MESSAGE_END", "messageId": message_id},
    ]


async def hello(given: Any, _: Any) -> AsyncIterator[Any]:
    for event in said(message_id=f"answer-{given.run_id}"):
        yield event


def run_body(thread_id: str = "t1", run_id: str = "r1", text: str = "hi", **fields: Any) -> dict[str, Any]:
    """What a client sends to run an agent."""
    body = {
        "threadId": thread_id,
        "runId": run_id,
        "messages": [{"id": f"{run_id}-u", "role": "user", "content": text}],
        "tools": [],
        "context": [],
        "state": {},
        "forwardedProps": {},
    }
    return body | fields


@dataclass
class Served:
    """A runtime, its application, and a client of it."""

    runtime: CopilotRuntime
    app: Any
    client: AsgiClient

    async def run(
        self, thread_id: str = "t1", run_id: str = "r1", *, agent: str = "default", **more: Any
    ) -> Answer:
        headers = more.pop("headers", None)
        return await self.client.post(
            f"/agent/{agent}/run", json=run_body(thread_id, run_id, **more), headers=headers
        )

    async def connect(self, thread_id: str = "t1", *, agent: str = "default", **more: Any) -> Answer:
        headers = more.pop("headers", None)
        body = run_body(thread_id, messages=[], **more)
        return await self.client.post(f"/agent/{agent}/connect", json=body, headers=headers)

    async def settled(self, thread_id: str = "t1", owner: str | None = None) -> None:
        """Return once nothing runs on the thread."""
        live = IsRunningRequest(thread_id=thread_id, owner=owner)
        async with asyncio.timeout(SECONDS):
            while await self.runtime.runner.is_running(live):
                await asyncio.sleep(0.005)

    @asynccontextmanager
    async def running(
        self, thread_id: str = "t1", run_id: str = "r1", *, agent: str = "default", **more: Any
    ) -> AsyncIterator[StreamedAnswer]:
        """A run whose stream is open; leaving the block disconnects."""
        headers, buffer = more.pop("headers", None), more.pop("buffer", 0)
        path, body = f"/agent/{agent}/run", run_body(thread_id, run_id, **more)
        async with self.client.stream("POST", path, json=body, headers=headers, buffer=buffer) as answer:
            yield answer

    @asynccontextmanager
    async def connected(
        self, thread_id: str = "t1", *, agent: str = "default", **more: Any
    ) -> AsyncIterator[StreamedAnswer]:
        """A connect whose stream is open; leaving the block disconnects."""
        path, body = f"/agent/{agent}/connect", run_body(thread_id, messages=[], **more)
        async with self.client.stream("POST", path, json=body) as answer:
            yield answer


@asynccontextmanager
async def serve(
    agents: Any = None,
    *,
    app: dict[str, Any] | None = None,
    client: dict[str, Any] | None = None,
    lifespan: bool = True,
    **options: Any,
) -> AsyncIterator[Served]:
    """Serve a runtime; ``app`` are the application's options, ``client`` the client's."""
    options.setdefault("dev", True)
    options.setdefault("shutdown_grace_seconds", 0.2)
    runtime = CopilotRuntime(agents=agents or {"default": hello}, **options)
    application = runtime.app(**(app or {}))
    served = Served(runtime, application, AsgiClient(application, **(client or {})))
    try:
        if lifespan:
            async with served.client.lifespan():
                yield served
        else:
            yield served
    finally:
        await runtime.aclose()


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = SECONDS) -> None:
    """Return once ``condition`` holds. Raises ``TimeoutError``."""
    async with asyncio.timeout(seconds):
        while True:
            holds = condition()
            if holds if isinstance(holds, bool) else await holds:
                return
            await asyncio.sleep(0.005)


def own_tasks() -> set[asyncio.Task[Any]]:
    """The tasks of this loop, the calling one aside."""
    return asyncio.all_tasks() - {asyncio.current_task()}
