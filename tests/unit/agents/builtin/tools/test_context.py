"""What a tool knows of its call and what it can send while it runs."""

import asyncio
import threading
from collections.abc import Callable
from typing import Annotated, Any

import pydantic
import pytest

from jumpseat.agents.builtin.tools import ToolContext, define_tool
from jumpseat.errors import StatePatchError
from jumpseat.protocol.events import (
    ActivityDelta,
    ActivitySnapshot,
    Custom,
    Raw,
    StateDelta,
    StateSnapshot,
    StepFinished,
    StepStarted,
    TextMessageStart,
)
from tool_calls import Calls

REPLACE = [{"op": "replace", "path": "/counter", "value": 1}]


class CustomEvent(pydantic.BaseModel):
    """Like the models of ag_ui.core."""

    type: str = "CUSTOM"
    name: str
    value: Any


def tool_that(does: Callable[[ToolContext], Any]) -> Any:
    async def work(context: ToolContext) -> Any:
        return await does(context)

    return define_tool(work)


def thread_tool_that(does: Callable[[ToolContext], Any]) -> Any:
    def work(context: ToolContext) -> Any:
        return does(context)

    return define_tool(work)


@pytest.mark.parametrize(
    "hint", [ToolContext, "ToolContext", ToolContext | None, Annotated[ToolContext, "the call"]]
)
async def test_the_context_is_not_in_the_schema_whatever_its_name(hint: Any):
    async def work(city: str, anything: Any = None) -> bool:
        return isinstance(anything, ToolContext)

    work.__annotations__["anything"] = hint
    tool = define_tool(work)
    assert tool.parameters["properties"].keys() == {"city"}
    assert await Calls().result(tool, {"city": "x", "anything": 1}) is True


async def test_a_tool_knows_its_call_its_run_and_who_asked():
    seen: list[ToolContext] = []

    async def look(context: ToolContext) -> None:
        seen.append(context)

    calls = Calls(state={"a": [1]})
    await calls.answer(tool_that(look), id="call-7", step=3)
    (context,) = seen
    assert (context.tool_call_id, context.tool_name, context.step) == ("call-7", "work", 3)
    assert (context.thread_id, context.run_id, context.agent_id) == ("t1", "r1", "helper")
    assert context.input is calls.input
    assert [message.content for message in context.messages] == ["hi"]
    assert context.user is not None
    assert context.user.name == "Ada"
    assert context.headers == {"authorization": "Bearer x"}
    assert context.abort_signal is calls.context.abort_signal


async def test_the_state_is_a_copy_of_what_it_is_now():
    async def change(context: ToolContext) -> Any:
        context.state["counter"] = 9
        await context.patch_state(REPLACE)
        return context.state

    calls = Calls(state={"counter": 0})
    assert await calls.result(tool_that(change)) == {"counter": 1}
    assert calls.input.state == {"counter": 0}


async def test_what_a_tool_sends_arrives_in_order():
    async def send(context: ToolContext) -> None:
        await context.custom("begin", {"n": 1})
        await context.set_state({"counter": 0})
        await context.patch_state(REPLACE)
        await context.custom("end")

    calls = Calls(state={"old": 1})
    assert await calls.result(tool_that(send)) is None
    assert calls.sent == [
        {"type": "CUSTOM", "name": "begin", "value": {"n": 1}},
        {"type": "STATE_SNAPSHOT", "snapshot": {"counter": 0}},
        {"type": "STATE_DELTA", "delta": REPLACE},
        {"type": "CUSTOM", "name": "end", "value": None},
    ]


async def test_a_sync_tool_sends_by_blocking():
    sent_before_going_on: list[int] = []
    calls = Calls(state={"counter": 0})

    def send(context: ToolContext) -> Any:
        context.sync.custom("begin", 1)
        sent_before_going_on.append(len(calls.sent))
        context.sync.patch_state(REPLACE)
        context.sync.set_state([])
        context.sync.emit({"type": "STEP_STARTED", "stepName": "s"})
        return context.state

    assert await calls.result(thread_tool_that(send)) == []
    assert calls.types == ["CUSTOM", "STATE_SNAPSHOT", "STATE_DELTA", "STATE_SNAPSHOT", "STEP_STARTED"]
    assert sent_before_going_on == [1]


async def test_the_first_change_follows_a_snapshot():
    async def change(context: ToolContext) -> None:
        await context.patch_state(REPLACE)
        await context.patch_state([{"op": "add", "path": "/todos/-", "value": "x"}])

    calls = Calls(state={"counter": 0})
    await calls.answer(tool_that(change))
    assert calls.types == ["STATE_SNAPSHOT", "STATE_DELTA", "STATE_DELTA"]
    assert calls.sent[2]["delta"][0] == {"op": "add", "path": "/todos", "value": []}


@pytest.mark.parametrize(
    "event",
    [
        Custom(name="x", value=1),
        Raw(event={}),
        StateSnapshot(snapshot={}),
        StateDelta(delta=[]),
        ActivitySnapshot(message_id="a", activity_type="t", content={}),
        ActivityDelta(message_id="a", activity_type="t", patch=[]),
        StepStarted(step_name="s"),
        StepFinished(step_name="s"),
        {"type": "CUSTOM", "name": "x", "value": 1},
        CustomEvent(name="x", value=1),
    ],
)
async def test_events_that_a_tool_may_send(event: Any):
    calls = Calls()
    assert await calls.result(tool_that(lambda context: context.emit(event))) is None
    # A delta stands on a snapshot, which goes first.
    assert len(calls.sent) == (2 if isinstance(event, StateDelta) else 1)


@pytest.mark.parametrize(
    "event",
    [
        TextMessageStart(message_id="m"),
        {"type": "TEXT_MESSAGE_START", "messageId": "m"},
        {"type": "RUN_FINISHED"},
        {"type": "TOOL_CALL_RESULT", "messageId": "m", "toolCallId": "c", "content": "x"},
        {"type": "MESSAGES_SNAPSHOT", "messages": []},
        {"type": "UNKNOWN"},
        {"type": "CUSTOM"},
        {"type": "STATE_DELTA", "delta": [None]},
        "text",
        None,
    ],
)
async def test_events_that_a_tool_may_not_send(event: Any):
    caught: list[Exception] = []

    async def send(context: ToolContext) -> None:
        try:
            await context.emit(event)
        except ValueError as error:
            caught.append(error)

    calls = Calls()
    assert await calls.result(tool_that(send)) is None
    assert len(caught) == 1
    assert calls.sent == []


async def test_state_events_are_tracked_and_keep_what_they_carry():
    async def send(context: ToolContext) -> Any:
        await context.emit(StateSnapshot(snapshot={"counter": 0}, metadata={"m": 1}))
        await context.emit(StateDelta(delta=REPLACE, metadata={"m": 2}))
        return context.state

    calls = Calls()
    assert await calls.result(tool_that(send)) == {"counter": 1}
    assert [event["metadata"] for event in calls.sent] == [{"m": 1}, {"m": 2}]


@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_patch_that_does_not_fit_raises(in_thread: bool):
    missing = [{"op": "remove", "path": "/missing"}]
    caught: list[StatePatchError] = []

    async def send(context: ToolContext) -> None:
        with pytest.raises(StatePatchError) as raised:
            await context.emit({"type": "STATE_DELTA", "delta": missing})
        caught.append(raised.value)
        await context.patch_state(missing)

    def send_in_a_thread(context: ToolContext) -> None:
        with pytest.raises(StatePatchError) as raised:
            context.sync.emit({"type": "STATE_DELTA", "delta": missing})
        caught.append(raised.value)
        context.sync.patch_state(missing)

    calls = Calls(state={"a": 1})
    tool = thread_tool_that(send_in_a_thread) if in_thread else tool_that(send)
    error = (await calls.result(tool))["error"]
    assert error == str(caught[0])
    assert error.startswith("State delta could not be applied: 0: ")
    assert calls.sent == []
    assert calls.shared.value == {"a": 1}


@pytest.mark.parametrize(
    "send",
    [
        lambda context: context.custom("x", object()),
        lambda context: context.custom(1, 1),
        lambda context: context.set_state(object()),
        lambda context: context.patch_state(object()),
    ],
)
async def test_what_has_no_json_form_is_refused(send: Any):
    calls = Calls()
    assert "error" in await calls.result(tool_that(send))
    assert calls.sent == []


async def test_sending_waits_while_the_client_is_slow():
    gate = asyncio.Event()
    steps: list[str] = []

    async def emit(_event: Any) -> None:
        steps.append("emit")
        await gate.wait()

    async def send(context: ToolContext) -> None:
        await context.custom("a")
        steps.append("sent")

    call = asyncio.create_task(Calls().answer(tool_that(send), emit=emit))
    await asyncio.sleep(0.01)
    assert steps == ["emit"]
    gate.set()
    await call
    assert steps == ["emit", "sent"]


async def test_a_call_that_has_ended_sends_nothing_more():
    kept: list[ToolContext] = []

    async def keep(context: ToolContext) -> None:
        kept.append(context)

    calls = Calls()
    await calls.answer(tool_that(keep))
    with pytest.raises(RuntimeError, match="has ended"):
        await kept[0].custom("late")
    with pytest.raises(RuntimeError, match="has ended"):
        await kept[0].set_state({})
    with pytest.raises(RuntimeError, match="has ended"):
        await asyncio.to_thread(kept[0].sync.custom, "late")
    assert calls.sent == []
    assert calls.shared.value == {}


async def test_a_thread_that_waits_to_send_is_freed_when_its_call_ends():
    freed = threading.Event()
    blocked = asyncio.Event()

    async def emit(_event: Any) -> None:
        blocked.set()
        await asyncio.Event().wait()

    def send(context: ToolContext) -> None:
        try:
            context.sync.patch_state([{"op": "add", "path": "/a", "value": 1}])
        except RuntimeError:
            freed.set()

    calls = Calls()
    call = asyncio.create_task(calls.answer(thread_tool_that(send), emit=emit))
    await blocked.wait()
    call.cancel()
    await asyncio.wait({call}, timeout=10)
    assert call.cancelled()
    assert await asyncio.to_thread(freed.wait, 10)
    # What never went out never happened.
    assert calls.shared.value == {}


async def test_the_blocking_methods_refuse_to_block_the_loop():
    async def block(context: ToolContext) -> None:
        context.sync.custom("x")

    assert "await" in (await Calls().result(tool_that(block)))["error"]
