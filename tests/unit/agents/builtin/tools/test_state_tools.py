"""The two tools by which a model changes the shared state."""

import asyncio
import json
from typing import Any

import pytest

from jumpseat.agents.builtin.tools import ToolDefinition, define_tool, state_tools
from jumpseat.protocol.events import StateDelta
from jumpseat.protocol.reduce import Reducer
from tool_calls import Calls

SNAPSHOT, DELTA = state_tools()


def test_their_names_and_schemas():
    assert (SNAPSHOT.name, DELTA.name) == ("AGUISendStateSnapshot", "AGUISendStateDelta")
    assert SNAPSHOT.parameters == {
        "type": "object",
        "properties": {"snapshot": {}},
        "required": ["snapshot"],
        "additionalProperties": False,
    }
    operation = DELTA.parameters["properties"]["delta"]["items"]
    assert operation["properties"] == {
        "op": {"type": "string", "enum": ["add", "replace", "remove"]},
        "path": {"type": "string"},
        "value": {},
    }
    assert (operation["required"], operation["additionalProperties"]) == (["op", "path"], False)
    assert (DELTA.parameters["required"], DELTA.parameters["additionalProperties"]) == (["delta"], False)
    assert all(isinstance(tool, ToolDefinition) and tool.description for tool in state_tools())


@pytest.mark.parametrize("value", [{"a": 1}, None, [], 0, "text"])
async def test_a_snapshot_goes_out_before_its_result(value: Any):
    calls = Calls(state={"old": 1})
    assert await calls.result(SNAPSHOT, {"snapshot": value}) == {"success": True, "snapshot": value}
    assert calls.sent == [{"type": "STATE_SNAPSHOT", "snapshot": value}]
    assert calls.shared.value == value


async def test_a_snapshot_that_was_encoded_twice_is_decoded_once():
    calls = Calls()
    await calls.answer(SNAPSHOT, {"snapshot": '{"a":1}'})
    assert calls.sent == [{"type": "STATE_SNAPSHOT", "snapshot": {"a": 1}}]


async def test_a_delta_goes_out_before_its_result():
    calls = Calls(state={"counter": 0})
    delta = [{"op": "replace", "path": "/counter", "value": 1}]
    assert await calls.result(DELTA, {"delta": delta}) == {"success": True, "delta": delta}
    assert calls.sent == [
        {"type": "STATE_SNAPSHOT", "snapshot": {"counter": 0}},
        {"type": "STATE_DELTA", "delta": delta},
    ]
    await calls.answer(DELTA, {"delta": json.dumps(delta)})
    assert calls.types == ["STATE_SNAPSHOT", "STATE_DELTA", "STATE_DELTA"]
    assert calls.input.state == {"counter": 0}


async def test_a_missing_list_is_made_and_the_result_is_what_the_model_sent():
    calls = Calls(state={})
    delta = [{"op": "add", "path": "/todos/-", "value": "x"}]
    assert (await calls.result(DELTA, {"delta": delta}))["delta"] == delta
    assert calls.sent[1]["delta"] == [{"op": "add", "path": "/todos", "value": []}, *delta]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        (SNAPSHOT, {}),
        (SNAPSHOT, "{broken"),
        (SNAPSHOT, {"snapshot": 1, "more": 1}),
        (DELTA, {}),
        (DELTA, {"delta": None}),
        (DELTA, {"delta": {}}),
        (DELTA, {"delta": "text"}),
        (DELTA, {"delta": [None]}),
        (DELTA, {"delta": [{"op": "add"}]}),
        (DELTA, {"delta": [{"path": "/a"}]}),
        (DELTA, {"delta": [{"op": "move", "from": "/a", "path": "/b"}]}),
        (DELTA, {"delta": [{"op": "copy", "from": "/a", "path": "/b"}]}),
        (DELTA, {"delta": [{"op": "test", "path": "/a", "value": 1}]}),
        (DELTA, {"delta": [{"op": "add", "path": "/x", "value": 1, "from": "/a"}]}),
    ],
)
async def test_arguments_that_do_not_fit_change_nothing(tool: ToolDefinition, arguments: Any):
    calls = Calls(state={"a": 1})
    answer = await calls.answer(tool, arguments)
    assert json.loads(answer.content)["error"].startswith(f'Invalid arguments for tool "{tool.name}": ')
    assert (calls.sent, calls.shared.value) == ([], {"a": 1})


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": "/a/-", "value": 1},
        {"op": "add", "path": "/b/c/-", "value": 1},
        {"op": "add", "path": "/b"},
        {"op": "replace", "path": "/b/-", "value": 1},
        {"op": "remove", "path": "/b"},
    ],
)
async def test_a_delta_that_does_not_fit_is_told_and_not_sent(operation: dict[str, Any]):
    calls = Calls(state={"a": "text"})
    fitting = {"op": "add", "path": "/ok", "value": 1}
    error = (await calls.result(DELTA, {"delta": [fitting, operation]}))["error"]
    assert error.startswith("State delta could not be applied: 1: ")
    assert (calls.sent, calls.shared.value) == ([], {"a": "text"})


async def test_a_tool_of_the_developer_with_such_a_name_changes_the_state():
    @define_tool(name="AGUISendStateSnapshot")
    def send(city: str) -> Any:
        return {"snapshot": {"city": city}}

    calls = Calls()
    await calls.answer(send, {"city": "Oslo"})
    assert calls.sent == [{"type": "STATE_SNAPSHOT", "snapshot": {"city": "Oslo"}}]


async def test_the_members_of_other_tools_results_mean_nothing():
    calls = Calls()
    await calls.answer(define_tool(name="other", execute=lambda: {"snapshot": {}, "delta": []}))
    assert calls.sent == []


async def test_a_stream_that_takes_no_events_is_a_failed_call():
    async def emit(_event: Any) -> None:
        raise TimeoutError("the client is gone")

    calls = Calls(state={"a": 1})
    assert await calls.result(SNAPSHOT, {"snapshot": {}}, emit=emit) == {"error": "the client is gone"}
    assert calls.shared.value == {"a": 1}


async def test_many_deltas_at_the_same_time_lead_to_one_state():
    calls = Calls(state={"l": []})
    reducer = Reducer([], {"l": []}, warn=pytest.fail)

    async def emit(event: Any) -> None:
        # Some wait longer than those behind them.
        if isinstance(event, StateDelta) and event.delta[0]["value"] % 3 == 0:
            await asyncio.sleep(0.001)
        reducer.apply(event)

    async def push(number: int) -> None:
        operation = {"op": "add", "path": "/l/0", "value": number}
        await calls.answer(DELTA, {"delta": [operation]}, emit=emit)

    await asyncio.gather(*map(push, range(20)))
    assert reducer.state == calls.shared.value
    assert sorted(reducer.state["l"]) == list(range(20))
