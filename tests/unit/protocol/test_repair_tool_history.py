"""A repaired history is one that every model provider takes."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_streams import CALL_IDS, IDS
from jumpseat.protocol.history import repair_tool_history
from jumpseat.protocol.inputs import (
    ActivityMessage,
    AssistantMessage,
    FunctionCall,
    Message,
    ReasoningMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)

ARGUMENTS = st.sampled_from(
    ["", "{}", '{"a":1}', '{"a":1', "[]", "null", "NaN", '{"a":"\\ud800"}', "[" * 5_000]
)
CALLS = st.builds(ToolCall, id=CALL_IDS, function=st.builds(FunctionCall, name=IDS, arguments=ARGUMENTS))
HISTORIES: st.SearchStrategy[list[Message]] = st.lists(
    st.builds(UserMessage, id=IDS, content=IDS)
    | st.builds(
        AssistantMessage,
        id=IDS,
        content=st.sampled_from([None, "", "x"]),
        tool_calls=st.none() | st.lists(CALLS),
    )
    | st.builds(
        ToolMessage,
        id=IDS,
        tool_call_id=CALL_IDS,
        content=st.sampled_from(["1", "2", "Forwarded to client"]) | st.just([TextPart(text="3")]),
    )
    | st.builds(ReasoningMessage, id=IDS, content=IDS)
    | st.builds(ActivityMessage, id=IDS, activity_type=IDS, content=st.just({})),
    max_size=12,
)


def call(call_id: str, arguments: str = "{}") -> ToolCall:
    return ToolCall(id=call_id, function=FunctionCall(name="f", arguments=arguments))


def calling(*calls: ToolCall, content: str | None = None, message_id: str = "a") -> AssistantMessage:
    return AssistantMessage(id=message_id, content=content, tool_calls=list(calls))


def result(call_id: str, content: str = "1", message_id: str = "t") -> ToolMessage:
    return ToolMessage(id=message_id, tool_call_id=call_id, content=content)


NO_RESULT = '{"error":"No result was recorded for this tool call."}'


@given(HISTORIES, st.frozensets(CALL_IDS))
def test_repairing_twice_is_repairing_once_and_the_input_stays_as_it_was(history, pending):
    before = copy.deepcopy(history)
    once = repair_tool_history(history, pending=pending)
    assert history == before
    assert repair_tool_history(once, pending=pending) == once


@given(HISTORIES, st.frozensets(CALL_IDS))
def test_every_call_is_there_once_and_followed_by_exactly_its_result(history, pending):
    repaired = repair_tool_history(history, pending=pending)
    answered = {message.tool_call_id for message in history if isinstance(message, ToolMessage)}
    seen: set[str] = set()
    expected: list[str] = []
    for message in repaired:
        if isinstance(message, ToolMessage):
            assert message.tool_call_id == expected.pop(0)
            continue
        assert expected == []
        if isinstance(message, AssistantMessage):
            assert message.content or message.tool_calls
            ids = [one.id for one in message.tool_calls or ()]
            assert seen.isdisjoint(ids)
            assert len(ids) == len(set(ids))
            seen.update(ids)
            expected = [one for one in ids if one in answered or one not in pending]
            for one in message.tool_calls or ():
                assert isinstance(json.loads(one.function.arguments), dict)
    assert expected == []
    assert seen == {
        one.id
        for message in history
        if isinstance(message, AssistantMessage)
        for one in message.tool_calls or ()
    }


@given(HISTORIES)
def test_everything_but_calls_and_results_keeps_its_place(history):
    def others(messages: list[Message]) -> list[Message]:
        return [message for message in messages if not isinstance(message, (AssistantMessage, ToolMessage))]

    assert others(repair_tool_history(history)) == others(history)


def test_a_sound_history_is_left_alone():
    history = [
        UserMessage(id="u", content="x"),
        calling(call("c", '{"a":1}'), call("d"), content="let me see"),
        result("c"),
        result("d", message_id="s"),
        AssistantMessage(id="b", content="done"),
    ]
    repaired = repair_tool_history(history)
    assert all(one is other for one, other in zip(repaired, history, strict=True))


def test_a_repeated_call_stays_in_its_first_place_with_the_longer_arguments():
    history = [
        calling(call("c")),
        result("c"),
        calling(call("c", '{"a":1}'), content="again", message_id="b"),
    ]
    assert repair_tool_history(history) == [
        calling(call("c", '{"a":1}')),
        result("c"),
        AssistantMessage(id="b", content="again"),
    ]


def test_half_of_the_arguments_does_not_beat_a_shorter_whole():
    history = [calling(call("c", '{"a":1}')), calling(call("c", '{"a":1,"b":'), message_id="b"), result("c")]
    assert repair_tool_history(history) == [calling(call("c", '{"a":1}')), result("c")]


@pytest.mark.parametrize("arguments", ["", '{"a":', "[1]", "1", "null", "nonsense", "NaN"])
def test_arguments_that_are_no_object_become_an_empty_one(arguments):
    history = [calling(call("c", arguments)), result("c")]
    assert repair_tool_history(history) == [calling(call("c")), result("c")]


def test_results_move_behind_their_calls_in_the_order_of_the_calls():
    history = [
        result("c", message_id="early"),
        calling(call("c"), call("d")),
        UserMessage(id="u", content="x"),
        result("d", message_id="late"),
    ]
    assert [message.id for message in repair_tool_history(history)] == ["a", "early", "late", "u"]


def test_the_last_real_result_wins():
    history = [
        calling(call("c")),
        result("c", "Forwarded to client", "placeholder"),
        result("c", "first", "one"),
        result("c", "second", "two"),
        result("c", "Forwarded to client", "again"),
    ]
    assert [message.id for message in repair_tool_history(history)] == ["a", "two"]


def test_a_placeholder_is_better_than_no_result():
    history = [calling(call("c")), result("c", "Forwarded to client")]
    assert repair_tool_history(history) == history


def test_a_result_without_its_call_is_dropped():
    assert repair_tool_history([result("c"), UserMessage(id="u", content="x")]) == [
        UserMessage(id="u", content="x")
    ]


def test_a_call_that_nobody_answered_says_so_unless_it_is_pending():
    history = [calling(call("c"), call("d"))]
    assert repair_tool_history(history, pending={"d"}) == [
        *history,
        ToolMessage(id="c-result", tool_call_id="c", content=NO_RESULT),
    ]


def test_an_assistant_message_with_nothing_in_it_is_dropped():
    assert repair_tool_history([AssistantMessage(id="a"), AssistantMessage(id="b", tool_calls=[])]) == []
