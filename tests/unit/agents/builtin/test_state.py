"""The shared state of a run, and that the events that tell of it lead every client to the same."""

import asyncio
import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jumpseat.agents.builtin.state import SharedState, state_events
from jumpseat.errors import StatePatchError
from jumpseat.protocol.events import Custom, StateDelta, StateSnapshot
from jumpseat.protocol.reduce import Reducer

SNAPSHOT, DELTA = "AGUISendStateSnapshot", "AGUISendStateDelta"


def add(path: str, value: Any = 1) -> dict[str, Any]:
    return {"op": "add", "path": path, "value": value}


def test_no_state_is_an_empty_object():
    assert SharedState(None).value == {}


@pytest.mark.parametrize("state", [{}, [], 0, "", False, {"a": [1]}])
def test_a_given_state_is_kept_as_it_is(state: Any):
    assert SharedState(state).value == state


def test_the_input_is_never_changed():
    state = {"todos": [{"done": False}]}
    before = copy.deepcopy(state)
    shared = SharedState(state)
    shared.value["todos"].append(1)
    shared.delta([{"op": "replace", "path": "/todos/0/done", "value": True}, add("/todos/-")])
    assert state == before
    assert shared.value == {"todos": [{"done": True}, 1]}


def test_a_snapshot_is_a_copy_of_its_value():
    shared, value = SharedState(None), {"a": [1]}
    (event,) = shared.snapshot(value)
    value["a"].append(2)
    assert event == StateSnapshot(snapshot={"a": [1]})
    event.snapshot["a"].append(3)
    assert shared.value == {"a": [1]}


def test_the_first_delta_of_a_run_with_state_follows_a_snapshot():
    shared = SharedState({"counter": 0})
    operations = [{"op": "replace", "path": "/counter", "value": 1}]
    assert shared.delta(operations) == [StateSnapshot(snapshot={"counter": 0}), StateDelta(delta=operations)]
    assert shared.delta(operations) == [StateDelta(delta=operations)]


def test_a_delta_after_a_snapshot_needs_no_other():
    shared = SharedState({"counter": 0})
    shared.snapshot({})
    assert shared.delta([add("/a")]) == [StateDelta(delta=[add("/a")])]


def test_the_first_delta_of_a_run_without_state_stands_on_an_empty_one():
    assert SharedState(None).delta([add("/a")]) == [StateSnapshot(snapshot={}), StateDelta(delta=[add("/a")])]


def test_a_list_that_is_missing_is_made_first():
    shared = SharedState(None)
    _, event = shared.delta([add("/todos/-", "x"), add("/todos/-", "y")])
    assert event == StateDelta(delta=[add("/todos", []), add("/todos/-", "x"), add("/todos/-", "y")])
    assert shared.value == {"todos": ["x", "y"]}


def test_a_list_is_made_where_the_patch_itself_has_made_its_parent():
    shared = SharedState(None)
    shared.delta([add("/a", {}), add("/a/list/-", 1)])
    assert shared.value == {"a": {"list": [1]}}


def test_escaped_keys_name_the_list_that_is_made():
    shared = SharedState(None)
    shared.delta([add("/a~1b~0c/-", 1)])
    assert shared.value == {"a/b~c": [1]}


@pytest.mark.parametrize(
    ("state", "operations", "index"),
    [
        ({}, [add("/a/b/-")], 0),
        ({"todos": "text"}, [add("/todos/-")], 0),
        ({"todos": None}, [add("/todos/-")], 0),
        ({}, [{"op": "replace", "path": "/todos/-", "value": 1}], 0),
        ({}, [add("/ok"), None], 1),
        ({}, [add("/ok"), "text"], 1),
        ({}, [{"op": "add", "path": "/a"}], 0),
        ({}, [{"op": "add", "value": 1}], 0),
        ({}, [{"op": "increment", "path": "/a"}], 0),
        ({}, [{"op": "remove", "path": "/a"}], 0),
        ({}, [{"op": "replace", "path": "/a", "value": 1}], 0),
        ({}, [add("a")], 0),
        ({}, [add("/a~2")], 0),
        ({"l": [1]}, [add("/l/2")], 0),
        ({"l": [1]}, [add("/l/01")], 0),
        ({"l": [1]}, [add("/l/+0")], 0),
        ({"l": [1]}, [add("/l/")], 0),
        ({"l": [1]}, [{"op": "remove", "path": "/l/-"}], 0),
        ({"l": [1]}, [{"op": "copy", "from": "/l/0", "path": "/l/9"}], 0),
        ({"l": [1]}, [{"op": "move", "from": "/l/0", "path": "/l/1"}], 0),
        ({"l": [1]}, [{"op": "test", "path": "/l/00", "value": 1}], 0),
        ({"l": [1]}, [{"op": "test", "path": "/l/0", "value": True}], 0),
        ({"o": {}}, [{"op": "move", "from": "/o", "path": "/o/x"}], 0),
        ({"l": [[], [5]]}, [{"op": "move", "from": "/l/0", "path": "/l/0/0"}], 0),
    ],
)
def test_a_delta_that_does_not_fit_changes_nothing(state: Any, operations: list[Any], index: int):
    shared = SharedState(state)
    with pytest.raises(StatePatchError, match=rf"^State delta could not be applied: {index}: ."):
        shared.delta(operations)
    assert shared.value == state
    # Nothing went out, so the next change still needs its base.
    assert shared.delta([])[0] == StateSnapshot(snapshot=state)


@pytest.mark.parametrize("operations", [None, {}, "[]", 1])
def test_what_is_no_list_is_no_delta(operations: Any):
    with pytest.raises(StatePatchError, match=r"^State delta could not be applied: "):
        SharedState({}).delta(operations)


def test_move_copy_and_test_apply():
    shared = SharedState({"a": [1, 2], "b": {}})
    shared.delta(
        [
            {"op": "test", "path": "/a/0", "value": 1.0},
            {"op": "move", "from": "/a/0", "path": "/a/1"},
            {"op": "copy", "from": "/a", "path": "/b/c"},
        ]
    )
    assert shared.value == {"a": [2, 1], "b": {"c": [2, 1]}}


def test_events_that_went_out_by_another_way_are_taken_in():
    shared = SharedState({"a": 0})
    shared.observe(StateSnapshot(snapshot={"b": 1}))
    shared.observe(StateDelta(delta=[add("/c", 2)]))
    shared.observe(StateDelta(delta=[{"op": "remove", "path": "/missing"}]))
    shared.observe(Custom(name="x", value=1))
    assert shared.value == {"b": 1, "c": 2}
    assert shared.delta([add("/d")]) == [StateDelta(delta=[add("/d")])]


@pytest.mark.parametrize("value", [{"a": 1}, None, [], 0])
def test_a_snapshot_result_replaces_the_state(value: Any):
    shared = SharedState({"old": 1})
    assert state_events(SNAPSHOT, {"success": True, "snapshot": value}, shared) == [
        StateSnapshot(snapshot=value)
    ]
    assert shared.value == value


def test_what_models_encode_twice_is_decoded_once():
    shared = SharedState(None)
    assert state_events(SNAPSHOT, {"snapshot": '{"a":"[1]"}'}, shared) == [
        StateSnapshot(snapshot={"a": "[1]"})
    ]
    (event,) = state_events(DELTA, {"delta": '[{"op":"add","path":"/b","value":1}]'}, shared)
    assert event == StateDelta(delta=[add("/b")])


@pytest.mark.parametrize("text", ["plain", "42", '"x"', "{broken"])
def test_a_string_that_holds_no_object_or_list_stays_a_string(text: str):
    shared = SharedState(None)
    assert state_events(SNAPSHOT, {"snapshot": text}, shared) == [StateSnapshot(snapshot=text)]


def test_a_result_may_be_json_text():
    assert state_events(SNAPSHOT, '{"snapshot":{"a":1}}', SharedState(None)) == [
        StateSnapshot(snapshot={"a": 1})
    ]


@pytest.mark.parametrize(
    ("name", "output"),
    [
        (SNAPSHOT, {"success": True}),
        (DELTA, {"snapshot": {}}),
        (SNAPSHOT, None),
        (SNAPSHOT, "text"),
        ("other", {"snapshot": {}, "delta": []}),
    ],
)
def test_other_results_mean_nothing_to_the_state(name: str, output: Any):
    shared = SharedState({"a": 1})
    assert state_events(name, output, shared) == []
    assert shared.value == {"a": 1}


async def test_changes_go_out_in_the_order_in_which_they_were_made():
    shared = SharedState({"l": []})
    reducer = Reducer([], {"l": []}, warn=pytest.fail)
    gate = asyncio.Event()

    async def slow(event: Any) -> None:
        await gate.wait()
        reducer.apply(event)

    async def fast(event: Any) -> None:
        reducer.apply(event)

    async with asyncio.TaskGroup() as group:
        group.create_task(shared.send(lambda: shared.delta([add("/l/-", 1)]), slow))
        await asyncio.sleep(0)
        group.create_task(shared.send(lambda: shared.delta([add("/l/0", 2)]), fast))
        await asyncio.sleep(0)
        gate.set()
    assert reducer.state == shared.value == {"l": [2, 1]}


async def test_a_change_that_was_not_sent_is_taken_back():
    shared = SharedState({"a": 1})
    sent: list[Any] = []

    async def emit(event: Any) -> None:
        if isinstance(event, StateDelta):
            raise ConnectionError
        sent.append(event)

    with pytest.raises(ConnectionError):
        await shared.send(lambda: shared.delta([add("/b")]), emit)
    assert shared.value == {"a": 1}
    assert sent == [StateSnapshot(snapshot={"a": 1})]
    # The base is out already.
    assert shared.delta([add("/c")]) == [StateDelta(delta=[add("/c")])]


KEYS = st.sampled_from(["a", "b", "0", "1", "-", "", "a/b", "~"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
POINTERS = st.lists(KEYS, max_size=3).map(
    lambda keys: "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)
)
OPERATIONS = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "add", "replace", "remove", "move", "copy", "test"]), "path": POINTERS},
    optional={"value": JSON, "from": POINTERS},
)
CHANGES = st.lists(st.lists(OPERATIONS, max_size=3) | JSON.map(lambda value: ("snapshot", value)), max_size=6)


@given(state=JSON.filter(lambda value: value is not None), changes=CHANGES)
def test_clients_that_apply_the_events_have_the_tracked_state(state: Any, changes: list[Any]):
    shared = SharedState(state)
    # Wrapped, because null, 0 and "" are not shown by a page and would hide a difference.
    following = SharedState(state)
    reducer = Reducer([], state, warn=pytest.fail)
    for change in changes:
        try:
            events = shared.snapshot(change[1]) if isinstance(change, tuple) else shared.delta(change)
        except StatePatchError:
            continue
        for event in events:
            reducer.apply(event)
            following.observe(event)
    assert following.value == shared.value
    if isinstance(shared.value, dict | list):
        assert reducer.state == shared.value
