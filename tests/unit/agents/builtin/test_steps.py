"""The steps of a run: which end of a generation is which, and when the next one follows."""

import json
from typing import Any

import pytest

from builtin_agents import given, of, run, run_context, types
from jumpseat import BuiltInAgent, define_tool
from jumpseat.testing import ScriptedModel

FAILED = {"error": "The model response failed before this tool ran"}
PICK = {"name": "pick", "description": "d", "parameters": {"type": "object"}}


@define_tool
def echo(text: str = "x") -> str:
    """Say it again."""
    return text


def call(call_id: str, name: str = "echo", **arguments: Any) -> dict[str, Any]:
    return {"type": "tool-call", "id": call_id, "name": name, "input": arguments}


def finish(reason: str) -> dict[str, Any]:
    return {"type": "finish", "reason": reason}


def results(events: list[dict[str, Any]]) -> dict[str, Any]:
    return {event["toolCallId"]: json.loads(event["content"]) for event in of("TOOL_CALL_RESULT", events)}


async def ended(*script: list[Any], **fields: Any) -> tuple[list[dict[str, Any]], ScriptedModel]:
    model = ScriptedModel(script)
    agent = BuiltInAgent(model=model, tools=[echo], max_steps=5)
    return await run(agent, given(**fields), run_context()), model


@pytest.mark.parametrize("reason", ["stop", "length", "tool_call", "other"])
async def test_every_usual_end_runs_the_calls_and_goes_on(reason: str):
    events, model = await ended([call("call-a"), finish(reason)], ["Done.", finish(reason)])
    assert results(events) == {"call-a": "x"}
    assert (types(events)[-1], len(model.requests)) == ("RUN_FINISHED", 2)


async def test_an_end_by_an_error_runs_no_call_whatever_was_said():
    events, model = await ended(["Text.", call("call-a"), finish("error")])
    assert results(events) == {"call-a": FAILED}
    assert (events[-1]["type"], events[-1]["code"], len(model.requests)) == ("RUN_ERROR", "provider_error", 1)


@pytest.mark.parametrize("said", [[], [{"type": "reasoning-delta", "delta": "Hm."}]])
async def test_a_filter_that_leaves_no_text_is_an_error(said: list[Any]):
    events, _ = await ended([*said, finish("content_filter")])
    assert (events[-1]["type"], events[-1]["code"]) == ("RUN_ERROR", "content_filter")


async def test_a_later_step_that_fails_leaves_the_results_of_the_earlier_ones():
    events, _ = await ended([call("call-a")], ["Look: ", call("call-b"), RuntimeError("gone")])
    assert results(events) == {"call-a": "x", "call-b": FAILED}
    assert types(events)[-3:] == ["TOOL_CALL_END", "TOOL_CALL_RESULT", "RUN_ERROR"]


async def test_a_later_step_may_be_silent():
    events, model = await ended([call("call-a")], [])
    assert (types(events)[-1], len(model.requests)) == ("RUN_FINISHED", 2)


async def test_arguments_that_are_cut_short_are_told_to_the_model():
    cut = [
        {"type": "tool-input-start", "id": "call-a", "name": "echo"},
        {"type": "tool-input-delta", "id": "call-a", "delta": '{"text":"he'},
        finish("length"),
    ]
    events, model = await ended(cut, ["Sorry."])
    assert results(events) == {"call-a": {"error": 'Invalid arguments for tool "echo": not valid JSON'}}
    assert [event["delta"] for event in of("TOOL_CALL_ARGS", events)] == ['{"text":"he']
    assert len(model.requests) == 2
    turn = model.requests[1].messages[-2]
    assert turn.content[0].arguments == {}  # type: ignore[union-attr]


async def test_an_unknown_call_is_answered_and_a_sibling_of_the_page_still_ends_the_run():
    events, model = await ended([call("call-a", "nobody"), call("call-b", "pick")], tools=[PICK])
    assert results(events) == {"call-a": {"error": 'Unknown tool "nobody"'}}
    assert (types(events)[-1], len(model.requests)) == ("RUN_FINISHED", 1)


async def test_what_the_provider_runs_itself_is_no_reason_to_ask_again():
    searched = [
        {**call("call-p", "search"), "providerExecuted": True},
        {"type": "tool-result", "id": "call-p", "name": "search", "output": {"hits": 3}},
        "Three hits.",
    ]
    events, model = await ended(searched)
    assert results(events) == {"call-p": {"hits": 3}}
    assert len(model.requests) == 1
    events, model = await ended([*searched, call("call-a")], ["Done."])
    assert results(events) == {"call-p": {"hits": 3}, "call-a": "x"}
    assert len(model.requests) == 2


async def test_no_choice_stays_no_choice():
    model = ScriptedModel([[call("call-a")], ["Done."]])
    await run(BuiltInAgent(model=model, tools=[echo], max_steps=2, tool_choice="none"))
    assert [request.tool_choice for request in model.requests] == ["none", "none"]


async def test_one_forced_tool_is_forced_once():
    model = ScriptedModel([[call("call-a")], [call("call-b")], ["Done."]])
    choice = {"type": "tool", "toolName": "echo"}
    await run(BuiltInAgent(model=model, tools=[echo], max_steps=3, tool_choice=choice))
    assert [request.tool_choice for request in model.requests] == [("tool", "echo"), "auto", "auto"]
