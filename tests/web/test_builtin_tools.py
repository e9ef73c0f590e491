"""Server tools of a BuiltInAgent in requested runs: what they know of the request, and the thread after."""

import asyncio
import json
import logging
from typing import Any

import pytest

from jumpseat import BuiltInAgent, ToolContext, User, define_tool
from jumpseat.protocol.codec import accept
from jumpseat.protocol.reduce import Reducer
from jumpseat.testing import ScriptedModel
from serving import own_tasks, serve

IDENTITY = {"identify_user": lambda request: User(id=request.headers["x-user"], name="Ada")}


def call(name: str, call_id: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool-call", "id": call_id, "name": name, "input": arguments}


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def contents(events: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        event["toolCallId"]: json.loads(event["content"])
        for event in events
        if event["type"] == "TOOL_CALL_RESULT"
    }


async def test_a_tool_knows_the_user_and_the_forwarded_headers_of_its_request():
    @define_tool
    async def who(context: ToolContext) -> Any:
        return {
            "user": [context.user and context.user.id, context.user and context.user.name],
            "headers": dict(context.headers),
            "ids": [context.thread_id, context.run_id, context.agent_id, context.tool_call_id],
            "messages": [message.id for message in context.messages],
        }

    agent = BuiltInAgent(model=ScriptedModel([[call("who", "call-1")]]), tools=[who])
    async with serve({"helper": agent}, **IDENTITY) as served:
        answer = await served.run(
            "t-1",
            "r-1",
            agent="helper",
            headers={"X-User": "u-1", "Authorization": "Bearer abc", "Cookie": "s=1", "X-Tenant": "blue"},
        )
    known = contents(answer.events)["call-1"]
    assert known["user"] == ["u-1", "Ada"]
    assert known["ids"] == ["t-1", "r-1", "helper", "call-1"]
    assert known["messages"] == ["r-1-u"]
    assert known["headers"]["x-tenant"] == "blue"
    assert known["headers"]["authorization"] == "Bearer abc"
    assert "cookie" not in known["headers"]


async def test_what_a_tool_sends_comes_in_order_and_the_state_is_kept():
    @define_tool
    async def work(context: ToolContext) -> str:
        await context.custom("begun", {"n": 1})
        await context.set_state({"steps": []})
        await context.patch_state([{"op": "add", "path": "/steps/-", "value": context.step}])
        with pytest.raises(ValueError, match="TEXT_MESSAGE_START"):
            await context.emit({"type": "TEXT_MESSAGE_START", "messageId": "m", "role": "assistant"})
        return "done"

    model = ScriptedModel([["Wait.", call("work", "call-1")], ["Done."]])
    async with serve({"default": BuiltInAgent(model=model, tools=[work], max_steps=2)}) as served:
        events = (await served.run(state={"old": 1})).events
        connected = (await served.connect()).events
    kept = [kind for kind in kinds(events) if kind.startswith(("CUSTOM", "STATE", "TOOL_CALL_RESULT"))]
    assert kept == ["CUSTOM", "STATE_SNAPSHOT", "STATE_DELTA", "TOOL_CALL_RESULT"]
    reducer = Reducer([], None, warn=pytest.fail)
    for event in connected:
        reducer.apply(accept(event))
    assert reducer.state == {"steps": [1]}


async def test_the_model_sees_the_state_of_the_thread_as_the_page_sends_it():
    delta = [{"op": "add", "path": "/todos/-", "value": "milk"}]
    model = ScriptedModel([[call("AGUISendStateDelta", "call-1", delta=delta)], ["ok"]])
    async with serve({"default": BuiltInAgent(model=model, max_steps=2)}) as served:
        events = (await served.run(state={"counter": 0})).events
    changes = [event for event in events if event["type"].startswith("STATE")]
    assert kinds(changes) == ["STATE_SNAPSHOT", "STATE_DELTA"]
    assert changes[0]["snapshot"] == {"counter": 0}
    assert changes[1]["delta"] == [{"op": "add", "path": "/todos", "value": []}, *delta]
    prompt = model.requests[0].messages[0].content  # type: ignore[union-attr]
    assert '"counter": 0' in str(prompt)


@define_tool
def leaks() -> None:
    """Fail with a secret."""
    raise RuntimeError("connect to db failed: api_key=abcdef123456 Bearer abcdefghijkl sk-abcdefghij123")


@define_tool(timeout=0.01)
async def slow() -> None:
    """Never end."""
    await asyncio.Event().wait()


@define_tool
def typed(number: int) -> int:
    """Take a number."""
    return number


async def test_the_thread_goes_on_after_every_failure_of_a_tool_and_no_secret_is_kept(
    caplog: pytest.LogCaptureFixture,
):
    calls = [
        call("leaks", "call-1"),
        call("slow", "call-2"),
        call("typed", "call-3", number="x"),
        {"type": "tool-call", "id": "call-4", "name": "typed", "input": "{broken"},
        call("nobody", "call-5"),
    ]
    model = ScriptedModel([calls, ["Sorry."], ["Fine."]])
    agent = BuiltInAgent(model=model, tools=[leaks, slow, typed], max_steps=3)
    with caplog.at_level(logging.DEBUG, "jumpseat"):
        async with serve({"default": agent}) as served:
            first = (await served.run()).events
            known = (await served.connect()).events
            reducer = Reducer([], None, warn=pytest.fail)
            for event in known:
                reducer.apply(accept(event))
            second = (await served.run(run_id="r2", text="again")).events
            whole = json.dumps([first, known])
    found = contents(first)
    assert found["call-2"] == {"error": 'Tool "slow" timed out after 0.01 s'}
    assert found["call-3"]["error"].startswith('Invalid arguments for tool "typed": ')
    assert found["call-4"] == {"error": 'Invalid arguments for tool "typed": not valid JSON'}
    assert found["call-5"] == {"error": 'Unknown tool "nobody"'}
    assert set(found) == {f"call-{number}" for number in range(1, 6)}
    assert (kinds(first)[-1], kinds(second)[-1]) == ("RUN_FINISHED", "RUN_FINISHED")
    for secret in ("abcdef123456", "abcdefghijkl", "sk-abcdefghij123"):
        assert secret not in whole
        assert secret not in caplog.text
    assert "Traceback" not in whole


@pytest.mark.parametrize("steps", [1, 5])
async def test_a_stop_in_the_middle_of_tools_leaves_a_thread_that_goes_on(steps: int):
    begun = asyncio.Event()

    @define_tool
    async def waits() -> None:
        begun.set()
        await asyncio.Event().wait()

    @define_tool
    async def quick() -> str:
        return "quick"

    model = ScriptedModel([["Look.", call("waits", "call-1"), call("quick", "call-2")], ["Fine."]])
    agent = BuiltInAgent(model=model, tools=[waits, quick], max_steps=steps)
    async with serve({"default": agent}) as served:
        before = own_tasks()
        async with served.running() as answer:
            await answer.until("TOOL_CALL_RESULT")
            await begun.wait()
            assert (await served.client.post("/agent/default/stop/t1", json={})).status == 200
            await answer.rest()
        await served.settled()
        connected = (await served.connect()).events
        reducer = Reducer([], None, warn=pytest.fail)
        for event in connected:
            reducer.apply(accept(event))
        assert (await served.run(run_id="r2", text="go on")).events[-1]["type"] == "RUN_FINISHED"
        async with asyncio.timeout(10):
            while own_tasks() - before:
                await asyncio.sleep(0.005)
    assert kinds(connected).count("RUN_ERROR") == 0
