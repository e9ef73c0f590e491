"""A thread goes on after everything that can go wrong in it, with the real SDK of every provider."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from jumpseat import BuiltInAgent, define_tool
from jumpseat.protocol.codec import accept, to_wire
from jumpseat.protocol.reduce import Reducer
from mock_provider import MockProvider, mock_server, provider
from serving import Served, serve

__all__ = ["mock_server", "provider"]

MODELS = ["openai/gpt-5", "openai-chat/gpt-5", "anthropic/claude-opus-4-8", "google/gemini-2.5-pro"]
PICK = {
    "name": "pick",
    "description": "Pick in the page.",
    "parameters": {"type": "object", "properties": {}},
}

pay = define_tool(
    name="pay",
    description="Pay.",
    parameters={"type": "object", "properties": {"amount": {"type": "number"}}},
    interrupt=True,
)


@define_tool
def explode(reason: str) -> str:
    """Raise."""
    raise RuntimeError(reason)


def calling(name: str, call_id: str, **arguments: Any) -> dict[str, Any]:
    return {"toolCalls": [{"id": call_id, "name": name, "arguments": arguments}]}


def fixture(said: str, response: dict[str, Any], **more: Any) -> dict[str, Any]:
    match = {"userMessage": said, **more.pop("match", {})}
    return {"match": match, "response": response, **more}


FIXTURES = [
    fixture("explode", calling("explode", "call_ex", reason="bang"), match={"hasToolResult": False}),
    fixture("explode", {"content": "It exploded."}),
    fixture("pick", calling("pick", "call_pick")),
    fixture("pay", calling("pay", "call_pay", amount=5)),
    fixture("stop me", calling("pay", "call_stop", amount=10**40), chunkSize=1, latency=50),
    fixture("still there", {"content": "Yes, I am."}),
]


async def messages_of(served: Served) -> list[dict[str, Any]]:
    """The thread as a client has it that opens it now."""
    reducer = Reducer([], None, warn=lambda _: None)
    for event in (await served.connect("t1")).events:
        reducer.apply(accept(event))
    return [to_wire(message) for message in reducer.messages]


@asynccontextmanager
async def thread_of(model: str) -> AsyncIterator[tuple[Served, Any]]:
    agent = BuiltInAgent(model=model, tools=[explode, pay], max_steps=3, prompt="Be brief.")
    async with serve({"default": agent}) as served:
        number = 0

        async def say(text: str, **fields: Any) -> list[dict[str, Any]]:
            nonlocal number
            number += 1
            known = await messages_of(served)
            known.append({"id": f"user-{number}", "role": "user", "content": text})
            answer = await served.run("t1", f"r{number}", messages=known, tools=[PICK], **fields)
            assert answer.status == 200, answer.body
            return answer.events

        yield served, say


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


@pytest.mark.parametrize("model", MODELS)
async def test_a_thread_takes_the_next_message_whatever_happened_before(
    model: str, provider: MockProvider, monkeypatch: pytest.MonkeyPatch
):
    provider.use(monkeypatch)
    provider.add(*FIXTURES)
    async with thread_of(model) as (served, say):
        raised = await say("explode")
        assert kinds(raised)[-1] == "RUN_FINISHED"
        assert '{"error":"bang"}' in [event.get("content") for event in raised]

        unanswered = await say("pick")
        assert "TOOL_CALL_RESULT" not in kinds(unanswered)

        asked = await say("pay")
        (interrupt,) = asked[-1]["outcome"]["interrupts"]
        declined = await say("still there", resume=[{"interruptId": interrupt["id"], "status": "cancelled"}])
        assert kinds(declined)[-1] == "RUN_FINISHED"

        stop_me = [*await messages_of(served), {"id": "user-stop", "role": "user", "content": "stop me"}]
        async with served.running("t1", "stopped", messages=stop_me, tools=[PICK]) as answer:
            await answer.until("TOOL_CALL_ARGS")
            stopped = await served.client.post("/agent/default/stop/t1", json={})
            assert stopped.status == 200
            await answer.rest()
        await served.settled()

        events = await say("still there")
        assert kinds(events)[-1] == "RUN_FINISHED"
        text = "".join(event["delta"] for event in events if event["type"] == "TEXT_MESSAGE_CONTENT")
        assert text == "Yes, I am."
