"""Talking to an agent as a page does: what is sent, and what to look for in the events that come back."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from jumpseat import CopilotRuntime
from jumpseat.testing.client import AsgiClient
from mock_provider import MockProvider
from serving import run_body

RUN = "/api/copilotkit/agent/default/run"
# The first run of a process imports the provider's library.
FIRST_RUN_SECONDS = 60.0


@asynccontextmanager
async def client_of(program: Any) -> AsyncIterator[AsgiClient]:
    """A client of a program that has a ``runtime`` and its ``app``."""
    client = AsgiClient(program.app)
    async with client.lifespan():
        yield client
    await program.runtime.aclose()


@asynccontextmanager
async def client_of_agent(agent: Any, **options: Any) -> AsyncIterator[AsgiClient]:
    """A client of a runtime that has only this agent."""
    runtime = CopilotRuntime(agents={"default": agent}, **options)
    client = AsgiClient(runtime.app(base_path="/api/copilotkit"))
    async with client.lifespan():
        yield client
    await runtime.aclose()


def calling(name: str, /, **arguments: Any) -> dict[str, Any]:
    """A response that calls a tool."""
    return {"toolCalls": [{"id": f"call_{name}", "name": name, "arguments": arguments}]}


def add_call_then_answer(provider: MockProvider, said: str, call: dict[str, Any], answer: str) -> None:
    provider.add(
        {"match": {"userMessage": said, "hasToolResult": False}, "response": call},
        {"match": {"userMessage": said}, "response": {"content": answer}},
    )


async def say(client: AsgiClient, *messages: Any, headers: Any = None, **fields: Any) -> list[dict[str, Any]]:
    """The events of a run; a message that is a string is the user's."""
    listed = [
        {"id": f"u{number}", "role": "user", "content": message} if isinstance(message, str) else message
        for number, message in enumerate(messages)
    ]
    body = run_body("t1", fields.pop("run_id", "r1"), messages=listed, **fields)
    answer = await client.request("POST", RUN, json=body, headers=headers, seconds=FIRST_RUN_SECONDS)
    assert answer.status == 200, answer.body
    return answer.events


def call_message(name: str, call_id: str, /, **arguments: Any) -> dict[str, Any]:
    """The message of an assistant that called a tool."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {
        "id": f"{call_id}-m",
        "role": "assistant",
        "toolCalls": [{"id": call_id, "type": "function", "function": function}],
    }


def results(events: list[dict[str, Any]]) -> list[Any]:
    return [json.loads(event["content"]) for event in events if event["type"] == "TOOL_CALL_RESULT"]


def text(events: list[dict[str, Any]]) -> str:
    return "".join(event["delta"] for event in events if event["type"] == "TEXT_MESSAGE_CONTENT")


def of(kind: str, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == kind]


def failure(events: list[dict[str, Any]]) -> Mapping[str, Any]:
    """The end of a run that failed."""
    assert events[-1]["type"] == "RUN_ERROR", events
    return events[-1]
