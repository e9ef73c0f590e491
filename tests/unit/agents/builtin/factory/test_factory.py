"""Factory mode: every form of factory, every way it can fail, and what a custom one may yield."""

import asyncio
import logging
from contextlib import asynccontextmanager

import pytest

from builtin_agents import given, of, run, run_context, types, wired
from jumpseat import BuiltInAgent, ConfigurationError, RunFinished, RunOutcome, TextMessageStart, define_tool
from jumpseat.agents.builtin import convert_stream
from jumpseat.testing import ScriptedModel


def said(text="hello", message_id="m1"):
    return [
        {"type": "TEXT_MESSAGE_START", "messageId": message_id, "role": "assistant"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": message_id, "delta": text},
        {"type": "TEXT_MESSAGE_END", "messageId": message_id},
    ]


async def stream_of(events):
    for event in events:
        if isinstance(event, BaseException):
            raise event
        yield event


def generator(context):
    return stream_of(said(context.input.run_id))


async def async_generator(context):
    for event in said(context.input.run_id):
        yield event


async def coroutine(context):
    return stream_of(said(context.input.run_id))


@asynccontextmanager
async def manager(context):
    yield stream_of(said(context.input.run_id))


async def async_manager(context):
    return manager(context)


@pytest.mark.parametrize(
    "factory", [generator, async_generator, coroutine, manager, async_manager], ids=lambda f: f.__name__
)
async def test_all_forms_of_a_factory_are_equal(factory):
    events = await run(BuiltInAgent(factory=factory))
    assert events == [
        {"type": "RUN_STARTED", "threadId": "t1", "runId": "r1"},
        *said("r1"),
        {"type": "RUN_FINISHED", "threadId": "t1", "runId": "r1"},
    ]


def test_what_cannot_be_a_factory_is_refused():
    with pytest.raises(ConfigurationError, match=r"^Unknown agent config type: nope$"):
        BuiltInAgent(factory=generator, type="nope")
    with pytest.raises(ConfigurationError, match="exactly one argument"):
        BuiltInAgent(factory=lambda: None)
    with pytest.raises(ConfigurationError, match="factory must be"):
        BuiltInAgent(factory=5)


async def test_options_that_a_factory_makes_useless_are_named_once(caplog):
    class Loud:
        async def tools(self):
            raise AssertionError("not to be asked")

    with caplog.at_level(logging.WARNING):
        agent = BuiltInAgent(
            factory=generator, model="openai/gpt-5", prompt="x", max_steps=3, mcp_clients=[Loud()]
        )
    (record,) = caplog.records
    assert all(name in record.message for name in ("model", "prompt", "max_steps", "mcp_clients"))
    assert "temperature" not in record.message
    assert types(await run(agent))[-1] == "RUN_FINISHED"


FAULTS = {
    "at once": (lambda context: 1 / 0, "division by zero"),
    "mid-stream": (lambda context: stream_of([*said()[:2], ValueError("boom")]), "boom"),
    "before": (lambda context: stream_of([ValueError("first")]), "first"),
    "nothing": (lambda context: None, "returned nothing"),
    "a number": (lambda context: 5, "returned int"),
}


@pytest.mark.parametrize(("factory", "words"), FAULTS.values(), ids=FAULTS)
async def test_a_factory_that_fails_ends_its_run_with_one_error(factory, words):
    events = await run(BuiltInAgent(factory=factory))
    assert types(events).count("RUN_ERROR") == 1
    assert events[-1]["code"] == "agent_error"
    assert words in events[-1]["message"]
    assert types(events).count("TEXT_MESSAGE_START") == types(events).count("TEXT_MESSAGE_END")


async def test_a_foreign_chunk_is_answered_with_the_type_that_reads_it():
    from langchain_core.messages import AIMessageChunk

    events = await run(BuiltInAgent(factory=lambda context: stream_of([AIMessageChunk(content="x")])))
    assert events[-1]["code"] == "agent_error"
    assert "AIMessageChunk" in events[-1]["message"]
    assert 'type="langchain"' in events[-1]["message"]


async def test_a_custom_factorys_own_lifecycle_is_merged_into_the_runs():
    outcome = RunOutcome(type="success")
    upstream = [
        {"type": "RUN_STARTED", "threadId": "other", "runId": "other"},
        *said(),
        RunFinished(result={"x": 1}, outcome=outcome),
    ]
    events = await run(BuiltInAgent(factory=lambda context: stream_of(upstream)))
    assert types(events).count("RUN_STARTED") == types(events).count("RUN_FINISHED") == 1
    assert events[0]["threadId"] == "t1"
    assert events[-1] == {
        "type": "RUN_FINISHED",
        "threadId": "t1",
        "runId": "r1",
        "result": {"x": 1},
        "outcome": {"type": "success"},
    }


async def test_a_custom_factorys_own_error_is_the_runs_only_end():
    upstream = [said()[0], {"type": "RUN_ERROR", "message": "no", "code": "mine"}, *said("late", "m2")]
    events = await run(BuiltInAgent(factory=lambda context: stream_of(upstream)))
    assert types(events) == ["RUN_STARTED", "TEXT_MESSAGE_START", "TEXT_MESSAGE_END", "RUN_ERROR"]
    assert events[-1]["message"] == "no"


async def test_fifteen_hundred_events_come_in_order():
    events = await run(
        BuiltInAgent(
            factory=lambda context: stream_of(
                {"type": "CUSTOM", "name": "n", "value": number} for number in range(1500)
            )
        )
    )
    assert [event["value"] for event in of("CUSTOM", events)] == list(range(1500))


async def test_what_a_custom_factory_leaves_open_is_closed():
    upstream = [
        TextMessageStart(message_id="m1", role="assistant"),
        {"type": "TOOL_CALL_START", "toolCallId": "c1", "toolCallName": "go"},
        {"type": "STEP_STARTED", "stepName": "s"},
    ]
    events = await run(BuiltInAgent(factory=lambda context: stream_of(upstream)))
    assert {"TEXT_MESSAGE_END", "TOOL_CALL_END", "STEP_FINISHED"} <= set(types(events))
    assert types(events)[-1] == "RUN_FINISHED"


RESUME = [
    {"interruptId": "a", "status": "resolved", "payload": 1},
    {"interruptId": "b", "status": "cancelled"},
]


def asking(*ids, then=()):
    async def factory(context):
        answers = await context.interrupt([{"id": one, "reason": "why"} for one in ids])
        for answer in answers:
            yield {"type": "CUSTOM", "name": answer.interrupt_id, "value": answer.payload}
        for event in then:
            yield event

    return BuiltInAgent(factory=factory)


async def test_an_interrupt_ends_the_run_with_its_outcome():
    events = await run(asking("a", "b"))
    assert events[-1]["outcome"] == {
        "type": "interrupt",
        "interrupts": [{"id": "a", "reason": "why"}, {"id": "b", "reason": "why"}],
    }


async def test_an_answered_interrupt_returns_its_answers_in_their_order():
    events = await run(asking("b", "a"), given(resume=RESUME))
    assert [event["name"] for event in of("CUSTOM", events)] == ["a", "b"]
    assert "outcome" not in events[-1]


async def test_a_partly_answered_interrupt_asks_for_all_again():
    events = await run(asking("a", "c"), given(resume=RESUME))
    assert [entry["id"] for entry in events[-1]["outcome"]["interrupts"]] == ["a", "c"]


async def test_interrupts_of_several_tasks_are_asked_together():
    async def factory(context):
        async with asyncio.TaskGroup() as group:
            for one in ("a", "b"):
                group.create_task(context.interrupt([{"id": one, "reason": "why"}]))
        yield said()[0]

    events = await run(BuiltInAgent(factory=factory))
    assert [entry["id"] for entry in events[-1]["outcome"]["interrupts"]] == ["a", "b"]

    async def broken():
        raise ValueError("broken")

    async def failing(context):
        async with asyncio.TaskGroup() as group:
            group.create_task(context.interrupt([{"id": "a", "reason": "why"}]))
            group.create_task(broken())
        yield said()[0]

    assert (await run(BuiltInAgent(factory=failing)))[-1]["code"] == "agent_error"


@pytest.mark.parametrize("kind", ["custom", "agui", "tanstack"])
async def test_an_upstreams_outcome_without_decisions_is_no_outcome(kind):
    end = {"type": "RUN_FINISHED", "threadId": "t", "runId": "r"}
    upstream = [end | {"outcome": {"type": "interrupt", "interrupts": []}}]
    events = await run(BuiltInAgent(factory=lambda context: stream_of(upstream), type=kind))
    assert events[-1] == {"type": "RUN_FINISHED", "threadId": "t1", "runId": "r1"}


COUNTS = {
    "a fraction": [{"provider": "p", "model": "m", "inputTokens": 1.5, "outputTokens": 2}],
    "negative": [{"provider": "p", "model": "m", "inputTokens": -1, "outputTokens": 2}],
    "too large": [{"provider": "p", "model": "m", "inputTokens": 2**53, "outputTokens": 2}],
    "null": [{"provider": "p", "model": "m", "inputTokens": None, "outputTokens": 2}],
    "a bool": [{"provider": "p", "model": "m", "inputTokens": True, "outputTokens": 2}],
    "something else": [5, {"provider": "p", "model": "m", "inputTokens": {}, "outputTokens": 2}],
}


@pytest.mark.parametrize("usage", COUNTS.values(), ids=COUNTS)
@pytest.mark.parametrize("kind", ["custom", "agui", "tanstack"])
async def test_counts_of_an_upstream_that_no_client_could_read_are_left_out(kind, usage):
    end = {"type": "RUN_FINISHED", "threadId": "t", "runId": "r", "usage": usage}
    events = await run(BuiltInAgent(factory=lambda context: stream_of([end]), type=kind))
    assert events[-1]["type"] == "RUN_FINISHED"
    assert events[-1]["usage"] == [{"provider": "p", "model": "m", "outputTokens": 2}]


@pytest.mark.parametrize("usage", [{"inputTokens": 1}, "many", []])
@pytest.mark.parametrize("kind", ["custom", "agui"])
async def test_usage_that_is_no_list_ends_no_run_with_an_error(kind, usage):
    end = {"type": "RUN_FINISHED", "threadId": "t", "runId": "r", "usage": usage}
    events = await run(BuiltInAgent(factory=lambda context: stream_of([end]), type=kind))
    assert events[-1] == {"type": "RUN_FINISHED", "threadId": "t1", "runId": "r1"}


async def test_an_error_without_words_has_some():
    upstream = [{"type": "RUN_ERROR", "message": ""}]
    events = await run(BuiltInAgent(factory=lambda context: stream_of(upstream)))
    assert events[-1] == {"type": "RUN_ERROR", "message": "The run failed.", "code": "agent_error"}


async def test_an_empty_interrupt_just_ends_the_run():
    events = await run(asking(then=said()))
    assert types(events) == ["RUN_STARTED", "RUN_FINISHED"]
    assert "outcome" not in events[-1]


async def test_a_swallowed_interrupt_ends_the_run_normally():
    async def factory(context):
        try:
            await context.interrupt([{"id": "a", "reason": "why"}])
        except Exception:
            for event in said():
                yield event

    events = await run(BuiltInAgent(factory=factory))
    assert types(events)[-2:] == ["TEXT_MESSAGE_END", "RUN_FINISHED"]
    assert "outcome" not in events[-1]


async def test_an_interrupt_without_an_id_is_the_developers_mistake():
    async def factory(context):
        await context.interrupt([{"reason": "why"}])
        yield said()[0]

    events = await run(BuiltInAgent(factory=factory))
    assert events[-1]["code"] == "agent_error"
    assert "id" in events[-1]["message"]


async def test_the_context_knows_the_run_and_builds_the_prompt():
    seen = {}

    async def factory(context):
        seen.update(
            user=context.user,
            headers=context.headers,
            prompt=context.system_prompt("Be kind."),
            aborted=context.abort_signal.aborted,
            resume=context.resume,
        )
        yield said()[0]

    run_input = given(context=[{"description": "page", "value": "cart"}])
    await run(BuiltInAgent(factory=factory), run_input, run_context(headers={"x-tenant": "a"}))
    assert seen["headers"] == {"x-tenant": "a"}
    assert seen["prompt"] == "Be kind.\n## Context from the application\npage:\ncart\n"
    assert (seen["aborted"], seen["resume"], seen["user"]) == (False, [], None)


async def test_an_abort_cancels_the_factory_and_nothing_more_comes():
    cancelled = asyncio.Event()

    async def factory(context):
        yield said()[0]
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    agent = BuiltInAgent(factory=factory)
    stream = agent.run(given(), run_context())
    async with asyncio.timeout(5):
        first = wired([await anext(stream), await anext(stream)])
        assert types(first) == ["RUN_STARTED", "TEXT_MESSAGE_START"]
        assert agent.abort_run(thread_id="t1") == 1
        assert [event async for event in stream] == []
        await cancelled.wait()


async def test_one_converter_can_be_used_alone():
    parts = stream_of(said())
    events = [event async for event in convert_stream(parts, type="custom", input=given())]
    assert [event.type for event in events] == ["RUN_STARTED", *types(said()), "RUN_FINISHED"]


async def test_capabilities_of_a_factory_are_the_inferred_ones():
    agent = BuiltInAgent(factory=generator)
    assert (await agent.capabilities())["humanInTheLoop"] == {"interrupts": True}
    assert ScriptedModel([]).requests == []


async def test_decisions_of_the_parts_and_of_the_upstreams_end_are_asked_together():
    def parts(context):
        return stream_of(
            [
                {"type": "RUN_STARTED", "threadId": "t", "runId": "r"},
                {"type": "TOOL_CALL_START", "toolCallId": "c1", "toolCallName": "pay"},
                {
                    "type": "CUSTOM",
                    "name": "approval-requested",
                    "value": {"toolCallId": "c1", "toolName": "pay", "approval": {"id": "a1"}},
                },
                {
                    "type": "RUN_FINISHED",
                    "threadId": "t",
                    "runId": "r",
                    "outcome": {"type": "interrupt", "interrupts": [{"id": "a2", "reason": "why"}]},
                },
            ]
        )

    events = await run(BuiltInAgent(factory=parts, type="tanstack"))
    assert {entry["id"] for entry in events[-1]["outcome"]["interrupts"]} == {"a1", "a2"}


async def test_a_stream_of_which_nothing_is_understood_is_not_taken_in_silence(caplog):
    def openai_chunks(context):
        from openai.types.responses import ResponseTextDeltaEvent

        delta = ResponseTextDeltaEvent.model_construct(type="response.output_text.delta", delta="x")
        return stream_of([delta])

    await run(BuiltInAgent(factory=openai_chunks, type="langchain"))
    assert 'type="langchain"' in caplog.text
    assert 'Give BuiltInAgent type="openai".' in caplog.text


async def test_a_runtime_that_hides_errors_hides_those_of_factories_and_tools():
    def failing(context):
        raise RuntimeError("postgresql://app:s3cret@db.internal/prod")

    hidden = await run(BuiltInAgent(factory=failing), context=run_context(hides_errors=True))
    assert hidden[-1] == {"type": "RUN_ERROR", "message": "The agent failed", "code": "agent_error"}
    shown = await run(BuiltInAgent(factory=failing))
    assert shown[-1]["message"] == "postgresql://[redacted]@db.internal/prod"

    @define_tool
    def boom() -> None:
        raise RuntimeError("/srv/private")

    model = ScriptedModel([[{"type": "tool-call", "id": "c1", "name": "boom"}]])
    events = await run(BuiltInAgent(model=model, tools=[boom]), context=run_context(hides_errors=True))
    assert of("TOOL_CALL_RESULT", events)[0]["content"] == '{"error":"The tool failed"}'
