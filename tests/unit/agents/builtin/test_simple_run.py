"""One run in simple mode: generations, tools between them, and every way it can end."""

import asyncio
import json
import logging
from contextlib import aclosing

import pytest

from builtin_agents import given, of, run, run_context, types, wired
from jumpseat import BuiltInAgent, ConfigurationError, define_tool
from jumpseat.testing import ScriptedModel


def call(name="weather", call_id="c1", **arguments):
    return {"type": "tool-call", "id": call_id, "name": name, "input": arguments}


def frontend_tool(name="pick", **fields):
    schema = {"type": "object", "properties": {"x": {"type": "string"}}}
    return {"name": name, "description": "d", "parameters": schema} | fields


def contents(events):
    return [json.loads(event["content"]) for event in of("TOOL_CALL_RESULT", events)]


@define_tool
def weather(city: str = "here") -> str:
    """Tell the weather."""
    return f"sunny in {city}"


def agent_of(*script, **options):
    model = ScriptedModel(script)
    return BuiltInAgent(model=model, **options), model


async def test_an_answer_is_one_message_between_start_and_end():
    agent, _ = agent_of(["Hel", "lo"])
    events = await run(agent, given("hi", threadId="T", runId="R"))
    assert types(events) == [
        "RUN_STARTED",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "RUN_FINISHED",
    ]
    assert events[0] == {"type": "RUN_STARTED", "threadId": "T", "runId": "R"}
    assert events[-1] == {"type": "RUN_FINISHED", "threadId": "T", "runId": "R"}


async def test_a_generation_that_says_nothing_but_finishes_is_a_run():
    agent, _ = agent_of([])
    assert types(await run(agent)) == ["RUN_STARTED", "RUN_FINISHED"]


async def test_a_generation_that_just_breaks_off_is_a_failure():
    agent = BuiltInAgent(model=ScriptedModel([[]], finish=False))
    events = await run(agent)
    assert types(events) == ["RUN_STARTED", "RUN_ERROR"]
    assert (events[-1]["code"], events[-1]["message"]) == ("provider_error", "The model returned no output.")


@pytest.mark.parametrize("steps", [None, 0, 1])
async def test_without_max_steps_a_tool_runs_and_the_run_ends(steps):
    agent, model = agent_of([call(city="Rome")], tools=[weather], max_steps=steps)
    events = await run(agent)
    assert types(events)[-3:] == ["TOOL_CALL_END", "TOOL_CALL_RESULT", "RUN_FINISHED"]
    assert contents(events) == ["sunny in Rome"]
    assert len(model.requests) == 1


async def test_with_max_steps_the_model_sees_the_result():
    agent, model = agent_of(["Look.", call(city="Rome")], ["Sunny!"], tools=[weather], max_steps=3)
    events = await run(agent)
    assert types(events)[-1] == "RUN_FINISHED"
    assert len(model.requests) == 2
    turn, result = model.requests[1].messages[-2:]
    assert [type(part).__name__ for part in turn.content] == ["Text", "RequestedCall"]
    assert (result.tool_call_id, result.content) == ("c1", '"sunny in Rome"')
    first, second = (event["messageId"] for event in of("TEXT_MESSAGE_START", events))
    assert first != second
    assert [request.step for request in model.requests] == [1, 2]


async def test_a_model_that_always_calls_is_held_to_max_steps():
    agent, model = agent_of(*[[call()]] * 5, tools=[weather], max_steps=3)
    events = await run(agent)
    assert len(model.requests) == 3
    assert types(events)[-1] == "RUN_FINISHED"
    assert len({event["toolCallId"] for event in of("TOOL_CALL_START", events)}) == 3


async def test_a_forced_choice_holds_for_the_first_request_only():
    agent, model = agent_of([call()], ["done"], tools=[weather], max_steps=3, tool_choice="required")
    await run(agent)
    assert [request.tool_choice for request in model.requests] == ["required", "auto"]


async def test_a_choice_of_a_tool_that_the_run_does_not_have_is_dropped(caplog):
    agent, model = agent_of(["x"], tools=[weather], tool_choice={"type": "tool", "toolName": "unknown"})
    await run(agent)
    assert model.requests[0].tool_choice == "auto"
    assert "unknown" in caplog.text


async def test_a_client_call_ends_the_loop_and_its_sibling_still_reports():
    agent, model = agent_of([call("pick", "c1"), call("weather", "c2")], tools=[weather], max_steps=5)
    events = await run(agent, given(tools=[frontend_tool()]))
    assert [event["toolCallId"] for event in of("TOOL_CALL_RESULT", events)] == ["c2"]
    assert types(events)[-1] == "RUN_FINISHED"
    assert "outcome" not in events[-1]
    assert len(model.requests) == 1


async def test_results_come_as_they_are_ready_and_behind_the_text():
    slow_may_end = asyncio.Event()

    @define_tool
    async def slow() -> str:
        await slow_may_end.wait()
        return "slow"

    @define_tool
    async def fast() -> str:
        slow_may_end.set()
        return "fast"

    agent, _ = agent_of([call("slow", "c1"), call("fast", "c2"), "text"], tools=[slow, fast])
    events = await run(agent)
    assert contents(events) == ["fast", "slow"]
    assert types(events).index("TEXT_MESSAGE_END") < types(events).index("TOOL_CALL_RESULT")


async def test_no_more_tools_work_at_once_than_allowed():
    working = most = 0

    @define_tool
    async def work() -> None:
        nonlocal working, most
        working += 1
        most = max(most, working)
        await asyncio.sleep(0)
        working -= 1

    agent, _ = agent_of(
        [call("work", f"call-{n}-x") for n in range(20)], tools=[work], max_concurrent_tools=3
    )
    events = await run(agent)
    assert len(contents(events)) == 20
    assert most == 3


def failing_tools():
    @define_tool
    def raises() -> None:
        raise RuntimeError("key is sk-abcdef123456 here")

    @define_tool
    def typed(number: int) -> int:
        return number

    @define_tool
    def leaves() -> None:
        raise SystemExit(3)

    return [raises, typed, leaves]


async def test_every_call_of_this_server_has_one_result_whatever_happened():
    broken = {"type": "tool-call", "id": "c3", "name": "typed", "input": "{broken"}
    agent, model = agent_of(
        [
            call("raises", "c1"),
            call("typed", "c2", number="x"),
            broken,
            call("who", "c4"),
            call("leaves", "c5"),
        ],
        ["done"],
        tools=failing_tools(),
        max_steps=3,
    )
    events = await run(agent)
    by_id = {event["toolCallId"]: json.loads(event["content"]) for event in of("TOOL_CALL_RESULT", events)}
    assert by_id.keys() == {"c1", "c2", "c3", "c4", "c5"}
    assert by_id["c1"] == {"error": "key is [redacted] here"}
    assert by_id["c2"]["error"].startswith('Invalid arguments for tool "typed": ')
    assert by_id["c3"] == {"error": 'Invalid arguments for tool "typed": not valid JSON'}
    assert by_id["c4"] == {"error": 'Unknown tool "who"'}
    assert "error" in by_id["c5"]
    assert types(events)[-1] == "RUN_FINISHED"
    assert len(model.requests) == 2


FAILURES = {
    "exception": (RuntimeError("boom"), "boom", "provider_error"),
    "error part": ({"type": "error", "error": "overloaded"}, "overloaded", "provider_error"),
    "filter": (
        {"type": "finish", "reason": "content_filter"},
        "The model's answer was blocked by a content filter.",
        "content_filter",
    ),
}


@pytest.mark.parametrize(("end", "message", "code"), FAILURES.values(), ids=FAILURES)
async def test_a_failed_generation_runs_none_of_its_calls_and_answers_all(end, message, code):
    ran = []

    @define_tool
    def note() -> None:
        ran.append(1)

    start = {"type": "tool-input-start", "id": "c3", "name": "note"}
    agent, _ = agent_of([call("note", "c1"), call("pick", "c2"), start, end], tools=[note])
    events = await run(agent, given(tools=[frontend_tool()]))
    assert ran == []
    assert {
        event["toolCallId"]: event["content"] for event in of("TOOL_CALL_RESULT", events)
    } == dict.fromkeys(("c1", "c2", "c3"), '{"error":"The model response failed before this tool ran"}')
    assert events[-1] == {"type": "RUN_ERROR", "message": message, "code": code}
    assert types(events).index("TOOL_CALL_END") < types(events).index("TOOL_CALL_RESULT")


async def test_an_answer_that_begins_anew_leaves_no_call_of_the_first_attempt_without_a_result():
    first = ["old", call(call_id="c1", city="Oslo"), {"type": "step-break"}, "new", call(call_id="c2")]
    agent, model = agent_of(first, ["done"], tools=[weather], max_steps=3)
    events = await run(agent)
    results = {event["toolCallId"]: json.loads(event["content"]) for event in of("TOOL_CALL_RESULT", events)}
    assert results == {
        "c1": {"error": "The model response failed before this tool ran"},
        "c2": "sunny in here",
    }
    old, new, _ = (event["messageId"] for event in of("TEXT_MESSAGE_START", events))
    parents = {event["toolCallId"]: event["parentMessageId"] for event in of("TOOL_CALL_START", events)}
    assert parents == {"c1": old, "c2": new}
    _, turn, result = model.requests[1].messages
    assert [getattr(part, "text", getattr(part, "id", None)) for part in turn.content] == ["new", "c2"]
    assert result.tool_call_id == "c2"


async def test_an_answer_that_is_filtered_after_some_text_is_an_answer():
    agent, _ = agent_of(
        ["Well, ", call("weather"), {"type": "finish", "reason": "content_filter"}], tools=[weather]
    )
    events = await run(agent)
    assert types(events)[-1] == "RUN_FINISHED"
    assert contents(events) == [{"error": "The model response failed before this tool ran"}]


@pytest.mark.parametrize(
    ("parameters", "sent"),
    [
        (None, {"type": "object", "properties": {}}),
        ({}, {"type": "object", "properties": {}}),
        ({"anyOf": [{"required": ["a"]}]}, {"type": "object", "anyOf": [{"required": ["a"]}]}),
        (
            {
                "type": "object",
                "properties": {"a": {"type": ["object", "null"], "pattern": "x", "minimum": 1}},
            },
            {
                "type": "object",
                "properties": {"a": {"type": ["object", "null"], "pattern": "x", "minimum": 1}},
            },
        ),
    ],
)
async def test_a_frontend_tools_schema_reaches_the_model_as_it_came(parameters, sent):
    agent, model = agent_of(["x"])
    await run(agent, given(tools=[frontend_tool(parameters=parameters)]))
    assert model.requests[0].tools[0].parameters == sent


@pytest.mark.parametrize("parameters", ["x", {"type": "string"}, [1]])
async def test_a_frontend_tool_whose_schema_is_no_objects_is_refused(parameters):
    agent, model = agent_of(["x"])
    events = await run(agent, given(tools=[frontend_tool("bad", parameters=parameters)]))
    assert events[-1]["code"] == "invalid_request"
    assert events[-1]["message"] == "Invalid JSON schema for tool bad"
    assert model.requests == []


async def test_the_own_tool_wins_over_a_frontend_tool_of_its_name():
    agent, model = agent_of([call("weather")], tools=[weather])
    events = await run(agent, given(tools=[frontend_tool("weather")]))
    assert contents(events) == ["sunny in here"]
    names = [tool.name for tool in model.requests[0].tools]
    assert names.count("weather") == 1


async def test_state_tools_are_there_unless_they_are_switched_off():
    agent, model = agent_of(["x"])
    await run(agent)
    without, other = agent_of(["x"], state_tools=False)
    await run(without)
    assert [tool.name for tool in model.requests[0].tools] == [
        "AGUISendStateSnapshot",
        "AGUISendStateDelta",
    ]
    assert other.requests[0].tools == []


async def test_the_model_edits_the_shared_state():
    first = call("AGUISendStateDelta", "c1", delta=[{"op": "replace", "path": "/counter", "value": 1}])
    second = call("AGUISendStateDelta", "c2", delta=[{"op": "add", "path": "/todos/-", "value": "x"}])
    agent, _ = agent_of([first], [second], ["done"], max_steps=3)
    state = {"counter": 0}
    events = await run(agent, given(state=state))
    changes = [event for event in events if event["type"] in ("STATE_SNAPSHOT", "STATE_DELTA")]
    assert types(changes) == ["STATE_SNAPSHOT", "STATE_DELTA", "STATE_DELTA"]
    assert changes[0]["snapshot"] == {"counter": 0}
    assert changes[2]["delta"][0] == {"op": "add", "path": "/todos", "value": []}
    assert state == {"counter": 0}


approve = define_tool(
    name="approve",
    description="Ask.",
    parameters={"type": "object", "properties": {}},
    interrupt=True,
    interrupt_message="Sure?",
)


async def test_an_approval_ends_the_run_with_an_outcome_and_its_sibling_reports():
    agent, model = agent_of(
        [call("approve", "c1"), call("weather", "c2"), call("approve", "c3")],
        tools=[approve, weather],
        max_steps=5,
    )
    events = await run(agent)
    assert [event["toolCallId"] for event in of("TOOL_CALL_RESULT", events)] == ["c2"]
    assert events[-1]["outcome"] == {
        "type": "interrupt",
        "interrupts": [
            {"id": name, "toolCallId": name, "reason": "tool_call", "message": "Sure?"}
            for name in ("c1", "c3")
        ],
    }
    assert len(model.requests) == 1


@pytest.mark.parametrize("steps", [None, 1, 5])
async def test_nobody_but_a_person_answers_an_approval(steps):
    agent, _ = agent_of(
        [call("approve", "c1"), {"type": "tool-result", "id": "c1", "output": "yes"}],
        tools=[approve],
        max_steps=steps,
    )
    events = await run(agent)
    assert of("TOOL_CALL_RESULT", events) == []
    assert [entry["id"] for entry in events[-1]["outcome"]["interrupts"]] == ["c1"]


async def test_an_answered_approval_is_the_result_that_the_model_sees():
    asked = {
        "id": "a1",
        "role": "assistant",
        "toolCalls": [{"id": "c1", "type": "function", "function": {"name": "approve", "arguments": "{}"}}],
    }
    agent, model = agent_of(["ok"])
    await run(
        agent,
        given("go", asked, resume=[{"interruptId": "c1", "status": "resolved", "payload": {"yes": True}}]),
    )
    last = model.requests[0].messages[-1]
    assert (last.tool_call_id, last.content) == ("c1", '{"yes":true}')


async def test_an_answer_that_the_client_did_not_add_to_its_thread_is_added_behind_a_run_that_succeeds():
    asked = {
        "id": "a1",
        "role": "assistant",
        "toolCalls": [{"id": "c1", "type": "function", "function": {"name": "approve", "arguments": "{}"}}],
    }
    added = {"id": "m9", "role": "tool", "toolCallId": "c1", "content": "yes"}
    resume = [{"interruptId": "c1", "status": "resolved", "payload": {"yes": True}}]
    agent, _ = agent_of(["ok"], [RuntimeError("boom")], ["ok"])
    events = await run(agent, given("go", asked, resume=resume))
    assert types(events)[-3:] == ["TEXT_MESSAGE_END", "TOOL_CALL_RESULT", "RUN_FINISHED"]
    assert of("TOOL_CALL_RESULT", events)[0]["content"] == '{"yes":true}'
    assert of("TOOL_CALL_RESULT", await run(agent, given("go", asked, resume=resume))) == []
    assert of("TOOL_CALL_RESULT", await run(agent, given("go", asked, added, resume=resume))) == []


async def test_usage_is_added_up_and_can_be_kept_off_the_wire():
    def generation(*items):
        usage = {"input_tokens": 10, "output_tokens": 5, "reasoning_tokens": 2}
        return [*items, {"type": "finish", "reason": "stop", "usage": usage}]

    for expose in (True, False):
        agent, _ = agent_of(
            generation(call()), generation("x"), tools=[weather], max_steps=2, expose_usage=expose
        )
        context = run_context()
        events = await run(agent, context=context)
        total = {
            "provider": "scripted",
            "model": "script",
            "inputTokens": 20,
            "outputTokens": 10,
            "totalTokens": 30,
            "reasoningTokens": 4,
        }
        assert events[-1].get("usage") == ([total] if expose else None)
        assert wired(context.record["usage"]) == [total]
        assert context.record | {"usage": None} == {
            "usage": None,
            "finish_reason": "stop",
            "steps": 2,
            "model": "script",
        }


@pytest.mark.parametrize("odd", [1.5, -1, 2**53, None, True, "3"])
async def test_a_count_that_no_client_could_read_is_left_out(odd):
    usage = {"inputTokens": odd, "outputTokens": 5}
    agent, _ = agent_of(["x", {"type": "finish", "usage": usage}])
    events = await run(agent)
    assert events[-1]["usage"] == [{"provider": "scripted", "model": "script", "outputTokens": 5}]


async def test_a_prompt_may_be_a_function_of_the_input_and_its_failure_is_the_developers():
    agent, model = agent_of(
        ["x"], prompt=lambda given, context: f"Thread {given.thread_id} of {context.agent_id}."
    )
    await run(agent)
    assert model.requests[0].messages[0].content == "Thread t1 of default."

    async def failing(_, __):
        raise LookupError("no such tenant")

    agent, _ = agent_of(["x"], prompt=failing)
    events = await run(agent)
    assert events[-1] == {"type": "RUN_ERROR", "message": "no such tenant", "code": "agent_error"}


async def test_a_run_without_any_message_is_refused():
    agent, _ = agent_of(["x"])
    events = await run(agent, given(messages=[]))
    assert events[-1] == {
        "type": "RUN_ERROR",
        "message": "messages must not be empty",
        "code": "invalid_request",
    }


OVERRIDES = {
    "temperature": (0.5, "temperature", 0.5),
    "temperature as bool": (True, "temperature", None),
    "temperature as text": ("0.5", "temperature", None),
    "NaN": (float("nan"), "temperature", None),
    "topK": (3, "top_k", 3),
    "topK as float": (3.5, "top_k", None),
    "stopSequences": (["a", "b"], "stop_sequences", ["a", "b"]),
    "one bad stop sequence": (["a", 1], "stop_sequences", None),
}


@pytest.mark.parametrize(("value", "setting", "effect"), OVERRIDES.values(), ids=OVERRIDES)
async def test_a_client_overrides_what_is_listed_and_well_formed(value, setting, effect):
    camel = {"temperature": "temperature", "top_k": "topK", "stop_sequences": "stopSequences"}[setting]
    for listed in ([setting], [camel], {setting: None}, []):
        agent, model = agent_of(["x"], overridable_properties=listed)
        await run(agent, given(forwardedProps={camel: value}))
        assert getattr(model.requests[0].settings, setting) == (effect if listed else None)


async def test_an_override_can_be_limited_to_some_values():
    for asked, effect in ((0.2, 0.2), (0.9, None)):
        agent, model = agent_of(["x"], overridable_properties={"temperature": [0.2, 0.4]})
        await run(agent, given(forwardedProps={"temperature": asked}))
        assert model.requests[0].settings.temperature == effect


async def test_forwarded_properties_that_are_no_object_are_ignored():
    agent, model = agent_of(["x"], overridable_properties=["temperature"])
    await run(agent, given(forwardedProps="temperature"))
    assert model.requests[0].settings.temperature is None


async def test_an_overridden_prompt_replaces_the_prompt():
    agent, model = agent_of(["x"], prompt="Mine.", overridable_properties=["prompt"])
    await run(agent, given(forwardedProps={"prompt": "Yours."}))
    assert model.requests[0].messages[0].content == "Yours."


async def test_provider_options_of_a_client_cannot_redirect_the_request():
    sent = {
        "scripted": {
            "effort": "high",
            "baseURL": "http://x",
            "base_url": "x",
            "extraHeaders": {},
            "deep": [{"apiKey": 1, "ok": 2}],
        }
    }
    agent, model = agent_of(["x"], overridable_properties=["providerOptions"])
    await run(agent, given(forwardedProps={"providerOptions": sent}))
    assert model.requests[0].provider_options == {"effort": "high", "deep": [{"ok": 2}]}


async def test_provider_options_of_a_client_hold_no_setting_that_it_may_not_set():
    sent = {
        "timeout": 9e9,
        "requestTimeout": 1,
        "toolChoice": ["weather"],
        "max_tokens": 10**6,
        "temperature": 2,
        "maxRetries": 99,
        "effort": "low",
    }
    agent, model = agent_of(["x"], tools=[weather], overridable_properties=["providerOptions"])
    await run(agent, given(forwardedProps={"providerOptions": {"scripted": sent, "other": 5}}))
    assert model.requests[0].provider_options == {"effort": "low"}


async def test_a_number_that_is_too_large_for_a_float_is_ignored():
    agent, model = agent_of(["x"], overridable_properties=["temperature"])
    events = await run(agent, given(forwardedProps={"temperature": 10**400}))
    assert types(events)[-1] == "RUN_FINISHED"
    assert model.requests[0].settings.temperature is None


async def test_a_bad_model_of_a_client_is_its_own_mistake():
    agent, model = agent_of(["x"], overridable_properties=["model"])
    events = await run(agent, given(forwardedProps={"model": "gpt-4o"}))
    assert events[-1]["code"] == "invalid_request"
    assert events[-1]["message"].startswith('Invalid model string "gpt-4o".')
    assert model.requests == []


def suggestion(**props):
    choice = {"type": "function", "function": {"name": "copilotkitSuggest"}}
    return given(tools=[frontend_tool("copilotkitSuggest")], forwardedProps={"toolChoice": choice} | props)


async def test_a_request_for_suggestions_forces_its_tool_and_shows_no_other():
    agent, model = agent_of([call("copilotkitSuggest", "c1", x="a")], tools=[weather], max_steps=5)
    events = await run(agent, suggestion())
    (request,) = model.requests
    assert request.tool_choice == ("tool", "copilotkitSuggest")
    assert [tool.name for tool in request.tools] == ["copilotkitSuggest"]
    assert of("TOOL_CALL_RESULT", events) == []
    assert types(events)[-1] == "RUN_FINISHED"


async def test_a_client_cannot_force_a_tool_of_this_server_by_giving_its_own_the_same_name():
    agent, model = agent_of(["x"], tools=[weather])
    choice = {"type": "function", "function": {"name": "weather"}}
    await run(agent, given(tools=[frontend_tool("weather")], forwardedProps={"toolChoice": choice}))
    assert model.requests[0].tool_choice == "auto"
    agent, model = agent_of(["x"], tools=[weather], overridable_properties=["toolChoice"])
    await run(agent, given(tools=[frontend_tool("weather")], forwardedProps={"toolChoice": choice}))
    assert model.requests[0].tool_choice == ("tool", "weather")


async def test_a_client_forces_a_tool_of_its_own_for_one_step():
    agent, model = agent_of(["x"], tools=[weather], max_steps=3, tool_choice="none")
    choice = {"type": "tool", "toolName": "pick"}
    await run(agent, given(tools=[frontend_tool("pick")], forwardedProps={"toolChoice": choice}))
    assert model.requests[0].tool_choice == ("tool", "pick")
    assert {"pick", "weather"} <= {tool.name for tool in model.requests[0].tools}


async def test_a_client_cannot_force_a_tool_of_this_server():
    agent, model = agent_of(["x"], tools=[weather])
    choice = {"type": "function", "function": {"name": "weather"}}
    await run(agent, given(forwardedProps={"toolChoice": choice}))
    assert model.requests[0].tool_choice == "auto"


async def test_fifty_runs_at_once_do_not_mix():
    class Echo:
        provider = "echo"
        model = "m"

        async def stream(self, request):
            said = request.messages[-1].content
            for letter in said:
                await asyncio.sleep(0)
                yield {"type": "text-delta", "delta": letter}
            yield {"type": "finish", "usage": {"inputTokens": len(said), "outputTokens": 1}}

    agent = BuiltInAgent(model=Echo())

    async def one(number):
        text = f"message {number:04}" * (number % 7 + 1)
        given_here = given(text, threadId=f"t{number}", runId=f"r{number}")
        events = await run(agent, given_here, run_context(thread_id=f"t{number}", run_id=f"r{number}"))
        assert "".join(event["delta"] for event in of("TEXT_MESSAGE_CONTENT", events)) == text
        assert events[-1]["usage"][0]["inputTokens"] == len(text)
        assert {event.get("runId", f"r{number}") for event in events} == {f"r{number}"}

    async with asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(one(number))


class Endless:
    """Streams until it is closed."""

    provider = "endless"
    model = "m"

    def __init__(self):
        self.closed = 0

    async def stream(self, request):
        try:
            while True:
                yield {"type": "text-delta", "delta": "x"}
                await asyncio.sleep(0)
        finally:
            self.closed += 1


async def begun(agent, number):
    stream = agent.run(given(runId=f"r{number}"), run_context(run_id=f"r{number}"))
    first = [await anext(stream) for _ in range(3)]
    assert wired(first)[0]["type"] == "RUN_STARTED"
    return stream


async def rest(stream):
    async with asyncio.timeout(5):
        return wired([event async for event in stream])


async def test_aborting_one_run_leaves_the_others_and_all_can_be_aborted():
    model = Endless()
    agent = BuiltInAgent(model=model)
    streams = [await begun(agent, number) for number in range(3)]
    assert agent.abort_run(run_id="r1") == 1
    assert "RUN_ERROR" not in types(await rest(streams[1]))
    assert model.closed == 1
    await anext(streams[0])
    assert agent.abort_run() == 2
    for stream in (streams[0], streams[2]):
        assert {"RUN_ERROR", "RUN_FINISHED"}.isdisjoint(types(await rest(stream)))
    assert model.closed == 3
    assert agent.abort_run() == 0
    async with aclosing(await begun(agent, 4)):
        pass
    assert model.closed == 4


async def test_closing_the_stream_sets_the_signal_and_a_normal_end_does_not():
    context = run_context()
    async with aclosing(BuiltInAgent(model=Endless()).run(given(), context)) as stream:
        await anext(stream)
    assert context.abort_signal.aborted
    agent, _ = agent_of(["x"])
    context = run_context()
    await run(agent, context=context)
    assert not context.abort_signal.aborted


async def test_the_signal_ends_a_run_and_its_tool():
    ended = asyncio.Event()
    started = asyncio.Event()

    @define_tool
    async def forever() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    agent, _ = agent_of([call("forever")], tools=[forever])
    context = run_context()
    stream = agent.run(given(), context)
    reader = asyncio.create_task(rest(stream))
    async with asyncio.timeout(5):
        await started.wait()
        context.abort()
        events = await reader
        await ended.wait()
    assert {"RUN_ERROR", "RUN_FINISHED", "TOOL_CALL_RESULT"}.isdisjoint(types(events))


async def test_a_reader_that_waits_holds_the_model_back():
    model = Endless()
    stream = BuiltInAgent(model=model).run(given(), run_context())
    await anext(stream)
    for _ in range(2000):
        await asyncio.sleep(0)
    got = 0
    async with aclosing(stream):
        for _ in range(300):
            await anext(stream)
            got += 1
    assert got == 300


async def test_a_library_that_cancels_itself_is_a_failure_and_no_stop():
    agent, _ = agent_of([asyncio.CancelledError()])
    assert (await run(agent))[-1]["code"] == "provider_error"


def test_options_that_cannot_work_are_named():
    model = ScriptedModel([])
    for options, words in {
        "max_steps": ({"max_steps": -1}, "max_steps"),
        "bool": ({"max_steps": True}, "max_steps"),
        "text": ({"max_steps": "3"}, "max_steps"),
        "choice": ({"tool_choice": "maybe"}, "tool_choice"),
        "temperature": ({"temperature": "hot"}, "temperature"),
        "tools": ({"tools": [print]}, "define_tool"),
        "twice": ({"tools": [weather, weather]}, "two tools"),
        "failure": ({"on_mcp_failure": "shout"}, "on_mcp_failure"),
        "override": ({"overridable_properties": ["max_steps"]}, "max_steps"),
        "options": ({"provider_options": {"openai": 1}}, "provider_options"),
        "prompt": ({"prompt": 5}, "prompt"),
        "key": ({"api_key": 5}, "api_key"),
        "timeout": ({"timeout": 0}, "timeout"),
        "usage": ({"expose_usage": "no"}, "expose_usage"),
        "name": ({"name": 5}, "name"),
        "description": ({"description": None}, "description"),
    }.values():
        with pytest.raises(ConfigurationError, match=words):
            BuiltInAgent(model=model, **options)
    with pytest.raises(TypeError, match="modle"):
        BuiltInAgent(modle="openai/gpt-5")
    with pytest.raises(ConfigurationError, match="needs a model"):
        BuiltInAgent()
    with pytest.raises(ConfigurationError, match=r"^Unknown agent config type: nope$"):
        BuiltInAgent(model=model, type="nope")


def test_a_reserved_name_is_refused_while_the_state_tools_are_on():
    tool = define_tool(
        name="AGUISendStateDelta",
        description="d",
        parameters={"type": "object"},
        execute=lambda arguments: arguments,
    )
    with pytest.raises(ConfigurationError, match="reserved"):
        BuiltInAgent(model=ScriptedModel([]), tools=[tool])
    BuiltInAgent(model=ScriptedModel([]), tools=[tool], state_tools=False)


def test_a_configuration_of_a_node_program_can_be_taken_over():
    agent = BuiltInAgent.from_config(
        {"model": ScriptedModel([]), "maxSteps": 3, "mcpServers": [], "forwardSystemMessages": True}
    )
    assert isinstance(agent, BuiltInAgent)


async def test_capabilities_are_inferred_and_replaced_by_category():
    agent, _ = agent_of(capabilities={"tools": {"supported": False}, "custom": {"x": 1}})
    found = await agent.capabilities()
    assert found == {
        "tools": {"supported": False},
        "transport": {"streaming": True},
        "humanInTheLoop": {"interrupts": True},
        "custom": {"x": 1},
    }


async def test_headers_among_the_provider_options_are_secrets():
    options = {"scripted": {"extraHeaders": {"x-team": "team-token-77"}}}
    agent, model = agent_of([RuntimeError("refused team-token-77")], provider_options=options)
    events = await run(agent)
    assert events[-1]["message"] == "refused [redacted]"
    assert model.requests[0].provider_options == options["scripted"]


async def test_an_error_that_a_model_reports_as_an_object_is_shown_as_its_words():
    error = {"type": "overloaded", "message": "Come back\n\nlater."}
    agent, _ = agent_of(["x", {"type": "error", "error": error}])
    events = await run(agent)
    assert (events[-1]["message"], events[-1]["code"]) == ("Come back later.", "provider_error")


async def test_an_exception_without_words_ends_a_run_like_any_other():
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError("mute")

    def prompt(given, context):
        raise Mute

    agent, _ = agent_of(["x"], prompt=prompt)
    assert (await run(agent))[-1] == {"type": "RUN_ERROR", "message": "Mute", "code": "agent_error"}
    agent, _ = agent_of(["x", Mute()])
    assert (await run(agent))[-1]["code"] == "provider_error"


async def test_a_failure_is_logged_once_without_secrets(caplog):
    agent, _ = agent_of([RuntimeError("bad key sk-abcdef123456")])
    with caplog.at_level(logging.ERROR):
        events = await run(agent)
    assert events[-1]["message"] == "bad key [redacted]"
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1
    assert "bad key [redacted]" in caplog.text


async def test_leaving_with_the_end_of_a_run_is_no_abort():
    for script in (["x"], [RuntimeError("boom")]):
        agent, _ = agent_of(script)
        context = run_context()
        async with aclosing(agent.run(given(), context)) as stream:
            async for event in stream:
                if event.type in ("RUN_FINISHED", "RUN_ERROR"):
                    break
        assert not context.abort_signal.aborted
        assert agent.abort_run() == 0
